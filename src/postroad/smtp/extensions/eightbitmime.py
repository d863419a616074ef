"""8BITMIME (RFC 6152): content may hold octets above 127."""

from postroad.smtp.extensions.body import BODY
from postroad.smtp.parameters import Extension

EIGHTBITMIME = Extension(keyword="8BITMIME", rfc="RFC 6152", parameters=(BODY,))
