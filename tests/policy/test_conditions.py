"""ConditionsBoard: switches that run out, outlive a restart, are counted, and are named right or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postroad.errors import NotFound, ParameterSyntaxError, PostroadError
from postroad.policy.conditions import SEEN_FOR, ConditionsBoard

KNOWN = ("SIZE", "BODY", "SMTPUTF8", "RET", "NOTIFY", "AUTH")


class HandClock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.ran = 50.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.ran

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.ran += seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_what_is_set_is_unavailable_until_it_is_cleared(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=KNOWN)
    assert not board.unavailable()
    set_to = board.set("smtputf8", "the next hop was\r\nreplaced")
    assert (set_to.parameter, set_to.why, set_to.source, set_to.until) == (
        "SMTPUTF8",
        "the next hop was replaced",
        "operator",
        None,
    )
    assert dict(board.unavailable()) == {"SMTPUTF8": "the next hop was replaced"}
    clock.advance(1e6)
    assert "SMTPUTF8" in board.unavailable()
    assert board.clear("SMTPUTF8") == 1
    assert board.clear("SMTPUTF8") == 0
    assert not board.unavailable()


def test_a_switch_runs_out_by_itself(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=KNOWN)
    board.set("SIZE", seconds=600)
    board.set("BODY=BINARYMIME", seconds=60)
    clock.advance(59.9)
    assert set(board.unavailable()) == {"SIZE", "BODY=BINARYMIME"}
    clock.advance(0.1)
    assert set(board.unavailable()) == {"SIZE"}
    clock.advance(540)
    assert not board.unavailable()
    assert list(board.list()) == []


def test_a_jump_of_the_wall_clock_changes_no_deadline(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=KNOWN)
    board.set("SIZE", seconds=600)
    clock.now -= 10 * 365 * 86_400
    clock.ran += 600
    assert not board.unavailable()


def test_the_view_is_the_same_object_while_nothing_changes(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=KNOWN)
    board.set("SIZE", seconds=600)
    assert board.unavailable() is board.unavailable()
    with pytest.raises(TypeError):
        board.unavailable()["RET"] = "no"  # type: ignore[index]


@pytest.mark.parametrize("name", ["SIZE", "size ", "BODY=BINARYMIME", "body=8bitmime", "RET=HDRS"])
def test_known_parameters_and_their_values_may_be_named(clock: HandClock, name: str) -> None:
    assert ConditionsBoard(clock, known=KNOWN).set(name).parameter == name.strip().upper()


def test_listed_values_are_the_only_ones(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=("BODY", "BODY=BINARYMIME"))
    board.set("BODY")
    board.set("BODY=BINARYMIME")
    with pytest.raises(NotFound, match="BODY=BINARYMINE") as caught:
        board.set("BODY=BINARYMINE")
    assert caught.value.hint == "did you mean `BODY=BINARYMIME`?"


def test_an_unknown_parameter_is_refused_with_the_nearest(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=KNOWN)
    with pytest.raises(NotFound) as caught:
        board.set("SMTPUTF")
    assert "SMTPUTF8" in caught.value.hint
    with pytest.raises(NotFound) as caught:
        board.clear("ZZZ")
    assert "known here: AUTH, BODY" in caught.value.hint


@pytest.mark.parametrize("name", ["", " ", "=X", "SI ZE", "SIZE=", "SIZE\r\n", "<script>", "A" * 300, "BODY=A=B", "É"])
def test_what_is_no_parameter_is_refused(clock: HandClock, name: str) -> None:
    if name == "SIZE\r\n":
        assert ConditionsBoard(clock, known=KNOWN).set(name).parameter == "SIZE"
        return
    with pytest.raises(ParameterSyntaxError):
        ConditionsBoard(clock, known=KNOWN).set(name)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e12])
def test_a_time_that_makes_no_sense_is_refused(clock: HandClock, seconds: float) -> None:
    with pytest.raises(PostroadError, match="not a time"):
        ConditionsBoard(clock, known=KNOWN).set("SIZE", seconds=seconds)


def test_refusals_are_counted_for_the_switch_that_made_them(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=KNOWN)
    board.set("BODY=BINARYMIME")
    board.set("SMTPUTF8")
    board.count("BODY")  # events name the keyword only
    board.count("BODY=BINARYMIME")
    clock.advance(5)
    board.count("smtputf8")
    counted = {c.parameter: (c.refused, c.last_refused) for c in board.list()}
    assert counted == {"BODY=BINARYMIME": (2, 1_000_000.0), "SMTPUTF8": (1, 1_000_005.0)}
    assert board.set("SMTPUTF8").refused == 0


def test_refusals_that_nobody_switched_on_are_listed_while_fresh(clock: HandClock) -> None:
    board = ConditionsBoard(clock, known=KNOWN)
    board.count("SIZE", "452 4.3.1 Insufficient system storage")
    clock.advance(SEEN_FOR - 1)
    board.count("SIZE", "452 4.3.1 Insufficient system storage")
    clock.advance(SEEN_FOR - 1)
    (seen,) = board.list()
    assert (seen.parameter, seen.source, seen.refused, seen.why) == (
        "SIZE",
        "server",
        2,
        "452 4.3.1 Insufficient system storage",
    )
    assert not board.unavailable()
    clock.advance(2)
    assert list(board.list()) == []


def test_the_servers_own_switches_are_not_the_operators_to_clear(clock: HandClock, tmp_path: Path) -> None:
    store = tmp_path / "conditions.json"
    board = ConditionsBoard(clock, store, KNOWN)
    board.set("SMTPUTF8", "the only route lacks it", 60, source="server")
    assert board.clear() == 0
    assert "SMTPUTF8" in board.unavailable()
    board.set("SMTPUTF8", "maintenance")
    assert board.unavailable()["SMTPUTF8"] == "maintenance"
    assert [c.source for c in board.list()] == ["operator", "server"]
    assert len(json.loads(store.read_text())) == 1
    assert board.clear("SMTPUTF8", source="server") == 1


def test_a_restart_keeps_what_has_not_run_out(clock: HandClock, tmp_path: Path) -> None:
    store = tmp_path / "conditions.json"
    board = ConditionsBoard(clock, store, KNOWN)
    board.set("SIZE", "disk", 600)
    board.set("RET", "soon over", 10)
    board.set("SMTPUTF8", "why – ü")
    clock.now += 100
    clock.ran = 3.0  # another boot
    again = ConditionsBoard(clock, store, KNOWN)
    assert dict(again.unavailable()) == {"SIZE": "disk", "SMTPUTF8": "why – ü"}
    clock.advance(500)
    assert set(again.unavailable()) == {"SMTPUTF8"}
    assert again.clear() == 1
    assert not ConditionsBoard(clock, store, KNOWN).unavailable()
    assert store.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["conditions.json"]


@pytest.mark.parametrize(
    "octets", [b"", b"{", b"[1]", b"[[]]", b'{"a": 1}', b"null", b'[{"parameter": "SIZE"}]', b"\xff", b"[" * 100_000]
)
def test_a_damaged_store_is_left_aside(clock: HandClock, tmp_path: Path, octets: bytes) -> None:
    store = tmp_path / "conditions.json"
    store.write_bytes(octets)
    board = ConditionsBoard(clock, store, KNOWN)
    assert not board.unavailable()
    board.set("SIZE")
    assert set(ConditionsBoard(clock, store, KNOWN).unavailable()) == {"SIZE"}


def test_a_stored_parameter_that_is_no_longer_known_is_dropped(clock: HandClock, tmp_path: Path) -> None:
    store = tmp_path / "conditions.json"
    ConditionsBoard(clock, store, KNOWN).set("RET")
    assert not ConditionsBoard(clock, store, ("SIZE",)).unavailable()


def test_a_switch_that_cannot_be_stored_is_not_set(clock: HandClock, tmp_path: Path) -> None:
    board = ConditionsBoard(clock, tmp_path / "missing" / "conditions.json", KNOWN)
    with pytest.raises(PostroadError, match="cannot be stored"):
        board.set("SIZE")
    assert not board.unavailable()
