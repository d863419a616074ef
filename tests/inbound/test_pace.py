"""How long a peer may take: numbers only, no connection and no clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.inbound.pace import Deadlines, Pace
from postroad.smtp.server import Waiting

LIMITS = Deadlines(command=300, content=60, min_rate=100)


def test_the_minima_of_the_rfc_are_the_defaults() -> None:
    usual = Deadlines()  # RFC 5321 section 4.5.3.2.7: at least 5 minutes
    assert (usual.command, usual.content) == (300, 300)


@pytest.mark.parametrize("waiting", [Waiting.GREETING, Waiting.HANDSHAKE, Waiting.ANSWER, Waiting.NOTHING])
def test_what_does_not_depend_on_the_peer_has_no_deadline_here(waiting: Waiting) -> None:
    pace = Pace(LIMITS)
    assert pace.deadline(waiting, 5000) == math.inf
    assert not pace.is_too_slow(9e9)


def test_a_command() -> None:
    assert Pace(LIMITS).deadline(Waiting.COMMAND, 5000) == 5300


def test_content_that_flows_may_stand_still_for_a_while() -> None:
    pace = Pace(LIMITS)
    assert pace.deadline(Waiting.CONTENT, 5000) == 5060
    pace.add(1000)  # good for 10 seconds
    assert pace.deadline(Waiting.CONTENT, 5005) == 5065
    assert not pace.is_too_slow(5065)


def test_content_that_drips_does_not_prolong_it() -> None:
    pace = Pace(LIMITS)
    pace.deadline(Waiting.CONTENT, 5000)
    for second in range(5001, 5061):
        pace.add(1)
        assert pace.deadline(Waiting.CONTENT, second) == pytest.approx(5060 + (second - 5000) / 100)
    assert pace.is_too_slow(5061)


def test_no_least_rate() -> None:
    pace = Pace(Deadlines(content=60, min_rate=0))
    pace.deadline(Waiting.CONTENT, 5000)
    assert pace.deadline(Waiting.CONTENT, 9000) == 9060
    assert not pace.is_too_slow(9e9)


@pytest.mark.parametrize("between", [Waiting.COMMAND, Waiting.ANSWER])
def test_each_content_begins_anew(between: Waiting) -> None:
    """The next message, or the next BDAT chunk after a pause: what the peer took before is not held against it."""
    pace = Pace(LIMITS)
    pace.deadline(Waiting.CONTENT, 5000)
    pace.add(10)
    pace.deadline(between, 5001)
    assert not pace.is_too_slow(9000)
    assert pace.deadline(Waiting.CONTENT, 9000) == 9060


def test_a_first_content_long_after_the_start_of_the_machine() -> None:
    """A BDAT chunk that is only drained never was announced; its pace begins when it does."""
    assert Pace(LIMITS).deadline(Waiting.CONTENT, 1e7) == 1e7 + 60


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 10_000)), max_size=30))
def test_who_keeps_the_least_rate_is_never_too_slow(steps: list[tuple[float, int]]) -> None:
    pace, now = Pace(LIMITS), 5000.0
    deadline = pace.deadline(Waiting.CONTENT, now)
    for seconds, more in steps:
        now += seconds
        assert now <= deadline
        pace.add(int(seconds * LIMITS.min_rate) + 1 + more)
        deadline = pace.deadline(Waiting.CONTENT, now)
        assert deadline == now + LIMITS.content
