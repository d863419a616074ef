"""What the runner does just now, as values: for `postroad queue why`, for pages and for metrics."""

from __future__ import annotations

from dataclasses import dataclass

from postroad.delivery.lane import Lane

#: Destinations of one site that are named.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class SiteState:
    """One site."""

    key: str
    destinations: tuple[str, ...]
    """Some of those whose mail goes there."""
    running: int
    """Deliveries under way."""
    waiting: int
    """Batches that are leased and wait for their turn."""
    at_once: int
    """Deliveries that it may have at a time now."""
    answers: bool
    """Whether it answered when it was last asked."""
    failures: int
    """Tries to reach it that failed, in a row."""
    back_off_until: float | None
    """Seconds since the epoch until which it is left alone, then one delivery probes it; None: it is not left alone."""
    last_fault: str
    """What went wrong there last; ``""``: nothing since its last success."""

    @classmethod
    def of(cls, lane: Lane) -> SiteState:
        """A lane's."""
        back_off = lane.back_off
        return cls(
            lane.key,
            tuple(lane.destinations)[:_NAMED],
            lane.running,
            lane.waiting,
            lane.at_once,
            lane.is_proven,
            back_off.failures,
            back_off.until,
            back_off.last_fault,
        )


@dataclass(frozen=True, slots=True)
class RunnerState:
    """All of it."""

    under_way: int
    """Batches that are leased here, waiting, being delivered or being written down."""
    sites: tuple[SiteState, ...]
    """Those where something goes on, or was learnt."""
