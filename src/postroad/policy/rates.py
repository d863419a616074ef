"""How much one client may take: connections at a time, and mail, recipients, wrong passwords and TLS starts a minute.

A client is an IPv4 address or an IPv6 /64. Minutes are counted from a client's first act. Memory is bounded: when too
many clients are known, the one that was idle longest is forgotten. Clients in ``exempt`` networks are in the total of
connections only.

| over | reply |
|---|---|
| connections in all | 421 4.3.2 |
| connections of one client | 421 4.7.0 |
| messages, recipients | 450 4.7.1 |
| wrong passwords, TLS starts | 421 4.7.0 |
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from postroad.clock import Clock
from postroad.policy.clients import Network, Networks, client_of
from postroad.policy.stages import Act, SessionFacts, Transaction
from postroad.replies import Reply
from postroad.smtp.events import AuthGiven, RecipientGiven, SenderGiven

TOO_MANY_CONNECTIONS: Final = Reply(421, "Too many connections, try again later", "4.3.2")
TOO_MANY_FROM_CLIENT: Final = Reply(421, "Too many connections from your network, try again later", "4.7.0")
TOO_MANY_MESSAGES: Final = Reply(450, "Too many messages from your network, try again later", "4.7.1")
TOO_MANY_RECIPIENTS: Final = Reply(450, "Too many recipients from your network, try again later", "4.7.1")
TOO_MANY_FAILURES: Final = Reply(421, "Too many failed authentications, closing transmission channel", "4.7.0")
TOO_MANY_TLS_STARTS: Final = Reply(421, "Too many TLS starts, closing transmission channel", "4.7.0")

MINUTE: Final = 60.0
#: Clients whose counts are kept; some 250 octets each.
MAX_CLIENTS: Final = 50_000


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Counts; 0 means no limit. ``connections`` is the total and is always a limit."""

    connections: int = 500
    connections_per_client: int = 20
    messages_per_minute: int = 100
    recipients_per_minute: int = 1000
    auth_failures_per_minute: int = 10
    tls_starts_per_minute: int = 60


class _Client:
    __slots__ = ("connections", "failures", "key", "messages", "recipients", "since", "tls_starts")

    def __init__(self, key: str, now: float) -> None:
        self.key = key
        self.connections = 0
        self.begin(now)

    def begin(self, now: float) -> None:
        """A new minute."""
        self.since = now
        self.messages = self.recipients = self.failures = self.tls_starts = 0


class Rates:
    """The counts of one server. ``on_connect`` must be asked first and ``disconnected`` told last, for each session."""

    def __init__(
        self, limits: RateLimits, clock: Clock, exempt: Iterable[Network] = (), max_clients: int = MAX_CLIENTS
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._exempt = Networks(exempt)
        self._max_clients = max_clients
        self._clients: OrderedDict[str, _Client] = OrderedDict()  # the longest idle first
        self._sessions: dict[str, _Client | None] = {}  # None: exempt

    def renew(self, limits: RateLimits, exempt: Iterable[Network]) -> None:
        """New limits from now on; counts and sessions go on."""
        self.limits = limits
        self._exempt = Networks(exempt)

    @property
    def connections(self) -> int:
        """Sessions that were admitted and have not ended."""
        return len(self._sessions)

    def __len__(self) -> int:
        return len(self._clients)

    def on_connect(self, facts: SessionFacts) -> Reply | None:
        """Count the session, or refuse it with 421."""
        if len(self._sessions) >= self.limits.connections:
            return TOO_MANY_CONNECTIONS
        if facts.peer_host in self._exempt:
            self._sessions[facts.id] = None
            return None
        client = self._client(client_of(facts.peer_host))
        most = self.limits.connections_per_client
        if most and client.connections >= most:
            return TOO_MANY_FROM_CLIENT
        client.connections += 1
        self._sessions[facts.id] = client
        return None

    def disconnected(self, facts: SessionFacts) -> None:
        """The session has ended; told of one that was refused or has ended already, nothing happens."""
        client = self._sessions.pop(facts.id, None)
        if client is not None:
            client.connections -= 1

    def on_auth(self, facts: SessionFacts, auth: AuthGiven) -> Act | None:
        """421 when this client's passwords were wrong too often within the minute; nothing is checked then."""
        client = self._counted(facts)
        most = self.limits.auth_failures_per_minute
        return Act(TOO_MANY_FAILURES, close=True) if client is not None and most and client.failures >= most else None

    def auth_failed(self, facts: SessionFacts) -> None:
        """A password was wrong."""
        client = self._counted(facts)
        if client is not None:
            client.failures += 1

    def on_tls(self, facts: SessionFacts) -> Act | None:
        """Count a TLS handshake (STARTTLS or a connection to submissions), or refuse it with 421."""
        client = self._counted(facts)
        if client is None:
            return None
        client.tls_starts += 1
        most = self.limits.tls_starts_per_minute
        return Act(TOO_MANY_TLS_STARTS, close=True) if most and client.tls_starts > most else None

    def on_sender(self, facts: SessionFacts, sender: SenderGiven) -> Reply | None:
        """Count a message, or refuse it with 450."""
        client = self._counted(facts)
        if client is None:
            return None
        client.messages += 1
        most = self.limits.messages_per_minute
        return TOO_MANY_MESSAGES if most and client.messages > most else None

    def on_recipient(self, facts: SessionFacts, transaction: Transaction, recipient: RecipientGiven) -> Reply | None:
        """Count a recipient, refused ones too, or refuse it with 450."""
        client = self._counted(facts)
        if client is None:
            return None
        client.recipients += 1
        most = self.limits.recipients_per_minute
        return TOO_MANY_RECIPIENTS if most and client.recipients > most else None

    def _counted(self, facts: SessionFacts) -> _Client | None:
        """The session's client in its present minute; None when it is exempt (or was never admitted)."""
        client = self._sessions.get(facts.id)
        if client is not None:
            now = self._clock.monotonic()
            if now - client.since >= MINUTE:
                client.begin(now)
        return client

    def _client(self, key: str) -> _Client:
        client = self._clients.get(key)
        if client is not None:
            self._clients.move_to_end(key)
            return client
        if len(self._clients) >= self._max_clients:
            self._forget_one()
        client = self._clients[key] = _Client(key, self._clock.monotonic())
        return client

    def _forget_one(self) -> None:
        """Drop the longest idle client that is not connected now; at most all connected ones are passed over."""
        for key, client in self._clients.items():
            if not client.connections:
                del self._clients[key]
                return
