"""The service counted: sessions as they end, and the figures that only a look at spool and certificate can give."""

from __future__ import annotations

from postroad.clock import Clock
from postroad.envelope import RecipientState
from postroad.observe.metrics import Figures, Metrics
from postroad.policy.rates import Rates
from postroad.policy.stages import SessionFacts, Verdict
from postroad.spool.interface import MessageQuery, Spool


class CountedSessions:
    """The rates, with every session counted when it ends."""

    def __init__(self, rates: Rates, metrics: Metrics) -> None:
        self.rates = rates
        self._metrics = metrics

    def disconnected(self, facts: SessionFacts) -> None:
        """A session has ended."""
        self.rates.disconnected(facts)
        self._metrics.session_ended(facts.listener, bool(facts.tls))

    def on_tls(self, facts: SessionFacts) -> Verdict:
        """A TLS handshake begins."""
        return self.rates.on_tls(facts)


async def figures(spool: Spool, clock: Clock, version: str, certificate_expires: float | None) -> Figures:
    """What is so at this moment; raises SpoolError."""
    stats = await spool.stats()
    oldest = await spool.messages(MessageQuery(state=RecipientState.QUEUED, limit=1, oldest_first=True))
    age = max(clock.wall() - oldest[0].received_at, 0.0) if oldest else 0.0
    return Figures(version, stats.recipients, stats.messages, stats.octets, age, certificate_expires)
