"""Values as pages show them."""

from __future__ import annotations

import pytest

from postroad.admin import Listening
from postroad.web.pages import display
from postroad.web.pages.display import WireLine
from postroad.web.problems import Refusal


def test_a_transcript_as_lines() -> None:
    said = "S: 220 ready\nC: EHLO x\r\nS: 250-x\nS: 455 4.5.4 not now\nS: 550\n-- the client hung up\n\nS: 999 odd\nC:"
    assert display.wire_lines(said) == [
        WireLine("S", "220 ready", "good"),
        WireLine("C", "EHLO x", ""),
        WireLine("S", "250-x", "good"),
        WireLine("S", "455 4.5.4 not now", "later"),
        WireLine("S", "550", "never"),
        WireLine("", "the client hung up", ""),
        WireLine("S", "999 odd", ""),
        WireLine("C", "", ""),
    ]
    assert len(display.wire_lines("C: x\n" * 20_000)) == display.MAX_LINES


def test_moments_for_machines() -> None:
    for odd in (1e18, -1e18, float("nan"), float("inf")):
        assert display.iso(odd) == "1970-01-01T00:00:00Z"
    assert display.iso(None) == ""


def test_a_newcomer_gets_the_listener_in_clear_under_a_name_that_works() -> None:
    mx, submissions = Listening("mx", "192.0.2.1", 25), Listening("submissions", "192.0.2.1", 465, "implicit")
    dev = Listening("dev", "0.0.0.0", 1025)
    assert display.first_listener((submissions, mx), "here") == mx
    assert display.first_listener((mx, dev), "here") == Listening("dev", "here", 1025)
    assert display.first_listener((), "here") is None


def test_the_form_of_a_rule() -> None:
    given = {"to": "*@x", "at": "rcpt", "reply": "455", "times": " ", "delay": "1.5", "text": "", "disconnect": "yes"}
    assert display.rule_fields(given) == {"to": "*@x", "at": "rcpt", "reply": 455, "delay": 1.5, "disconnect": True}
    with pytest.raises(Refusal, match="`reply` must be a number"):
        display.rule_fields({"reply": "many"})
