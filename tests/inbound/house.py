"""What the tests of receiving share: a reception whose every part can be watched; ``wires`` has two ways to call it.

Policies are ``Scripted``; the spool may be a ``SlowSpool`` that calls back when the test says so.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from postroad.envelope import Draft, NewRecipient
from postroad.errors import SpoolError, StorageFull
from postroad.inbound.connection import Connection
from postroad.inbound.reception import ConditionsNow, Reception
from postroad.observe.sessions import SessionRecord
from postroad.policy.stages import Policies, SessionFacts, Verdict
from postroad.replies import Reply
from postroad.smtp import extensions as ext
from postroad.smtp.events import RecipientGiven
from postroad.smtp.parameters import ExtensionSet
from postroad.smtp.server import ServerEngine
from postroad.smtp.server_config import ServerConfig
from postroad.smtp.server_transaction import ServerTransaction
from postroad.spool.content import SpooledContent
from postroad.spool.interface import ContentWriter, MessageQuery
from postroad.spool.memory import MemorySpool

START = 1_795_498_306.0  # Tue, 24 Nov 2026 05:31:46 +0000
OFFERED = (
    ext.size(25_000_000),
    ext.PIPELINING,
    ext.EIGHTBITMIME,
    ext.SMTPUTF8,
    ext.ENHANCEDSTATUSCODES,
    ext.CHUNKING,
    ext.BINARYMIME,
    ext.STARTTLS,
    ext.auth(("PLAIN", "LOGIN")),
    ext.DSN,
)
REFUSED = Reply(550, "Not you", "5.7.1")
LATER = Reply(451, "Not now", "4.7.1")


def looped(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test in a loop of its own."""

    @functools.wraps(test)
    def runs(*arguments: Any, **more: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **more), 30))  # type: ignore[arg-type]

    return runs


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(25):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until it is so; a test that waits in vain fails here."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("waited in vain")


async def without_collector(session: Callable[[], Awaitable[None]]) -> None:
    """Run sessions; every connection and engine of theirs must be freed by reference counting alone."""
    for _ in range(2):  # once to fill caches
        await session()
    gc.collect()
    others = alive()
    gc.disable()
    try:
        for _ in range(10):
            await session()
        await until(lambda: not alive(besides=others))
    finally:
        gc.enable()


def alive(besides: Sequence[object] = ()) -> list[object]:
    """What sessions are made of, ``besides`` those that other tests still hold."""
    known, parts = {id(one) for one in besides}, (Connection, ServerEngine, ServerTransaction)
    return [one for one in gc.get_objects() if isinstance(one, parts) and id(one) not in known]


class HandClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return START + self.now - 1000.0

    def monotonic(self) -> float:
        return self.now


class Board:
    """ConditionsSource: what is switched off, and what was counted."""

    def __init__(self) -> None:
        self._view: Mapping[str, str] = MappingProxyType({})
        self.counted: list[str] = []

    def set(self, *names: str) -> None:
        self._view = MappingProxyType(dict.fromkeys(names, "a test"))

    def unavailable(self) -> Mapping[str, str]:
        return self._view

    def count(self, parameter: str, why: str = "") -> None:
        self.counted.append(parameter)


class Counts:
    """Counting: who has gone, and what is said to a TLS handshake."""

    def __init__(self) -> None:
        self.gone: list[str] = []
        self.handshakes = 0
        self.on_handshake: Verdict = None

    def disconnected(self, facts: SessionFacts) -> None:
        self.gone.append(facts.id)

    def on_tls(self, facts: SessionFacts) -> Verdict:
        self.handshakes += 1
        return self.on_handshake


class Addressing:
    """Every recipient at home in its own domain."""

    def new_recipient(self, recipient: RecipientGiven) -> NewRecipient:
        path = recipient.forward_path
        return NewRecipient(str(path), path.destination or "mx.example.net", str(recipient.parameters))


class Scripted:
    """A policy of every stage. ``says``: stage -> a verdict, an exception to raise, or a callable that gives either."""

    def __init__(self, name: str = "", log: list[tuple[str, str]] | None = None, **says: Any) -> None:
        self.name = name
        self.says = says
        self.asked: list[str] = []
        self.log = log if log is not None else []
        self.facts: SessionFacts | None = None

    def _say(self, stage: str, facts: SessionFacts, *given: Any) -> Any:
        self.facts = facts
        self.asked.append(stage)
        self.log.append((self.name, stage))
        said = self.says.get(stage)
        if callable(said):
            said = said(facts, *given)
        if isinstance(said, BaseException):
            raise said
        return said

    def on_connect(self, facts: SessionFacts) -> Any:
        return self._say("connect", facts)

    def on_hello(self, facts: SessionFacts, hello: Any) -> Any:
        return self._say("hello", facts, hello)

    def on_auth(self, facts: SessionFacts, auth: Any) -> Any:
        return self._say("auth", facts, auth)

    def on_sender(self, facts: SessionFacts, sender: Any) -> Any:
        return self._say("sender", facts, sender)

    def on_recipient(self, facts: SessionFacts, transaction: Any, recipient: Any) -> Any:
        return self._say("recipient", facts, transaction, recipient)

    def on_content(self, facts: SessionFacts, transaction: Any) -> Any:
        return self._say("content", facts, transaction)

    def on_message(self, facts: SessionFacts, transaction: Any) -> Any:
        return self._say("message", facts, transaction)


class Gate:
    """A decision that is made when the test makes it: ``Scripted(sender=gate)``, then ``gate.open(verdict)``."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Verdict]] = []

    def __call__(self, *given: Any) -> Awaitable[Verdict]:
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    async def open(self, verdict: Verdict | BaseException = None) -> None:
        """Decide the oldest question, and let what follows happen."""
        future = self.waiting.pop(0)
        if isinstance(verdict, BaseException):
            future.set_exception(verdict)
        else:
            future.set_result(verdict)
        await settle()


class WatchedSpool(MemorySpool):
    """Remembers every content that was begun, and fails when told to."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.begun: list[SpooledContent] = []
        self.drafts: list[Draft] = []
        self.full = False
        self.write_fault: Exception | None = None
        self.accept_fault: Exception | None = None

    def open_content(self) -> ContentWriter:
        if self.full:
            raise StorageFull("no room")
        begun = _Watched(self)
        self.begun.append(begun)
        return begun

    def accept(self, draft: Draft, content: ContentWriter, done: Callable[[SpoolError | None], None]) -> None:
        if self.accept_fault is not None:
            raise self.accept_fault
        self.drafts.append(draft)
        super().accept(draft, content, done)

    @property
    def open(self) -> int:
        """Contents that are neither accepted nor discarded."""
        return sum(one.state == SpooledContent.OPEN for one in self.begun)


class _Watched(SpooledContent):
    def __init__(self, spool: WatchedSpool) -> None:
        super().__init__(None, None)
        self._spool = spool

    def write(self, block: bytes) -> None:
        if self._spool.write_fault is not None:
            raise self._spool.write_fault
        super().write(block)


class SlowSpool(WatchedSpool):
    """Durable only when ``finish`` is called; on a fault nothing is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[tuple[Draft, ContentWriter, Callable[[SpoolError | None], None]]] = []

    def accept(self, draft: Draft, content: ContentWriter, done: Callable[[SpoolError | None], None]) -> None:
        self.pending.append((draft, content, done))

    async def finish(self, error: SpoolError | None = None) -> None:
        draft, content, done = self.pending.pop(0)
        if error is None:
            super().accept(draft, content, done)
        else:
            content.discard()
            done(error)
        await settle()


class House:
    """One reception with all its parts."""

    def __init__(
        self, *policies: Any, spool: WatchedSpool | None = None, config: dict[str, Any] | None = None, **changes: Any
    ) -> None:
        self.clock = HandClock()
        self.spool = spool if spool is not None else WatchedSpool()
        self.board = Board()
        self.counts = Counts()
        self.records: list[SessionRecord] = []
        settings: dict[str, Any] = {
            "hostname": "mx.example.net",
            "extensions": ExtensionSet(OFFERED),
            "tls_available": True,
            "mechanisms": ("PLAIN", "LOGIN"),
        } | (config or {})
        parts: dict[str, Any] = {
            "name": "mx",
            "config": ServerConfig(**settings),
            "spool": self.spool,
            "clock": self.clock,
            "conditions": ConditionsNow(self.board, 25_000_000),
            "policies": Policies.of(*policies),
            "addressing": Addressing(),
            "counting": self.counts,
            "trusts": lambda host: False,
            "sessions": self.records.append,
        } | changes
        self.reception = Reception(**parts)

    async def contents(self) -> list[bytes]:
        """What the spool keeps, oldest first, trace lines and all."""
        kept = []
        for message in await self.spool.messages(MessageQuery(oldest_first=True)):
            kept.append(b"".join([block async for block in self.spool.read(message.id)]))
        return kept
