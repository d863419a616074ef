"""Columns line up in every script, are never cut inside a wide character, and obey nothing that stands in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.cli.columns import cut, moment, octets, span, table, until, width


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("日本", 4), ("ｱ", 1), ("ａ", 2), ("e\u0301", 1), ("\u200d", 1), ("Ω", 1)]
)
def test_width(text: str, cells: int) -> None:
    assert width(text) == cells


@given(st.text(), st.integers(2, 40))
def test_cut_fits(text: str, cells: int) -> None:
    shown = cut(text, cells)
    assert width(shown) <= cells
    assert shown == text or shown.endswith("…")


def test_cut_is_never_inside_a_wide_character() -> None:
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    assert cut("日本語", 6) == "日本語"


def test_a_table_lines_up() -> None:
    text = table(("ID", "TO", "N"), [("1", "日本", 5), ("22", "a\x1b[2J", 10)], room=0)
    assert text.split("\n") == ["ID  TO          N", "1   日本        5", "22  a\\u001b[2J  10"]


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60)), max_size=5))
def test_a_table_fits_the_terminal(rows: list[tuple[str, str, str]]) -> None:
    for line in table(("A", "B", "C"), rows, room=60).split("\n"):
        assert width(line) <= 60 and line.isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (45, "45s"), (119, "119s"), (600, "10m"), (7199, "119m"), (12000, "3h20m"), (200000, "2d")],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (25 * 2**20, "25.0 MiB"), (2**40, "1024.0 GiB")],
)
def test_octets(count: int, text: str) -> None:
    assert octets(count) == text


def test_times() -> None:
    assert len(moment("2026-11-23T14:31:00.250Z")) == len("2026-11-23 14:31:00")
    assert moment(None) == "" and moment("soon") == "soon"
    assert until("2026-11-23T14:31:00Z", "2026-11-23T14:21:00Z") == "in 10m"
    assert until(None) == "" and until("soon") == "soon"
