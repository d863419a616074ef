"""When the next attempt is due, when the sender is told of a delay, and when it is over."""

from dataclasses import replace

import pytest

from postroad.delivery.schedule import Schedule, Term, result_of, term_of
from postroad.delivery.transport import Fate, Handed
from postroad.envelope import Outcome, Recipient, RecipientState, Result
from postroad.replies import Reply
from tests.delivery.fixtures import START, message

SCHEDULE = Schedule(steps=(10, 20, 40), expire=1000, uncertain=30, delay_notice=300, jitter=0)
TERM = Term(end=1000, late=300)


def recipient(attempts: int = 0, told: bool = False) -> Recipient:
    one = Recipient(3, "bob@example.com", "example.com", "", RecipientState.QUEUED, attempts, 0.0, None, "")
    return replace(one, delay_told=told)


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 10), (1, 20), (2, 40), (3, 40), (99, 40)])
def test_steps(attempts: int, seconds: float) -> None:
    assert SCHEDULE.wait(attempts) == seconds
    assert SCHEDULE.wait(attempts, uncertain=True) == max(seconds, 30)


def test_jitter_makes_a_step_longer_and_never_shorter() -> None:
    schedule = replace(SCHEDULE, jitter=0.1)
    assert schedule.wait(1, random=lambda: 0.0) == 20
    assert schedule.wait(1, random=lambda: 1.0) == 22
    assert len({schedule.wait(1) for _ in range(10)}) > 1


def test_the_defaults_are_within_the_rfc() -> None:
    schedule = Schedule()
    assert schedule.steps[0] == 300
    assert all(step >= 1800 for step in schedule.steps[1:])
    assert 4 * 86400 <= schedule.expire <= 5 * 86400
    assert schedule.delay_notice == 4 * 3600


NO = Reply(550, "no", "5.1.1")
LATER = Reply(450, "later")


@pytest.mark.parametrize(
    ("handed", "attempts", "now", "result"),
    [
        (Handed(3, Fate.DELIVERED, None, "stored"), 0, 100, Result(3, Outcome.DELIVERED, None, "stored")),
        (Handed(3, Fate.DELIVERED, relayed=True), 0, 5000, Result(3, Outcome.DELIVERED, relayed=True)),
        (Handed(3, Fate.NEVER, NO, "x", stage="RCPT"), 0, 100, Result(3, Outcome.FAILED, NO, "x", stage="RCPT")),
        (Handed(3, Fate.NEVER, NO), 0, 5000, Result(3, Outcome.FAILED, NO)),
        (Handed(3, Fate.NOT_NOW, LATER), 0, 100, Result(3, Outcome.DEFERRED, LATER, "", 110)),
        (Handed(3, Fate.NOT_NOW, LATER), 1, 100, Result(3, Outcome.DEFERRED, LATER, "", 120)),
        (Handed(3, Fate.NOT_NOW, None, "lost", True), 0, 100, Result(3, Outcome.DEFERRED, None, "lost", 130, True)),
        (Handed(3, Fate.NOT_NOW), 0, 300, Result(3, Outcome.DEFERRED, next_due=310, delay_told=True)),
        (Handed(3, Fate.NOT_NOW), 0, 995, Result(3, Outcome.DEFERRED, next_due=1000, delay_told=True)),
        (Handed(3, Fate.NOT_NOW, LATER, "n"), 9, 1000, Result(3, Outcome.FAILED, LATER, "n", expired=True)),
    ],
)
def test_results(handed: Handed, attempts: int, now: float, result: Result) -> None:
    assert result_of(handed, recipient(attempts), TERM, now, SCHEDULE) == result


@pytest.mark.parametrize(
    ("asked", "now", "uncertain", "due"),
    [(True, 290, False, 300), (False, 290, False, 310), (True, 300, False, 320), (True, 290, True, 320)],
)
def test_a_time_that_the_sender_set_is_minded_to_the_second(
    asked: bool, now: float, uncertain: bool, due: float
) -> None:
    """RFC 2852 section 4.1.4.2; but what may have arrived already is not sent again for it."""
    handed = Handed(3, Fate.NOT_NOW, uncertain=uncertain)
    result = result_of(handed, recipient(1), replace(TERM, asked=asked), now, SCHEDULE)
    assert result.next_due == due


def test_the_sender_is_told_of_the_delay_once() -> None:
    result = result_of(Handed(3, Fate.NOT_NOW), recipient(5, told=True), TERM, 400, SCHEDULE)
    assert not result.delay_told


@pytest.mark.parametrize(
    ("parameters", "end", "late"),
    [
        ("", 1000, 300),
        ("BODY=8BITMIME RET=HDRS", 1000, 300),
        ("BY=60;R", 60, 300),
        ("SIZE=5 BY=60;R BODY=8BITMIME", 60, 300),
        ("BY=60;N", 1000, 60),
        ("BY=-5;N", 1000, -5),
        ("BY=99999;R", 1000, 300),
        ("BY=nonsense", 1000, 300),
        ("HOLDFOR=500", 1500, 800),
        ("HOLDUNTIL=1970-01-12T13:48:00Z", 1080, 380),  # START + 80
        ("HOLDFOR=500 BY=600;R", 600, 800),
    ],
)
def test_terms(parameters: str, end: float, late: float) -> None:
    term = term_of(message("bob@example.com", parameters=parameters), SCHEDULE)
    assert (term.end - START, term.late) == (end, START + late)


def test_nobody_is_told_of_a_delay_unless_the_schedule_says_when() -> None:
    never = replace(SCHEDULE, delay_notice=None)
    assert term_of(message("bob@example.com"), never).late is None
    assert term_of(message("bob@example.com", parameters="BY=60;N"), never).late == START + 60
