"""Why a message waits, in words: both languages say everything, and nothing is said twice or left unfilled."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import pytest

from postroad.replies.catalogue import catalogue
from postroad.replies.waiting import Told, Waiting

KNOWN = catalogue()
LANGUAGES = ("en", "ja")
OPTIONAL = ("_1", "_0", "_many")


def texts(language: str) -> dict[str, str]:
    words = KNOWN.texts("queue", language)
    return {f"{table}.{key}": text for table, entries in words.items() for key, text in entries.items()}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_say_the_same_things() -> None:
    english, japanese = ({key for key in texts(language) if not key.endswith(OPTIONAL)} for language in LANGUAGES)
    assert english == japanese


@pytest.mark.parametrize("key", sorted(set(texts("en")) & set(texts("ja"))))
def test_both_languages_fill_in_the_same(key: str) -> None:
    english, japanese = texts("en")[key], texts("ja")[key]
    assert fields(english) == fields(japanese)
    assert re.findall("`[^`]+`", english) == re.findall("`[^`]+`", japanese) or "`" not in japanese


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_whole(language: str) -> None:
    for key, text in texts(language).items():
        assert text and text == text.strip(), key
        assert text.count("`") % 2 == 0, key
        assert language == "ja" or text.replace("·", "").isascii(), key


@pytest.mark.parametrize(
    ("seconds", "english", "japanese"),
    [
        (-5, "0s", "0秒"),
        (119, "119s", "119秒"),
        (120, "2m", "2分"),
        (7199, "119m", "119分"),
        (7440, "2h04m", "2時間04分"),
        (172_800, "2d", "2日"),
    ],
)
def test_spans(seconds: float, english: str, japanese: str) -> None:
    assert [waiting(language).span(seconds) for language in LANGUAGES] == [english, japanese]


def waiting(language: str) -> Waiting:
    return Waiting(KNOWN.texts("queue", language), KNOWN.vocabulary(language), lambda stamp: stamp, difference)


def difference(begin: str, end: str) -> float:
    return float(end) - float(begin)


REPLY = {"code": 451, "enhanced": "4.7.1", "text": ["first", "second"]}
LAST = {
    "at": "900",
    "seconds": 1.0,
    "route": "mx",
    "host": "h",
    "security": "TLS",
    "stage": "RCPT",
    "outcome": "deferred",
}
STANDING: dict[str, Any] = {
    "number": 0, "address": "a@example.net", "destination": "example.net", "state": "queued", "attempts": 1,
    "next_due": "1060", "gives_up_at": "9000", "reply": REPLY, "note": "", "expired": False, "delay_told": False,
    "rests_until": None, "by_operator": False, "told": None, "uncertain": False, "interrupted": False, "ended_at": None, "last": LAST, "explanation": None,
    "steps": [], "refused_parameters": [], "others": {"destination": 0, "cause": 0, "elsewhere": 0, "key": "451 4.7.1"},
}  # fmt: skip


def told(language: str, *standings: dict[str, Any]) -> list[Told]:
    recipients = [STANDING | one for one in standings or ({},)]
    why = {"id": "0-x", "now": "1000", "received_at": "0", "recipients": recipients}
    return waiting(language).told(why)


def block(told: Told, label: str) -> tuple[str, ...]:
    (found,) = [one.paragraphs for one in told.blocks if one.label == label]
    return found


def test_a_reply_of_several_lines_is_shown_whole() -> None:
    (one,) = told("en")
    assert block(one, "reply") == ("451 4.7.1 first", "451 4.7.1 second", "from h · in answer to RCPT · TLS · 900")


def test_times() -> None:
    (one,) = told("en", {"delay_told": True, "rests_until": "1200"})
    (now,) = block(one, "now")
    assert now == (
        "deferred for 16m, 1 try, next try 1060 (in 60s), its host did not answer lately and is left alone until 1200, "
        "gives up 9000, the sender was told of the delay"
    )
    (over,) = block(told("en", {"next_due": "999", "rests_until": "1000"})[0], "now")
    assert over == "deferred for 16m, 1 try, due now, gives up 9000"


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_else_waits(language: str) -> None:
    others = {"destination": 14, "cause": 14, "elsewhere": 1, "key": "x"}
    (one,) = told(language, {"others": others})
    assert len(block(one, {"en": "others", "ja": "ほか"}[language])) == 2
    (pair,) = told(language, {"others": others}, {"number": 1, "address": "b@example.net", "others": others})
    assert "13" in block(pair, {"en": "others", "ja": "ほか"}[language])[0]


def test_a_hostile_destination_is_never_a_command() -> None:
    explanation = {
        "reason": {"id": "parameters-refused", "label": "l", "text": "t"}, "temporary": True, "code": None,
        "actor": {"id": "client", "label": "c"}, "remedy": {"id": "none", "label": "n", "text": ""},
        "confidence": {"id": "high", "label": "high"}, "rule": "R-1", "enhanced": None, "mismatch": None, "message": None,
    }  # fmt: skip
    others = {"destination": 3, "cause": 0, "elsewhere": 0, "key": ""}
    for destination in ("x;rm -rf .", "-oProxy", "$(id).example", "a b"):
        (one,) = told("en", {"destination": destination, "explanation": explanation, "others": others})
        assert not [line for line in block(one, "do") if destination in line]
    (one,) = told("en", {"explanation": explanation, "others": others, "refused_parameters": ["RET"]})
    assert [line for line in block(one, "do") if "postmaster@example.net: their host refuses RET" in line]
    assert [line for line in block(one, "do") if line.startswith("postroad queue list --destination example.net ")]


def test_whom_to_ask_when_a_parameter_stays_refused() -> None:
    explanation = {
        "reason": {"id": "parameters-refused", "label": "l", "text": "t"}, "temporary": True, "code": None,
        "actor": {"id": "client", "label": "c"}, "remedy": {"id": "none", "label": "n", "text": ""},
        "confidence": {"id": "high", "label": "high"}, "rule": "R-1", "enhanced": None, "mismatch": None, "message": None,
    }  # fmt: skip
    refused = {"explanation": explanation, "refused_parameters": ["RET", "ENVID"]}
    assert "postmaster@example.net: their host refuses RET, ENVID" in block(told("en", refused)[0], "do")[-1]
    assert "postmaster@example.net with the whole reply" in block(told("en", {"explanation": explanation})[0], "do")[-1]
    relay = LAST | {"route": "smtp:relay.example:25", "host": "relay.example"}
    assert (
        "whoever runs relay.example: it refuses RET, ENVID" in block(told("en", refused | {"last": relay})[0], "do")[-1]
    )
    assert "relay.example の管理者" in block(told("ja", refused | {"last": relay})[0], "操作")[-1]


def test_a_note_that_adds_nothing_is_left_out() -> None:
    for note in ("refused at RCPT", "refused for now at MAIL"):
        assert note not in block(told("en", {"note": note})[0], "reply")
        assert f"no reply: {note}" in block(told("en", {"note": note, "reply": None})[0], "reply")
    assert "the host refuses all mail for now" in block(
        told("en", {"note": "the host refuses all mail for now"})[0], "reply"
    )


def test_notes_of_ours_are_said_in_both_languages() -> None:
    ja = waiting("ja")
    assert ja.note("dropped by the operator: 迷惑メール", beside=True) == "運用者が破棄: 迷惑メール"
    assert ja.note("the host refuses all mail for now at RCPT", beside=True).startswith("相手のホストが")
    assert ja.note("no route to host", beside=False) == "no route to host"
    for known in KNOWN.texts("queue", "en")["notes"]:
        assert ja.note(known, beside=True) != known


def test_a_delivery_that_was_cut_short_by_our_own_end() -> None:
    (one,) = told("en", {"uncertain": True, "interrupted": True})
    assert block(one, "careful")[0].startswith("This server was stopped while it was delivering this (RFC 1047): h may")
    (lost,) = told("en", {"uncertain": True})
    assert block(lost, "careful")[0].startswith("The last answer was lost after the whole mail")
    (over,) = told("ja", {"uncertain": True, "state": "failed", "told": "yes", "ended_at": "990"})
    assert block(over, "注意")[0].startswith("応答が途中で失われました")


def test_who_must_act() -> None:
    def explained(actor: str, remedy: str = "retry-later") -> dict[str, Any]:
        return {
            "reason": {"id": "x", "label": "Reason", "text": "Text."}, "temporary": True, "code": None, "enhanced": None,
            "actor": {"id": actor, "label": f"the {actor}"}, "remedy": {"id": remedy, "label": "Remedy", "text": "Do it."},
            "confidence": {"id": "low", "label": "low"}, "rule": "R-1", "mismatch": None, "message": None,
        }  # fmt: skip

    assert block(told("en", {"explanation": explained("client")})[0], "who") == (
        "nobody needs to act: Postroad tries again by itself",
    )
    assert block(told("en", {"explanation": explained("administrator")})[0], "who") == (
        "the administrator", "Remedy: Do it.",
    )  # fmt: skip
    failed = {"state": "failed", "told": "yes", "explanation": explained("client", "none")}
    assert block(told("en", failed)[0], "who") == ("nobody: this is settled",)


@pytest.mark.parametrize(
    ("standing", "headline"),
    [
        ({"state": "queued", "attempts": 0}, "a@example.net: not tried yet. Nothing is lost."),
        ({"state": "failed", "told": "yes"}, "a@example.net will not get this: it was refused for good."),
        ({"state": "failed", "told": "yes", "expired": True}, "a@example.net will not get this: the time for trying"),
        ({"state": "failed", "told": "yes", "by_operator": True}, "a@example.net will not get this: an operator gave"),
        (
            {"state": "failed", "told": "dropped", "by_operator": True},
            "a@example.net will not get this: an operator dropped",
        ),
        ({"state": "gone", "last": None}, "a@example.net: the message is no longer here"),
    ],
)
def test_headlines(standing: dict[str, Any], headline: str) -> None:
    assert told("en", standing)[0].headline.startswith(headline)
    assert told("ja", standing)[0].headline.startswith("a@example.net ")


def test_a_word_of_ours_with_braces_in_a_peers_text_is_not_filled_in() -> None:
    evil = {"code": 451, "enhanced": None, "text": ["{0.__class__} {to} {n}"]}
    step = {"at": "1", "action": "{to}", "command": "{n}", "reply": evil, "parameters": ["{x}"], "waited": 0.0}
    (one,) = told("en", {"reply": evil, "steps": [step], "destination": "{n}", "address": "{to}@example.net"})
    assert one.headline.startswith("{to}@example.net has not")
    assert block(one, "reply")[0] == "451 {0.__class__} {to} {n}"
    assert block(one, "changed") == ("{to}, since {n} was answered with 451 {0.__class__} {to} {n}",)


@pytest.mark.parametrize(
    ("had", "japanese"),
    [
        ("in clear", "暗号化なし"),
        ("in clear, since STARTTLS was refused", "暗号化なし（STARTTLS was refused）"),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384, certificate not verified", "TLSv1.3 TLS_AES_256_GCM_SHA384、証明書は未検証"),
        ("TLSv1.2 X, certificate verified", "TLSv1.2 X、証明書は検証済み"),
    ],
)
def test_how_a_session_was_secured(had: str, japanese: str) -> None:
    assert waiting("en").security(had) == had
    assert waiting("ja").security(had) == japanese
