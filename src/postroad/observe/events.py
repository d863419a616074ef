"""What just happened, for whoever looks on: a short memory of events, in order, without gaps as far back as it goes.

Telling is cheap: one topic makes an event at most every ``GAP`` seconds, and what comes meanwhile is put together to the
next one. No event holds an address or a word of a message: it says that there is something new, not what.

| topic | what it tells |
|---|---|
| accepted | ``messages`` that were accepted, ``removed`` ones, up to 5 ``ids`` |
| settled | recipients ``delivered``, ``deferred``, ``failed``, ``held``; up to 5 ``ids`` of their messages |
| session | a session ended: ``sessions``, the newest one's ``id``, ``refused`` (sessions in which something was) |
| conditions | what is refused for a time has changed |
| queue | the operator did something: ``action``, ``changed`` recipients |

An id is ``<process>-<number>``. Whoever comes back with one of another process, or of one too long ago, has missed
something and has to look again (``resync``).
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

TOPICS: Final = ("accepted", "settled", "session", "conditions", "queue")
RESYNC: Final = "resync"
#: Events that are remembered.
KEPT: Final = 1_000
#: Seconds between two events of a topic.
GAP: Final = 0.05
#: Ids in one event.
MAX_IDS: Final = 5

_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})\Z")

Data = Mapping[str, int | str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    id: str
    topic: str
    """One of TOPICS, or RESYNC: something was missed."""
    data: Data


@dataclass(slots=True)
class _Topic:
    """What is to be told next of a topic."""

    waiting: dict[str, int | str | list[str]] | None = None
    """Put together since the last event; None: nothing."""
    timer: asyncio.TimerHandle | None = None
    """Runs until the next event may be made."""


@dataclass(slots=True)
class Events:
    """The events of one process. Made and used in one event loop; without one, every event is told at once."""

    process: str = field(default_factory=lambda: secrets.token_hex(4))
    _kept: deque[tuple[int, str, Data]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _number: int = 0
    _topics: dict[str, _Topic] = field(default_factory=lambda: {topic: _Topic() for topic in TOPICS})
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    followers: int = 0
    """Who looks on; counted by those themselves."""

    # --- telling

    def publish(self, topic: str, ids: Sequence[str] = (), /, **data: int | str) -> None:
        """Something happened: numbers are added up, of texts the last stays, of ids the first MAX_IDS do."""
        state = self._topics[topic]
        state.waiting = _joined(state.waiting or {}, ids, data)
        if state.timer is None:
            self._flush(topic)

    def _flush(self, topic: str) -> None:
        """Tell what waits, and let nothing more out for GAP seconds."""
        state = self._topics[topic]
        state.timer = None
        if state.waiting is None:
            return
        self._number += 1
        self._kept.append((self._number, topic, state.waiting))
        state.waiting = None
        self.wake()
        try:
            state.timer = asyncio.get_running_loop().call_later(GAP, self._flush, topic)
        except RuntimeError:  # no loop: nobody can be waiting, either
            return

    def wake(self) -> None:
        """Let all who wait look again, though nothing has happened: some of them may have to end."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # --- following

    @property
    def last(self) -> str:
        """The id of the newest event: whoever looks at everything now goes on behind it."""
        return f"{self.process}-{self._number}"

    @property
    def changed(self) -> asyncio.Event:
        """Set with the next event. Take it in hand before looking, and nothing is missed."""
        return self._changed

    def behind(self, last: str) -> tuple[Sequence[Event], str]:
        """The events behind the one with this id, and the id to go on from; ``""``: none, from now on.

        One RESYNC alone when there may have been others that are not known any more.
        """
        if not last:
            return (), self.last
        known = _ID.match(last)
        number = int(known[2]) if known is not None and known[1] == self.process else None
        oldest = self._kept[0][0] if self._kept else self._number + 1
        if number is None or not oldest - 1 <= number <= self._number:
            return (Event(self.last, RESYNC, {}),), self.last
        missed = self._number - number
        found = [self._kept[place] for place in range(len(self._kept) - missed, len(self._kept))]
        return [Event(f"{self.process}-{each}", topic, data) for each, topic, data in found], self.last


def _joined(
    waiting: dict[str, int | str | list[str]], ids: Sequence[str], data: Mapping[str, int | str]
) -> dict[str, int | str | list[str]]:
    for name, value in data.items():
        before = waiting.get(name, 0)
        waiting[name] = before + value if isinstance(before, int) and isinstance(value, int) else value
    if ids:
        kept = waiting.setdefault("ids", [])
        if isinstance(kept, list):
            kept.extend([one for one in dict.fromkeys(ids[: MAX_IDS * 2]) if one not in kept][: MAX_IDS - len(kept)])
    return waiting
