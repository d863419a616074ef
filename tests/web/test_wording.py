"""The sentences of the pages: whole in every language, and how each says times, sizes and replies."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime, timedelta

import pytest

from postroad.replies import Reply
from postroad.web.pages.wording import Wording
from postroad.web.texts import LANGUAGES, LOCALES, Texts, sentences

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_language_has_the_same_files_keys_and_places() -> None:
    files = {tag: {path.name for path in (LOCALES / tag).glob("*.toml")} for tag in LANGUAGES}
    english = sentences("en")
    for tag in LANGUAGES:
        assert files[tag] == files["en"]
        assert list(sentences(tag)) == list(english)
        assert {key: fields(text) for key, text in sentences(tag).items()} == {
            key: fields(text) for key, text in english.items()
        }


@pytest.mark.parametrize("tag", LANGUAGES)
def test_no_sentence_looks_like_markup(tag: str) -> None:
    for key, text in sentences(tag).items():
        assert not re.search(r"<[a-z/]", text), key


def test_a_key_that_is_missing_is_a_fault() -> None:
    with pytest.raises(KeyError):
        Texts("en")("no.such.key")
    with pytest.raises(KeyError):
        Texts("xx")


def test_sizes_and_spans() -> None:
    text = Texts("en")
    assert [text.size(each) for each in (0, 1023, 1536, 5 << 20, 3 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    spans = [text.span(each) for each in (0, 59.9, 60, 3599, 7440, 190_000, 40 * 86_400)]
    assert spans == ["0 s", "59 s", "1 min", "59 min", "2 h 04 min", "2 d 4 h", "40 days"]
    assert (text.age(0, 240), text.age(660, 0)) == ("4 min ago", "in 11 min")
    assert Texts("ja").age(0, 240) == "4 分前"


def test_times_in_lists_are_short() -> None:
    for tag, dated in (("en", r"[0-9]{1,2} [A-Z][a-z]{2} [0-9:]+"), ("ja", "[0-9]{1,2}月[0-9]{1,2}日 [0-9:]+")):
        say = Wording(tag, NOW.timestamp)
        assert re.fullmatch(r"[0-9]{2}:[0-9]{2}:[0-9]{2}", say.short_clock(NOW.timestamp() - 60))
        assert re.fullmatch(dated, say.short_clock((NOW - timedelta(days=80)).timestamp()))
        assert re.fullmatch(dated, say.clock(NOW.timestamp()))
        assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", say.short_clock((NOW - timedelta(days=800)).timestamp()))
        assert (say.clock(None), say.short_clock(None), say.age(None)) == ("", "", "")


def test_a_reply_in_a_few_words() -> None:
    say = Wording("en", NOW.timestamp)
    assert say.meaning(Reply(451, "Greylisting in action, please come back later", "4.7.1")) == "Greylisted"
    assert Wording("ja", NOW.timestamp).meaning(Reply(451, "Greylisting in action", "4.7.1")) == "グレイリスティング"
    assert say.meaning(Reply(550, "No such user", "5.1.1")) == "Unknown recipient"
    assert say.meaning(Reply(250, "Ok", "2.1.5")) not in ("", say.meaning(250))
    assert say.meaning(455) == "Server unable to accommodate parameters"
    assert say.meaning(299) == ""
    assert [say.tone(code) for code in (220, 354, 455, 550)] == ["good", "good", "later", "never"]
    assert (say.page_of(455), say.page_of(299)) == ("/en/codes/455", "")
