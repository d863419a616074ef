"""Postroad: an SMTP server, relay and client whose every reply explains itself.

Importing this package costs nothing: it reads no file, starts no loop and imports no other room.
"""

__version__ = "0.1.0"
