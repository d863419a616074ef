"""HELP (RFC 5321 section 4.1.1.8), listed as a convenience."""

from postroad.smtp.parameters import Extension
from postroad.smtp.states import Verb

HELP = Extension(keyword="HELP", rfc="RFC 5321", verbs=(Verb.HELP,))
