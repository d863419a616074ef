"""Answers kept for as long as they may be believed: a bounded store in which the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from postroad.clock import Clock
from postroad.net.dns_errors import DnsError
from postroad.net.dns_message import Facts


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known: records, or why there are none."""

    known: Facts | DnsError
    seconds: float
    """How long it may be believed; 0 or less: not kept."""

    def take(self) -> Facts:
        """The records; raises the DnsError that is known instead."""
        if isinstance(self.known, DnsError):
            raise self.known.again()
        return self.known


class Cache:
    """(name, record type) -> Entry; type None stands for all types (NXDOMAIN, RFC 2308 section 5)."""

    def __init__(self, size: int, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[tuple[str, int | None], tuple[Entry, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str, kind: int) -> Entry | None:
        """What is known about the name now, or None."""
        return self._one((name, None)) or self._one((name, kind))

    def put(self, name: str, kind: int | None, entry: Entry) -> None:
        """Keep for ``entry.seconds``."""
        if entry.seconds <= 0 or self._size <= 0:
            return
        key = (name, kind)
        self._entries[key] = entry, self._clock.monotonic() + entry.seconds
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _one(self, key: tuple[str, int | None]) -> Entry | None:
        found = self._entries.get(key)
        if found is None:
            return None
        entry, until = found
        if self._clock.monotonic() >= until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry
