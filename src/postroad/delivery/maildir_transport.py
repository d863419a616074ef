"""Into Maildirs: one file a recipient, ``Return-Path:`` in front, then the stored octets.

Line ends become LF, since that is what Maildir readers (Dovecot, mutt, mail clients, every Unix tool) take for one; as
stored content ends its lines with CRLF and nothing else, the conversion can be undone and alters nothing (only content
that came as BODY=BINARYMIME may hold a bare LF). ``{user}`` is the local part with its case kept, except ``postmaster``,
which is one mailbox in any case (RFC 5321 section 4.5.1).

At-least-once: a crash between the rename and the spool's next commit delivers again; nothing is lost, and no part of a
message is ever seen.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from postroad.address import stored_path
from postroad.clock import Clock
from postroad.delivery.maildir import MaildirFile, UncertainDelivery, expand
from postroad.delivery.routing import Maildir
from postroad.delivery.transport import Consignment, Fate, Handed, Report
from postroad.envelope import Recipient
from postroad.errors import LocalProtocolError
from postroad.smtp import undeliverable

#: Octets that are gathered before a thread writes them.
_CHUNK: Final = 1024 * 1024
_STORED: Final = "stored in maildir"

T = TypeVar("T")


class MaildirTransport:
    """Every ``maildir:`` route. Writing blocks, so it happens in threads."""

    def __init__(self, hostname: str, clock: Clock, threads: int = 4) -> None:
        self._hostname = hostname
        self._clock = clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="maildir")
        self._abort = ""

    async def deliver(self, consignment: Consignment) -> Report:
        """Write one file for each recipient."""
        if not isinstance(consignment.route, Maildir):
            raise LocalProtocolError(f"not a route of this transport: {consignment.route}")
        sender = stored_path(consignment.message.reverse_path) if consignment.message.reverse_path else None
        first = f"Return-Path: <{sender or ''}>\r\n".encode()
        template = consignment.route.template
        handed = [await self._hand(consignment, template, first, one) for one in consignment.message.recipients]
        return Report(tuple(handed))

    def wind_down(self, why: str) -> None:
        """What is being written is soon written."""

    def abort(self, why: str) -> None:
        """Those whose file is not begun are deferred."""
        self._abort = why

    async def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)

    async def _hand(self, consignment: Consignment, template: str, first: bytes, recipient: Recipient) -> Handed:
        if self._abort:
            return Handed(recipient.number, Fate.NOT_NOW, None, self._abort)
        path = stored_path(recipient.forward_path)
        if path is None:
            note = f"stored was {recipient.forward_path[:80]!r}"
            return Handed(recipient.number, Fate.NEVER, undeliverable.RECIPIENT_UNREADABLE, note)
        user = "postmaster" if path.is_postmaster else path.local_part
        base, names = expand(template, user, recipient.destination)
        try:
            await self._write(consignment, first, base, names)
        except UncertainDelivery as fault:
            note = f"stored, but the directory could not be synced: {_reason(fault)}"
            return Handed(recipient.number, Fate.NOT_NOW, None, note, uncertain=True)
        except OSError as fault:
            where = "/".join((base.rstrip("/"), *names))
            return Handed(recipient.number, Fate.NOT_NOW, None, f"not stored in {where}: {_reason(fault)}")
        return Handed(recipient.number, Fate.DELIVERED, None, _STORED)

    async def _write(self, consignment: Consignment, first: bytes, base: str, names: tuple[str, ...]) -> None:
        now = self._clock.wall()
        file = await self._in_thread(lambda: MaildirFile(base, names, self._hostname, now))
        try:
            gathered, size = [first], 0
            async for block in consignment.read():
                gathered.append(block)
                size += len(block)
                if size >= _CHUNK:
                    chunk, gathered, size = b"".join(gathered), [], 0
                    await self._in_thread(lambda chunk=chunk: file.write(chunk))  # type: ignore[misc]
            last = b"".join(gathered)
        except BaseException:
            await self._in_thread(file.discard)
            raise
        await self._in_thread(lambda: _finish(file, last))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run to its end even when the caller is cancelled: a thread cannot be stopped half-way."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        return await asyncio.shield(future)


def _finish(file: MaildirFile, last: bytes) -> None:
    try:
        file.write(last)
    except BaseException:
        file.discard()
        raise
    file.commit()


def _reason(fault: OSError) -> str:
    if fault.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a symbolic link, or no directory, stands in the way"
    return os.strerror(fault.errno) if fault.errno is not None else str(fault)
