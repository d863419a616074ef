"""The life of a message as entries, newest first: attempts, what operators did, who was told, and how it came. Pure.

An attempt that came to the same as the one after it is folded away below that one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from postroad.admin.queue import Case
from postroad.admin.queue_actions import BOUNCED, DROPPED, HELD_BY_OPERATOR
from postroad.envelope import Attempt, Outcome, Result
from postroad.replies import Reply

#: Entries on a page.
PAGE: Final = 50
#: Outcomes of one attempt that are told apart.
MAX_OUTCOMES: Final = 20

_DIGITS: Final = re.compile(r"[0-9]+")
#: How an operator's act, or ours, is told from a host's answer, by the outcome and by what its note begins with.
_ACTS: Final = (
    (Outcome.FAILED, DROPPED, "drop"),
    (Outcome.FAILED, BOUNCED, "bounce"),
    (Outcome.HELD, HELD_BY_OPERATOR, "hold"),
    (Outcome.HELD, "", "held"),
    (Outcome.DEFERRED, "released", "release"),
)


@dataclass(frozen=True, slots=True)
class Came:
    """What an attempt came to for recipients that were answered alike."""

    result: Result
    """Of the first of them."""
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    kind: str
    """``try``, ``accepted``; of an operator ``hold``, ``release``, ``drop``, ``bounce``; of ours ``held``, ``expired``,
    ``interrupted``, ``told-failure``, ``told-delay``, ``told-success``, or ``note``.
    """
    at: float
    number: int = 0
    """Of a try: from 1, the oldest."""
    attempt: Attempt | None = None
    came: tuple[Came, ...] = ()
    left_out: int = 0
    """Outcomes beyond those in ``came``."""
    note: str = ""
    count: int = 0
    """Recipients it is about."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, and the tries just before it that came to the same."""

    place: int
    """From 0, the oldest: it stays when newer ones come."""
    event: Event
    same: tuple[Event, ...] = ()
    """Newest first."""

    def holds(self, number: int) -> bool:
        """Whether the try of this number is here."""
        return any(one.kind == "try" and one.number == number for one in (self.event, *self.same))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A page of entries, newest first."""

    entries: tuple[Entry, ...]
    older: int | None
    """Ask for what is ``before`` this place; None: there is nothing older."""
    newer: bool
    left: int
    """Entries that are older."""


def entries(case: Case, told: Mapping[int, str], asks_success: frozenset[int] = frozenset()) -> list[Entry]:
    """All entries, oldest first. ``told``: Recipient.number -> Standing.told; ``asks_success``: NOTIFY=SUCCESS."""
    found: list[list[Event]] = []
    if case.message is not None:
        found.append([Event("accepted", case.message.received_at, count=len(case.message.recipients))])
    tries = 0
    before: tuple[object, ...] | None = None
    for attempt in case.attempts:
        if not attempt.results and not attempt.transcript:
            continue  # a lease that was given back
        tries += bool(attempt.route)
        event = _event(attempt, tries)
        key = _key(attempt) if attempt.route else None
        if key is not None and key == before:
            found[-1].append(event)
        else:
            found.append([event])
        reports = _reports(attempt, told, asks_success)
        found += [[report] for report in reports]
        before = key if not reports else None
    return [Entry(place, events[-1], tuple(reversed(events[:-1]))) for place, events in enumerate(found)]


def stretch(found: Sequence[Entry], before: int | None = None, number: int = 0) -> Stretch:
    """The entries just before a place (None: the newest), or those with a try of this ``number``."""
    end = len(found) if before is None else max(min(before, len(found)), 0)
    if number:
        at = next((one.place for one in found if one.holds(number)), len(found) - 1)
        end = len(found) - (len(found) - 1 - at) // PAGE * PAGE
    start = max(end - PAGE, 0)
    return Stretch(tuple(reversed(found[start:end])), start or None, end < len(found), start)


def together(results: Sequence[Result]) -> tuple[list[Came], int]:
    """Results in groups that are alike, the first MAX_OUTCOMES of them, and how many more groups there are."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for one in results:
        key = (one.outcome, one.uncertain, one.stage, one.reply, one.note, one.expired)
        groups.setdefault(key, []).append(one)
    found = [Came(alike[0], tuple(one.number for one in alike)) for alike in groups.values()]
    return found[:MAX_OUTCOMES], max(len(found) - MAX_OUTCOMES, 0)


def _event(attempt: Attempt, tries: int) -> Event:
    came, left_out = together(attempt.results)
    count = len(attempt.results)
    if attempt.route:
        return Event("try", attempt.at, tries, attempt, tuple(came), left_out, count=count)
    first = attempt.results[0] if attempt.results else None
    note = "" if first is None else first.note
    return Event(_kind(first), attempt.at, 0, attempt, tuple(came), left_out, note, count)


def _kind(first: Result | None) -> str:
    if first is None:
        return "note"
    for outcome, beginning, kind in _ACTS:
        if first.outcome is outcome and first.note.startswith(beginning):
            return kind
    if first.uncertain:
        return "interrupted"
    return "expired" if first.outcome is Outcome.FAILED and first.expired else "note"


def _reports(attempt: Attempt, told: Mapping[int, str], asks_success: frozenset[int]) -> list[Event]:
    """Who was told of what, in the same transaction."""
    failed = sum(1 for one in attempt.results if one.outcome is Outcome.FAILED and told.get(one.number) == "yes")
    delayed = sum(1 for one in attempt.results if one.delay_told)
    taken = sum(1 for one in attempt.results if one.outcome is Outcome.DELIVERED and one.number in asks_success)
    counts = (("told-delay", delayed), ("told-failure", failed), ("told-success", taken))
    return [Event(kind, attempt.at, count=count) for kind, count in counts if count]


def _key(attempt: Attempt) -> tuple[object, ...]:
    """What makes two tries the same: who was answered what, numbers in the texts (seconds, ids) aside."""
    return tuple(
        (one.number, one.outcome, one.uncertain, one.stage, _said(one.reply), _DIGITS.sub("0", one.note))
        for one in attempt.results
    )


def _said(reply: Reply | None) -> tuple[object, ...]:
    return () if reply is None else (str(reply)[:3], reply.enhanced, _DIGITS.sub("0", reply.text))
