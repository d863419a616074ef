"""Messages as octets (RFC 5322), without I/O: read what is needed, never rewrite what was given."""
