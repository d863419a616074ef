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
from postroad.spool.interface import JournalQuery, MessageQuery, Spool
from postroad.spool.memory import MemorySpool
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import T0, FakeClock, attempt, octets, outcome, scratch, written

DOMAINS = st.sampled_from(["example.org", "example.com", "例え.jp"])
NOTES = st.sampled_from(["", "inbox", "no route"])
RECIPIENTS = st.lists(
    st.builds(lambda local, domain, hold, due: NewRecipient(f"{local}@{domain}", domain, "", hold, due),
              st.sampled_from(["bob", "EVE", "ß%_"]), DOMAINS, NOTES,
              st.sampled_from([None, None, None, T0, T0 + 30])),
    min_size=1, max_size=4,
)  # fmt: skip
QUERIES = st.builds(
    MessageQuery,
    to=st.sampled_from(["", "", "B", "eve@", "ß", "%"]),
    reverse_path=st.sampled_from(["", "", "KANA", "é"]),
    state=st.sampled_from([None, *RecipientState]),
    destination=st.sampled_from(["", "", "*ORG", "*例*", "EXAMPLE.COM"]),
    code=st.sampled_from(["", "", "", "4*", "5*", "4.7.*", "451"]),
    note=st.sampled_from(["", "", "", "in", "ROUTE"]),
    received_before=st.sampled_from([None, None, T0 + 20]),
    numbers=st.sampled_from([(), (), (0,), (1, 3)]),
    after=st.integers(0, 6),
    before=st.integers(0, 9),
    limit=st.integers(0, 5),
    oldest_first=st.booleans(),
)
REPLIES = st.sampled_from([None, Reply(250, "ok", "2.0.0"), Reply(451, "a\nb", "4.7.1"), Reply(550, "nein: ü")])
LINES = st.builds(
    JournalQuery,
    to=st.sampled_from(["", "", "B", "ß"]),
    code=st.sampled_from(["", "", "4.7.1", "2*"]),
    after=st.integers(0, 9),
    before=st.integers(0, 30),
    limit=st.integers(0, 9),
    oldest_first=st.booleans(),
)
BUSY = st.sets(DOMAINS, max_size=2)
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
        self.claim: float | None = None
        self.claimed: dict[bool, list[Batch]] = {True: [], False: []}

    @initialize(keep=st.booleans())
    def begin(self, keep: bool) -> None:
        self.keep = keep
        self.model: Spool = MemorySpool(clock=self.clock, keep_delivered=keep)
        self.listen(self.model, True)
        self.spool: Spool = self.loop.run_until_complete(self.reopened())

    def listen(self, spool: Spool, model: bool) -> None:
        spool.on_accepting(lambda _: self.claim)
        spool.on_claimed(self.claimed[model].extend)

    async def reopened(self) -> Spool:
        spool = await SqliteSpool.open(self.folder, clock=self.clock, min_free=0, keep_delivered=self.keep)
        self.listen(spool, False)
        return spool

    def pair(self, real: list[Batch], expected: list[Batch]) -> None:
        """The same leases, whatever their tokens; kept to be settled."""
        assert [replace(batch, token=0) for batch in real] == [replace(batch, token=0) for batch in expected]
        self.leases += zip(real, expected, strict=True)

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
        priority=st.sampled_from([0, 0, 0, -3, 3]),
        claim=st.sampled_from([None, None, 10.0]),
    )
    def accept(
        self, recipients: list[NewRecipient], size: int, wait: float, path: str, priority: int, claim: float | None
    ) -> None:
        at = self.clock.now + wait
        one = Draft(self.model.new_id(), path, tuple(recipients), at, b"P: 1\r\n", priority=priority)
        self.names.append(one.id)
        self.claim = claim
        self.both(lambda spool: told(spool, one, bytes(size)))
        self.claim = None
        self.loop.run_until_complete(asyncio.sleep(0))
        self.pair(self.claimed[False], self.claimed[True])
        for batches in self.claimed.values():
            batches.clear()

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

    @rule(limit=st.integers(0, 3), seconds=st.integers(1, 60).map(float), busy=BUSY, cap=st.integers(0, 2))
    def lease(self, limit: int, seconds: float, busy: set[str], cap: int) -> None:
        real, expected = (
            self.loop.run_until_complete(spool.lease(self.clock.now, limit, seconds, busy=busy, per_destination=cap))
            for spool in (self.spool, self.model)
        )
        self.pair(real, expected)

    @precondition(lambda self: self.names)
    @rule(which=st.integers(0, 99), numbers=st.none() | st.lists(st.integers(0, 4), max_size=3))
    def take(self, which: int, numbers: list[int] | None) -> None:
        taken: list[list[Batch]] = []

        async def ask(spool: Spool) -> Any:
            taken.append(await spool.take(self.names[which % len(self.names)], numbers, self.clock.now, 20.0))

        if self.both(ask) is not NotFound:
            self.pair(*taken)

    @precondition(lambda self: self.leases)
    @rule(
        which=st.integers(0, 99),
        results=st.lists(st.tuples(st.sampled_from(Outcome), REPLIES, NOTES, SECONDS, st.booleans()), max_size=4),
        reports=st.lists(st.sampled_from([10, 70_000]), max_size=2),
        again=st.booleans(),
    )
    def settle(
        self, which: int, results: list[tuple[Outcome, Reply | None, str, float, bool]], reports: list[int], again: bool
    ) -> None:
        pair = self.leases[which % len(self.leases)]
        made = [
            Result(
                one.number, result, reply, note, self.clock.now + wait if result is Outcome.DEFERRED else None,
                expired=flag, delay_told=flag,
            )
            for one, (result, reply, note, wait, flag) in zip(pair[0].message.recipients, results, strict=False)
        ]  # fmt: skip
        line = attempt(*made, at=self.clock.now)
        drafts = [
            Draft(self.model.new_id(), "", (NewRecipient("a@例え.jp", "例え.jp"),), self.clock.now) for _ in reports
        ]
        if again and drafts and self.names:  # one of which may be there already
            drafts[-1] = replace(drafts[-1], id=self.names[0])

        async def ask(spool: Spool) -> bool:
            told = [(one, written(spool, bytes(size))) for one, size in zip(drafts, reports, strict=True)]
            return await spool.settle(pair[spool is self.model], line, told)

        if self.both(ask) is True:
            self.names += [one.id for one in drafts]

    @rule(name=DOMAINS, wait=SECONDS)
    def postpone(self, name: str, wait: float) -> None:
        self.both(lambda spool: spool.postpone(name, self.clock.now + wait))

    @rule(name=DOMAINS)
    def resume(self, name: str) -> None:
        self.both(lambda spool: spool.resume(name, self.clock.now))

    @rule(query=QUERIES, wait=SECONDS)
    def retry(self, query: MessageQuery, wait: float) -> None:
        self.both(lambda spool: spool.retry(query, self.clock.now + wait))

    @rule(older=SECONDS, octets=st.sampled_from([0, 500, 1000, 10**6]))
    def trim_journal(self, older: float, octets: int) -> None:
        self.both(lambda spool: spool.trim_journal(self.clock.now - older, octets))

    @rule(query=QUERIES, by=st.sampled_from(["destination", "reply"]), limit=st.integers(0, 5))
    def sum_up(self, query: MessageQuery, by: Any, limit: int) -> None:
        self.both(lambda spool: spool.summary(by, query, limit))

    @rule(query=LINES)
    def ask_journal(self, query: JournalQuery) -> None:
        self.both(lambda spool: spool.journal(query))

    @rule(busy=BUSY)
    def ask_when(self, busy: set[str]) -> None:
        self.both(lambda spool: spool.next_due(busy))

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
        for name in ("example.org", "example.com", "例え.jp"):  # what was postponed is forgotten
            self.loop.run_until_complete(self.model.resume(name, T0))
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
