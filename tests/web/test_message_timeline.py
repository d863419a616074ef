"""Transcripts as dialogues, attempts as a timeline: pure."""

from __future__ import annotations

import itertools

import pytest

from postroad.admin.queue import Case
from postroad.envelope import (
    Attempt,
    MessageId,
    Origin,
    Outcome,
    Recipient,
    RecipientState,
    Result,
    StoredMessage,
)
from postroad.replies import EnhancedStatus, Reply
from postroad.web.pages import dialogue, timeline
from postroad.web.pages.dialogue import Turn, read_dialogue
from postroad.web.pages.timeline import PAGE, entries, stretch, together
from tests.web.queue_house import GREYLISTED, TAKEN, UNKNOWN

PIPELINED = """S: 220 mx.example.net ESMTP
C: EHLO relay.example
S: 250-mx.example.net
S: 250-PIPELINING
S: 250 DSN
C: MAIL FROM:<me@example.com>
C: RCPT TO:<kana@example.net>
C: DATA
S: 250 2.1.0 Ok
S: 250 2.1.5 Ok
S: 354 Go on
-- content, then the final dot
S: 250 2.0.0 queued"""


def replies(transcript: str) -> list[Turn]:
    return [turn for turn in read_dialogue(transcript).turns if turn.side == "S"]


# ── dialogues ───────────────────────────────────────────────────────────────


def test_replies_find_the_commands_that_they_answer() -> None:
    heard = replies(PIPELINED)
    assert [turn.command for turn in heard] == ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"]
    assert [turn.answers for turn in heard] == [
        "",
        "",
        "MAIL FROM:<me@example.com>",
        "RCPT TO:<kana@example.net>",
        "DATA",
        "",
    ]


def test_the_lines_of_one_reply_are_one_turn() -> None:
    hello = replies(PIPELINED)[1]
    assert hello.lines == ("250-mx.example.net", "250-PIPELINING", "250 DSN")
    assert hello.reply is not None
    assert hello.reply.lines == ("mx.example.net", "PIPELINING", "DSN")


def test_two_replies_in_a_row_stay_two() -> None:
    heard = replies("C: RSET\nC: NOOP\nS: 250 one\nS: 250 two")
    assert [turn.lines for turn in heard] == [("250 one",), ("250 two",)]


def test_a_kept_connection_has_no_greeting() -> None:
    assert [turn.command for turn in replies("C: MAIL FROM:<a@b.example>\nS: 250 Ok")] == ["MAIL"]


def test_the_next_host_greets_again() -> None:
    said = (
        "-- mx1.example.net [192.0.2.1]:25\nS: 220 one\nC: EHLO x\n-- connection lost\n"
        "-- mx2.example.net [2001:db8::1]:25\nS: 554 5.3.2 no"
    )
    assert [turn.command for turn in replies(said)] == ["CONNECT", "CONNECT"]


def test_an_answer_to_a_password_is_an_answer_to_auth() -> None:
    said = "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: (SASL response)\nS: 535 5.7.8 no"
    assert [turn.command for turn in replies(said)] == ["AUTH", "AUTH"]


def test_a_word_that_nobody_asked_for_answers_nothing() -> None:
    heard = replies("S: 220 x\nC: NOOP\nS: 250 Ok\nS: 421 4.3.2 closing")
    assert [turn.command for turn in heard] == ["CONNECT", "NOOP", ""]


@pytest.mark.parametrize("line", ["no reply", "2x0 x", "", "999 x", "25"])
def test_what_is_no_reply_is_shown_and_not_explained(line: str) -> None:
    (turn,) = replies(f"S: {line}")
    assert turn.reply is None
    assert turn.lines == (line,)


def test_a_reply_that_was_broken_off_is_read_as_far_as_it_goes() -> None:
    (turn,) = replies("S: 250-one\nS: 250-two")
    assert turn.reply is not None
    assert turn.reply.text == "one\ntwo"


def test_long_replies_are_bounded() -> None:
    many = "\n".join(["S: 550-5.1.1 " + "x" * 200] * 5_000) + "\nS: 550 5.1.1 end"
    (turn,) = replies(many)
    assert len(turn.lines) == dialogue.MAX_LINES
    assert turn.lines[-1] == "550 5.1.1 end"
    assert turn.left_out == 5_001 - dialogue.MAX_LINES
    (wide,) = replies("S: 450 " + "y" * 100_000)
    assert len(wide.lines[0]) == dialogue.MAX_LINE + 1


def test_long_dialogues_are_bounded() -> None:
    found = read_dialogue("\n".join(["C: NOOP"] * 3_000))
    assert len(found.turns) == dialogue.MAX_TURNS
    assert found.left_out == 3_000 - dialogue.MAX_TURNS


def test_an_empty_transcript_has_no_turns() -> None:
    assert read_dialogue("").turns == ()


# ── timeline ────────────────────────────────────────────────────────────────

_TIMES = itertools.count()


def attempt(*results: Result, route: str = "mx", transcript: str = "") -> Attempt:
    return Attempt(float(next(_TIMES)), 1.0, route, "mx.example.net [192.0.2.1]:25", results, transcript)


def result(number: int = 0, reply: Reply | None = GREYLISTED, outcome: Outcome = Outcome.DEFERRED, note: str = "") -> Result:  # fmt: skip
    return Result(number, outcome, reply, note, next_due=1.0 if outcome is Outcome.DEFERRED else None, stage="RCPT")


def case(*attempts: Attempt, recipients: int = 1) -> Case:
    paths = {number: f"kana{number}@example.net" for number in range(recipients)}
    people = tuple(
        Recipient(number, path, "example.net", "", RecipientState.QUEUED, 1, 1.0, None, "")
        for number, path in paths.items()
    )
    message = StoredMessage(MessageId("0-1"), 1, "me@example.com", "", -1.0, 10, Origin(), people)
    return Case(MessageId("0-1"), "me@example.com", message, paths, attempts)


def kinds(found: Case, told: dict[int, str] | None = None) -> list[str]:
    return [entry.event.kind for entry in entries(found, told or {})]


def test_tries_are_numbered_and_begin_with_the_acceptance() -> None:
    found = entries(case(attempt(result()), attempt(result(reply=TAKEN, outcome=Outcome.DELIVERED))), {})
    assert [(one.event.kind, one.event.number) for one in found] == [("accepted", 0), ("try", 1), ("try", 2)]


def test_a_message_that_is_gone_has_no_acceptance() -> None:
    gone = Case(MessageId("0-1"), "", None, {0: "kana@example.net"}, (attempt(result()),))
    assert kinds(gone) == ["try"]


def test_tries_that_came_to_the_same_are_folded_below_the_newest() -> None:
    slower = Reply(451, "Greylisting, wait 277 seconds", "4.7.1")
    faster = Reply(451, "Greylisting, wait 12 seconds", "4.7.1")
    found = entries(case(*(attempt(result(reply=one)) for one in (slower, faster, faster))), {})
    assert [one.event.kind for one in found] == ["accepted", "try"]
    assert found[1].event.number == 3
    assert [one.number for one in found[1].same] == [2, 1]
    assert found[1].holds(1)
    assert not found[1].holds(4)


def test_another_reply_another_stage_or_another_recipient_is_not_the_same() -> None:
    other = Result(0, Outcome.DEFERRED, GREYLISTED, next_due=1.0, stage="MAIL")
    tries = (attempt(result()), attempt(result(reply=TAKEN)), attempt(other), attempt(result(1)))
    assert all(not entry.same for entry in entries(case(*tries, recipients=2), {}))


def test_an_act_between_two_tries_keeps_them_apart() -> None:
    held = attempt(result(reply=None, outcome=Outcome.HELD, note="held by the operator: wait"), route="")
    assert kinds(case(attempt(result()), held, attempt(result()))) == ["accepted", "try", "hold", "try"]


@pytest.mark.parametrize(
    ("outcome", "note", "kind"),
    [
        (Outcome.HELD, "held by the operator", "hold"),
        (Outcome.HELD, "no route", "held"),
        (Outcome.DEFERRED, "released", "release"),
        (Outcome.FAILED, "dropped by the operator: spam", "drop"),
        (Outcome.FAILED, "given up by the operator", "bounce"),
        (Outcome.DEFERRED, "whatever", "note"),
    ],
)
def test_acts_are_told_by_their_notes(outcome: Outcome, note: str, kind: str) -> None:
    assert kinds(case(attempt(result(reply=None, outcome=outcome, note=note), route="")))[1] == kind


def test_an_interruption_and_the_end_of_time_are_events() -> None:
    cut = Result(0, Outcome.DEFERRED, None, "stopped", next_due=1.0, uncertain=True)
    over = Result(0, Outcome.FAILED, GREYLISTED, "", expired=True)
    assert kinds(case(attempt(cut, route=""), attempt(over, route="")))[1:] == ["interrupted", "expired"]


def test_who_was_told_follows_what_they_were_told_of() -> None:
    delay = Result(0, Outcome.DEFERRED, GREYLISTED, next_due=1.0, delay_told=True)
    failed = result(reply=UNKNOWN, outcome=Outcome.FAILED)
    found = case(attempt(delay), attempt(failed))
    assert kinds(found, {0: "yes"}) == ["accepted", "try", "told-delay", "try", "told-failure"]
    assert kinds(found, {0: "not-asked"}) == ["accepted", "try", "told-delay", "try"]
    taken = case(attempt(result(reply=TAKEN, outcome=Outcome.DELIVERED)))
    assert [one.event.kind for one in entries(taken, {}, frozenset({0}))][-1] == "told-success"


def test_a_lease_that_was_given_back_is_nothing() -> None:
    assert kinds(case(Attempt(1.0, 0.0, "", "", ()))) == ["accepted"]


def test_recipients_that_were_answered_alike_are_told_together() -> None:
    found, left = together([result(number) for number in range(10_000)] + [result(10_000, UNKNOWN)])
    assert [len(one.numbers) for one in found] == [10_000, 1]
    assert left == 0
    many, left = together([result(number, Reply(450, f"no {number}")) for number in range(500)])
    assert (len(many), left) == (timeline.MAX_OUTCOMES, 500 - timeline.MAX_OUTCOMES)


# ── pages of it ─────────────────────────────────────────────────────────────


def long() -> Case:
    """200 tries, no two alike."""
    return case(*(attempt(result(reply=Reply(450, "a" * number))) for number in range(200)))


def test_the_newest_entries_come_first() -> None:
    page = stretch(entries(long(), {}))
    assert len(page.entries) == PAGE
    assert page.entries[0].event.number == 200
    assert (page.older, page.newer, page.left) == (151, False, 151)


def test_older_entries_follow_to_the_last() -> None:
    found = entries(long(), {})
    seen: list[int] = []
    before: int | None = None
    while True:
        page = stretch(found, before)
        seen += [one.place for one in page.entries]
        before = page.older
        if before is None:
            break
    assert seen == list(range(200, -1, -1))


@pytest.mark.parametrize("number", [1, 3, 100, 149, 150, 151, 200])
def test_a_try_that_is_asked_for_is_on_its_page(number: int) -> None:
    page = stretch(entries(long(), {}), None, number)
    assert any(one.holds(number) for one in page.entries)


@pytest.mark.parametrize("before", [0, 1, 10_000])
def test_places_that_are_none_are_pages_all_the_same(before: int) -> None:
    assert len(stretch(entries(long(), {}), before).entries) <= PAGE


def test_nothing_is_a_page_of_nothing() -> None:
    assert stretch([]).entries == ()
    assert stretch([], None, 7).entries == ()


def test_statuses_of_different_detail_are_different() -> None:
    one, other = Reply(450, "x", EnhancedStatus(4, 2, 0)), Reply(450, "x", EnhancedStatus(4, 2, 1))
    assert len(entries(case(attempt(result(reply=one)), attempt(result(reply=other))), {})) == 3
