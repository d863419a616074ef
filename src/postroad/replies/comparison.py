"""Two codes side by side: what differs is computed from their facts, never pasted from their texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from postroad.replies.entries import CodeFacts

ANY: Final = "ANY"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of the facts, for both codes; values are names of the vocabulary, or codes and sources as they are."""

    field: str
    a: tuple[str, ...]
    b: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """False where both codes say the same."""
        return self.a != self.b


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two codes, the smaller first."""

    a: CodeFacts
    b: CodeFacts
    together: tuple[str, ...]
    """The commands that both can answer; empty when no reader can be in doubt between them."""
    meant: tuple[tuple[int, int], ...]
    """Pairs the reader may have meant instead; only filled when ``together`` is empty."""
    rows: tuple[Difference, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The rows in which the codes differ."""
        return tuple(row for row in self.rows if row.differs)


def compare(a: CodeFacts, b: CodeFacts, codes: Mapping[int, CodeFacts]) -> Comparison:
    """Compare two codes of the catalogue; ``codes`` gives the facts of those they are confused with.

    Raises ValueError when both are the same code.
    """
    if a.code == b.code:
        raise ValueError(f"{a.code} cannot be compared with itself")
    if a.code > b.code:
        a, b = b, a
    together = common_commands(a, b)
    meant = () if together else _meant(a, b, codes)
    return Comparison(a, b, together, meant, tuple(_rows(a, b)))


def common_commands(a: CodeFacts, b: CodeFacts) -> tuple[str, ...]:
    """The commands that both codes can answer; a code that answers any command shares all those of the other."""
    if ANY in a.commands and ANY in b.commands:
        return (ANY,)
    if ANY in a.commands:
        return tuple(b.commands)
    if ANY in b.commands:
        return tuple(a.commands)
    return tuple(verb for verb in a.commands if verb in b.commands)


def _meant(a: CodeFacts, b: CodeFacts, codes: Mapping[int, CodeFacts]) -> tuple[tuple[int, int], ...]:
    """For each of the two, the codes that can stand in its place: two of the later code, one of the earlier."""
    found: list[tuple[int, int]] = []
    for facts, limit in ((b, 2), (a, 1)):
        near = [codes[int(name)] for name in facts.confused_with if int(name) in codes]  # strict: our own data
        near = [other for other in near if common_commands(facts, other)][:limit]
        found += [(min(facts.code, other.code), max(facts.code, other.code)) for other in near]
    return tuple(dict.fromkeys(found))


def _rows(a: CodeFacts, b: CodeFacts) -> list[Difference]:
    def row(field: str, of_a: tuple[str, ...], of_b: tuple[str, ...]) -> Difference:
        return Difference(field, of_a, of_b)

    return [
        row("class", (str(a.severity),), (str(b.severity),)),
        row("category", (str(a.category),), (str(b.category),)),
        row("standing", (a.standing,), (b.standing,)),
        row("commands", tuple(a.commands), tuple(b.commands)),
        row("actor", (a.actor,), (b.actor,)),
        row("retry", _retry(a), _retry(b)),
        row("session", (a.session,), (b.session,)),
        row("queue", (a.queue,), (b.queue,)),
        row("enhanced", a.enhanced_registered + a.enhanced_seen, b.enhanced_registered + b.enhanced_seen),
        row("sources", a.sources, b.sources),
    ]


def _retry(facts: CodeFacts) -> tuple[str, ...]:
    return (facts.retry,) if facts.retry_else is None else (facts.retry, facts.retry_else)
