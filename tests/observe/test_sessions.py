"""SessionLog: the newest sessions within bounds, and the refused ones among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.errors import NotFound
from postroad.observe.sessions import MAX_TRANSCRIPT, SessionLog, SessionRecord


def record(name: str, refusals: tuple[str, ...] = (), transcript: str = "S: 220 ready\n") -> SessionRecord:
    return SessionRecord(
        id=name,
        listener="dev",
        peer="127.0.0.1:4000",
        hello="client.example",
        account="",
        tls="",
        began_at=1.0,
        seconds=0.5,
        messages=(),
        refusals=refusals,
        ended="quit",
        transcript=transcript,
    )


def ids(log: SessionLog, refused_only: bool = False, limit: int = 100, before: str = "") -> list[str]:
    return [r.id for r in log.list(refused_only, limit, before)]


def test_newest_first_within_the_count() -> None:
    log = SessionLog(max_sessions=3)
    for name in "abcd":
        log.add(record(name))
    assert ids(log) == ["d", "c", "b"]
    assert log.total == 4
    assert log.get("b").peer == "127.0.0.1:4000"
    with pytest.raises(NotFound):
        log.get("a")


def test_the_oldest_go_when_octets_run_out_but_the_newest_stays() -> None:
    log = SessionLog(max_octets=5_000)
    log.add(record("a"))
    log.add(record("b", transcript="x" * 4_000))
    assert ids(log) == ["b"]
    log.add(record("c", transcript="x" * 20_000))
    assert ids(log) == ["c"]


def test_refused_only_and_paging() -> None:
    log = SessionLog()
    for number in range(6):
        log.add(record(str(number), refusals=("455 4.5.4 not now",) if number % 2 else ()))
    assert ids(log, refused_only=True) == ["5", "3", "1"]
    assert ids(log, limit=2) == ["5", "4"]
    assert ids(log, limit=2, before="4") == ["3", "2"]
    assert ids(log, refused_only=True, before="3") == ["1"]
    assert ids(log, before="gone") == []


def test_a_huge_transcript_loses_its_middle_only() -> None:
    log = SessionLog()
    lines = [f"C: line {number}" for number in range(40_000)]
    log.add(record("a", transcript="\n".join(lines)))
    kept = log.get("a").transcript
    assert len(kept) <= MAX_TRANSCRIPT + 60
    assert kept.startswith("C: line 0\n")
    assert kept.endswith("C: line 39999")
    assert "characters left out" in kept


def test_the_same_id_again_replaces() -> None:
    log = SessionLog()
    log.add(record("a"))
    log.add(record("b"))
    log.add(record("a", refusals=("550 no",)))
    assert ids(log) == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3_000)), max_size=60))
def test_bounds_hold_for_any_order_of_sessions(added: list[tuple[str, int]]) -> None:
    log = SessionLog(max_sessions=4, max_octets=6_000)
    for name, octets in added:
        log.add(record(name, transcript="x" * octets))
        kept = log.list()
        assert len(kept) <= 4
        assert sum(r.octets for r in kept) <= 6_000 or len(kept) == 1
        assert kept[0].id == name
