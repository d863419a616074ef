"""Whatever is asked of it in whatever order, the SQLite spool answers as the model in memory does."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from postroad.envelope import Batch, Draft, MessageId, NewRecipient, Outcome, RecipientState, Result
from postroad.errors import NotFound, PostroadError
from postroad.replies import Reply
from postroad.spool.interface import MessageQuery, Spool
from postroad.spool.memory import MemorySpool
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import T0, FakeClock, attempt, octets, outcome, scratch, written

DOMAINS = st.sampled_from(["example.org", "example.com", "例え.jp"])
NOTES = st.sampled_from(["", "inbox", "no route"])
RECIPIENTS = st.lists(
    st.builds(lambda local, domain, hold: NewRecipient(f"{local}@{domain}", domain, "", hold),
              st.sampled_from(["bob", "EVE", "ß%_"]), DOMAINS, NOTES),
    min_size=1, max_size=4,
)  # fmt: skip
QUERIES = st.builds(
    MessageQuery,
    to=st.sampled_from(["", "", "B", "eve@", "ß", "%"]),
    reverse_path=st.sampled_from(["", "", "KANA", "é"]),
    state=st.sampled_from([None, *RecipientState]),
    destination=st.sampled_from(["", "", "ORG", "例"]),
    after=st.integers(0, 6),
    before=st.integers(0, 9),
    limit=st.integers(0, 5),
    oldest_first=st.booleans(),
)
REPLIES = st.sampled_from([None, Reply(250, "ok", "2.0.0"), Reply(451, "a\nb", "4.7.1"), Reply(550, "nein: ü")])
SECONDS = st.integers(0, 40).map(float)


async def told(spool: Spool, one: Draft, content: bytes) -> str:
    return str(await outcome(spool, one, written(spool, content)))


class BothSpools(RuleBasedStateMachine):
    """Drives both with the same calls; tokens are compared by what they permit, never by value."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.exits = ExitStack()
        beside = Path(self.exits.enter_context(tempfile.TemporaryDirectory()))
        self.folder = self.exits.enter_context(scratch(beside))
        self.clock = FakeClock()
        self.names: list[MessageId] = []
        self.leases: list[tuple[Batch, Batch]] = []

    @initialize(keep=st.booleans())
    def begin(self, keep: bool) -> None:
        self.keep = keep
        self.model: Spool = MemorySpool(clock=self.clock, keep_delivered=keep)
        self.spool: Spool = self.loop.run_until_complete(self.reopened())

    async def reopened(self) -> Spool:
        return await SqliteSpool.open(self.folder, clock=self.clock, min_free=0, keep_delivered=self.keep)

    def both(self, ask: Callable[[Spool], Awaitable[Any]]) -> Any:
        async def safe(spool: Spool) -> Any:
            try:
                return await ask(spool)
            except PostroadError as error:
                return type(error)

        real, expected = (self.loop.run_until_complete(safe(spool)) for spool in (self.spool, self.model))
        assert real == expected
        return real

    @rule(
        recipients=RECIPIENTS,
        size=st.sampled_from([0, 10, 70_000]),
        wait=SECONDS,
        path=st.sampled_from(["Kana@x", "É@x"]),
    )
    def accept(self, recipients: list[NewRecipient], size: int, wait: float, path: str) -> None:
        one = Draft(self.model.new_id(), path, tuple(recipients), self.clock.now + wait, b"P: 1\r\n")
        self.names.append(one.id)
        self.both(lambda spool: told(spool, one, bytes(size)))

    @precondition(lambda self: self.names)
    @rule(which=st.integers(0, 99))
    def accept_again(self, which: int) -> None:
        """A name that is taken is refused; one that is free again is not our business."""
        name = self.names[which % len(self.names)]
        one = Draft(name, "a@b", (NewRecipient("c@d", "d"),), T0)
        self.both(lambda spool: told(spool, one, b"x"))

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(limit=st.integers(0, 3), seconds=st.integers(1, 60).map(float))
    def lease(self, limit: int, seconds: float) -> None:
        real, expected = (
            self.loop.run_until_complete(spool.lease(self.clock.now, limit, seconds))
            for spool in (self.spool, self.model)
        )
        assert [replace(batch, token=0) for batch in real] == [replace(batch, token=0) for batch in expected]
        self.leases += zip(real, expected, strict=True)

    @precondition(lambda self: self.leases)
    @rule(
        which=st.integers(0, 99),
        results=st.lists(st.tuples(st.sampled_from(Outcome), REPLIES, NOTES, SECONDS), max_size=4),
    )
    def settle(self, which: int, results: list[tuple[Outcome, Reply | None, str, float]]) -> None:
        pair = self.leases[which % len(self.leases)]
        made = [
            Result(one.number, result, reply, note, self.clock.now + wait if result is Outcome.DEFERRED else None)
            for one, (result, reply, note, wait) in zip(pair[0].message.recipients, results, strict=False)
        ]
        line = attempt(*made, at=self.clock.now)
        self.both(lambda spool: spool.settle(pair[spool is self.model], line))

    @precondition(lambda self: self.leases)
    @rule(which=st.integers(0, 99), seconds=st.integers(1, 60).map(float))
    def renew(self, which: int, seconds: float) -> None:
        index = which % len(self.leases)
        pair = self.leases[index]
        renewed: list[Batch] = []

        async def ask(spool: Spool) -> Any:
            batch = await spool.renew(pair[spool is self.model], self.clock.now, seconds)
            renewed.append(batch)
            return replace(batch, token=0)

        if self.both(ask) is not NotFound:
            self.leases[index] = (renewed[0], renewed[1])

    @precondition(lambda self: self.names)
    @rule(which=st.integers(0, 99), note=NOTES, numbers=st.none() | st.lists(st.integers(0, 4), max_size=3))
    def hold(self, which: int, note: str, numbers: list[int] | None) -> None:
        self.both(lambda spool: spool.hold(self.names[which % len(self.names)], note, numbers))

    @rule(query=QUERIES, wait=SECONDS, note=NOTES)
    def release(self, query: MessageQuery, wait: float, note: str) -> None:
        self.both(lambda spool: spool.release(query, self.clock.now + wait, note))

    @precondition(lambda self: self.names)
    @rule(which=st.lists(st.integers(0, 99), max_size=3))
    def remove(self, which: list[int]) -> None:
        self.both(lambda spool: spool.remove([self.names[one % len(self.names)] for one in which]))

    @rule(messages=st.integers(0, 4), size=st.sampled_from([0, 100, 100_000]))
    def trim(self, messages: int, size: int) -> None:
        self.both(lambda spool: spool.trim(messages, size))

    @rule(query=QUERIES)
    def look(self, query: MessageQuery) -> None:
        self.both(lambda spool: spool.messages(query))

    @precondition(lambda self: self.names)
    @rule(which=st.integers(0, 99))
    def read(self, which: int) -> None:
        name = self.names[which % len(self.names)]
        self.both(lambda spool: octets(spool, name))
        self.both(lambda spool: spool.attempts(name))
        self.both(lambda spool: spool.transcript(name))

    @precondition(lambda self: not self.leases)
    @rule()
    def restart(self) -> None:
        """Without a lease, nobody can tell a spool that was opened again from one that stayed open."""
        self.loop.run_until_complete(self.spool.close())
        self.spool = self.loop.run_until_complete(self.reopened())

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "spool"):
            return
        self.both(lambda spool: spool.messages(MessageQuery(limit=1000)))
        self.both(lambda spool: spool.stats())
        self.both(lambda spool: spool.next_due())

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.loop.run_until_complete(self.spool.close())
        self.loop.close()
        self.exits.close()


BothSpools.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBothSpools = BothSpools.TestCase
