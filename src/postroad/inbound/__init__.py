"""From the socket to the spool: the ports 25, 465 and 587, one engine a connection (RFC 5321, 6409, 8314)."""
