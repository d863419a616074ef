"""What is different for single destinations: their schedule, how much at a time, how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from postroad.delivery.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Rule:
    """For one destination."""

    schedule: Schedule | None = None
    """None: as for all."""
    per_site: int = 0
    """Deliveries at a time to its site; 0: as for all."""
    rate: float = 0.0
    """Messages a second to its site; 0: as for all."""


_NOTHING: Final = Rule()


@dataclass(frozen=True, slots=True)
class Rules:
    """For all destinations; ``by_destination`` names those that are different (lower-case A-labels)."""

    schedule: Schedule = field(default_factory=Schedule)
    by_destination: Mapping[str, Rule] = field(default_factory=dict)

    def of(self, destination: str) -> Rule:
        """What is different for a destination."""
        return self.by_destination.get(destination, _NOTHING)

    def schedule_of(self, destination: str) -> Schedule:
        """When a destination's mail is tried again."""
        rule = self.by_destination.get(destination)
        return self.schedule if rule is None or rule.schedule is None else rule.schedule
