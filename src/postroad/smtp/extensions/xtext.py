"""xtext, the encoding of parameter values that may hold anything (RFC 3461 section 4)."""

from __future__ import annotations

import re

from postroad.errors import ParameterSyntaxError

_XTEXT = re.compile(r"(?>(?:[!-*,-<>-~]|\+[0-9A-F]{2})*)\Z")
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
_TO_ENCODE = re.compile(r"[^!-*,-<>-~]")


def decode_xtext(text: str) -> str:
    """Undo ``+HH``; raises ParameterSyntaxError for what is no xtext or hides a control octet."""
    if _XTEXT.match(text) is None:
        raise ParameterSyntaxError("not xtext")
    decoded = _HEXCHAR.sub(lambda found: chr(bytes.fromhex(found.group(1))[0]), text)
    if not all(" " <= c <= "~" for c in decoded):
        raise ParameterSyntaxError("xtext of characters that are not printable ASCII")
    return decoded


def encode_xtext(text: str) -> str:
    """Write printable ASCII as xtext; raises ValueError for anything else."""
    if not all(" " <= c <= "~" for c in text):
        raise ValueError("only printable ASCII can be xtext")
    return _TO_ENCODE.sub(lambda found: f"+{ord(found.group()):02X}", text)
