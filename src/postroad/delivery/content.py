"""What a stored message's octets need of a host, and the octets in the form that a host takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from postroad.envelope import StoredMessage
from postroad.errors import LocalProtocolError
from postroad.message.encoding import SevenBitRecoder
from postroad.message.scan import ContentScan, Scan
from postroad.smtp.wanted import ContentNeeds, Form

Read = Callable[[], AsyncIterator[bytes]]

_NOTHING = ContentNeeds()


def needs_of(scan: Scan) -> ContentNeeds:
    """What was found in a message, in the words of a negotiation."""
    return ContentNeeds(scan.eight_bit, scan.binary, scan.utf8_header, scan.recodable)


class StoredContent:
    """The content of one message, on its way to one host after the other."""

    def __init__(self, message: StoredMessage, read: Read) -> None:
        """``read`` gives prefix and content in blocks, and may be called again and again."""
        self._parameters = message.parameters
        self._read = read
        self._scan: Scan | None = None

    async def needs(self) -> ContentNeeds:
        """Read it for that, but only where something hangs on it: mail that claims no more than 7-bit goes as it is."""
        given = self._parameters
        if not ("BODY=8" in given or "BODY=BINARY" in given or "SMTPUTF8" in given):
            return _NOTHING
        scan = ContentScan()
        async for block in self._read():
            scan.feed(block)
        self._scan = scan.finish()
        return needs_of(self._scan)

    def give(self, form: Form) -> AsyncIterator[bytes]:
        """The octets in blocks; raises LocalProtocolError for a form that ``needs`` did not offer."""
        if form is Form.AS_IS:
            return self._read()
        if self._scan is None:
            raise LocalProtocolError("content is made 7-bit only after it was looked at")
        return self._in_seven_bit(SevenBitRecoder(self._scan))

    async def _in_seven_bit(self, recoder: SevenBitRecoder) -> AsyncIterator[bytes]:
        async for block in self._read():
            yield recoder.feed(block)
        yield recoder.finish()
