"""What is counted for Prometheus: replies said and heard, sessions, attempts, the queue.

Counting is an addition in a dictionary; text is made when somebody scrapes. No label holds an address or a domain, and
what a peer can make up (an enhanced status) is counted under ``other`` once there are too many of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from postroad.envelope import JournalEntry, Outcome, Result
from postroad.replies import Reply

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Direction = Literal["said", "heard"]

#: Sets of labels of one family; beyond it the enhanced status is ``other``.
_MOST: Final = 2000
#: Seconds; the last bucket is everything.
_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Figures:
    """What is asked for at the moment of a scrape."""

    version: str
    recipients: Mapping[str, int]
    """RecipientState value -> recipients in it."""
    messages: int
    octets: int
    oldest_seconds: float
    """Age of the oldest message that waits; 0: none does."""
    certificate_expires: float | None = None
    """Seconds since the epoch; None: no certificate."""


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._replies: Counter[tuple[Direction, str, int, str]] = Counter()
        self._sessions: Counter[tuple[str, str]] = Counter()
        self._attempts: Counter[str] = Counter()
        self._steps: Counter[str] = Counter()
        self._uncertain = 0
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._seconds = 0.0

    # --- counting

    def said(self, verb: str, reply: Reply) -> None:
        """One reply of ours to ``verb`` (``CONNECT`` and ``CONTENT`` included)."""
        self._reply("said", verb, reply)

    def session_ended(self, listener: str, tls: bool) -> None:
        """One session of a client."""
        self._sessions[listener, "yes" if tls else "no"] += 1

    def settled(self, entries: Sequence[JournalEntry]) -> None:
        """Attempts that were recorded; who was held, released or given up without one took no time."""
        for entry in entries:
            attempt = entry.attempt
            if attempt.route:
                self._buckets[bisect_left(_BUCKETS, attempt.seconds)] += 1
                self._seconds += attempt.seconds
            for step in attempt.steps:
                self._steps[step.action] += 1
                if step.reply is not None:
                    self._reply("heard", step.command, step.reply)
            for result in attempt.results:
                if attempt.route or result.uncertain or result.outcome is Outcome.FAILED:
                    self._attempts[result.outcome.value] += 1
                self._uncertain += result.uncertain
            for stage, reply in _heard(attempt.results):
                self._reply("heard", stage, reply)

    def _reply(self, direction: Direction, verb: str, reply: Reply) -> None:
        enhanced = "" if reply.enhanced is None else str(reply.enhanced)
        key = (direction, verb, reply.code, enhanced)
        if key not in self._replies and len(self._replies) >= _MOST:
            key = (direction, verb, reply.code, "other")
        self._replies[key] += 1

    # --- telling

    def replies(self) -> Mapping[tuple[Direction, str, int, str], int]:
        """How often each reply was said or heard so far, by direction, command, code and enhanced status; a copy."""
        return self._replies.copy()

    def expose(self, figures: Figures) -> bytes:
        """All of it in the text format of Prometheus (CONTENT_TYPE)."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.registry import Collector

        metrics = self

        class Everything(Collector):
            def collect(self) -> Iterator[Metric]:
                yield from metrics._counters()
                yield from _gauges(figures)

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Everything())
        return generate_latest(registry)

    def _counters(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        replies = CounterMetricFamily(
            "postroad_smtp_replies",
            "Replies said to clients and heard from next hops, by the command they answer.",
            labels=("direction", "verb", "code", "enhanced"),
        )
        for (direction, verb, code, enhanced), count in self._replies.items():
            replies.add_metric((direction, verb, str(code), enhanced), count)
        sessions = CounterMetricFamily("postroad_sessions", "Sessions that ended.", labels=("listener", "tls"))
        for labels, count in self._sessions.items():
            sessions.add_metric(labels, count)
        attempts = CounterMetricFamily(
            "postroad_delivery_attempts", "Attempts to deliver to a recipient.", labels=("outcome",)
        )
        for outcome, count in self._attempts.items():
            attempts.add_metric((outcome,), count)
        steps = CounterMetricFamily(
            "postroad_delivery_steps", "Changes of a request after a refusal: the parameter ladder.", labels=("action",)
        )
        for action, count in self._steps.items():
            steps.add_metric((action,), count)
        uncertain = CounterMetricFamily(
            "postroad_delivery_uncertain", "Attempts whose final reply was lost: the mail may arrive twice (RFC 1047)."
        )
        uncertain.add_metric((), self._uncertain)
        seconds = HistogramMetricFamily("postroad_delivery_seconds", "How long an attempt took.")
        seconds.add_metric((), self._cumulated(), self._seconds)
        yield from (replies, sessions, attempts, steps, uncertain, seconds)

    def _cumulated(self) -> list[tuple[str, float]]:
        bounds = [*map(str, _BUCKETS), "+Inf"]
        return [(bound, sum(self._buckets[: index + 1])) for index, bound in enumerate(bounds)]


def _heard(results: Sequence[Result]) -> Iterator[tuple[str, Reply]]:
    """The replies that decided: RCPT has one for each recipient, all else one for everybody whom it concerns."""
    told: set[tuple[str, Reply]] = set()
    for result in results:
        if result.reply is None or not result.stage:  # without a stage it is our own
            continue
        found = (result.stage, result.reply)
        if result.stage == "RCPT" or found not in told:
            told.add(found)
            yield found


def _gauges(figures: Figures) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    queue = GaugeMetricFamily("postroad_queue_recipients", "Recipients that the spool keeps.", labels=("state",))
    for state, count in figures.recipients.items():
        queue.add_metric((state,), count)
    info = GaugeMetricFamily("postroad_build_info", "Which release runs.", labels=("version",))
    info.add_metric((figures.version,), 1)
    plain = (
        ("postroad_queue_messages", "Messages that the spool keeps.", figures.messages),
        ("postroad_queue_oldest_seconds", "Age of the oldest message that waits.", figures.oldest_seconds),
        ("postroad_spool_bytes", "Octets of the messages that the spool keeps.", figures.octets),
    )
    yield queue
    yield info
    for name, help_text, value in plain:
        yield GaugeMetricFamily(name, help_text, value=value)
    if figures.certificate_expires is not None:
        yield GaugeMetricFamily(
            "postroad_tls_expiry_timestamp_seconds", "When our certificate ends.", value=figures.certificate_expires
        )
