"""What next hops answered of late, by destination: the last attempt at each host, the replies counted, the row of failures.

All of it comes from the journal as it grows; what was written before is read back once, when somebody first asks, and
only the newest LINES of it. Bounded: the destination of which nothing was heard for longest is forgotten first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from postroad.envelope import Attempt, JournalEntry, Outcome, Result
from postroad.observe.traffic import destination_of
from postroad.replies import Reply
from postroad.spool.interface import JournalQuery, Spool
from postroad.spool.transitions import cause_of

MAX_DESTINATIONS: Final = 5_000
MAX_HOSTS: Final = 12
MAX_ANSWERS: Final = 20
#: Lines of the journal that are read back.
LINES: Final = 2_000
_PAGE: Final = 250
_MAX_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class HostTry:
    """The last attempt at one host for a destination."""

    host: str
    """As the journal names it: ``mx.example.net [192.0.2.1]:25``; a peer's text."""
    at: float
    """Seconds since the epoch."""
    seconds: float
    route: str
    security: str
    outcome: Outcome
    reply: Reply | None
    note: str
    stage: str
    tries: int
    """How many attempts at this host are known."""
    delivered: int
    """Of these, how many brought something through."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and how often it was given."""

    key: str
    """What it is grouped by: ``451 4.7.1``; the fault in words behind a ``-``."""
    reply: Reply | None
    """The newest of them."""
    note: str
    outcome: Outcome
    count: int
    """Recipients that got it."""
    first: float
    last: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Run:
    """The failures since the last success."""

    since: float
    """When the first of them was (seconds since the epoch), as far back as is known."""
    tries: int
    """Recipients that were tried and did not get through."""
    top: Answer
    """What they were answered most often, counted in this run."""


@dataclass(frozen=True, slots=True)
class Heard:
    """All that is known of one destination."""

    hosts: tuple[HostTry, ...] = ()
    """The newest first."""
    answers: tuple[Answer, ...] = ()
    """The most frequent first."""
    run: Run | None = None
    """None: what was heard last is a success, or nothing is known."""
    delivered_at: float | None = None


@dataclass(slots=True)
class _Known:
    hosts: OrderedDict[str, HostTry] = field(default_factory=OrderedDict)
    answers: OrderedDict[str, Answer] = field(default_factory=OrderedDict)
    run: OrderedDict[str, Answer] = field(default_factory=OrderedDict)
    delivered_at: float | None = None


class HeardDesk:
    """Listens from the moment it is made."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._first = 0  # the first line that was heard as it was written
        self._reading: asyncio.Lock | None = None
        self._read_back = False
        spool.on_settled(self._settled)

    async def of(self, destination: str) -> Heard:
        """What is known; raises SpoolError."""
        await self.ready()
        known = self._known.get(destination[:_MAX_NAME])
        return Heard() if known is None else _heard(known)

    async def ready(self) -> None:
        """Read back what was written before we listened, once; raises SpoolError."""
        if self._read_back:
            return
        self._reading = self._reading or asyncio.Lock()
        async with self._reading:
            if not self._read_back:
                await self._read()
                self._read_back = True

    def present(self, destination: str) -> Answer | None:
        """What those who did not get through were answered most often since the last success; None: nothing is known."""
        known = self._known.get(destination[:_MAX_NAME])
        return None if known is None or not known.run else _top(known)

    # --- inside

    async def _read(self) -> None:
        """Newest first, so that a success ends the row of failures behind it."""
        before, left = self._first, LINES
        while left > 0:
            lines = await self._spool.journal(JournalQuery(before=before, limit=min(_PAGE, left)))
            for entry in lines:
                if not self._first or entry.line < self._first:
                    self._hear(entry, past=True)
            if len(lines) < min(_PAGE, left):
                return
            before, left = lines[-1].line, left - len(lines)

    def _settled(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            self._first = self._first or entry.line
            self._hear(entry, past=False)

    def _hear(self, entry: JournalEntry, *, past: bool) -> None:
        attempt = entry.attempt
        if not attempt.route:  # an operator's act, or the schedule's end
            return
        by_destination: dict[str, list[Result]] = {}
        for result in attempt.results:
            name = destination_of(entry.forward_paths.get(result.number, ""))[:_MAX_NAME]
            by_destination.setdefault(name, []).append(result)
        for name, results in by_destination.items():
            known = self._find(name, past=past)
            if known is not None:
                _add_host(known, attempt, results, past=past)
                for result in results:
                    _add(known, attempt.at, result, past=past)

    def _find(self, name: str, *, past: bool) -> _Known | None:
        known = self._known.get(name)
        if known is None:
            if past and len(self._known) >= MAX_DESTINATIONS:
                return None
            known = self._known[name] = _Known()
            self._known.move_to_end(name, last=not past)
            if len(self._known) > MAX_DESTINATIONS:
                self._known.popitem(last=False)
        elif not past:
            self._known.move_to_end(name)
        return known


def _add_host(known: _Known, attempt: Attempt, results: Sequence[Result], *, past: bool) -> None:
    if not attempt.host:
        return
    got_through = any(one.outcome is Outcome.DELIVERED for one in results)
    told = next((one for one in results if one.reply is not None), results[0])
    old = known.hosts.get(attempt.host)
    tries, delivered = (1 + old.tries, got_through + old.delivered) if old is not None else (1, int(got_through))
    if old is not None and past:
        known.hosts[attempt.host] = replace(old, tries=tries, delivered=delivered)
        return
    if past and len(known.hosts) >= MAX_HOSTS:
        return
    known.hosts[attempt.host] = HostTry(
        attempt.host,
        attempt.at,
        attempt.seconds,
        attempt.route,
        attempt.security,
        told.outcome,
        told.reply,
        told.note,
        told.stage,
        tries,
        delivered,
    )
    known.hosts.move_to_end(attempt.host, last=not past)
    if len(known.hosts) > MAX_HOSTS:
        known.hosts.popitem(last=False)


def _add(known: _Known, at: float, result: Result, *, past: bool) -> None:
    _count(known.answers, at, result, past=past)
    if result.outcome is Outcome.DELIVERED:
        if not past:
            known.run.clear()
        known.delivered_at = at if known.delivered_at is None else max(known.delivered_at, at)
    elif result.outcome is not Outcome.HELD and (not past or known.delivered_at is None):
        _count(known.run, at, result, past=past)


def _count(answers: OrderedDict[str, Answer], at: float, result: Result, *, past: bool) -> None:
    key = cause_of(result.reply, result.note)
    if not key:
        return
    old = answers.get(key)
    if old is None:
        if past and len(answers) >= MAX_ANSWERS:
            return
        answers[key] = Answer(key, result.reply, result.note, result.outcome, 1, at, at)
        answers.move_to_end(key, last=not past)
        if len(answers) > MAX_ANSWERS:
            answers.popitem(last=False)
        return
    new = replace(old, count=old.count + 1, first=min(old.first, at), last=max(old.last, at))
    if not past:
        new = replace(new, reply=result.reply, note=result.note, outcome=result.outcome)
        answers.move_to_end(key)
    answers[key] = new


def _heard(known: _Known) -> Heard:
    hosts = tuple(sorted(known.hosts.values(), key=lambda one: -one.at))
    answers = tuple(sorted(known.answers.values(), key=lambda one: (-one.count, -one.last)))
    run = None
    if known.run:
        since = min(one.first for one in known.run.values())
        run = Run(since, sum(one.count for one in known.run.values()), _top(known))
    return Heard(hosts, answers, run, known.delivered_at)


def _top(known: _Known) -> Answer:
    return max(known.run.values(), key=lambda one: (one.count, one.last))
