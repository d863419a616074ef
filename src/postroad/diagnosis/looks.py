"""What octets look like that came where a reply of SMTP belongs: a guess at the protocol, by how each of them begins.

The octets are a stranger's and few; nothing is parsed beyond the first ones.
"""

from __future__ import annotations

import re
from typing import Final

#: The first that fits decides. Names are those that people know the protocols by.
_LOOKS: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(rb"SSH-[0-9.]"), "SSH"),
    (re.compile(rb"HTTP/[0-9]|<!DOCTYPE|<html", re.IGNORECASE), "HTTP"),
    (re.compile(rb"\* (?:OK|BYE|PREAUTH)"), "IMAP"),
    (re.compile(rb"(?:\+OK|-ERR)"), "POP3"),
    (re.compile(rb'"IMPLEMENTATION"|"SIEVE"', re.IGNORECASE), "ManageSieve"),
    (re.compile(rb"RFB [0-9]"), "VNC"),
    (re.compile(rb"<\?xml|<stream", re.IGNORECASE), "XMPP"),
    (re.compile(rb":[^ ]{1,200} (?:NOTICE|0|4)|NOTICE "), "IRC"),
    (re.compile(rb"[\x14-\x17]\x03[\x00-\x04]"), "TLS"),
    (re.compile(rb"\xff[\xfb-\xfe]"), "Telnet"),
    (re.compile(rb"20[01] [^\r\n]{0,200}(?:NNTP|NNRP|news|posting)", re.IGNORECASE), "NNTP"),
    (re.compile(rb"\x03\x00\x00"), "RDP"),
)
_FTP: Final = re.compile(r"\bFTP|ftpd|FileZilla", re.IGNORECASE)
_LMTP: Final = re.compile(r"\bLMTP\b", re.IGNORECASE)
_REPLY: Final = re.compile(rb"[2-5][0-9]{2}(?:[ -]|\r|\n|\Z)")


def looks_like(octets: bytes) -> str:
    """``HTTP``, ``SSH`` …; ``text`` for other words, ``binary`` for what is none; ``""`` for a reply of SMTP."""
    for pattern, name in _LOOKS:
        if pattern.match(octets):
            return name
    if _REPLY.match(octets):
        return ""
    return "text" if _is_text(octets) else "binary"


def other_protocol(greeting: str, answer: str) -> str:
    """``FTP`` or ``LMTP`` of a host that greeted with 220 and knows neither EHLO nor HELO; ``""`` when neither."""
    if _FTP.search(greeting) or "login with user" in answer.lower():
        return "FTP"
    if _LMTP.search(greeting) or _LMTP.search(answer):
        return "LMTP"
    return ""


def _is_text(octets: bytes) -> bool:
    return all(32 <= octet < 127 or octet in b"\r\n\t" for octet in octets)
