"""Every finding has its words in every language, whatever the evidence holds."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any

import pytest

from postroad import codes
from postroad.diagnosis.findings import KINDS, Level, found
from postroad.diagnosis.telling import Teller, span
from postroad.replies import Reply

LANGUAGES = ("en", "ja")
HOSTILE = "\x1b[2J\u202e<script>{host}\r\nforged"
#: What the probe and the examinations give as facts.
FACTS = re.findall(
    r"\w+",
    "host port address target domain name ptr alias ehlo greeting code protocol octets days ends begins names issuer "
    "version sender rcpt outsider count most wrong selector key bits policy place permit seen waited reply",
)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def keys(table: Mapping[str, Any], prefix: str = "") -> set[str]:
    found_: set[str] = set()
    for name, value in table.items():
        found_ |= keys(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name}
    return found_


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_words(language: str) -> None:
    words = codes.texts("diagnose", language)
    assert set(words["findings"]) == set(KINDS)
    for name, kind in KINDS.items():
        own = words["findings"][name]
        assert own["verdict"]
        if kind.level >= Level.WARN:
            assert own["means"], name
            assert own["do"], name
        if kind.level is Level.ERROR and kind.step in ("connect", "greeting", "ehlo", "starttls", "cert", "auth"):
            assert own["disproof"], name
        assert kind.step in words["steps"]
        assert kind.actor in words["actors"]
        for text in own.values():
            assert fields(text) <= set(FACTS), name


def test_both_languages_say_the_same_things() -> None:
    english, japanese = (codes.texts("diagnose", language) for language in LANGUAGES)
    assert keys(english) == keys(japanese)
    for name, own in english["findings"].items():
        for part, text in own.items():
            assert fields(text) == fields(japanese["findings"][name][part]), (name, part)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_evidence_stays_harmless(name: str, language: str) -> None:
    one = found(name, HOSTILE, waited=0.4, reply=Reply(550, "no \x1b[2J"), host=HOSTILE, name=HOSTILE, reply_=HOSTILE)
    told = Teller(language).told(one)
    for text in (told.verdict, told.seen, told.means, told.said, told.disproof, told.do, *told.next):
        assert text.isprintable()
        assert "{" not in text.replace("{host}", "")


def test_who_acts_by_the_reply() -> None:
    """Who is on a block list has to act himself; the server's operator need not."""
    for text, actor in (
        (b"554 5.7.1 blocked using zen.example", "you"),
        (b"421 4.3.2 Service shutting down", "operator"),
    ):
        one = found(f"greeting.{text[:3].decode()}", reply=Reply.parse(text), command="CONNECT")
        document = Teller("en").finding(one)
        assert document["actor"]["id"] == actor
    assert document["reply"]["reason"]


def test_octets_of_no_known_protocol_are_called_by_the_language() -> None:
    one = found("greeting.not-smtp", "binary: x", protocol="binary")
    assert "binary octets" in Teller("en").told(one).verdict
    assert "バイナリ" in Teller("ja").told(one).verdict
    assert "SSH" in Teller("ja").told(found("greeting.not-smtp", protocol="SSH")).verdict


def test_spans() -> None:
    assert [span(s) for s in (0.0123, 0.999, 1.94, 59.6)] == ["12 ms", "999 ms", "1.9 s", "60 s"]
    assert span(2, "ja") == "2 秒"
