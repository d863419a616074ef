"""Traffic that outlives a restart: one small file, replaced in one step.

A file that is damaged, cut off or of another release is told in the log and left aside: what was counted is no mail.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from postroad.observe.log import get_logger
from postroad.observe.metrics import Direction
from postroad.observe.traffic import Traffic
from postroad.observe.traffic_destinations import HOURS, WIDTH, Destination
from postroad.observe.traffic_rings import Ring

log = get_logger("observe")

NAME: Final = "traffic"
#: The first line; another release that keeps other things writes another.
MARK: Final = b"postroad traffic 1\n"
#: Octets of a file that are read at most: more was not written by us.
MAX_OCTETS: Final = 32 * 1024 * 1024


class _Buckets(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    names: list[str]
    step: int
    which: bytes
    counts: bytes


class _Place(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    name: bytes
    """UTF-8, lone surrogates kept: it is a peer's."""
    rows: list[int]
    delivered: float | None
    failed: float | None


class _Kept(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    minutes: _Buckets
    hours: _Buckets
    codes: dict[int, list[tuple[Direction, int, int]]]
    """Hour -> direction, code, count."""
    destinations: list[_Place]


class TrafficFile:
    """The file of one state folder."""

    def __init__(self, folder: Path, traffic: Traffic) -> None:
        self._path = folder / NAME
        self._traffic = traffic
        self._written = 0

    def load(self) -> None:
        """Take in what was kept; never raises."""
        try:
            with self._path.open("rb") as file:
                octets = file.read(MAX_OCTETS + 1)
            restore(self._traffic, octets)
        except FileNotFoundError:
            return
        except (OSError, ValueError, OverflowError, msgspec.MsgspecError, RecursionError) as fault:
            log.warning(
                "the counts of before cannot be read and are left aside", file=str(self._path), cause=str(fault)
            )

    async def save(self) -> None:
        """Write it when something was counted since it was last written; a fault is logged, and it is tried again."""
        self._traffic.sample()
        changes = self._traffic.changes
        if changes == self._written:
            return
        octets = dump(self._traffic)
        try:
            await asyncio.get_running_loop().run_in_executor(None, _replace, self._path, octets)
        except OSError as fault:
            log.warning("the counts could not be stored", file=str(self._path), cause=str(fault))
            return
        self._written = changes


def dump(traffic: Traffic) -> bytes:
    """All that was counted."""
    codes = {hour: [(*key, count) for key, count in found.items()] for hour, found in traffic.codes.items()}
    places = [
        _Place(name.encode("utf-8", "surrogatepass"), one.rows, one.last_delivered_at, one.last_failed_at)
        for name, one in traffic.destinations.all.items()
    ]
    kept = _Kept(_buckets(traffic.minutes), _buckets(traffic.hours), codes, places)
    return MARK + msgspec.msgpack.encode(kept)


def restore(traffic: Traffic, octets: bytes) -> None:
    """Take in what ``dump`` gave; what is no such thing raises ValueError, OverflowError or MsgspecError and changes nothing."""
    if not octets.startswith(MARK) or len(octets) > MAX_OCTETS:
        raise ValueError("it is not of this release")
    kept = msgspec.msgpack.decode(memoryview(octets)[len(MARK) :], type=_Kept)
    minutes, hours = _ring(kept.minutes, traffic.minutes), _ring(kept.hours, traffic.hours)
    places = {one.name.decode("utf-8", "surrogatepass"): _destination(one) for one in kept.destinations}
    traffic.minutes, traffic.hours = minutes, hours
    traffic.codes = {
        hour: Counter({(direction, code): count for direction, code, count in rows})
        for hour, rows in sorted(kept.codes.items())
    }
    traffic.destinations.replace(places)


def _buckets(ring: Ring) -> _Buckets:
    return _Buckets(list(ring.names), ring.step, *ring.dump())


def _ring(kept: _Buckets, like: Ring) -> Ring:
    """A ring of the same shape with what was kept."""
    if tuple(kept.names) != like.names or kept.step != like.step:
        raise ValueError("other things were counted")
    made = Ring(like.names, like.step, like.size)
    made.load(kept.which, kept.counts)
    return made


def _destination(kept: _Place) -> Destination:
    if len(kept.rows) % WIDTH or len(kept.rows) > WIDTH * (HOURS + 1):
        raise ValueError("a destination of another shape")
    return Destination(kept.rows, kept.delivered, kept.failed)


def _replace(path: Path, octets: bytes) -> None:
    """In one step, but not synced: after a power cut it may be the old one, or damaged, and either does no harm."""
    aside = path.with_name(path.name + ".new")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(octets)
    aside.replace(path)
