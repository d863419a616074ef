"""Counts that outlive a restart: the file is read back whole, and a file that is damaged does no harm."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.admin.traffic import TrafficDesk
from postroad.envelope import Outcome, Result
from postroad.observe.traffic import MINUTES, NAMES, Traffic
from postroad.observe.traffic_destinations import HOURS, MAX_DESTINATIONS, Destination
from postroad.observe.traffic_file import MARK, MAX_OCTETS, NAME, TrafficFile, dump, restore
from postroad.replies import Reply
from tests.observe.test_traffic import DAY, DELIVERED, HOUR, MINUTE, NOON, Counted, StillClock, draft


def filled() -> Counted:
    counted = Counted()
    for back in range(30, -1, -1):
        counted.clock.now = NOON - back * HOUR
        counted.traffic.accepted([draft()] * (back + 1))
        counted.settle(f"kana@d{back % 7}.example", DELIVERED, Result(1, Outcome.FAILED))
        counted.metrics.said("RCPT", Reply(550, "No such user", "5.1.1"))
        counted.traffic.sample()
    return counted


def looks(traffic: Traffic) -> list[object]:
    """All that can be asked."""
    desk = TrafficDesk(traffic)
    return [
        desk.totals(DAY),
        desk.totals(8 * DAY),
        desk.series(DAY, MINUTE),
        desk.series(8 * DAY, HOUR),
        list(desk.codes(8 * DAY).items()),
        list(desk.destinations(8 * DAY).items()),
    ]


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    before = filled()
    asyncio.run(TrafficFile(tmp_path, before.traffic).save())
    after = Counted()
    TrafficFile(tmp_path, after.traffic).load()
    assert looks(after.traffic) == looks(before.traffic)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [NAME]
    after.metrics.said("RCPT", Reply(550, "No such user", "5.1.1"))  # a new process counts from nothing
    assert after.desk.code(550, 2 * DAY).said == before.desk.code(550, 2 * DAY).said + 1


def test_it_is_written_only_when_something_was_counted(tmp_path: Path) -> None:
    counted = Counted()
    file = TrafficFile(tmp_path, counted.traffic)
    asyncio.run(file.save())
    assert os.listdir(tmp_path) == []
    counted.metrics.said("RCPT", Reply(550, "No such user", "5.1.1"))
    asyncio.run(file.save())
    (tmp_path / NAME).unlink()
    asyncio.run(file.save())
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    counted = filled()
    folder = tmp_path / "gone"
    file = TrafficFile(folder, counted.traffic)
    asyncio.run(file.save())
    folder.mkdir()
    asyncio.run(file.save())
    assert os.listdir(folder) == [NAME]


@pytest.mark.parametrize(
    "damage",
    [
        lambda octets: b"",
        lambda octets: octets[:-1],
        lambda octets: octets + b"\0",
        lambda octets: octets.replace(MARK, b"postroad traffic 2\n"),
        lambda octets: octets[len(MARK) :],
        lambda octets: octets.replace(b"accepted", b"rejected"),
        lambda octets: MARK + b"\x91" * 10_000,
        lambda octets: MARK + msgspec.msgpack.encode([1, 2, 3, 4]),
        lambda octets: bytes(1000),
        lambda octets: octets + bytes(MAX_OCTETS),
    ],
)
def test_a_damaged_file_is_left_aside(damage: object, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(damage(dump(filled().traffic)))  # type: ignore[operator]
    counted = Counted()
    file = TrafficFile(tmp_path, counted.traffic)
    file.load()
    assert looks(counted.traffic) == looks(Counted().traffic)
    counted.traffic.accepted([draft()])
    asyncio.run(file.save())  # the next one takes its place
    TrafficFile(tmp_path, (again := Counted()).traffic).load()
    assert again.desk.totals(DAY).accepted == 1


def test_what_is_no_file_is_left_aside(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    TrafficFile(tmp_path, Counted().traffic).load()


@given(st.data())
def test_no_octets_do_harm(data: st.DataObject) -> None:
    whole = dump(filled().traffic)
    place = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(max_size=30))
    counted = Counted()
    try:
        restore(counted.traffic, whole[:place] + junk + whole[place + len(junk) :])
    except (ValueError, OverflowError, msgspec.MsgspecError):
        assert looks(counted.traffic) == looks(Counted().traffic)
    counted.traffic.accepted([draft()])
    counted.settle("kana@d1.example", DELIVERED)
    looks(counted.traffic)


@given(st.lists(st.text(st.characters(), max_size=40), unique=True, max_size=8))
def test_any_name_is_kept(names: list[str]) -> None:
    counted = Counted()
    for name in names:
        counted.traffic.destinations.add(name, NOON, 0)
    after = Traffic(StillClock())
    restore(after, dump(counted.traffic))
    assert list(after.destinations.all) == names


def test_the_worst_there_can_be_fits() -> None:
    counted = Counted()
    now = int(NOON // HOUR)
    rows = [number for hour in range(now - HOURS, now + 1) for number in (hour, 2**32 - 1, 2**32 - 1, 2**32 - 1)]
    worst = {f"{number}.".ljust(255, "é"): Destination(rows, NOON, NOON) for number in range(MAX_DESTINATIONS)}
    counted.traffic.destinations.replace(worst)
    for minute in range(MINUTES):
        for name in range(len(NAMES)):
            counted.traffic.minutes.add(NOON - minute * MINUTE, name, 2**40)
    octets = dump(counted.traffic)
    assert len(octets) < MAX_OCTETS
    after = Traffic(StillClock())
    restore(after, octets)
    assert len(after.destinations.all) == MAX_DESTINATIONS
