"""Events: in order, put together under load, known again after a while or not, and without a word of anybody's mail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from postroad.admin.queue_filter import QueueFilter
from postroad.clock import SystemClock
from postroad.inbox.inbox import Filter
from postroad.observe.events import GAP, KEPT, MAX_IDS, RESYNC, TOPICS, Events
from postroad.policy.conditions import ConditionsBoard
from tests.web.house import House
from tests.web.queue_house import QueueHouse


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def inside() -> None:
        await work()

    asyncio.run(inside())


async def quiet(events: Events) -> None:
    """Until every topic has told what it had."""
    while any(topic.timer is not None for topic in events._topics.values()):
        await asyncio.sleep(GAP / 5)


def test_the_first_event_is_told_at_once_and_the_next_are_put_together() -> None:
    async def work() -> None:
        events = Events()
        start = events.last
        events.publish("accepted", ["a"], messages=1)
        events.publish("accepted", ["b", "c"], messages=2)
        events.publish("accepted", ["d"], messages=1)
        events.publish("queue", action="hold", changed=3)
        found, last = events.behind(start)
        assert [(one.topic, one.data) for one in found] == [
            ("accepted", {"messages": 1, "ids": ["a"]}),
            ("queue", {"action": "hold", "changed": 3}),
        ]
        await quiet(events)
        found, last = events.behind(last)
        assert [(one.topic, one.data) for one in found] == [("accepted", {"messages": 3, "ids": ["b", "c", "d"]})]
        assert events.behind(last) == ([], last)

    run(work)


def test_ids_are_few_and_said_once() -> None:
    async def work() -> None:
        events = Events()
        start = events.last
        events.publish("settled", ["a"] * 20, delivered=20)
        events.publish("settled", ["a", "b", "c"], delivered=3)
        events.publish("settled", [f"m{n}" for n in range(50)], delivered=50)
        await quiet(events)
        first, second = events.behind(start)[0]
        assert first.data == {"delivered": 20, "ids": ["a"]}
        assert second.data["delivered"] == 53
        assert second.data["ids"] == ["a", "b", "c", "m0", "m1"]
        assert len(second.data["ids"]) == MAX_IDS

    run(work)


def test_a_flood_makes_few_events_and_loses_no_count() -> None:
    async def work() -> None:
        events = Events()
        start = events.last
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for _ in range(200):
            for _ in range(50):
                events.publish("accepted", ["x"], messages=1)
            await asyncio.sleep(0)
        await quiet(events)
        most = (loop.time() - begin) / GAP + 2
        found, _ = events.behind(start)
        assert len(found) <= most
        assert sum(one.data["messages"] for one in found) == 10_000  # type: ignore[misc]

    run(work)


def test_who_comes_back_late_or_from_another_process_looks_again() -> None:
    events = Events()
    start = events.last
    for _ in range(KEPT):
        events.publish("conditions")
    found, last = events.behind(start)
    assert len(found) == KEPT
    events.publish("conditions")
    found, again = events.behind(start)
    assert [one.topic for one in found] == [RESYNC]
    assert found[0].id == again == events.last
    assert len(events.behind(last)[0]) == 1
    for strange in (Events().last, "junk", "x" * 10_000, f"{events.process}-{10**14}", f"{events.process}--1", "٣-٣"):
        found, again = events.behind(strange)
        assert [one.topic for one in found] == [RESYNC]
        assert again == events.last


def test_a_newcomer_hears_only_what_comes() -> None:
    events = Events()
    events.publish("conditions")
    assert events.behind("") == ((), events.last)


def test_without_a_loop_every_event_is_told() -> None:
    events = Events()
    start = events.last
    for topic in TOPICS:
        events.publish(topic)
    assert [one.topic for one in events.behind(start)[0]] == list(TOPICS)
    with pytest.raises(KeyError):
        events.publish("weather")


def test_what_waits_is_woken() -> None:
    async def work() -> None:
        events = Events()
        changed = events.changed
        events.publish("conditions")
        await asyncio.wait_for(changed.wait(), 5)
        changed = events.changed
        assert not changed.is_set()
        events.wake()
        await asyncio.wait_for(changed.wait(), 5)

    run(work)


# --- where they come from


def told(events: Events, start: str) -> list[tuple[str, object]]:
    return [(one.topic, one.data) for one in events.behind(start)[0]]


def test_mail_sessions_and_conditions_are_told() -> None:
    async def work() -> None:
        house = House()
        events = house.admin.events
        start = events.last
        message = await house.put(subject="secret")
        house.session("s9", refusals=("550 no",))
        await house.admin.conditions_set("SIZE", "a reason")
        await house.admin.inbox_remove(message)
        await quiet(events)
        assert told(events, start) == [
            ("accepted", {"messages": 1, "ids": [message]}),
            ("session", {"id": "s9", "sessions": 1, "refused": 1}),
            ("conditions", {}),
            ("accepted", {"removed": 1}),
        ]
        start = events.last
        house.conditions.count("SIZE")
        await house.admin.conditions_clear()
        await quiet(events)
        await house.put()
        assert await house.admin.inbox_clear(Filter()) == 1
        await quiet(events)
        assert {topic for topic, _ in told(events, start)} == {"conditions", "accepted"}

    run(work)


def test_attempts_and_the_operators_acts_are_told() -> None:
    async def work() -> None:
        house = QueueHouse()
        events = house.admin.events
        message = await house.put("kana@example.net", "ken@example.net")
        await quiet(events)
        start = events.last
        await house.tried(message)
        assert told(events, start) == [("settled", {"deferred": 2, "ids": [message]})]
        await quiet(events)
        start = events.last
        await house.admin.queue_actions.act("hold", QueueFilter(), dry_run=True)
        assert told(events, start) == []
        await house.admin.queue_actions.act("hold", QueueFilter())
        await quiet(events)
        assert told(events, start) == [
            ("settled", {"held": 2, "ids": [message]}),
            ("queue", {"action": "hold", "changed": 2}),
        ]

    run(work)


def test_a_condition_that_runs_out_is_told_when_it_is_noticed() -> None:
    heard: list[None] = []
    board = ConditionsBoard(SystemClock(), None, ("SIZE",))
    board.on_changed(lambda: heard.append(None))
    board.set("SIZE", seconds=1e-9)
    assert len(heard) == 1
    board.unavailable()
    assert len(heard) == 2
    board.unavailable()
    assert len(heard) == 2
