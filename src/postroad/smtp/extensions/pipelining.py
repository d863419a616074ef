"""PIPELINING (RFC 2920): several commands in one segment; how the engine reads makes it true, so only the line is here."""

from postroad.smtp.parameters import Extension

PIPELINING = Extension(keyword="PIPELINING", rfc="RFC 2920")
