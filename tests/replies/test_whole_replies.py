"""Replies of several lines, numbers that are none, and text that is made to be hard to break into lines."""

from __future__ import annotations

import pytest

from postroad import codes
from postroad.cli.columns import width
from postroad.cli.main import main
from postroad.cli.screen import wrapped
from postroad.replies.catalogue import catalogue
from postroad.replies.explaining import Explainer


def item(text: str) -> dict[str, object]:
    found = Explainer(catalogue(), "en").explain(text)["items"]
    assert len(found) == 1
    return dict(found[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("550-Message refused by mx.example\n550 5.7.1 [192.0.2.1] listed at Spamhaus, see the page", "blocked"),
        ("451-Please note:\r\n451 4.7.1 Greylisted, come back in 5 minutes", "greylisted"),
        ("S: 451-Please note:\nS: 451 4.7.1 Greylisted, come back in 5 minutes", "greylisted"),
    ],
)
def test_all_lines_of_a_reply_are_understood(text: str, reason: str) -> None:
    found = item(text)
    assert found["classification"]["reason"]["id"] == reason  # type: ignore[index]
    assert found["enhanced"]["code"] in ("5.7.1", "4.7.1")  # type: ignore[index]
    assert "\n" in str(found["text"])


def test_a_contradiction_in_a_later_line_is_said() -> None:
    assert "4.7.1" in str(item("550-Sorry\n550 4.7.1 not now")["mismatch"])


def test_an_address_is_no_enhanced_status() -> None:
    assert "enhanced" not in item("550 5.1.1.7 is listed")


def test_a_status_may_stand_before_a_full_stop() -> None:
    assert item("delivery failed with 5.1.1.")["enhanced"]["code"] == "5.1.1"  # type: ignore[index]


def test_a_reply_whose_last_line_never_came_is_explained() -> None:
    found = Explainer(catalogue(), "en").explain("550-5.1.1 no such user\nconnection lost")["items"]
    assert [one["classification"]["reason"]["id"] for one in found] == ["user-unknown"]


def test_a_reply_without_end_is_bounded() -> None:
    text = str(item("\n".join(["250-more"] * 5_000 + ["250 done"]))["text"])
    assert text.count("\n") <= 20


@pytest.mark.parametrize("number", ["600", "000", "999", "099"])
def test_a_number_that_can_be_no_reply_is_no_bug(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", number]) == 65
    assert main(["explain", number, "455"]) in (0, 65)
    assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("code", ["455", "", "X", "9.7.1", "x.7.1", "4.7", "4.7.1 "])
def test_another_name_than_a_status_is_a_key_error(code: str) -> None:
    with pytest.raises(KeyError):
        codes.get(code)


def test_codes_for_programs() -> None:
    assert codes.get(455, "ja")["title"] == "指定されたパラメータに現在対応できません"
    assert codes.get("4.7.1")["code"] == "4.7.1"
    assert codes.compare(455, 220)["meant"][0] == {**codes.compare(220, 455)["meant"][0]}
    assert codes.classify("451 4.7.1 Greylisting in action").reason == "greylisted"
    assert 455 in codes.known()
    assert codes.languages()[0] == "en"
    assert codes.explain("455")["items"][0]["kind"] == "code"
    with pytest.raises(ValueError, match="itself"):
        codes.compare(455, 455)


@pytest.mark.parametrize("text", ["…" * 90, "…" * 30 + "x", "漢" * 90, "x" * 500, "。" * 200, "（" * 99, "a…" * 99])
@pytest.mark.parametrize("room", [1, 2, 24, 79])
def test_every_text_breaks_into_lines(text: str, room: int) -> None:
    lines = wrapped(text, room)
    assert "".join(lines) == text
    assert all(width(line) <= max(room, 2) for line in lines) or room < 2
