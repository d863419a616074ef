"""Every entry of the catalogue is whole, in every complete language: nothing empty, cut, doubled or left untranslated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from postroad.replies.catalogue import catalogue
from postroad.replies.entries import READERS, CodeWords, Step

KNOWN = catalogue()
COMPLETE = ("en", "ja")
#: Every number that a reader may meet: standard, registered, in use, folklore, proposed.
NUMBERS = """
    101 111 200 211 214 220 221 235 250 251 252 253 254 334 354 355 403 420 421 422 430 431 432 435 441 442 446 447
    449 450 451 452 453 454 455 456 458 459 471 499 500 501 502 503 504 510 511 512 513 520 521 523 524 525 530 533
    534 535 538 540 541 542 550 551 552 553 554 555 556 557 571 585
"""
CODES = tuple(int(number) for number in NUMBERS.split())
DOTLESS = {
    **{431: "4.3.1", 441: "4.4.1", 442: "4.4.2", 446: "4.4.6", 447: "4.4.7", 449: "4.4.9", 471: "4.7.1"},
    **{510: "5.1.0", 511: "5.1.1", 512: "5.1.2", 513: "5.1.3"},
}
LITERAL = re.compile(r"`([^`]+)`")
SOURCE = re.compile(r"RFC [0-9]{3,5}(, RFC [0-9]{3,5})*( (§[0-9A-Z.]+|Appendix [A-Z].*|Table [0-9]+))?\Z")


def texts(value: object) -> Iterator[str]:
    """All texts in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from texts(one)
    elif hasattr(value, "values"):
        for one in value.values():
            yield from texts(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from texts(getattr(value, field.name))


def sentences(text: str, language: str) -> list[str]:
    """The sentences of a text."""
    parts = re.split(r"(?<=。)|(?<=[.!?]) +", text) if language == "ja" else re.split(r"(?<=[.!?:]) +", text)
    return [part.strip() for part in parts if part.strip()]


def all_words() -> Iterator[tuple[str, str, object]]:
    """What is said of every entry, in each complete language."""
    for language in COMPLETE:
        for code in KNOWN.codes:
            yield f"{code}", language, KNOWN.code_words(code, language)
        for name in KNOWN.enhanced:
            yield name, language, KNOWN.enhanced_words(name, language)
        for kind, names in (("keywords", KNOWN.keywords), ("verbs", KNOWN.verbs)):
            for name in names:
                yield f"{kind}: {name}", language, KNOWN.term_words(kind, name, language)


ENTRIES = list(all_words())
each_entry = pytest.mark.parametrize(
    ("name", "language", "words"), ENTRIES, ids=[f"{n}-{lang}" for n, lang, _ in ENTRIES]
)
each_code = pytest.mark.parametrize("code", KNOWN.codes)


def test_all_numbers_are_explained() -> None:
    assert KNOWN.codes == CODES


def test_languages_begin_with_english() -> None:
    assert KNOWN.languages[0] == "en"
    assert set(COMPLETE) <= {language for language in KNOWN.languages if KNOWN.complete(language)}


@each_code
def test_the_words_fit_the_facts(code: int) -> None:
    facts = KNOWN.code(code)
    assert facts.code == code
    assert facts.sources
    for language in COMPLETE:
        assert KNOWN.code_language(code, language) == language
        words = KNOWN.code_words(code, language)
        assert set(words.commands) == set(facts.commands)
        assert tuple(words.confused) == tuple(facts.confused_with) or set(words.confused) == set(facts.confused_with)
        assert tuple(words.fix) == READERS
        assert all(words.fix[reader] for reader in READERS)
        assert words.meaning
        assert words.when


@each_code
def test_the_facts_use_the_vocabulary(code: int) -> None:
    facts = KNOWN.code(code)
    for language in KNOWN.languages:
        say = KNOWN.vocabulary(language)
        assert facts.standing in say["standings"]
        for one in (facts, *facts.commands.values()):
            for field, kind in (
                ("actor", "actors"),
                ("retry", "retries"),
                ("session", "sessions"),
                ("queue", "queues"),
            ):
                value = getattr(one, field)
                assert value is None or value in say[kind], (field, value)
        assert all(event.event in say["events"] for event in facts.history)


@each_code
def test_the_names_in_the_facts_exist(code: int) -> None:
    facts = KNOWN.code(code)
    for other in (*facts.confused_with, *facts.related):
        assert int(other) in KNOWN.codes
        assert int(other) != code
    for verb in facts.commands:
        assert verb == "ANY" or verb in KNOWN.verbs
    for status in (*facts.enhanced_registered, *facts.enhanced_seen):
        assert re.fullmatch(r"[245]\.[0-9]+\.[0-9]+", status)
    for status in facts.enhanced_registered:
        assert f"X{status[1:]}" in KNOWN.enhanced, status
    for scene in facts.scenes:
        assert scene.command in facts.commands or "ANY" in facts.commands
        assert scene.server.startswith(str(code))
        assert (scene.client is None) == (scene.command == "CONNECT") or scene.command == "CONTENT"


@each_code
def test_every_language_shows_the_same_literals(code: int) -> None:
    shown = {language: literals(KNOWN.code_words(code, language)) for language in COMPLETE}
    assert shown["en"] == shown["ja"]


def literals(words: object) -> set[str]:
    return {literal for text in texts(words) for literal in LITERAL.findall(text)}


@each_entry
def test_nothing_is_empty_or_cut(name: str, language: str, words: object) -> None:
    for text in texts(words):
        assert text == text.strip()
        assert text
        assert text.count("`") % 2 == 0, text
    for text in prose(words):
        assert text.endswith((".", "。", "`.", "`。", "!", "?", ")", "）")), text


def prose(words: object) -> Iterator[str]:
    """The texts that are sentences: all but titles."""
    for field in fields(words):  # type: ignore[arg-type]
        if field.name != "title":
            for text in texts(getattr(words, field.name)):
                if text not in READERS:
                    yield text


@each_entry
def test_no_word_is_doubled(name: str, language: str, words: object) -> None:
    for text in texts(words):
        bare = LITERAL.sub("`", text)
        assert not re.search(r"\b([A-Za-z]{2,}) \1\b", bare), text
        assert not re.search(r"([をにが])\1", bare), text


@each_entry
def test_no_sentence_stands_twice(name: str, language: str, words: object) -> None:
    seen: set[str] = set()
    for text in texts(words):
        for sentence in sentences(text, language):
            if len(sentence) > 25:
                assert sentence not in seen, sentence
                seen.add(sentence)


@each_entry
def test_japanese_is_japanese(name: str, language: str, words: object) -> None:
    if language != "ja":
        return
    for text in prose(words):
        bare = LITERAL.sub("", text)
        assert re.search(r"[ぁ-んァ-ヶ一-龠]", bare), text
        run = re.search(r"[A-Za-z]+(?:[ ,][A-Za-z]+){3,}", bare)
        assert run is None, f"untranslated: {run and run.group()}"


@each_entry
def test_english_is_english(name: str, language: str, words: object) -> None:
    if language == "en":
        assert not any(re.search(r"[ぁ-んァ-ヶ一-龠]", text) for text in texts(words))


@each_code
def test_an_english_summary_can_be_said_on_the_wire(code: int) -> None:
    words = KNOWN.code_words(code, "en")
    assert words.title.isascii()
    assert words.summary.isascii()
    assert "\n" not in words.summary


@each_code
def test_sources_name_an_rfc_or_say_what_they_are(code: int) -> None:
    facts = KNOWN.code(code)
    if facts.standing in ("standard", "extension", "registry", "experimental"):
        for source in facts.sources:
            assert SOURCE.match(source) or source.startswith("IANA"), source


@pytest.mark.parametrize(("code", "status"), DOTLESS.items())
def test_folklore_is_recognised_as_an_enhanced_status_without_its_dots(code: int, status: str) -> None:
    facts = KNOWN.code(code)
    assert facts.standing == "folklore"
    assert facts.dotless == status
    assert not facts.commands
    for language in COMPLETE:
        assert status in " ".join(texts(KNOWN.code_words(code, language)))


def test_vocabularies_have_the_same_keys() -> None:
    english = KNOWN.vocabulary("en")
    for language in KNOWN.languages:
        other = KNOWN.vocabulary(language)
        assert {section: set(table) for section, table in other.items()} == {
            section: set(table) for section, table in english.items()
        }
        for section, table in other.items():
            for key, text in table.items():
                assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", english[section][key]))


def test_the_registry_of_enhanced_codes_is_whole() -> None:
    assert len(KNOWN.enhanced) >= 81


def test_steps_are_steps() -> None:
    for code in KNOWN.codes:
        for language in COMPLETE:
            words: CodeWords = KNOWN.code_words(code, language)
            for step in (*words.missing, *(step for steps in words.fix.values() for step in steps)):
                assert isinstance(step, Step)
                assert step.do != step.check


def test_curated_pairs_are_pairs_of_known_codes() -> None:
    assert 55 <= len(KNOWN.curated_pairs) <= 80
    for a, b in KNOWN.curated_pairs:
        assert a < b
        assert {a, b} <= set(KNOWN.codes)
