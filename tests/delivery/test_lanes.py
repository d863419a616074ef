"""Lanes: bounds in all and for each route, the turn of the lanes, and what is worth asking the spool for."""

from __future__ import annotations

from postroad.delivery.lanes import Job, Lanes, RunnerLimits
from postroad.delivery.routing import Smtp
from postroad.envelope import Batch
from tests.delivery.fixtures import message

LIMITS = RunnerLimits(workers=4, per_route=2, waiting=10, leases=25)


def job(route: str, number: int) -> Job:
    stored = message(f"n{number}@{route}")
    return Job(Batch(stored, f"{number}.{route}", number, 0.0), Smtp(route, 25))


def filled(*routes: str, each: int) -> Lanes:
    lanes = Lanes(LIMITS)
    for route in routes:
        for number in range(each):
            assert lanes.add(job(route, number))
    return lanes


def begun(lanes: Lanes) -> list[Job]:
    found = []
    while (one := lanes.next_job()) is not None:
        found.append(one)
    return found


def test_no_more_begin_than_there_are_places() -> None:
    assert [str(one.route) for one in begun(filled("a", each=5))] == ["smtp:a:25"] * 2
    assert [str(one.route)[5] for one in begun(filled("a", "b", "c", each=5))] == ["a", "b", "c", "a"]


def test_a_finished_job_makes_room_and_the_lanes_take_turns() -> None:
    lanes = filled("a", "b", "c", each=3)
    running = begun(lanes)
    turn = []
    while running:
        lanes.finish(running.pop(0))
        more = begun(lanes)
        turn += [str(one.route)[5] for one in more]
        running += more
    assert sorted(turn) == ["a", "b", "b", "c", "c"]
    assert len(lanes) == 0
    assert lanes.next_job() is None


def test_a_full_lane_takes_no_more() -> None:
    lanes = filled("a", each=10)
    extra = job("a", 10)
    assert not lanes.add(extra)
    assert lanes.find(extra.batch) is None
    lanes.put_aside(extra.route, extra.batch)
    assert lanes.take_aside() == []
    for one in begun(lanes):
        lanes.finish(one)
    for _ in range(3):
        for one in begun(lanes):
            lanes.finish(one)
    assert lanes.wants_aside
    assert lanes.take_aside() == [extra.batch]
    assert lanes.take_aside() == []
    assert not lanes.wants_aside


def test_what_is_worth_leasing() -> None:
    assert Lanes(LIMITS).worth_leasing(0.0) == 10
    assert Lanes(RunnerLimits()).worth_leasing(0.0) == 100
    assert filled("a", each=4).worth_leasing(0.0) == 6
    full = filled("a", each=10)
    assert full.worth_leasing(0.0) == 15  # a few, to see whether there is mail for another
    assert full.worth_leasing(0.9) == 0
    assert full.worth_leasing(1.0) == 15
    assert filled("a", "b", each=10).worth_leasing(0.0) == 5
    both = filled("a", "b", each=10)
    for number in range(5):
        both.add(job("c", number))
    assert both.worth_leasing(0.0) == 0


def test_all_that_waits_is_taken_out_and_what_is_under_way_is_not() -> None:
    lanes = filled("a", each=10)
    aside = job("a", 99).batch
    lanes.put_aside(Smtp("a", 25), aside)
    running = begun(lanes)
    taken = lanes.take_waiting()
    assert len(taken) == 9
    assert taken[-1] == aside
    assert [one.key for one in lanes] == [one.key for one in running]
    for one in running:
        lanes.finish(one)
    assert len(lanes) == 0
