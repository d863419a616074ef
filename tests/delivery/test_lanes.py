"""Lanes: bounds in all and for each site, the turn of the lanes, trials, rates, and who goes along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postroad.delivery.backoff import Patience
from postroad.delivery.lane import Job, Lane, RunnerLimits, Turn
from postroad.delivery.lanes import Lanes
from postroad.delivery.routing import Maildir, Smtp
from postroad.delivery.rules import Rule
from postroad.delivery.sites import Place
from postroad.delivery.transport import Health
from postroad.envelope import Batch, MessageId
from tests.delivery.fixtures import message

LIMITS = RunnerLimits(workers=4, trials=3, per_site=2, leases=100)
NOW = 1000.0


def place(name: str) -> Place:
    route = Smtp(name, 25)
    return Place(str(route), route)


def job(name: str, number: int, message_id: str = "") -> Job:
    stored = replace(message(f"n{number}@{name}"), id=MessageId(message_id or f"{name}-{number}"))
    return Job(Batch(stored, f"{number}.{name}", number, 0.0), Smtp(name, 25))


def filled(*names: str, each: int, proven: bool = True, limits: RunnerLimits = LIMITS) -> Lanes:
    lanes = Lanes(limits, Patience(jitter=0))
    for name in names:
        lane = lanes.lane(place(name))
        lane.is_proven = proven
        lane.pace = 1 / 12
        for number in range(each):
            one = job(name, number)
            lane.remember(one.batch.destination)
            assert lanes.add(lane, one)
    return lanes


def begun(lanes: Lanes, now: float = 0.0) -> list[Job]:
    found = []
    while (one := lanes.next_job(NOW, now)) is not None:
        found.append(one)
    return found


def names(jobs: list[Job]) -> str:
    return "".join(one.batch.destination[-1] for one in jobs)


def finish(lanes: Lanes, job: Job, health: Health = Health.UNKNOWN) -> Turn:
    turn = lanes.heard(job, health, NOW, "fault")
    lanes.release(job)
    for one in job.together:
        lanes.drop(one)
    return turn


def test_no_more_begin_than_there_are_places() -> None:
    assert names(begun(filled("a", each=5))) == "aa"
    assert names(begun(filled("a", "b", "c", each=5))) == "abca"


def test_trials_have_places_of_their_own_one_for_each_site() -> None:
    lanes = filled("a", "b", "c", "d", each=2, proven=False)
    assert names(begun(lanes)) == "abc"
    proven = lanes.lane(place("e"))
    proven.is_proven = True
    assert lanes.add(proven, job("e", 1))
    assert names(begun(lanes)) == "e"


def test_a_finished_job_makes_room_and_the_lanes_take_turns() -> None:
    lanes = filled("a", "b", "c", each=3)
    running = begun(lanes)
    turn = ""
    while running:
        finish(lanes, running.pop(0))
        more = begun(lanes)
        turn += names(more)
        running += more
    assert sorted(turn) == ["a", "b", "b", "c", "c"]
    assert len(lanes) == 0
    assert lanes.next_job(NOW, 0.0) is None


def test_a_full_lane_takes_no_more_and_names_its_destinations() -> None:
    lanes = filled("a", each=24)
    lane = lanes.lane(place("a"))
    assert lane.is_full
    assert not lanes.add(lane, job("a", 24))
    assert lanes.survey() == ({f"{number}.a" for number in range(24)}, 1)
    for _ in range(6):
        for one in begun(lanes):
            finish(lanes, one)
    assert not lane.is_full
    assert lanes.made_room
    assert lanes.survey() == (set(), 1)


def test_a_slow_site_has_little_waiting_and_a_quick_one_much() -> None:
    lane = Lane(place("a"), RunnerLimits(), Patience())
    lane.heard(Health.FINE, 0, NOW, "", 0.2)
    assert (lane.window.size, lane.capacity) == (3, 15)
    for _ in range(100):
        lane.heard(Health.FINE, 0, NOW, "", 30.0)
    assert (lane.window.size, lane.capacity) == (20, 40)
    for _ in range(200):
        lane.heard(Health.FINE, 0, NOW, "", 0.001)
    assert lane.capacity == 1000


def test_batches_of_one_message_go_together() -> None:
    lanes = filled("a", each=1)
    lane = lanes.lane(place("a"))
    for number in (5, 6):
        assert lanes.add(lane, job("a", number, "same"))
    first, second = begun(lanes)
    assert first.together == [first]
    assert [one.batch.destination for one in second.together] == ["5.a", "6.a"]
    assert (lane.waiting, lane.running) == (0, 2)
    assert len(lanes) == 3


def test_all_that_waits_is_taken_out_and_what_is_under_way_is_not() -> None:
    lanes = filled("a", each=10)
    running = begun(lanes)
    taken = lanes.take_all(lanes.lane(place("a")))
    assert len(taken) == 8
    assert list(lanes) == running
    for one in running:
        finish(lanes, one)
    assert len(lanes) == 0


def test_a_rate_makes_a_lane_rest_while_others_go_on() -> None:
    lanes = filled("a", "b", each=5, limits=replace(LIMITS, workers=10, per_site=5, rate=0.0))
    slow = lanes.lane(place("a"))
    slow.window.most = slow.window._size = 5  # type: ignore[assignment]
    slow.bind(Rule(rate=1.0))
    assert names(begun(lanes)) == "abb"
    assert lanes.next_rest_over == 1.0
    assert begun(lanes, 0.5) == []
    assert names(begun(lanes, 1.0)) == "a"
    assert lanes.next_rest_over == 2.0


@pytest.mark.parametrize("health", [Health.AWAY, Health.REFUSED])
def test_a_site_that_is_away_is_left_alone_after_some_failures(health: Health) -> None:
    lanes = filled("a", each=10)
    lane = lanes.lane(place("a"))
    turns = []
    while (one := lanes.next_job(NOW, 0.0)) is not None:
        turns.append(finish(lanes, one, health))
    assert turns == [Turn.NONE, Turn.NONE, Turn.SHUT]
    assert lane.back_off.until == NOW + 60
    assert lane.waiting == 7
    assert list(lanes.closed) == [lane]
    assert lanes.next_job(NOW + 59, 0.0) is None


def test_one_probe_goes_when_the_time_is_over_and_its_success_opens_the_site() -> None:
    lanes = filled("a", each=10)
    for _ in range(3):
        one = lanes.next_job(NOW, 0.0)
        assert one is not None
        finish(lanes, one, Health.AWAY)
    lane = lanes.lane(place("a"))
    assert lanes.take_all(lane)
    for number in range(20, 22):
        assert lanes.add(lane, job("a", number))
    probe = lanes.next_job(NOW + 60, 0.0)
    assert probe is not None
    assert lanes.next_job(NOW + 60, 0.0) is None
    assert finish(lanes, probe, Health.FINE) is Turn.OPENED
    assert lane.back_off.until is None
    assert lanes.next_job(NOW + 60, 0.0) is not None


def test_refusals_of_a_site_that_lets_others_in_only_make_it_narrower() -> None:
    lanes = filled("a", each=10)
    lane = lanes.lane(place("a"))
    first, second = begun(lanes)
    assert finish(lanes, first, Health.REFUSED) is Turn.NONE
    assert lane.is_proven
    assert lane.at_once == 1
    finish(lanes, second, Health.FINE)


def test_maildirs_are_never_away() -> None:
    route = Maildir("/srv/{user}")
    lane = Lane(Place(str(route), route), RunnerLimits(), Patience())
    for _ in range(10):
        assert lane.heard(Health.AWAY, lane.window.round, NOW, "x") is Turn.NONE
    assert lane.is_proven


def test_of_several_rules_for_one_site_the_strictest_holds() -> None:
    lane = Lane(place("a"), RunnerLimits(), Patience())
    for rule in (Rule(rate=5.0), Rule(per_site=3), Rule(rate=2.0, per_site=7), Rule()):
        lane.bind(rule)
    assert (lane.window.most, lane.rate.per_second) == (3, 2.0)


def test_lanes_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    from postroad.delivery import lanes as module

    monkeypatch.setattr(module, "_REMEMBERED", 20)
    lanes = filled("busy", each=1)
    for number in range(100):
        lanes.lane(place(f"n{number}"))
    assert len(lanes.lanes) <= 20
    assert lanes.known(place("busy")) is not None


def test_a_lane_that_was_offered_as_a_trial_and_answers_now_begins_at_once() -> None:
    lanes = filled("a", each=2, proven=False)
    lanes.lane(place("a")).is_proven = True
    assert names(begun(lanes)) == "aa"
