"""What a message's octets need of a host, and the octets in the form that a host takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from postroad.envelope import StoredMessage
from postroad.errors import LocalProtocolError
from postroad.smtp.wanted import ContentNeeds, Form

Read = Callable[[], AsyncIterator[bytes]]

_NOTHING = ContentNeeds()


async def needs_of(message: StoredMessage, read: Read) -> ContentNeeds:
    """Read the content for it, but only where something hangs on it: mail that claims no more than 7-bit goes as it is."""
    parameters = message.parameters
    if not ("BODY=8" in parameters or "BODY=BINARY" in parameters or "SMTPUTF8" in parameters):
        return _NOTHING
    eight_bit, in_header, header_over, tail = False, False, False, b""
    async for block in read():
        eight_bit = eight_bit or not block.isascii()
        if not header_over:
            header, separator, _ = (tail + block).partition(b"\r\n\r\n")
            in_header = in_header or not header.isascii()
            header_over, tail = bool(separator), block[-3:]
        elif eight_bit:
            break
    binary = "BODY=BINARY" in parameters
    return ContentNeeds(eight_bit, binary, in_header, recodable=False)


async def content_in(read: Read, form: Form) -> AsyncIterator[bytes]:
    """The octets in blocks."""
    if form is not Form.AS_IS:
        raise LocalProtocolError("this content cannot be made 7-bit")
    async for block in read():
        yield block
