"""Transcripts hold the code they are about, in a session that could have been heard."""

from __future__ import annotations

import re

import pytest

from postroad.reference.scenes import transcript
from postroad.replies.catalogue import catalogue
from postroad.replies.entries import CodeFacts

KNOWN = catalogue()
FACTS = {code: KNOWN.code(code) for code in KNOWN.codes}
WITH_SCENES = [facts for facts in FACTS.values() if facts.scenes]
WITHOUT = [facts for facts in FACTS.values() if not facts.scenes]
SPOKEN = {facts.code for facts in WITH_SCENES}
CURATED = [(FACTS[a], FACTS[b]) for a, b in KNOWN.curated_pairs if {a, b} <= SPOKEN]
ANSWER = re.compile(r"S: [2-5][0-9]{2}(?:[ -][\x20-\x7e]*)?\Z")
each_code = pytest.mark.parametrize("facts", WITH_SCENES, ids=lambda facts: str(facts.code))
each_pair = pytest.mark.parametrize(("a", "b"), CURATED, ids=lambda facts: str(facts.code))


def says(lines: list[str], code: int) -> list[int]:
    """Where the code is said."""
    return [number for number, line in enumerate(lines) if re.match(rf"S: {code}(?:[ -]|\Z)", line)]


def sessions(lines: list[str]) -> list[list[str]]:
    """One list for each connection."""
    return [part.split("\n") for part in "\n".join(lines).split("\n\n")]


def assert_is_a_session(lines: list[str]) -> None:
    for session in sessions(lines):
        assert re.match(r"S: (220|421|521|554|5..|4..)", session[0]), session
        for line in session:
            if line.startswith("S:"):
                assert ANSWER.match(line), line
            elif line.startswith("C:"):
                assert not re.match(r"C: [2-5][0-9]{2}(?:[ -]|\Z)", line), line
                assert not re.search(r"[\r\n]|S: ", line), line
            else:
                assert line.strip() == "...", line
        shown = [line for line in session if line.startswith(("C:", "S:"))]
        assert not shown[-1].startswith("C:"), "the last word is the server's"


@each_code
def test_the_code_is_said(facts: CodeFacts) -> None:
    lines = transcript(facts)
    assert says(lines, facts.code)
    assert_is_a_session(lines)


@each_code
def test_it_is_said_in_answer_to_a_command_it_may_answer(facts: CodeFacts) -> None:
    lines = transcript(facts)
    where = says(lines, facts.code)[-1]
    asked = [line for line in lines[:where] if line.startswith("C:")]
    scenes = {scene.command for scene in facts.scenes}
    if where == 0 or lines[where - 1] == "":
        assert "CONNECT" in scenes
        return
    if asked[-1] == "C: .":
        assert "CONTENT" in scenes
        return
    line = asked[-1].removeprefix("C: ")
    verb = line.split(" ")[0].split(":")[0].upper()
    clients = {scene.client for scene in facts.scenes}
    assert verb in scenes or "ANY" in scenes or line in clients, line


@each_code
def test_nothing_follows_a_reply_that_ends_the_connection(facts: CodeFacts) -> None:
    for session in sessions(transcript(facts)):
        for number, line in enumerate(session[:-1]):
            assert not re.match(r"S: (221|421) ", line), session[number:]


@each_code
def test_a_transcript_is_the_same_each_time(facts: CodeFacts) -> None:
    assert transcript(facts) == transcript(facts)


@each_pair
def test_both_codes_of_a_curated_pair_are_said_in_one_transcript(a: CodeFacts, b: CodeFacts) -> None:
    for lines in (transcript(a, b), transcript(b, a)):
        assert says(lines, a.code) and says(lines, b.code)
        assert_is_a_session(lines)


def test_220_and_455_in_one_session() -> None:
    lines = transcript(KNOWN.code(220), KNOWN.code(455))
    assert says(lines, 220)[0] == 0 and len(sessions(lines)) == 1
    assert lines[says(lines, 455)[0] - 1] == "C: MAIL FROM:<ann@example.com> RET=HDRS"


def test_codes_that_are_never_said_have_no_transcript() -> None:
    for facts in WITHOUT:
        assert transcript(facts) == []
    assert transcript() == []


def test_every_pair_has_a_transcript_or_none() -> None:
    some = WITH_SCENES[::7]
    for a in some:
        for b in some:
            if a.code < b.code:
                lines = transcript(a, b)
                assert says(lines, a.code) and says(lines, b.code), (a.code, b.code)


def test_only_names_for_documentation_occur() -> None:
    for facts in WITH_SCENES:
        text = "\n".join(transcript(facts))
        for domain in re.findall(r"@([A-Za-z0-9.-]+)", text):
            assert re.search(r"(?:\A|\.)example(?:\.(?:com|net|org))?\.?\Z", domain), (facts.code, domain)
