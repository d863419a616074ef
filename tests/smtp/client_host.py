"""A host on bytes for the client engine: it answers each line by its first words; its octets may be cut anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Command, Hello
from postroad.smtp.client_events import ClientEvent, ContentWanted
from postroad.smtp.events import NEED_DATA
from postroad.smtp.mail_transaction import MailTransaction


class BytesHost:
    """Hears what the engine writes and answers: the longest key of ``replies`` that the line begins with decides."""

    DEFAULTS = {b"": b"250 ok\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n", b".": b"250 queued\r\n"}

    def __init__(self, replies: Mapping[bytes, bytes] | None = None) -> None:
        self.replies = {**self.DEFAULTS, **(replies or {})}
        self.heard: list[bytes] = []
        self.contents: list[bytes] = []
        self._buffer = b""
        self._content: bytes | None = None
        self._chunks = b""
        self._chunk: tuple[int, bytes] | None = None  # octets of the chunk that is being read, and its line
        self._failed = False
        self.chunk_sizes: list[int] = []

    def hear(self, octets: bytes) -> bytes:
        """What the host says to this."""
        self._buffer += octets
        said = b""
        while self._chunk is not None or b"\r\n" in self._buffer:
            if self._chunk is not None:
                if len(self._buffer) < self._chunk[0]:
                    break
                said += self._hear_chunk(*self._chunk)
                continue
            end = self._buffer.find(b"\r\n")
            line, self._buffer = self._buffer[: end + 2], self._buffer[end + 2 :]
            said += self._hear_line(line)
        return said

    def _hear_chunk(self, octets: int, line: bytes) -> bytes:
        """``BDAT`` answers any chunk, ``BDAT LAST`` the last, ``BDAT #n`` the n-th of the session."""
        chunk, self._buffer, self._chunk = self._buffer[:octets], self._buffer[octets:], None
        self.chunk_sizes.append(octets)
        last = line.endswith(b" LAST")
        reply = self.replies.get(b"BDAT LAST" if last else b"BDAT", b"250 ok\r\n")
        reply = self.replies.get(b"BDAT #%d" % len(self.chunk_sizes), reply)
        if self._failed:
            return b"503 after a fault\r\n"
        self._failed = not reply.startswith(b"2")
        self._chunks += chunk
        if last and not self._failed:
            self.contents.append(self._chunks)
            self._chunks = b""
        return reply

    def _hear_line(self, line: bytes) -> bytes:
        if self._content is not None and line != b".\r\n":
            self._content += line.removeprefix(b".")
            return b""
        if self._content is not None:
            self.contents.append(self._content)
            self._content = None
            return self.replies[b"."]
        self.heard.append(line.removesuffix(b"\r\n"))
        if line.startswith(b"BDAT "):
            self._chunk = (int(line.split()[1]), line.removesuffix(b"\r\n"))
            return b""
        if line in (b"RSET\r\n",) or line.startswith(b"MAIL"):
            self._failed, self._chunks = False, b""
        key = max((key for key in self.replies if line.startswith(key) and key != b"."), key=len)
        reply = self.replies[key]
        if line == b"DATA\r\n" and reply.startswith(b"354"):
            self._content = b""
        return reply


def converse(
    engine: ClientEngine,
    host: BytesHost,
    command: Command | None = None,
    transaction: MailTransaction | None = None,
    content: Iterable[bytes] = (b"Subject: x\r\n\r\n.x\r\n",),
    cuts: Iterable[int] = (),
) -> list[ClientEvent]:
    """Say ``command`` or run ``transaction`` to its end; the host's octets arrive in pieces of ``cuts`` octets."""
    events: list[ClientEvent] = []
    pieces, blocks = iter(cuts), iter(content)
    if command is not None:
        engine.send(command)
    if transaction is not None:
        transaction.begin()
    for _ in range(10_000):
        said = host.hear(engine.data_to_send())
        if not said:
            break
        while said:
            size = next(pieces, len(said))
            engine.receive(said[:size])
            said = said[size:]
            while (event := engine.next_event()) is not NEED_DATA:
                events.append(event)
                if transaction is not None:
                    transaction.hear(event)
                if isinstance(event, ContentWanted):
                    for block in content:
                        engine.send_content(block)
                    engine.end_content()
                elif transaction is not None and transaction.wants_content:  # BDAT
                    give(transaction, blocks)
                if engine.state.name == "CLOSED":
                    break
    return events


def give(transaction: MailTransaction, blocks: Iterator[bytes]) -> None:
    """As much content as may be given before the next answer."""
    while not transaction.is_full:
        block = next(blocks, None)
        if block is None:
            transaction.end_content()
            return
        transaction.send_content(block)


def greeted(*extensions: bytes, lmtp: bool = False, hello: bool = True) -> ClientEngine:
    """An engine that has had its EHLO answered with these extensions."""
    engine = ClientEngine(lmtp=lmtp)
    engine.receive(b"220 host.example ESMTP\r\n")
    engine.next_event()
    if hello:
        lines = [b"host.example", *extensions]
        said = b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) + b"250 " + lines[-1] + b"\r\n"
        converse(engine, BytesHost({b"EHLO": said, b"LHLO": said}), Hello("me.example"))
    return engine
