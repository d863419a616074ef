"""How much a site bears, and how long it is left alone."""

from __future__ import annotations

import pytest

from postroad.delivery.backoff import BackOff, Patience
from postroad.delivery.feedback import Rate, Window


def test_a_window_grows_fast_until_the_first_overload_and_slowly_after_it() -> None:
    window = Window(20)
    assert window.size == 2
    for _ in range(6):
        window.succeeded()
    assert window.size == 8
    window.overloaded(window.round)
    assert window.size == 4
    for _ in range(5):
        window.succeeded()
    assert window.size == 5
    for _ in range(1000):
        window.succeeded()
    assert window.size == 20


def test_what_was_under_way_together_shrinks_it_once() -> None:
    window = Window(20)
    for _ in range(20):
        window.succeeded()
    begun = window.round
    for _ in range(20):
        window.overloaded(begun)
    assert window.size == 10
    window.overloaded(window.round)
    assert window.size == 5
    for _ in range(10):
        window.overloaded(window.round)
    assert window.size == 1


@pytest.mark.parametrize(("most", "size"), [(1, 1), (0, 1), (2, 2), (500, 2)])
def test_windows_begin_low(most: int, size: int) -> None:
    assert Window(most).size == size


def test_a_rate_gives_out_tokens() -> None:
    rate = Rate(2.0)
    assert [rate.take(100.0), rate.take(100.0)] == [0.0, 0.0]
    assert rate.take(100.0) == pytest.approx(0.5)
    assert rate.take(100.25) == pytest.approx(0.25)
    assert rate.take(100.5) == 0.0
    assert rate.take(200.0) == rate.take(200.0) == 0.0
    assert rate.take(200.0) > 0


def test_a_slow_rate_gives_one_at_once() -> None:
    rate = Rate(0.1)
    assert rate.take(0.0) == 0.0
    assert rate.take(0.0) == pytest.approx(10.0)
    assert rate.take(10.0) == 0.0


def test_no_rate_is_no_limit() -> None:
    assert [Rate().take(0.0) for _ in range(100)] == [0.0] * 100


PATIENCE = Patience(failures=3, first=60, longest=200, jitter=0)


def test_back_off_doubles_to_the_longest_and_ends_with_success() -> None:
    back_off = BackOff(PATIENCE)
    now = 0.0
    assert [back_off.failed(now, "x"), back_off.failed(now, "x"), back_off.failed(now, "y")] == [False, False, True]
    times = [back_off.until]
    for _ in range(3):
        now = back_off.until or 0.0
        assert not back_off.is_shut(now)
        assert back_off.is_probing
        assert back_off.failed(now, "z")
        times.append((back_off.until or 0.0) - now)
    assert times == [60, 120, 200, 200]
    assert (back_off.last_fault, back_off.failures) == ("z", 6)
    assert back_off.succeeded()
    assert not back_off.succeeded()
    assert (back_off.until, back_off.failures, back_off.last_fault) == (None, 0, "")
    assert not back_off.failed(now, "x")


def test_failures_that_were_under_way_before_prolong_nothing() -> None:
    back_off = BackOff(PATIENCE)
    for _ in range(3):
        back_off.failed(0.0, "x")
    assert [back_off.failed(1.0, "late") for _ in range(20)] == [False] * 20
    assert back_off.until == 60


def test_jitter_keeps_sites_apart() -> None:
    patience = Patience(failures=1, first=100, jitter=0.1)
    ends = []
    for chance in (0.0, 0.5, 1.0):
        back_off = BackOff(patience, lambda chance=chance: chance)  # type: ignore[misc]
        back_off.failed(0.0, "x")
        ends.append(back_off.until)
    assert ends == pytest.approx([90, 100, 110])


def test_a_clock_that_was_set_back_shuts_no_site_for_ever() -> None:
    back_off = BackOff(PATIENCE)
    for _ in range(3):
        back_off.failed(1_000_000.0, "x")
    assert back_off.is_shut(1_000_000.0)
    assert not back_off.is_shut(0.0)


def test_the_operator_may_end_it() -> None:
    back_off = BackOff(PATIENCE)
    for _ in range(3):
        back_off.failed(0.0, "x")
    back_off.end(10.0)
    assert not back_off.is_shut(10.0)
    assert back_off.is_probing
    BackOff().end(5.0)
