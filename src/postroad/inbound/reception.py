"""What all connections of a listener share: configuration, policies, spool, and the conditions of now."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Protocol

from postroad.clock import Clock
from postroad.envelope import NewRecipient
from postroad.inbound.pace import Deadlines
from postroad.observe.sessions import SessionRecord
from postroad.policy.clients import address_of
from postroad.policy.stages import Policies, SessionFacts, Verdict
from postroad.smtp.events import RecipientGiven
from postroad.smtp.parameters import Conditions, Traits
from postroad.smtp.server_config import ServerConfig
from postroad.spool.interface import Spool


class Addressing(Protocol):
    """Who says where an accepted recipient goes."""

    def new_recipient(self, recipient: RecipientGiven) -> NewRecipient:
        """The recipient as the spool takes it."""
        ...


class ConditionsSource(Protocol):
    """Who knows which parameters are refused just now, and counts it."""

    def unavailable(self) -> Mapping[str, str]:
        """``KEYWORD`` or ``KEYWORD=VALUE`` -> why."""
        ...

    def count(self, parameter: str, why: str = "") -> None:
        """One refusal was answered."""
        ...


class Counting(Protocol):
    """Who counts what a client does."""

    def disconnected(self, facts: SessionFacts) -> None:
        """A session has ended."""
        ...

    def on_tls(self, facts: SessionFacts) -> Verdict:
        """A TLS handshake begins."""
        ...


class ConditionsNow:
    """The conditions that engines judge by, renewed when storage or the operator's switches change."""

    __slots__ = ("_source", "current")

    def __init__(self, source: ConditionsSource, size_limit: int) -> None:
        self._source = source
        self.current = Conditions(size_limit=size_limit, unavailable=source.unavailable())

    def measure(self, free_octets: int | None, size_limit: int) -> None:
        """What storage says; called once a second."""
        if (free_octets, size_limit) != (self.current.free_octets, self.current.size_limit):
            self.current = Conditions(free_octets, size_limit, self.current.unavailable)

    def renew(self) -> Conditions:
        """The conditions, with the operator's word of this very moment."""
        unavailable = self._source.unavailable()
        if unavailable is not self.current.unavailable:
            self.current = Conditions(self.current.free_octets, self.current.size_limit, unavailable)
        return self.current

    def count(self, parameter: str, why: str = "") -> None:
        """One parameter was refused for a time."""
        self._source.count(parameter, why)


@dataclass(frozen=True, slots=True)
class Reception:
    """Made by the service for each listener, and anew at a reload; running sessions keep theirs."""

    name: str
    """``mx``, ``submission``, ``submissions`` or ``dev``."""
    config: ServerConfig
    spool: Spool
    clock: Clock
    conditions: ConditionsNow
    policies: Policies
    addressing: Addressing
    counting: Counting
    trusts: Callable[[str], bool]
    """Whether a peer's address is in the trusted networks."""
    sessions: Callable[[SessionRecord], None]
    deadlines: Deadlines = field(default_factory=Deadlines)
    tls: SSLContext | None = None
    """For STARTTLS, or for the handshake at once with ``implicit_tls``; None: not available."""
    implicit_tls: bool = False
    auth_in_clear_on_loopback: bool = False
    greet_delay: float = 0.0
    message_size: int = 0
    """Octets; 0: no fixed limit."""
    header_octets: int = 256 * 1024
    max_received: int = 100
    keep_transcripts: bool = False
    """Store each message's session with it, and record every session; else only refused sessions are recorded."""

    @property
    def is_submission(self) -> bool:
        """Whether authors' programs talk to this listener (RFC 6409)."""
        return self.name in ("submission", "submissions")

    def traits(self, peer_host: str) -> Traits:
        """What decides which extensions a client is offered, before TLS and AUTH."""
        address = address_of(peer_host) if self.auth_in_clear_on_loopback else None
        return Traits(
            auth_in_clear=address is not None and address.is_loopback,
            submission=self.is_submission,
        )


_START = secrets.token_hex(4)
_NUMBERS = itertools.count(1)


def new_session_id() -> str:
    """An id that no other session of this host has, across restarts too."""
    return f"{_START}{next(_NUMBERS):x}"
