"""The protocol without I/O: octets in, events out; replies in, octets out (RFC 5321 and its extensions)."""
