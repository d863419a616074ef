"""What a message needs of every host, found by reading it and said as parameters of MAIL; its octets in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from postroad.message.encoding import SevenBitRecoder
from postroad.message.scan import ContentScan, Scan
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.negotiation import ContentNeeds
from postroad.smtp.parameters import Given, Parameter

#: Octets of content in one block.
_BLOCK: Final = 64 * 1024


def scanned(content: bytes) -> Scan:
    """Read the octets, whose lines all end in CRLF."""
    scan = ContentScan()
    for block in blocks(content):
        scan.feed(block)
    return scan.finish()


def blocks(content: bytes, scan: Scan | None = None) -> Iterator[bytes]:
    """The content in blocks; with a ``scan`` of it: made 7-bit (RFC 6152 section 3). Raises LocalProtocolError then."""
    pieces = (content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK))
    if scan is None:
        yield from pieces
        return
    recoder = SevenBitRecoder(scan)
    for piece in pieces:
        yield recoder.feed(piece)
    yield recoder.finish()


def parameters_for(needs: ContentNeeds, given: Given) -> Given:
    """The parameters of MAIL: those that say what the content is, then what was asked for, which wins.

    SIZE, BODY=8BITMIME and what addresses need are between the negotiation and each host.
    """
    values: dict[Parameter[Any], Any] = {}
    if needs.binary:
        values[BODY] = Body.BINARYMIME
    if needs.utf8_header:
        values[UTF8] = True
    named = {parameter.keyword for parameter, _ in given}
    return Given({key: value for key, value in values.items() if key.keyword not in named} | dict(given))
