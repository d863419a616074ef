"""What goes through, counted in time: buckets, the clock's jumps, who counts and who does not, replies by difference."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from postroad.admin.traffic import Seen, Tally, Totals, TrafficDesk
from postroad.envelope import Attempt, Draft, JournalEntry, MessageId, NewRecipient, Origin, Outcome, Result
from postroad.observe.metrics import Metrics
from postroad.observe.traffic import MINUTES, Traffic, destination_of
from postroad.observe.traffic_destinations import HOURS, MAX_DESTINATIONS, MAX_NAME, Destination
from postroad.observe.traffic_rings import Ring
from postroad.replies import Reply

NOON = 1_800_014_400.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
assert NOON % HOUR == 0


class StillClock:
    """Shows what it is set to."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Counted:
    def __init__(self) -> None:
        self.clock = StillClock()
        self.metrics = Metrics()
        self.traffic = Traffic(self.clock, self.metrics)
        self.desk = TrafficDesk(self.traffic)

    def settle(self, path: str, *results: Result, route: str = "mx") -> None:
        attempt = Attempt(self.clock.now, 1.0, route, "", results)
        paths = {result.number: path for result in results}
        self.traffic.settled([JournalEntry(1, MessageId("0-a"), "a@b.example", paths, attempt)])


def draft(listener: str = "mx") -> Draft:
    recipients = (NewRecipient("kana@example.net", "example.net"),)
    return Draft(MessageId("0-a"), "me@example.com", recipients, NOON, origin=Origin(listener=listener))


DELIVERED = Result(0, Outcome.DELIVERED)
DEFERRED = Result(0, Outcome.DEFERRED, next_due=NOON + 600)
FAILED = Result(0, Outcome.FAILED)


# --- who counts


def test_messages_of_clients_are_accepted_and_our_own_reports_are_not() -> None:
    counted = Counted()
    counted.traffic.accepted([draft(), draft("submission"), draft("report")])
    counted.traffic.accepted([draft("report")])
    assert counted.desk.totals(DAY) == Totals(2, 0, 0, 0, 0)


def test_recipients_count_by_what_the_attempt_came_to() -> None:
    counted = Counted()
    counted.settle("kana@Example.NET", DELIVERED, Result(1, Outcome.DELIVERED), Result(2, Outcome.DEFERRED), FAILED)
    assert counted.desk.totals(DAY) == Totals(0, 2, 1, 1, 0)
    assert counted.desk.destinations(DAY) == {"example.net": Tally(2, 1, 1, NOON, NOON)}


def test_what_the_operator_does_is_counted_nowhere() -> None:
    counted = Counted()
    held, released = Result(0, Outcome.HELD, note="held by the operator"), Result(0, Outcome.DEFERRED, note="released")
    dropped = Result(0, Outcome.FAILED, note="dropped by the operator")
    for one in (held, released, dropped):
        counted.settle("kana@example.net", one, route="")
    assert counted.desk.totals(DAY) == Totals(0, 0, 0, 0, 0)
    assert counted.desk.destinations(DAY) == {}


def test_whose_time_is_over_has_failed_and_a_killed_attempt_is_deferred() -> None:
    counted = Counted()
    counted.settle("kana@example.net", Result(0, Outcome.FAILED, expired=True), route="")
    counted.settle("kana@example.net", Result(0, Outcome.DEFERRED, uncertain=True), route="")
    counted.settle("kana@example.net", Result(0, Outcome.HELD, note="no route"))
    assert counted.desk.totals(DAY) == Totals(0, 0, 1, 1, 0)


def test_replies_are_counted_by_difference() -> None:
    counted = Counted()
    counted.metrics.said("CONNECT", Reply(220, "mx.example ESMTP"))
    for _ in range(3):
        counted.metrics.said("RCPT", Reply(550, "No such user", "5.1.1"))
    counted.metrics.said("MAIL", Reply(455, "Not now", "4.5.4"))
    counted.settle("kana@example.net", DEFERRED)
    counted.metrics.settled(
        [
            JournalEntry(
                1,
                MessageId("0-a"),
                "",
                {0: "kana@example.net"},
                Attempt(
                    NOON,
                    1.0,
                    "mx",
                    "",
                    (Result(0, Outcome.DEFERRED, Reply(451, "Later"), stage="RCPT", next_due=NOON),),
                ),
            )
        ]
    )
    assert counted.desk.totals(HOUR).refused == 4
    assert counted.desk.totals(HOUR).refused == 4  # nothing is counted twice
    counted.clock.now += 5 * MINUTE
    counted.metrics.said("RCPT", Reply(550, "No such user", "5.1.1"))
    span = counted.desk.series(10 * MINUTE, MINUTE)
    assert span.values["said_5"] == (0, 0, 0, 0, 3, 0, 0, 0, 0, 1)
    assert span.values["refused"] == (0, 0, 0, 0, 4, 0, 0, 0, 0, 1)
    assert span.values["said_2"][4] == span.values["said_4"][4] == span.values["heard_4"][4] == 1
    assert counted.desk.code(550) == Seen(4, 0)
    assert counted.desk.code(999) == Seen(0, 0)
    assert list(counted.desk.codes(HOUR)) == [220, 451, 455, 550]


def test_a_wrong_order_and_a_wrong_password_are_no_refusals_of_mail() -> None:
    counted = Counted()
    counted.metrics.said("DATA", Reply(503, "Send RCPT first", "5.5.1"))
    counted.metrics.said("AUTH", Reply(535, "No", "5.7.8"))
    counted.metrics.said("OTHER", Reply(500, "What?", "5.5.2"))
    counted.metrics.said("CONTENT", Reply(354, "Go on"))
    assert counted.desk.totals(DAY).refused == 0
    for verb in ("CONNECT", "MAIL", "RCPT", "DATA", "BDAT", "CONTENT"):
        counted.metrics.said(verb, Reply(421, "Too many", "4.7.0"))
    assert counted.desk.totals(DAY).refused == 6


def test_without_metrics_no_reply_is_counted() -> None:
    desk = TrafficDesk(Traffic(StillClock()))
    assert desk.codes(DAY) == {}
    assert desk.totals(DAY) == Totals(0, 0, 0, 0, 0)


# --- buckets


def test_buckets_are_aligned_to_the_epoch_and_the_last_holds_now() -> None:
    counted = Counted()
    counted.clock.now = NOON + 59.9
    counted.traffic.accepted([draft()])
    counted.clock.now = NOON + 60.0
    counted.traffic.accepted([draft(), draft()])
    span = counted.desk.series(3 * MINUTE, MINUTE)
    assert span.starts == (NOON - 60, NOON, NOON + 60)
    assert span.values["accepted"] == (0, 1, 2)
    wide = counted.desk.series(2 * HOUR, HOUR)
    assert wide.starts == (NOON - HOUR, NOON)
    assert wide.values["accepted"] == (0, 3)
    assert counted.desk.series(DAY, 90.0).step == 120.0  # whole minutes
    assert counted.desk.series(7 * DAY, 90.0).step == HOUR  # so far back, whole hours


def test_totals_count_the_bucket_whole_in_which_they_begin() -> None:
    counted = Counted()
    counted.clock.now = NOON + 30
    counted.traffic.accepted([draft()])
    counted.clock.now = NOON + HOUR + 10
    assert counted.desk.totals(HOUR).accepted == 1
    counted.clock.now = NOON + HOUR + 60
    assert counted.desk.totals(HOUR).accepted == 0
    assert counted.desk.totals(7 * DAY).accepted == 1


def test_minutes_go_round_after_a_day_and_hours_after_eight() -> None:
    counted = Counted()
    counted.traffic.accepted([draft()])
    counted.clock.now = NOON + MINUTES * MINUTE  # the same place of the ring
    counted.traffic.accepted([draft(), draft()])
    assert sum(counted.desk.series(MINUTES * MINUTE, MINUTE).values["accepted"]) == 2
    assert counted.desk.totals(7 * DAY).accepted == 3
    counted.clock.now = NOON + (HOURS + 1) * HOUR
    assert counted.desk.totals(8 * DAY).accepted == 2


def test_a_clock_that_jumps_mixes_nothing() -> None:
    counted = Counted()
    counted.traffic.accepted([draft()])
    counted.settle("kana@example.net", DELIVERED)
    counted.clock.now = NOON - 3 * HOUR
    counted.traffic.accepted([draft()])
    counted.settle("kana@example.net", DELIVERED)
    assert counted.desk.totals(HOUR).accepted == 1
    counted.clock.now = NOON
    assert counted.desk.totals(HOUR).accepted == 1
    assert counted.desk.totals(DAY).accepted == 2
    assert counted.desk.destinations(DAY)["example.net"].delivered == 2


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2), st.integers(1, 5)), max_size=60),
    st.integers(1, 40),
)
def test_a_ring_is_a_window_onto_all_that_was_counted(steps: list[tuple[int, int, int]], size: int) -> None:
    ring = Ring(("a", "b", "c"), 60, size)
    everything: Counter[tuple[int, int]] = Counter()
    now = 0
    for forward, name, count in steps:
        now += forward
        ring.add(float(now), name, count)
        everything[now // 60, name] += count
    last = now // 60
    found = ring.read(last - size + 1, last)
    assert found == [[everything[which, name] for which in range(last - size + 1, last + 1)] for name in range(3)]
    assert ring.read(last + 1, last + size) == [[0] * size] * 3
    other = Ring(("a", "b", "c"), 60, size)
    other.load(*ring.dump())
    assert other.read(last - size + 1, last) == found


# --- destinations


def test_destinations_are_told_by_the_hour() -> None:
    counted = Counted()
    counted.settle("kana@example.net", DELIVERED)
    counted.clock.now = NOON + 2 * HOUR
    counted.settle("kana@example.net", DEFERRED)
    counted.settle("ken@example.org", FAILED)
    span = counted.desk.destination("example.net", 4 * HOUR, HOUR)
    assert span.starts == (NOON - HOUR, NOON, NOON + HOUR, NOON + 2 * HOUR)
    assert span.values == {"delivered": (0, 1, 0, 0), "deferred": (0, 0, 0, 1), "failed": (0, 0, 0, 0)}
    assert counted.desk.destination("example.net", 4 * HOUR, 2 * HOUR).values["delivered"] == (1, 0)
    assert list(counted.desk.destinations(DAY)) == ["example.org", "example.net"]
    assert counted.desk.destinations(HOUR)["example.net"] == Tally(0, 1, 0, NOON, NOON + 2 * HOUR)
    assert counted.desk.destination("never.example", DAY, HOUR).values["failed"] == (0,) * 24
    counted.clock.now += 9 * DAY
    assert counted.desk.destinations(8 * DAY) == {}


def test_the_least_recently_used_destinations_go() -> None:
    counted = Counted()
    for number in range(MAX_DESTINATIONS):
        counted.settle(f"a@d{number}.example", DELIVERED)
    counted.settle("a@d0.example", DELIVERED)
    counted.settle("a@new.example", DELIVERED)
    found = counted.desk.destinations(DAY)
    assert len(found) == MAX_DESTINATIONS
    assert found["d0.example"].delivered == 2
    assert "d1.example" not in found


def test_a_destination_takes_a_bounded_room() -> None:
    one = Destination()
    for hour in range(1000):
        one.add(NOON + hour * HOUR, random.randrange(3))
    assert len(one.rows) == 4 * (HOURS + 1)
    assert sum(sum(row) for _, *row in one.hours(0, 10**9)) == HOURS + 1


def test_destinations_are_named_as_mail_is_routed() -> None:
    assert destination_of("kana@EXAMPLE.net") == "example.net"
    assert destination_of("kana@例え.jp") == "xn--r8jz45g.jp"
    assert destination_of("kana@[IPv6:2001:DB8::1]") == "[ipv6:2001:db8::1]"
    assert destination_of("postmaster") == "localhost"
    assert destination_of('"a@b"@c.example') == "c.example"


@given(st.text(st.characters(), max_size=400))
def test_any_text_may_name_a_destination(domain: str) -> None:
    counted = Counted()
    counted.settle(f"a@{domain}", DELIVERED)
    (name,) = counted.desk.destinations(DAY)
    assert len(name) <= MAX_NAME
    assert counted.desk.destination(name, HOUR, HOUR).values["delivered"] == (1,)
