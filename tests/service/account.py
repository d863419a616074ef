"""What became of every recipient that was promised: from what next hops, mailboxes, queue, reports and journal show.

Each ``Key`` is a message, by the server's id, and one recipient. ``faults`` knows nothing of how the facts were gathered,
so that it can be shown to find what is wrong.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

Key = tuple[str, str]

_TRACE_ID = re.compile(rb"\tid ([0-9A-Za-z-]+)|[ \t]id ([0-9A-Za-z-]+)")


@dataclass(frozen=True, slots=True)
class Taken:
    """One arrival at a next hop, which keeps it: ``cut`` when we were not told so."""

    cut: bool = False
    era: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One attempt in the journal."""

    outcome: str
    uncertain: bool = False


@dataclass
class Account:
    """The facts."""

    promised: set[Key] = field(default_factory=set)
    """Acknowledged, of those with a reply to RCPT that promised something."""
    taken: dict[Key, list[Taken]] = field(default_factory=lambda: defaultdict(list))
    """In the order of arrival."""
    stored: Counter[Key] = field(default_factory=Counter)
    """Files in mailboxes."""
    waiting: set[Key] = field(default_factory=set)
    """Queued or held."""
    told: Counter[Key] = field(default_factory=Counter)
    """Reports of failure, each report once however often it is there."""
    asked_for_silence: set[Key] = field(default_factory=set)
    """NOTIFY without FAILURE."""
    journal: dict[Key, list[Line]] = field(default_factory=lambda: defaultdict(list))

    @property
    def lost(self) -> set[Key]:
        """Promised, and now nowhere."""
        return {key for key in self.promised if not self._is_somewhere(key)}

    @property
    def duplicates(self) -> int:
        """Arrivals beyond the first of each."""
        return sum(max(self._arrivals(key) - 1, 0) for key in {*self.taken, *self.stored})

    @property
    def after_a_cut(self) -> int:
        """Of the duplicates, those before which a next hop kept what it did not acknowledge."""
        return sum(before.cut for taken in self.taken.values() for before in taken[:-1])

    @property
    def uncertain(self) -> int:
        """Marks in the journal."""
        return sum(line.uncertain for lines in self.journal.values() for line in lines)

    def faults(self) -> list[str]:
        """Everything that breaks the contract."""
        keys = {*self.promised, *self.taken, *self.stored, *self.waiting, *self.told, *self.journal}
        return [f"{key[0]} to {key[1]}: {fault}" for key in sorted(keys) for fault in self._faults(key)]

    def _is_somewhere(self, key: Key) -> bool:
        silent = key in self.asked_for_silence and any(line.outcome == "failed" for line in self._lines(key))
        return bool(self._arrivals(key) or key in self.waiting or self.told[key] or silent)

    def _arrivals(self, key: Key) -> int:
        return len(self.taken.get(key, ())) + self.stored[key]

    def _lines(self, key: Key) -> list[Line]:
        return self.journal.get(key, [])

    def _faults(self, key: Key) -> Iterator[str]:
        if key in self.promised and not self._is_somewhere(key):
            yield "lost"
        yield from self._faults_of_the_end(key)
        yield from self._faults_of_repetition(key)

    def _faults_of_the_end(self, key: Key) -> Iterator[str]:
        lines = self._lines(key)
        ends = [line.outcome for line in lines if line.outcome in ("delivered", "failed")]
        if len(ends) > 1:
            yield f"ended more than once: {ends}"
        if ends and (lines[-1].outcome != ends[-1] or key in self.waiting):
            yield "tried, or kept, after its end"
        failed = ends.count("failed")
        if failed and key not in self.asked_for_silence and self.told[key] != failed:
            yield f"failed {failed} times, reported {self.told[key]} times"
        if not failed and self.told[key]:
            yield "reported, and did not fail"

    def _faults_of_repetition(self, key: Key) -> Iterator[str]:
        lines, taken = self._lines(key), self.taken.get(key, [])
        delivered = sum(line.outcome == "delivered" for line in lines)
        if delivered > sum(not one.cut for one in taken) + self.stored[key]:
            yield "written down as delivered, and nobody has it"
        uncertain = sum(line.uncertain for line in lines)
        if self._arrivals(key) > delivered + uncertain:
            yield f"{self._arrivals(key)} arrivals, {delivered} delivered and {uncertain} uncertain in the journal"
        for before, after in pairwise(taken):
            if not before.cut and before.era == after.era:
                yield "handed over again although the reply was read, and nothing was killed"


def trace_id(message: bytes) -> str:
    """The id in the newest trace line."""
    found = _TRACE_ID.search(message)
    assert found is not None, message[:500]
    return (found[1] or found[2]).decode()


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery report."""

    id: str
    message: str
    """The id of the message that it is about."""
    recipients: tuple[tuple[str, str], ...]
    """(Action, address)"""


def read_report(octets: bytes) -> Told:
    """A report as it lies in a mailbox (RFC 3464)."""
    parsed: Any = email.message_from_bytes(octets, policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report", octets[:300]
    status = next(part for part in parsed.walk() if part.get_content_type() == "message/delivery-status")
    first, *recipients = status.get_payload()
    told = tuple((one["Action"], one["Final-Recipient"].partition(";")[2].strip()) for one in recipients)
    report_id = parsed["Message-ID"].removeprefix("<").partition(".report@")[0]
    return Told(report_id, first["X-Postroad-Message-Id"], told)


def files_of(maildir: Path) -> list[bytes]:
    """Every message in a maildir."""
    return [path.read_bytes() for path in sorted((maildir / "new").iterdir())] if (maildir / "new").is_dir() else []
