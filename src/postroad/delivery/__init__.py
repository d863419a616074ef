"""Handing over: what the spool keeps goes to its next hop or its mailbox, or is held where people see it."""
