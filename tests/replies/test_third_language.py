"""Adding a language is adding a folder: German has its own words where it has files, and English ones, marked so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import postroad.replies
from postroad.cli.main import main
from postroad.replies.catalogue import catalogue
from postroad.replies.documents import Documents
from postroad.replies.entries import READERS
from tests.replies.test_catalogue import LITERAL, literals, prose, sentences, texts

KNOWN = catalogue()
LANGUAGE = "de"
FOLDER = Path(postroad.replies.__file__).parent / "locales" / LANGUAGE
CODES = tuple(sorted(int(path.stem) for path in FOLDER.glob("codes/*.toml")))
COMMONEST = (
    *(220, 221, 235, 250, 354, 421, 450, 451, 452, 454),
    *(455, 500, 501, 503, 530, 535, 550, 552, 553, 554),
)
each_code = pytest.mark.parametrize("code", CODES)


def test_the_language_is_known_by_its_folder_alone() -> None:
    assert LANGUAGE in KNOWN.languages
    assert set(COMMONEST) <= set(CODES) <= set(KNOWN.codes)
    sources = Path(postroad.__file__).parent.rglob("*.py")
    assert not [path for path in sources if f'"{LANGUAGE}"' in path.read_text(encoding="utf-8")]


@each_code
def test_the_words_fit_the_facts(code: int) -> None:
    facts, words, english = KNOWN.code(code), KNOWN.code_words(code, LANGUAGE), KNOWN.code_words(code, "en")
    assert KNOWN.code_language(code, LANGUAGE) == LANGUAGE
    assert set(words.commands) == set(facts.commands)
    assert set(words.confused) == set(facts.confused_with)
    assert tuple(words.fix) == READERS
    assert literals(words) == literals(english)
    for field in ("meaning", "when", "notes", "missing"):
        assert len(getattr(words, field)) == len(getattr(english, field)), field
    assert {reader: len(steps) for reader, steps in words.fix.items()} == {
        reader: len(steps) for reader, steps in english.fix.items()
    }


@each_code
def test_every_text_is_whole(code: int) -> None:
    words = KNOWN.code_words(code, LANGUAGE)
    seen: set[str] = set()
    for text in texts(words):
        assert text
        assert text == text.strip()
        assert text.count("`") % 2 == 0, text
        assert not re.search(r"\b(\w{2,}) \1\b", LITERAL.sub("`", text)), text
        for sentence in filter(lambda one: len(one) > 25, sentences(text, LANGUAGE)):
            assert sentence not in seen, sentence
            seen.add(sentence)
    for text in prose(words):
        assert text.endswith((".", "!", "?", ")")), text


@each_code
def test_nothing_is_left_in_english(code: int) -> None:
    english = set(prose(KNOWN.code_words(code, "en")))
    for text in prose(KNOWN.code_words(code, LANGUAGE)):
        assert text not in english
        bare = LITERAL.sub("", re.sub("„[^“]*“", "", text))
        assert not re.search(r"\b(the|is|of|and|with|not|server's|this)\b", bare), text


def test_the_vocabulary_is_whole() -> None:
    english, said = KNOWN.vocabulary("en"), KNOWN.vocabulary(LANGUAGE)
    assert {section: set(table) for section, table in said.items()} == {
        section: set(table) for section, table in english.items()
    }
    for section, table in said.items():
        for key, text in table.items():
            assert (text.strip() == text != "") or key == "separator", (section, key)
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[section][key])), (section, key)


def test_a_code_it_has_is_said_in_german() -> None:
    said = Documents(KNOWN, LANGUAGE).code(455)
    assert said["language"] == LANGUAGE
    assert said["title"] == KNOWN.code_words(455, LANGUAGE).title != KNOWN.code_words(455, "en").title
    assert said["retry"]["label"] == "später, unverändert"


def test_a_code_it_lacks_is_said_in_english_and_marked_so() -> None:
    said = Documents(KNOWN, LANGUAGE).code(254)
    assert said["language"] == "en"
    assert said["title"] == KNOWN.code_words(254, "en").title
    assert said["class"]["label"] == KNOWN.vocabulary(LANGUAGE)["classes"]["2"]
    assert not KNOWN.complete(LANGUAGE)


def test_the_command_line_speaks_german(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["explain", "455", "--lang", LANGUAGE]) == 0
    printed = capsys.readouterr().out
    words, say = KNOWN.code_words(455, LANGUAGE), KNOWN.vocabulary(LANGUAGE)
    assert words.title in printed
    assert words.summary in " ".join(printed.split())
    assert say["headings"]["fix"].casefold() in printed.casefold()
    assert KNOWN.code_words(455, "en").summary not in " ".join(printed.split())
