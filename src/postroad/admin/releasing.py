"""Mail of a developer's inbox, sent on to a real address: once, at once, and with all that was said for the reader.

It goes as the program gave it to us: without the Received field that was put in front when it was caught, with no field
of ours, so that the receiver sees what it would have seen. As with every mail that ``postroad.sending`` sends, Bcc
fields stay behind, and a Date and a Message-ID are put in only where there is none (RFC 5321 section 6.4).
Nothing is queued and nothing is tried twice: whoever asks looks at the answer.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from postroad.clock import Clock
from postroad.errors import NotFound, PostroadError
from postroad.inbox.inbox import MAX_READ, Inbox
from postroad.sending import OptionError, SendResult, ServerError, read_address, send
from postroad.sending.servers import read_server

#: Releases that are remembered, and that may be on their way at a time.
MAX_KEPT: Final = 50
MAX_RUNNING: Final = 4
MAX_RECIPIENTS: Final = 20
#: Seconds for a single wait, and for a whole release.
PATIENCE: Final = 60.0
MAX_SECONDS: Final = 600.0

_TRACE_FIELD: Final = re.compile(rb"(?:Return-Path|Received):[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE)

Send = Callable[..., Awaitable[SendResult]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    to: tuple[str, ...]
    server: str
    """``HOST[:PORT]``; ``""``: the mail hosts of each recipient's domain."""
    sender: str
    """The reverse-path; ``""`` is the null one."""


@dataclass(slots=True)
class Release:
    """One message on its way out, and then what came of it."""

    id: str
    message_id: str
    wish: Wish
    begun_at: float
    """Seconds since the epoch."""
    result: SendResult | None = None
    fault: PostroadError | None = None
    """Why there is no result; a SendError has what was said until then."""

    @property
    def is_running(self) -> bool:
        """Whether nothing has come of it yet."""
        return self.result is None and self.fault is None


def read_wish(to: Sequence[str], server: str, sender: str) -> Wish:
    """Addresses and a server as a person wrote them; raises PostroadError that says what is wrong."""
    people = tuple(dict.fromkeys(str(read_address(one)) for one in to if one.strip()))
    if not people:
        raise OptionError("to whom? No address is named", "kana@example.net")
    if len(people) > MAX_RECIPIENTS:
        raise OptionError(f"a mail is sent on to {MAX_RECIPIENTS} addresses at most")
    named = server.strip()
    if named and read_server(named).target.path:
        raise ServerError("a socket of this machine is no place to send mail on to", "HOST or HOST:PORT")
    path = sender.strip()
    return Wish(people, named, "" if path in ("", "<>") else str(read_address(path)))


def as_given(octets: bytes, message_id: str) -> bytes:
    """A kept message without the trace fields that were put before it when it was accepted under this id."""
    mark = f" id {message_id}".encode()
    at = 0
    while (found := _TRACE_FIELD.match(octets, at)) is not None:
        is_received = found[0][:1] in b"Rr" and found[0][:8].lower() == b"received"
        if is_received:
            return octets[found.end() :] if b"(Postroad)" in found[0] and mark in found[0] else octets[at:]
        at = found.end()
    return octets[at:]


class ReleaseDesk:
    """See the module. Made inside the loop that sends."""

    def __init__(self, inbox: Inbox, clock: Clock, sending: Send = send) -> None:
        self._inbox = inbox
        self._clock = clock
        self._send = sending
        self._kept: OrderedDict[str, Release] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, message_id: str, wish: Wish) -> Release:
        """Send it in the background; raises NotFound, and PostroadError when too many are on their way."""
        message = await self._inbox.message(message_id)
        if len(self._tasks) >= MAX_RUNNING:
            raise PostroadError(f"{MAX_RUNNING} messages are being sent on already", "wait until one of them is done")
        octets, whole = await self._inbox.source(message_id, MAX_READ)
        if not whole:
            raise PostroadError(f"the message is longer than {MAX_READ} octets", "download it and use `postroad send`")
        release = Release(secrets.token_urlsafe(9), message.id, wish, self._clock.wall())
        self._kept[release.id] = release
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        task = asyncio.get_running_loop().create_task(self._run(release, as_given(octets, message.id)))
        self._tasks[release.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(release.id, None))
        return release

    def get(self, message_id: str, release_id: str) -> Release:
        """A release of this message; raises NotFound when it never was or is forgotten."""
        found = self._kept.get(release_id)
        if found is None or found.message_id != message_id:
            raise NotFound(f"nothing was sent on as `{release_id[:40]}`", f"the last {MAX_KEPT} are remembered")
        return found

    async def wait(self, release: Release) -> None:
        """Until something has come of it."""
        task = self._tasks.get(release.id)
        if task is not None:
            await asyncio.wait((task,))

    def close(self) -> None:
        """Stop what is on its way."""
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, release: Release, octets: bytes) -> None:
        wish = release.wish
        try:
            async with asyncio.timeout(MAX_SECONDS):
                release.result = await self._send(
                    octets, sender=wish.sender, to=wish.to, server=wish.server, timeout=PATIENCE
                )
        except PostroadError as fault:
            release.fault = fault
        except TimeoutError:
            release.fault = PostroadError(f"nothing had come of it after {MAX_SECONDS:g} seconds", "see who was asked")
        except asyncio.CancelledError:
            release.fault = PostroadError("the server was stopped meanwhile", "whether it was sent is not known")
            raise
        finally:
            if release.is_running:
                release.fault = PostroadError("it could not be sent", "the log of the server says why")
