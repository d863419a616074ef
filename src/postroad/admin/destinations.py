"""Where mail goes: how each destination stands, and all that is known of one.

Made of the spool's own counting, of tallies and of what was heard, so that a list of thousands looks at no message.
Names come from peers: any text.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

import idna

from postroad.address import normal_domain
from postroad.admin.heard import Answer, Heard, HeardDesk, HostTry
from postroad.admin.others import MAX_GROUPS
from postroad.admin.queue import QueueDesk, Row
from postroad.admin.queue_filter import QueueFilter
from postroad.admin.traffic import Span, Tally
from postroad.delivery.routing import Route
from postroad.delivery.rules import Rule
from postroad.delivery.state import SiteState
from postroad.envelope import Outcome, RecipientState
from postroad.errors import NotFound, PostroadError
from postroad.replies import Reply
from postroad.smtp.host_memory import Remembered
from postroad.spool.interface import MessageQuery, QueueGroup
from postroad.spool.transitions import cause_of

DAY: Final = 86_400.0
WEEK: Final = 7 * DAY
#: Of the plot of a week.
STEP: Final = 6 * 3600.0
#: Messages that are shown with a destination.
MAX_ROWS: Final = 20
_MAX_CAUSES: Final = 50
_SAMPLE: Final = 5
#: Seconds for which a sample is trusted, and how many are kept: what is tried from now on is heard, and comes first.
_TRUST: Final = 300.0
_MAX_SAMPLED: Final = 2_000
_NOTHING: Final = Tally(0, 0, 0, None)
#: Of all tries, so many must get through for a destination that is told to do well while it refuses some.
_WELL: Final = 0.9
_HALF: Final = 0.5


class State(StrEnum):
    """How a destination stands, in a word."""

    RESTING = "resting"
    """Its hosts do not answer: they are left alone for a while."""
    REFUSING = "refusing"
    """It refuses for good."""
    DEFERRING = "deferring"
    """It says "not now", or nobody answers."""
    WELL = "well"
    QUIET = "quiet"
    """Nothing was tried of late."""

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look."""
        return self in (State.RESTING, State.REFUSING, State.DEFERRING)


class Delivery(Protocol):
    """What delivery tells of a destination."""

    @property
    def port(self) -> int:
        """Of the hosts that MX records name."""
        ...

    def resting(self) -> Mapping[str, float]:
        """Destination -> until when its hosts are left alone (seconds since the epoch)."""
        ...

    def site(self, destination: str) -> SiteState | None:
        """What goes on with its hosts."""
        ...

    def route(self, destination: str) -> Route:
        """Which way its mail goes."""
        ...

    def rule(self, destination: str) -> Rule:
        """What is different for it."""
        ...

    def host(self, host: str) -> Remembered:
        """What is remembered of a host, as the journal names it."""
        ...

    async def resume(self, destination: str) -> None:
        """End the time for which its hosts are left alone."""
        ...


class Traffic(Protocol):
    """What was counted: ``TrafficDesk``."""

    def destinations(self, seconds: float) -> Mapping[str, Tally]:
        """Of each destination."""
        ...

    def destination(self, name: str, seconds: float, step: float) -> Span:
        """Of one, over time."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """One destination in a list."""

    name: str
    """Lower-case A-labels or a literal, as far as a peer wrote it well."""
    state: State
    waiting: int
    """Recipients that are queued."""
    held: int
    oldest: float | None
    """When the first message for those who wait was received (seconds since the epoch)."""
    next_due: float | None
    rests_until: float | None
    tally: Tally
    """Over 24 hours."""
    present: Answer | None
    """What those who do not get through are answered most often now."""

    @property
    def rate(self) -> float | None:
        """Which part of the tries of 24 hours got through; None: nothing was tried."""
        return rate_of(self.tally)

    @property
    def place(self) -> tuple[int, int, int, str]:
        """Where it stands in a list: who waits in trouble comes first."""
        waits = self.waiting + self.held
        rank = (0 if waits else 1) if self.state.is_trouble else (2 if waits else 3)
        return rank, -waits, -_tries(self.tally), self.name

    def __lt__(self, other: Standing) -> bool:
        return self.place < other.place

    @property
    def cursor(self) -> str:
        """What a list goes on behind."""
        return ":".join(map(str, self.place))


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of destinations, trouble first."""

    rows: tuple[Standing, ...]
    next: str
    """Give it back to get what follows; ``""``: this was all."""
    matching: int
    trouble: int
    """Of all that match by name."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host that was asked for a destination."""

    last: HostTry
    remembered: Remembered


@dataclass(frozen=True, slots=True)
class Destination:
    """All that is known of one."""

    standing: Standing
    heard: Heard
    week: Tally
    span: Span | None
    """Seven days in buckets of STEP; None: nothing is counted here."""
    hosts: tuple[Host, ...]
    causes: tuple[QueueGroup, ...]
    """What those who wait were told last, and how many each."""
    rows: tuple[Row, ...]
    """The first of those who wait, MAX_ROWS at most."""
    route: Route | None
    """None: nothing is delivered here."""
    rule: Rule
    site: SiteState | None
    port: int

    @property
    def is_known(self) -> bool:
        """Whether any mail for it was ever seen, as far as is remembered."""
        one = self.standing
        return bool(one.waiting or one.held or _tries(self.week) or self.heard.answers or self.heard.hosts)


class DestinationDesk:
    """Answers questions about destinations; raises SpoolError for what cannot be read."""

    def __init__(
        self, queue: QueueDesk, heard: HeardDesk, traffic: Traffic | None = None, delivery: Delivery | None = None
    ) -> None:
        """``traffic`` None: nothing is counted; ``delivery`` None: nothing leaves."""
        self._queue = queue
        self._heard = heard
        self._traffic = traffic
        self._delivery = delivery
        self._sampled: OrderedDict[str, tuple[float, Answer | None]] = OrderedDict()

    async def page(self, part: str = "", *, trouble: bool = False, after: str = "", limit: int = 50) -> Listing:
        """``limit`` destinations behind ``after`` (a page's ``next``) whose name has ``part`` in it; trouble first.

        Raises PostroadError for a place that is none.
        """
        start = _read_cursor(after)
        found = sorted(one for one in await self._all() if _has(one.name, part))
        in_trouble = [one for one in found if one.state.is_trouble]
        shown = in_trouble if trouble else found
        behind = [one for one in shown if start is None or one.place > start]
        rows = behind[:limit]
        following = rows[-1].cursor if len(behind) > len(rows) else ""
        return Listing(tuple([await self._with_reply(one) for one in rows]), following, len(shown), len(in_trouble))

    async def find(self, name: str) -> Destination:
        """All that is known of one; of one that was never seen, that nothing is."""
        heard = await self._heard.of(name)
        queued, held = await self._waiting(name)
        resting = self._delivery.resting() if self._delivery is not None else {}
        standing = await self._with_reply(self._standing(name, queued, held, self._tallies(DAY).get(name), resting))
        is_plain = _is_plain(name)
        rows = (await self._queue.page(QueueFilter(destination=name), "", MAX_ROWS, False)).rows if is_plain else ()
        delivery = self._delivery
        return Destination(
            standing,
            heard,
            self._tallies(WEEK).get(name, _NOTHING),
            self._traffic.destination(name, WEEK, STEP) if self._traffic is not None else None,
            tuple(Host(one, delivery.host(one.host) if delivery is not None else Remembered()) for one in heard.hosts),
            tuple(await self._causes(name)) if is_plain else (),
            rows,
            delivery.route(name) if delivery is not None else None,
            delivery.rule(name) if delivery is not None else Rule(),
            delivery.site(name) if delivery is not None else None,
            delivery.port if delivery is not None else 25,
        )

    def route(self, name: str) -> tuple[Route | None, int]:
        """Which way its mail goes (None: nothing is delivered here), and the port of mail hosts."""
        delivery = self._delivery
        return (None, 25) if delivery is None else (delivery.route(name), delivery.port)

    async def resume(self, name: str) -> None:
        """End the time for which its hosts are left alone; raises NotFound when they are not."""
        if self._delivery is None or name not in self._delivery.resting():
            raise NotFound("the hosts of this destination are not left alone", "they may have answered meanwhile")
        await self._delivery.resume(name)

    # --- inside

    async def _all(self) -> Iterator[Standing]:
        await self._heard.ready()
        queued = {one.key: one for one in await self._groups(RecipientState.QUEUED)}
        held = {one.key: one for one in await self._groups(RecipientState.HELD)}
        tallies = self._tallies(DAY)
        resting = self._delivery.resting() if self._delivery is not None else {}
        names = dict.fromkeys([*queued, *held, *tallies])
        return (self._standing(one, queued.get(one), held.get(one), tallies.get(one), resting) for one in names)

    async def _groups(self, state: RecipientState, name: str = "") -> list[QueueGroup]:
        wanted = QueueFilter(states=frozenset({state}), destination=name)
        return await self._queue.groups("destination", wanted, MAX_GROUPS)

    async def _waiting(self, name: str) -> tuple[QueueGroup | None, QueueGroup | None]:
        if not _is_plain(name):
            return None, None
        both = [await self._groups(state, name) for state in (RecipientState.QUEUED, RecipientState.HELD)]
        queued, held = (next((one for one in groups if one.key == name), None) for groups in both)
        return queued, held

    def _tallies(self, seconds: float) -> Mapping[str, Tally]:
        return {} if self._traffic is None else self._traffic.destinations(seconds)

    def _standing(
        self,
        name: str,
        queued: QueueGroup | None,
        held: QueueGroup | None,
        tally: Tally | None,
        resting: Mapping[str, float],
    ) -> Standing:
        tally = tally or _NOTHING
        present = self._heard.present(name)
        next_due = queued.next_due if queued is not None else None
        until = resting.get(name)
        return Standing(
            name,
            self._state(queued is not None, next_due, tally, until, present),
            queued.recipients if queued is not None else 0,
            held.recipients if held is not None else 0,
            min((one.oldest for one in (queued, held) if one is not None), default=None),
            next_due,
            until,
            tally,
            present,
        )

    def _state(
        self, waits: bool, next_due: float | None, tally: Tally, until: float | None, present: Answer | None
    ) -> State:
        if until is not None:
            return State.RESTING
        rate = rate_of(tally)
        if present is not None and (rate is None or rate < (_WELL if waits else _HALF)):
            return State.REFUSING if present.outcome is Outcome.FAILED else State.DEFERRING
        if rate is not None:
            return State.WELL
        is_put_off = next_due is not None and next_due > self._queue.clock.wall()
        return State.DEFERRING if is_put_off else State.QUIET

    async def _with_reply(self, one: Standing) -> Standing:
        """With what a few of those who wait were told, when nothing was heard since this server began."""
        if one.present is not None or not one.waiting or not _is_plain(one.name) or one.state is State.WELL:
            return one
        now = self._queue.clock.monotonic()
        kept = self._sampled.get(one.name)
        if kept is None or kept[0] < now:
            kept = self._sampled[one.name] = now + _TRUST, await self._sample(one.name)
            self._sampled.move_to_end(one.name)
            if len(self._sampled) > _MAX_SAMPLED:
                self._sampled.popitem(last=False)
        return one if kept[1] is None else replace(one, present=kept[1])

    async def _sample(self, name: str) -> Answer | None:
        """What a few were told most often; None: nothing."""
        query = MessageQuery(state=RecipientState.QUEUED, destination=name, limit=_SAMPLE, oldest_first=True)
        told: Counter[str] = Counter()
        replies: dict[str, tuple[Reply | None, str]] = {}
        for spool in self._queue.spools:
            for message in await spool.messages(query):
                for each in message.recipients:
                    if each.destination == name and (key := cause_of(each.reply, each.note)):
                        told[key] += 1
                        replies[key] = each.reply, each.note
        if not told:
            return None
        key, count = told.most_common(1)[0]
        reply, note = replies[key]
        return Answer(key, reply, note, Outcome.DEFERRED, count, 0.0, 0.0)

    async def _causes(self, name: str) -> list[QueueGroup]:
        return await self._queue.groups("reply", QueueFilter(destination=name), _MAX_CAUSES)


def rate_of(tally: Tally) -> float | None:
    """Which part of the tries got through, 0 to 1; None: nothing was tried."""
    tries = _tries(tally)
    return tally.delivered / tries if tries else None


def as_written(name: str) -> str:
    """A name in A-labels as people write it; ``""`` when that is no different, or cannot be told."""
    if "xn--" not in name:
        return ""
    try:
        written = idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return ""
    return written if written != name else ""


def _tries(tally: Tally) -> int:
    return tally.delivered + tally.deferred + tally.failed


def _is_plain(name: str) -> bool:
    """Whether the queue can be asked for it alone: nothing stands for all, and a star for any text."""
    return bool(name) and "*" not in name


def _has(name: str, part: str) -> bool:
    part = part.strip()
    if not part:
        return True
    return part.lower() in name or normal_domain(part) in name or part.lower() in as_written(name)


def _read_cursor(text: str) -> tuple[int, int, int, str] | None:
    if not text:
        return None
    parts = text.split(":", 3)
    numbers = [one.removeprefix("-") for one in parts[:3]]
    if len(parts) < 4 or not all(one.isascii() and one.isdecimal() and len(one) < 19 for one in numbers):
        raise PostroadError(f"`{text[:60]}` is no place in this list", "give back the `next` of the page before")
    rank, waiting, tries = (int(one) for one in parts[:3])  # strict: digits, looked at above
    return rank, waiting, tries, parts[3]
