"""What the only way out cannot do becomes a condition: 455 for those who would send what we could only hold."""

from __future__ import annotations

from postroad.delivery.next_hops import BELIEVED, NextHops
from postroad.delivery.routing import Hold, Routes, Smtp, parse_route
from postroad.policy.conditions import ConditionsBoard
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.parameters import Conditions

RELAY = Smtp("192.0.2.7", 25)
EVERYTHING = {"SMTPUTF8": "", "8BITMIME": "", "CHUNKING": "", "BINARYMIME": ""}


class Clock:
    now = 1000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def house(**routes: str) -> tuple[ConditionsBoard, NextHops, Clock]:
    clock = Clock()
    board = ConditionsBoard(clock, None, ("SMTPUTF8", "BODY", "BODY=BINARYMIME"))
    known = Routes({f"{name}.example": parse_route(text) for name, text in routes.items()})
    return board, NextHops(board, lambda: known), clock


def test_the_only_way_decides() -> None:
    board, hops, _ = house(one="smtp:192.0.2.7:25", two="smtp:192.0.2.7:25", three="hold")
    hops.heard(RELAY, {"8BITMIME": "", "CHUNKING": ""})
    assert set(board.unavailable()) == {"SMTPUTF8", "BODY=BINARYMIME"}
    answer = UTF8.judge(True, Conditions(unavailable=board.unavailable()))
    assert answer is not None and str(answer).startswith("455 4.5.4")
    assert "192.0.2.7:25" in board.unavailable()["SMTPUTF8"]


def test_the_next_ehlo_decides_anew() -> None:
    board, hops, _ = house(one="smtp:192.0.2.7:25")
    hops.heard(RELAY, {})
    hops.heard(RELAY, EVERYTHING)
    assert not board.unavailable()


def test_it_is_believed_for_a_time() -> None:
    board, hops, clock = house(one="smtp:192.0.2.7:25")
    hops.heard(RELAY, {})
    clock.now += BELIEVED - 1
    assert board.unavailable()
    clock.now += 2
    assert not board.unavailable()


def test_with_several_ways_nothing_is_said() -> None:
    for other in ("maildir:/var/mail/{domain}/{user}", "smtp:192.0.2.8:25"):
        board, hops, _ = house(one="smtp:192.0.2.7:25", two=other)
        hops.heard(RELAY, {})
        assert not board.unavailable()


def test_the_operators_word_is_not_taken_back() -> None:
    board, hops, _ = house(one="smtp:192.0.2.7:25")
    board.set("SMTPUTF8", "maintenance")
    hops.heard(RELAY, EVERYTHING)
    assert board.unavailable() == {"SMTPUTF8": "maintenance"}


def test_a_way_that_is_gone_says_nothing() -> None:
    board, hops, _ = house(one="hold")
    hops.heard(RELAY, {})
    assert not board.unavailable()
    assert isinstance(parse_route("hold"), Hold)
