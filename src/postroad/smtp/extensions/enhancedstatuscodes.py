"""ENHANCEDSTATUSCODES (RFC 2034): every 2yz, 4yz and 5yz reply but greeting and EHLO carries ``x.y.z``."""

from postroad.smtp.parameters import Extension

ENHANCEDSTATUSCODES = Extension(keyword="ENHANCEDSTATUSCODES", rfc="RFC 2034")
