"""What needs the operator now, as values without words, the most urgent first.

Nothing here walks the queue: the spool counts in groups, and the rest is known in memory. What was found is kept for two
seconds, so that many open pages cost no more than one; how much waits for long, which is the dearest of all, for thirty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import quote, urlencode

from postroad.admin.health import HealthDesk
from postroad.admin.heard import HeardDesk, Run
from postroad.admin.queue import QueueDesk
from postroad.admin.queue_filter import QueueFilter
from postroad.admin.traffic import TrafficDesk
from postroad.admin.why import Outlook
from postroad.envelope import Outcome, RecipientState, StoredMessage
from postroad.observe.sessions import SessionRecord
from postroad.policy.conditions import Condition
from postroad.replies import Reply
from postroad.spool.interface import MessageQuery, QueueGroup

#: Needs that are told; the others are counted.
MOST: Final = 12
HOUR: Final = 3600.0
DAY: Final = 86_400.0
#: Mail that waits longer than this is worth a look.
LONG: Final = 4 * HOUR
#: A destination that has taken nothing for so long is told of; before, it may just greylist.
PATIENCE: Final = 1800.0
#: Days before its end from which a certificate is told of, and those from which it is urgent.
CERTIFICATE: Final = (21, 3)

_FRESH: Final = 2.0
_AGES_FRESH: Final = 30.0
_DESTINATIONS: Final = 50
_GIB: Final = 1 << 30
#: Failures to one destination, failures in an hour, sessions of one peer in an hour: from so many on.
_REFUSED, _FAILED, _SPRAY = 3, 20, 20
#: Of a kind that may come often, so many are told one by one.
_EACH: Final = 3

Severity = Literal["urgent", "soon", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("urgent", "soon", "note")
#: Every kind of need there is.
KINDS: Final = (
    "unready", "storage", "certificate", "certificate_ended", "unreachable", "refuses", "defers",
    "held", "oldest", "expiring", "failures", "condition", "peer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Need:
    """One thing to look at. Texts may be a peer's: never trusted markup."""

    kind: str
    """One of KINDS."""
    severity: Severity
    href: str
    """The page on which it is understood."""
    subject: str = ""
    """A destination, a parameter, a peer's address; ``""``: it is about all."""
    count: int | None = None
    """Recipients that wait, are held or have failed; refusals; sessions."""
    since: float | None = None
    """Seconds since the epoch."""
    until: float | None = None
    """When it ends, or is too late; seconds since the epoch."""
    reply: Reply | None = None
    note: str = ""
    """A fault or a reason in words, where there is no reply."""
    octets: int | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """What was found."""

    at: float
    """When it was looked for, in seconds since the epoch."""
    needs: tuple[Need, ...]
    more: int
    """Needs beside these."""


class Sources(Protocol):
    """What of ``Admin`` is asked."""

    queue: QueueDesk
    heard: HeardDesk
    traffic: TrafficDesk
    health: HealthDesk
    outlook: Outlook

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def unready(self) -> str:
        """Why no mail is taken, or ``""``."""
        ...

    async def conditions_list(self) -> Sequence[Condition]:
        """Parameters that are refused now."""
        ...

    async def sessions_list(
        self, refused_only: bool = False, limit: int = 50, before: str = ""
    ) -> Sequence[SessionRecord]:
        """Ended sessions, newest first."""
        ...


class AttentionDesk:
    """See the module."""

    def __init__(self, sources: Sources, is_dev: Callable[[], bool]) -> None:
        """``is_dev``: everything is caught, so that what waits needs nobody."""
        self._sources = sources
        self._is_dev = is_dev
        self._ages = _Ages(sources.queue)
        self._found: Attention | None = None

    async def now(self) -> Attention:
        """What needs the operator; raises SpoolError."""
        now = self._sources.now()
        if self._found is None or not 0 <= now - self._found.at < _FRESH:
            needs = await _look(self._sources, self._ages, now, self._is_dev())
            self._found = Attention(now, tuple(needs[:MOST]), max(len(needs) - MOST, 0))
        return self._found


async def _look(sources: Sources, ages: _Ages, now: float, is_dev: bool) -> list[Need]:
    found = [*_machine(sources, now)]
    if not is_dev:
        blocked = await _destinations(sources, now)
        found += blocked
        found += await _held(sources)
        found += await _old(sources, ages, now, {one.subject for one in blocked})
        found += _failures(sources)
    found += _conditions(await sources.conditions_list())
    found += _peers(await sources.sessions_list(refused_only=True, limit=500), now)
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), KINDS.index(one.kind), -(one.count or 0)))


def _machine(sources: Sources, now: float) -> Iterable[Need]:
    why, health = sources.unready(), sources.health.now()
    if why:
        yield Need("unready", "urgent", "/setup", note=why)
    free, ends = health.free_octets, health.certificate_ends
    if free is not None and not why and free < min(2 * _GIB, (health.disk_octets or 40 * _GIB) // 20):
        yield Need("storage", "urgent" if free < _GIB // 4 else "soon", "/setup", octets=free)
    if ends is not None and ends <= now:
        yield Need("certificate_ended", "urgent", "/setup", until=ends)
    elif ends is not None and ends - now < CERTIFICATE[0] * DAY:
        yield Need("certificate", "urgent" if ends - now < CERTIFICATE[1] * DAY else "soon", "/setup", until=ends)


# ── destinations ────────────────────────────────────────────────────────────


async def _destinations(sources: Sources, now: float) -> list[Need]:
    """Those that have taken nothing for a while, whether mail waits for them or came back."""
    await sources.heard.ready()
    queued = QueueFilter(states=frozenset({RecipientState.QUEUED}))
    waiting = {one.key: one for one in await sources.queue.groups("destination", queued, _DESTINATIONS)}
    lately = sources.traffic.destinations(DAY)
    failing = [name for name, tally in lately.items() if tally.failed >= _REFUSED and not tally.delivered]
    needs: list[Need] = []
    for name in dict.fromkeys([*waiting, *failing]):
        run = (await sources.heard.of(name)).run
        if run is not None and now - run.top.last < DAY:
            needs += _blocked(name, run, waiting.get(name), now)
    return needs


def _blocked(name: str, run: Run, waiting: QueueGroup | None, now: float) -> Iterable[Need]:
    top, href = run.top, f"/destinations/{quote(name, safe='')}"
    if top.outcome is Outcome.FAILED:
        if top.count >= _REFUSED:
            severity: Severity = "note" if _addressing(top.reply) else "urgent" if top.count >= _FAILED else "soon"
            yield Need("refuses", severity, href, name, top.count, top.first, reply=top.reply, note=top.note)
    elif waiting is not None and now - run.since >= PATIENCE:
        severity = "urgent" if now - run.since >= LONG or waiting.recipients >= 100 else "soon"
        kind = "unreachable" if top.reply is None else "defers"
        yield Need(kind, severity, href, name, waiting.recipients, run.since, reply=top.reply, note=top.note)


def _addressing(reply: Reply | None) -> bool:
    """Whether the addresses are wrong, which is the senders' to mend."""
    return reply is not None and reply.enhanced is not None and reply.enhanced.subject == 1


# ── the queue ───────────────────────────────────────────────────────────────


async def _held(sources: Sources) -> list[Need]:
    held = QueueFilter(states=frozenset({RecipientState.HELD}))
    groups = await sources.queue.groups("reply", held, _EACH)
    return [
        Need("held", "soon", "/queue?state=held", count=one.recipients, since=one.oldest, note=one.key)
        for one in groups
    ]


async def _old(sources: Sources, ages: _Ages, now: float, blocked: set[str]) -> list[Need]:
    """What waits for long, and what is given up within a day."""
    found = [await spool.messages(_OLDEST) for spool in sources.queue.spools]
    oldest = min((one for page in found for one in page), key=lambda one: one.received_at, default=None)
    if oldest is None or now - oldest.received_at < LONG:
        return []
    recipient = next((one for one in oldest.recipients if one.state is RecipientState.QUEUED), oldest.recipients[0])
    ends = sources.outlook.gives_up_at(oldest, recipient)
    ending = [oldest.received_at + now + DAY - ends] if ends is not None and ends - now < DAY else []
    needs: list[Need] = []
    if recipient.destination in blocked and not ending:
        return needs
    counts = await ages.older_than([now - LONG, *ending], now)
    if recipient.destination not in blocked:
        href = "/queue?" + urlencode({"state": "queued", "older": f"{LONG:.0f}"})
        needs.append(_oldest(oldest, recipient.destination, href, counts[0], recipient.reply))
    if ending and counts[1]:
        href = "/queue?" + urlencode({"state": "queued", "older": f"{max(now - ending[0], 0):.0f}"})
        needs.append(Need("expiring", "urgent", href, count=counts[1], until=ends))
    return needs


def _oldest(message: StoredMessage, destination: str, href: str, count: int, reply: Reply | None) -> Need:
    return Need("oldest", "soon", href, destination, count, message.received_at, reply=reply)


_OLDEST: Final = MessageQuery(state=RecipientState.QUEUED, limit=1, oldest_first=True)


class _Ages:
    """Counts who waits for long."""

    def __init__(self, desk: QueueDesk) -> None:
        self._desk = desk
        self._known: tuple[float, list[int]] = (float("-inf"), [])

    async def older_than(self, moments: Sequence[float], now: float) -> list[int]:
        """How many that wait were received before each of these moments, as of half a minute ago at most."""
        at, counts = self._known
        if len(counts) != len(moments) or not 0 <= now - at < _AGES_FRESH:
            query = MessageQuery(state=RecipientState.QUEUED)
            ages = [(await spool.ages(query, moments, 0)).all.before for spool in self._desk.spools]
            counts = [sum(some) for some in zip(*ages, strict=True)]
            self._known = now, counts
        return counts


# ── what went by ────────────────────────────────────────────────────────────


def _failures(sources: Sources) -> Iterable[Need]:
    totals = sources.traffic.totals(HOUR)
    if totals.failed >= _FAILED and totals.failed * 4 >= totals.delivered:
        yield Need("failures", "soon", "/destinations", count=totals.failed)


def _conditions(switched: Sequence[Condition]) -> Iterable[Need]:
    for one in switched[:_EACH]:
        yield Need("condition", "note", "/conditions", one.parameter, one.refused, one.since, one.until, note=one.why)


def _peers(refused: Sequence[SessionRecord], now: float) -> Iterable[Need]:
    """Hosts that are turned away again and again."""
    lately = [one for one in refused if now - one.began_at < HOUR]
    counted = Counter(one.peer.rpartition(":")[0] or one.peer for one in lately)
    for host, count in counted.most_common(_EACH):
        if count >= _SPRAY:
            href = "/sessions?" + urlencode({"refused": "true", "peer": host})
            yield Need("peer", "note", href, host, count)
