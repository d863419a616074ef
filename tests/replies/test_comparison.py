"""Every pair of codes can be compared, in either order, and each difference is one of the facts."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from postroad.replies.catalogue import catalogue
from postroad.replies.comparison import compare
from postroad.replies.documents import Documents
from postroad.replies.entries import CodeFacts

KNOWN = catalogue()
FACTS = {code: KNOWN.code(code) for code in KNOWN.codes}
PAIRS = list(combinations(KNOWN.codes, 2))
FIELDS = ("class", "category", "standing", "commands", "actor", "retry", "session", "queue", "enhanced", "sources")


def facts_of(code: CodeFacts, field: str) -> tuple[Any, ...]:
    """What a row of that name must rest upon."""
    if field == "class":
        return (code.code // 100,)
    if field == "category":
        return (code.code // 10 % 10,)
    if field == "commands":
        return tuple(code.commands)
    if field == "retry":
        return (code.retry, code.retry_else)
    if field == "enhanced":
        return (code.enhanced_registered, code.enhanced_seen)
    return (getattr(code, field),)


def answers_together(a: CodeFacts, b: CodeFacts) -> bool:
    """Some command can get either."""
    if not a.commands or not b.commands:
        return False
    return "ANY" in a.commands or "ANY" in b.commands or bool(set(a.commands) & set(b.commands))


def test_every_pair_works_and_is_the_same_in_either_order() -> None:
    for a, b in PAIRS:
        one, other = compare(FACTS[a], FACTS[b], FACTS), compare(FACTS[b], FACTS[a], FACTS)
        assert one == other
        assert (one.a.code, one.b.code) == (a, b)


def test_differences_are_the_facts_that_differ() -> None:
    for a, b in PAIRS:
        found = compare(FACTS[a], FACTS[b], FACTS)
        assert tuple(row.field for row in found.rows) == FIELDS
        for row in found.rows:
            differ = facts_of(FACTS[a], row.field) != facts_of(FACTS[b], row.field)
            assert row.differs is differ or row.field == "enhanced", (a, b, row.field)
        assert found.differences == tuple(row for row in found.rows if row.differs)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("actor", {"actor": "developer"}),
        ("standing", {"standing": "draft"}),
        ("retry", {"retry": "never", "retry_else": None}),
        ("retry", {"retry_else": "never"}),
        ("session", {"session": "closes"}),
        ("queue", {"queue": "split"}),
        ("sources", {"sources": ("RFC 821 §4.2",)}),
        ("commands", {"commands": {}}),
        ("enhanced", {"enhanced_seen": ("4.9.9",)}),
    ],
)
def test_a_changed_fact_changes_its_row_and_no_other(field: str, changed: dict[str, Any]) -> None:
    before = compare(FACTS[220], FACTS[455], FACTS).rows
    after = compare(FACTS[220], replace(FACTS[455], **changed), FACTS).rows
    assert [new.field for old, new in zip(before, after, strict=True) if old != new] == [field]


def test_together_is_the_commands_that_both_answer() -> None:
    for a, b in PAIRS:
        found = compare(FACTS[a], FACTS[b], FACTS)
        assert bool(found.together) == answers_together(FACTS[a], FACTS[b]), (a, b)
        for verb in found.together:
            assert all(verb in one.commands or "ANY" in one.commands for one in (found.a, found.b))


def test_pairs_are_offered_when_none_can_be_in_doubt_and_only_then() -> None:
    for a, b in PAIRS:
        found = compare(FACTS[a], FACTS[b], FACTS)
        assert bool(found.meant) <= (not found.together)
        if not found.together and all(FACTS[code].commands for code in (a, b)):
            assert found.meant, (a, b)
        assert len(set(found.meant)) == len(found.meant) <= 3
        for small, large in found.meant:
            assert small < large and {small, large} & {a, b} and (small, large) != (a, b)
            assert answers_together(FACTS[small], FACTS[large]), (small, large)


def test_what_was_meant_by_220_and_455() -> None:
    assert compare(FACTS[455], FACTS[220], FACTS).meant == ((455, 555), (452, 455), (220, 554))


def test_a_code_cannot_be_compared_with_itself() -> None:
    with pytest.raises(ValueError, match="455"):
        compare(FACTS[455], FACTS[455], FACTS)


def test_curated_pairs_are_pairs_of_the_catalogue() -> None:
    assert (220, 455) in KNOWN.curated_pairs
    assert set(KNOWN.curated_pairs) <= set(PAIRS)
    assert len(set(KNOWN.curated_pairs)) == len(KNOWN.curated_pairs)


def test_every_curated_pair_needs_telling_apart() -> None:
    for a, b in set(KNOWN.curated_pairs) - {(220, 455)}:
        folklore = not (FACTS[a].commands and FACTS[b].commands)
        named = str(b) in FACTS[a].confused_with or str(a) in FACTS[b].confused_with
        assert answers_together(FACTS[a], FACTS[b]) or folklore or named, (a, b)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_curated_pair_has_a_whole_document(language: str) -> None:
    documents = Documents(KNOWN, language)
    for a, b in KNOWN.curated_pairs:
        found = documents.comparison(b, a)
        assert found == documents.comparison(a, b)
        assert found["language"] == found["a"]["language"] == found["b"]["language"] == language
        assert found["curated"] is True and found["verdict"] and len(found["rows"]) == len(FIELDS)
        assert all(row["label"] and row["a"] and row["b"] for row in found["rows"])
        assert all(row["a"] != row["b"] for row in found["rows"] if row["differs"]), (a, b)
        assert all(pair["title_a"] and pair["title_b"] for pair in found["meant"])


def test_an_uncurated_pair_says_so() -> None:
    documents = Documents(KNOWN, "en")
    others = [pair for pair in PAIRS if pair not in KNOWN.curated_pairs]
    assert all(documents.comparison(*pair)["curated"] is False for pair in others[:: len(others) // 40])


def test_a_code_that_nobody_knows_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Documents(KNOWN, "en").comparison(220, 599)
