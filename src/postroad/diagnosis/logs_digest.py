"""All that is wanted of one or more logs: filtered, explained, counted; a block in, events out, memory flat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from postroad.diagnosis.logs_event import Event, Stamps
from postroad.diagnosis.logs_groups import Groups
from postroad.diagnosis.logs_reading import LogLines, readers
from postroad.diagnosis.logs_reasons import Reasons
from postroad.replies.catalogue import Catalogue
from postroad.replies.classify import Classification


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events count."""

    destination: str = ""
    """The recipient's domain holds this."""
    since: float = 0.0
    """Seconds since the epoch; a line without a moment is older than any."""
    format: str = ""
    """A name of FORMATS; empty: found by itself."""


class Told(NamedTuple):
    """An event, which program wrote it, and what it means."""

    event: Event
    format: str
    found: Classification


@dataclass(slots=True)
class Digest:
    """What was read so far. ``begin`` before the blocks of each log, ``finish`` behind them."""

    catalogue: Catalogue
    wanted: Wanted = Wanted()
    groups: Groups = field(default_factory=Groups)
    lines: int = 0
    octets: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    """Events that counted, by format; a format without any was recognised, too."""
    _reasons: Reasons = field(init=False)
    _log: LogLines | None = None

    def __post_init__(self) -> None:
        self._reasons = Reasons(self.catalogue)

    @property
    def events(self) -> int:
        """Events that counted."""
        return sum(self.formats.values())

    def begin(self, reference: float) -> None:
        """Another log; for ``reference`` see ``Stamps``."""
        chosen = readers((self.wanted.format,)) if self.wanted.format else ()
        self._log = LogLines(Stamps(reference), chosen)

    def renew(self, reference: float) -> None:
        """The log that is being read goes on until then."""
        if self._log is not None:
            self._log.stamps.renew(reference)

    def feed(self, block: bytes) -> Iterator[Told]:
        """The next octets of the log; the events must be taken all."""
        log = self._log
        if log is None:
            raise ValueError("begin comes first")
        yield from self._take(log, log.feed(block))
        self._count(log)

    def finish(self) -> Iterator[Told]:
        """The log has ended."""
        if (log := self._log) is not None:
            yield from self._take(log, log.finish())
            self._count(log)
            self._log = None

    def read(self, block: bytes) -> None:
        """As ``feed``, for who wants the counts alone."""
        for _ in self.feed(block):
            pass

    def _count(self, log: LogLines) -> None:
        self.lines += log.lines
        self.octets += log.octets
        log.lines = log.octets = 0
        for reader in log.found:
            self.formats[reader.name] += 0

    def _take(self, log: LogLines, events: Iterator[Event]) -> Iterator[Told]:
        wanted, since, find, add = (
            self.wanted.destination.lower(),
            self.wanted.since,
            self._reasons.find,
            self.groups.add,
        )
        for event in events:
            if (since and event.at < since) or (wanted and wanted not in event.destination):
                continue
            found = find(event)
            add(event, found)
            self.formats[log.writer] += 1
            yield Told(event, log.writer, found)
