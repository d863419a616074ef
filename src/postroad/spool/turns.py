"""Whose turn it is: recipients that are due, in order, without those whose destinations are busy.

In order as long as few are passed over; when very many due recipients of busy destinations stand in front, by
stepping from destination to destination through an index, so that what is passed over costs one step each however much
of it waits. Where the stepping ended it goes on the next time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import apsw

#: Recipients passed over before destinations are gone through instead.
_PASSED_OVER: Final = 1000
#: Destinations that one call goes through at most.
_VISITS: Final = 2000

_RANKS: Final = "SELECT min(rank) FROM recipient INDEXED BY recipient_wake WHERE wake IS NOT NULL AND rank > ?"
_DUE: Final = (
    "SELECT message, CAST(destination AS BLOB) FROM recipient INDEXED BY recipient_wake"
    " WHERE rank = ? AND wake <= ? ORDER BY wake, message, number"
)
_DUE_AT: Final = (
    "SELECT message FROM recipient INDEXED BY recipient_site WHERE destination = CAST(? AS TEXT) AND wake <= ?"
    " ORDER BY wake, message"
)
_WAKES: Final = (
    "SELECT wake, CAST(destination AS BLOB) FROM recipient INDEXED BY recipient_wake"
    " WHERE rank = ? AND wake IS NOT NULL ORDER BY wake"
)
_HEAD: Final = (
    "(SELECT r.wake FROM recipient AS r INDEXED BY recipient_site"
    " WHERE r.destination = {} AND r.wake IS NOT NULL ORDER BY r.wake LIMIT 1)"
)
#: Destinations behind ``?1`` with the first wake of each.
_SITES: Final = (
    "WITH RECURSIVE site(name) AS ("
    " SELECT min(destination) FROM recipient WHERE destination > CAST(?1 AS TEXT)"
    " UNION ALL SELECT (SELECT min(destination) FROM recipient WHERE destination > site.name)"
    " FROM site WHERE site.name IS NOT NULL)"
    " SELECT CAST(name AS BLOB), " + _HEAD.format("site.name") + " FROM site WHERE name IS NOT NULL LIMIT ?2"
)
_COUNT: Final = (
    "SELECT count(*) FROM"
    " (SELECT 1 FROM recipient INDEXED BY recipient_site WHERE destination = ? AND wake <= ? LIMIT ?)"
)
_HEAD_OF: Final = "SELECT " + _HEAD.format("?")

Group = tuple[int, bytes]
"""A message's key and a destination."""


class Turns:
    """Remembers where the stepping through destinations goes on."""

    __slots__ = ("_after",)

    def __init__(self) -> None:
        self._after = b""

    def due(
        self, connection: apsw.Connection, now: float, limit: int, hidden: Collection[bytes], per_destination: int
    ) -> list[Group]:
        """At most ``limit`` groups that are due, and ``per_destination`` (0: any number) of one destination."""
        picked = _Picked(limit, hidden, per_destination)
        if limit > 0 and not all(_in_order(connection, rank, now, picked) for rank in _ranks(connection)):
            self._by_destination(connection, now, picked)
        return list(picked.groups)

    def _by_destination(self, connection: apsw.Connection, now: float, picked: _Picked) -> None:
        """Take a fair share of each destination that may have one, those that wait longest first."""
        found = [(wake, name) for name, wake in self._visit(connection) if wake is not None and wake <= now]
        heads = sorted((wake, name) for wake, name in found if picked.may_have(name))
        room = picked.limit - len(picked.groups)
        share = -(-room // max(len(heads), 1))
        for _, name in heads:
            end = len(picked.groups) + share
            cursor = connection.execute(_DUE_AT, (name, now))
            for (message,) in cursor:
                if not picked.take(message, name) or len(picked.groups) >= end:
                    break
            cursor.close()
            if picked.full:
                return

    def _visit(self, connection: apsw.Connection) -> list[tuple[bytes, float | None]]:
        """The next destinations in turn, each once."""
        begin = self._after
        found: list[tuple[Any, ...]] = connection.execute(_SITES, (begin, _VISITS)).fetchall()
        if len(found) < _VISITS and begin:
            more: list[tuple[Any, ...]] = connection.execute(_SITES, (b"", _VISITS - len(found))).fetchall()
            found += [row for row in more if row[0] <= begin]
        self._after = found[-1][0] if len(found) >= _VISITS else b""
        return [(name, wake) for name, wake in found]


class _Picked:
    """The groups found so far, and who may have more."""

    __slots__ = ("_counts", "_hidden", "_per_destination", "full", "groups", "limit")

    def __init__(self, limit: int, hidden: Collection[bytes], per_destination: int) -> None:
        self.groups: dict[Group, None] = {}
        self.limit = limit
        self.full = False
        self._hidden = hidden
        self._per_destination = per_destination
        self._counts: dict[bytes, int] = {}

    def may_have(self, destination: bytes) -> bool:
        cap = self._per_destination
        return destination not in self._hidden and not (cap and self._counts.get(destination, 0) >= cap)

    def take(self, message: int, destination: bytes) -> bool:
        """False: not this one, or no more at all."""
        group = message, destination
        if group in self.groups:
            return True
        if not self.may_have(destination):
            return False
        if len(self.groups) >= self.limit:
            self.full = True
            return False
        self.groups[group] = None
        self._counts[destination] = self._counts.get(destination, 0) + 1
        return True


def _ranks(connection: apsw.Connection) -> Iterator[int]:
    rank = -(1 << 63)
    while isinstance(found := connection.execute(_RANKS, (rank,)).get, int):
        yield found
        rank = found


def _in_order(connection: apsw.Connection, rank: int, now: float, picked: _Picked) -> bool:
    """Take what is due of one rank; False when too many were passed over before enough were found."""
    passed_over = 0
    cursor = connection.execute(_DUE, (rank, now))
    try:
        for message, destination in cursor:
            if not picked.take(message, destination):
                if picked.full:
                    return True
                passed_over += 1
                if passed_over >= _PASSED_OVER:
                    return False
    finally:
        cursor.close()
    return True


def next_wake(connection: apsw.Connection, busy: Collection[bytes], postponed: Mapping[bytes, float]) -> float | None:
    """When the first recipient may be leased, leaving out busy destinations."""
    moments = [
        max(wake, until)
        for name, until in postponed.items()
        if name not in busy and isinstance(wake := connection.execute(_HEAD_OF, (_text(name),)).get, float)
    ]
    for rank in _ranks(connection):
        wake = _first_wake(connection, rank, {*busy, *postponed})
        if wake == _UNKNOWN:
            heads = connection.execute(_SITES, (b"", -1))
            others = (wake for name, wake in heads if name not in busy and name not in postponed)
            return min([*moments, *(wake for wake in others if wake is not None)], default=None)
        if wake is not None:
            moments.append(wake)
    return min(moments, default=None)


_UNKNOWN: Final = float("-inf")


def _first_wake(connection: apsw.Connection, rank: int, hidden: Collection[bytes]) -> float | None:
    """Of one rank; _UNKNOWN when too many stand in front."""
    cursor: Any = connection.execute(_WAKES, (rank,))
    try:
        for passed_over, (wake, destination) in enumerate(cursor):
            if destination not in hidden:
                return float(wake)
            if passed_over >= _PASSED_OVER:
                return _UNKNOWN
    finally:
        cursor.close()
    return None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def octets_of(names: Collection[str]) -> frozenset[bytes]:
    """Destinations as they are compared here."""
    return frozenset(map(octets_of_name, names))


def octets_of_name(name: str) -> bytes:
    """One destination as it is compared here."""
    return name.encode("utf-8", "surrogatepass")


def queued_for(connection: apsw.Connection, destination: str, now: float, limit: int) -> int:
    """How many recipients of a destination are due by then, counted no further than ``limit``."""
    return int(connection.execute(_COUNT, (destination, now, limit)).get)  # strict: a count
