"""When the next attempt is due."""

import pytest

from postroad.delivery.schedule import Schedule, result_of
from postroad.delivery.transport import Fate, Handed
from postroad.envelope import Outcome, Recipient, RecipientState, Result
from postroad.replies import Reply

SCHEDULE = Schedule(steps=(10, 20, 40), expire=1000, uncertain=30)


def recipient(attempts: int = 0) -> Recipient:
    return Recipient(3, "bob@example.com", "example.com", "", RecipientState.QUEUED, attempts, 0.0, None, "")


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 10), (1, 20), (2, 40), (3, 40), (99, 40)])
def test_steps(attempts: int, seconds: float) -> None:
    assert SCHEDULE.wait(attempts) == seconds
    assert SCHEDULE.wait(attempts, uncertain=True) == max(seconds, 30)


def test_the_last_attempt_is_at_the_expiry_and_then_it_is_over() -> None:
    assert SCHEDULE.next_due(now=500, attempts=0, received_at=0) == 510
    assert SCHEDULE.next_due(now=995, attempts=0, received_at=0) == 1000
    assert SCHEDULE.next_due(now=1000, attempts=0, received_at=0) is None


def test_the_defaults_are_within_the_rfc() -> None:
    schedule = Schedule()
    assert schedule.steps[0] == 300
    assert all(step >= 1800 for step in schedule.steps[1:])
    assert 4 * 86400 <= schedule.expire <= 5 * 86400


NO = Reply(550, "no", "5.1.1")
LATER = Reply(450, "later")


@pytest.mark.parametrize(
    ("handed", "attempts", "result"),
    [
        (Handed(3, Fate.DELIVERED, None, "stored"), 0, Result(3, Outcome.DELIVERED, None, "stored")),
        (Handed(3, Fate.NEVER, NO, "refused at RCPT"), 0, Result(3, Outcome.HELD, NO, "refused at RCPT")),
        (Handed(3, Fate.NOT_NOW, LATER), 0, Result(3, Outcome.DEFERRED, LATER, "", 110)),
        (Handed(3, Fate.NOT_NOW, LATER), 1, Result(3, Outcome.DEFERRED, LATER, "", 120)),
        (Handed(3, Fate.NOT_NOW, None, "lost", True), 0, Result(3, Outcome.DEFERRED, None, "lost", 130, True)),
    ],
)
def test_results(handed: Handed, attempts: int, result: Result) -> None:
    assert result_of(handed, recipient(attempts), 0, 100, SCHEDULE) == result


def test_given_up_is_held_with_the_last_reply() -> None:
    result = result_of(Handed(3, Fate.NOT_NOW, LATER, "refused for now"), recipient(9), 0, 5000, SCHEDULE)
    assert (result.outcome, result.reply) == (Outcome.HELD, LATER)
    assert result.note.startswith("given up after")
