"""What operators may ask of a running server; the web pages, the API and (through it) the command line use nothing else.

Values in, values out: no HTTP and no terminal here. It is made by whoever joins the rooms, once a server runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from postroad.admin.access import Access
from postroad.admin.attention import AttentionDesk
from postroad.admin.destinations import Delivery, DestinationDesk
from postroad.admin.events import told_events
from postroad.admin.health import Health, HealthDesk
from postroad.admin.heard import HeardDesk
from postroad.admin.journal import JournalDesk
from postroad.admin.queue import QueueDesk
from postroad.admin.queue_actions import Bouncer, QueueActions
from postroad.admin.releasing import ReleaseDesk
from postroad.admin.setup import Door, Facts, SetupDesk
from postroad.admin.traffic import TrafficDesk
from postroad.admin.trying import Tried, try_parameters
from postroad.admin.why import NO_OUTLOOK, Outlook, Why, why
from postroad.clock import Clock, SystemClock
from postroad.envelope import Attempt, MessageId, StoredMessage
from postroad.errors import NotFound, PostroadError
from postroad.inbox.chaos import Chaos, RuleState
from postroad.inbox.chaos_rules import ChaosRule
from postroad.inbox.inbox import Filter, Inbox, InboxItem, InboxPage
from postroad.inbox.message_view import MessageView
from postroad.observe.sessions import SessionLog, SessionRecord
from postroad.observe.traffic import Traffic
from postroad.policy.conditions import Condition, ConditionsBoard
from postroad.replies.catalogue import catalogue
from postroad.service.effective import Effective
from postroad.spool.interface import Spool, SpoolStats

MAX_WAIT: Final = 300.0
_NO_CHAOS: Final = "postroad serve without a configuration file, or with [dev], has them"


@dataclass(frozen=True, slots=True)
class Listening:
    """One SMTP listener that accepts."""

    name: str
    """``mx``, ``submission``, ``submissions`` or ``dev``."""
    host: str
    port: int
    tls: str = "none"
    """``none``, ``starttls`` or ``implicit``."""
    auth: str = "none"
    """``none``, ``optional``, ``required`` or ``any`` (any name and password are taken)."""


@dataclass(frozen=True, slots=True)
class About:
    """What the server is."""

    hostname: str
    version: str
    dev: bool
    """The developer's inbox: everything is caught, nothing leaves."""
    listeners: tuple[Listening, ...] = ()
    keep: int | None = None
    """The newest so many messages are kept; None: until they are settled."""


@dataclass(frozen=True, slots=True)
class Status:
    """How it goes."""

    about: About
    started_at: float
    now: float
    stats: SpoolStats
    sessions: int
    """Ended since the start."""
    unready: str
    """Why no mail is taken now, or ``""``."""


class Admin:
    """See the module.

    ``about`` is asked each time, for port 0 is known late; ``chaos`` None: not in dev mode. ``runner`` gives up recipients
    and tells their senders, ``outlook`` knows when the schedule ends: both are of delivery; without them (dev mode)
    nobody is given up. ``access``: who may come in by the web; None: nobody has to sign in, or nobody can. ``traffic``
    None: counted from now on, without replies. ``delivery`` knows ways and hosts; None: nothing leaves. ``setup``: what
    of the settings can be checked from outside; ``settings``: those that run. ``health`` measures the machine.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        inbox: Inbox,
        conditions: ConditionsBoard,
        sessions: SessionLog,
        about: Callable[[], About],
        chaos: Chaos | None = None,
        unready: Callable[[], str] = lambda: "",
        clock: Clock | None = None,
        runner: Bouncer | None = None,
        outlook: Outlook = NO_OUTLOOK,
        access: Access | None = None,
        traffic: Traffic | None = None,
        delivery: Delivery | None = None,
        setup: Callable[[], Facts] | None = None,
        settings: Callable[[], Awaitable[Effective]] | None = None,
        health: Callable[[], Health] = Health,
    ) -> None:
        """See the class."""
        self._spool = spool
        self._inbox = inbox
        self._conditions = conditions
        self._sessions = sessions
        self._chaos = chaos
        self._about = about
        self._unready = unready
        self._clock = clock or SystemClock()
        self._started_at = self._clock.wall()
        self.outlook = outlook
        self.access = access or Access(clock=self._clock)
        self.queue = QueueDesk([spool], lambda: catalogue().rules, self._clock)
        self.queue_actions = QueueActions(self.queue, spool, runner, self._clock)
        self.journal = JournalDesk(self.queue, spool)
        self.traffic = TrafficDesk(traffic if traffic is not None else self._counted_from_now())
        self._watch(delivery, health)
        self._releases = ReleaseDesk(inbox, self._clock)
        self.setup = SetupDesk(setup or self._facts, self.journal, self._clock)
        self._settings = settings

    def _watch(self, delivery: Delivery | None, health: Callable[[], Health]) -> None:
        """What happens, destinations, the machine, and what needs somebody."""
        self.events = told_events(self._spool, self._sessions, self._conditions, self.queue_actions)
        self.heard = HeardDesk(self._spool)
        self.destinations = DestinationDesk(self.queue, self.heard, self.traffic, delivery)
        self.health = HealthDesk(health, self._clock)
        self.attention = AttentionDesk(self, lambda: self._about().dev)

    def _counted_from_now(self) -> Traffic:
        traffic = Traffic(self._clock)
        self._spool.on_accepted(traffic.accepted)
        self._spool.on_settled(traffic.settled)
        return traffic

    def _facts(self) -> Facts:
        """What we know of ourselves without the settings."""
        about = self._about()
        doors = tuple(Door(one.name, one.host, one.port, one.tls) for one in about.listeners)
        return Facts(hostname=about.hostname, dev=about.dev, doors=doors)

    # ── the server ──────────────────────────────────────────────────────────

    async def settings(self) -> Effective:
        """Every effective setting with its source; raises NotFound where nobody knows them."""
        if self._settings is None:
            raise NotFound("the settings of this server are not known here")
        return await self._settings()

    def now(self) -> float:
        """Seconds since the epoch, by the server's clock."""
        return self._clock.wall()

    @property
    def about(self) -> About:
        """What the server is."""
        return self._about()

    @property
    def has_chaos(self) -> bool:
        """Whether replies on demand exist here."""
        return self._chaos is not None

    def unready(self) -> str:
        """Why no mail is taken now, or ``""``."""
        return self._unready()

    async def status(self) -> Status:
        """How it goes; raises SpoolError."""
        return Status(
            self._about(),
            self._started_at,
            self._clock.wall(),
            await self._spool.stats(),
            self._sessions.total,
            self._unready(),
        )

    # ── mail that is kept ───────────────────────────────────────────────────

    async def inbox_list(self, wanted: Filter, after: int = 0, before: int = 0, limit: int = 50) -> InboxPage:
        """Messages newest first; ``after`` and ``before`` are exclusive sequence numbers, 0 for no bound."""
        return await self._inbox.list(wanted, after, before, limit)

    async def inbox_wait(self, wanted: Filter, after: int | None, seconds: float) -> InboxItem | None:
        """The first match behind ``after`` (None: the newest that is there), waiting for it; None when none came."""
        return await self._inbox.wait(wanted, after, min(max(seconds, 0.0), MAX_WAIT))

    async def message(self, message_id: str) -> StoredMessage:
        """Envelope, origin and where each recipient stands; raises NotFound."""
        return await self._inbox.message(message_id)

    async def message_view(self, message_id: str) -> MessageView:
        """Decoded for display; raises NotFound."""
        return await self._inbox.view(message_id)

    async def message_html(self, message_id: str) -> str | None:
        """Its HTML, hostile; None when it has none; raises NotFound."""
        return await self._inbox.html(message_id)

    async def message_attachment(self, message_id: str, number: int) -> tuple[str, str, bytes]:
        """Name, declared type, octets; raises NotFound."""
        return await self._inbox.attachment(message_id, number)

    def message_raw(self, message_id: str) -> AsyncIterator[bytes]:
        """As kept, trace lines included; raises NotFound at the first step."""
        return self._inbox.raw(message_id)

    async def message_source(self, message_id: str, limit: int) -> tuple[bytes, bool]:
        """Its first ``limit`` octets, and whether that is all; raises NotFound."""
        return await self._inbox.source(message_id, limit)

    async def message_transcript(self, message_id: str) -> str:
        """The SMTP session that brought it; raises NotFound."""
        return await self._inbox.transcript(message_id)

    async def message_journal(self, message_id: str) -> Sequence[Attempt]:
        """What was tried for it, oldest first; raises NotFound."""
        return await self._spool.attempts(MessageId(message_id))

    async def inbox_remove(self, message_id: str) -> None:
        """Delete one message of a developer's inbox; raises NotFound."""
        self._only_dev("messages are deleted")
        if not await self._inbox.remove([message_id]):
            raise NotFound(f"no message `{message_id[:60]}`")
        self.events.publish("accepted", removed=1)

    async def inbox_remove_several(self, message_ids: Sequence[str]) -> int:
        """Delete these of a developer's inbox; gives how many were there."""
        self._only_dev("messages are deleted")
        return self._removed(await self._inbox.remove(message_ids))

    async def inbox_clear(self, wanted: Filter) -> int:
        """Delete what matches in a developer's inbox; gives how many went."""
        self._only_dev("an inbox is cleared")
        return self._removed(await self._inbox.clear(wanted))

    def _removed(self, count: int) -> int:
        if count:
            self.events.publish("accepted", removed=count)
        return count

    def _only_dev(self, what: str) -> None:
        if not self._about().dev:
            raise PostroadError(f"{what} only in dev mode", "mail that was accepted for others is never simply dropped")

    @property
    def releases(self) -> ReleaseDesk:
        """Sends caught mail on to real addresses; raises NotFound outside dev mode, where the queue does that."""
        if not self._about().dev:
            raise NotFound(
                "mail is sent on in dev mode only", "the queue's actions do that here: postroad queue --help"
            )
        return self._releases

    def close(self) -> None:
        """Stop what is on its way by this desk alone, so that nobody waits for it at the end."""
        self._releases.close()
        self.setup.close()

    # ── replies on demand ───────────────────────────────────────────────────

    async def chaos_list(self) -> Sequence[RuleState]:
        """The rules in the order in which they are asked; raises NotFound outside dev mode."""
        return self._chaos_rules().list()

    async def chaos_add(self, rule: ChaosRule) -> ChaosRule:
        """Put a rule in front, or in the place of the one with its id; gives it with its id."""
        return self._chaos_rules().add(rule)

    async def chaos_replace(self, rules: Iterable[ChaosRule]) -> Sequence[RuleState]:
        """These rules and no others."""
        self._chaos_rules().replace(rules)
        return self._chaos_rules().list()

    async def chaos_remove(self, rule_id: str | None = None) -> int:
        """One rule (NotFound), or all; gives how many went."""
        return self._chaos_rules().remove(rule_id)

    def _chaos_rules(self) -> Chaos:
        if self._chaos is None:
            raise NotFound("replies on demand exist in dev mode only", _NO_CHAOS)
        return self._chaos

    # ── parameters that are refused for a time ──────────────────────────────

    async def conditions_list(self) -> Sequence[Condition]:
        """What is refused now, why, since when, how often."""
        return self._conditions.list()

    async def conditions_known(self) -> Sequence[str]:
        """The parameters that may be named."""
        return self._conditions.known

    async def conditions_set(self, parameter: str, why: str = "", seconds: float | None = None) -> Condition:
        """Refuse a parameter for a time; raises NotFound for one that is not known here."""
        return self._conditions.set(parameter, why, seconds)

    async def conditions_clear(self, parameter: str | None = None) -> int:
        """Take a parameter, or all, again; gives how many switches went."""
        return self._conditions.clear(parameter)

    async def conditions_try(self, parameters: str) -> Tried:
        """What MAIL (or RCPT) with these would be answered now; changes and counts nothing; raises PostroadError."""
        return try_parameters(
            parameters,
            self._about().hostname,
            self._conditions.known,
            self._conditions.unavailable(),
            self._spool.free_octets(),
            self._clock.wall(),
        )

    # ── sessions ────────────────────────────────────────────────────────────

    async def sessions_list(
        self, refused_only: bool = False, limit: int = 50, before: str = "", peer: str = "", code: str = ""
    ) -> Sequence[SessionRecord]:
        """Ended sessions, newest first; ``before``: the id of the last one of the page before.

        ``peer``: a part of the client's address, name or account; ``code``: ``550``, ``5``, ``4.7.1`` of a refusal.
        """
        return self._sessions.list(refused_only, limit, before, peer, code)

    async def session(self, session_id: str) -> SessionRecord:
        """One session with its transcript; raises NotFound."""
        return self._sessions.get(session_id)

    # ── the queue ───────────────────────────────────────────────────────────

    async def why(self, part: str) -> Why:
        """Why the message whose id begins or ends with ``part`` is where it is; raises NotFound."""
        return await why(self.queue, part, self.outlook)
