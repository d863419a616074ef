"""How far a diagnosis is, on one line of standard error, and only where a person looks."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from postroad.cli.columns import cut, width
from postroad.diagnosis.telling import span
from postroad.observe.printable import printable

if TYPE_CHECKING:
    from postroad.diagnosis.diagnosing import Progress
    from postroad.diagnosis.telling import Teller

#: Seconds between two paintings of the line.
_OFTEN: Final = 0.05
#: Seconds after which the line counts on while nothing happens.
_TICK: Final = 1.0
#: Seconds of one step from which they are shown.
_LONG: Final = 2.0


class Watcher:
    """Hears the progress; ``end`` wipes the line."""

    def __init__(self, teller: Teller, clock: Callable[[], float] = time.monotonic, tick: float = _TICK) -> None:
        self._teller = teller
        self._clock = clock
        self._tick_seconds = tick
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._shown = 0
        self._painted = 0.0
        self._done = self._of = 0
        self._under_way: dict[str, tuple[str, float]] = {}
        """Place -> its step, and since when; the one that is longest under way is shown."""
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, progress: Progress) -> None:
        """Something began, or was found."""
        if not self._shows or progress.finding is not None:
            return
        now = self._clock()
        self._done, self._of = max(self._done, progress.done), max(self._of, progress.of)
        self._under_way.pop("", None)  # the beginning is over once a place is looked at
        if progress.step == "done":
            self._under_way.pop(progress.place, None)
        else:
            self._under_way[progress.place] = (progress.step, now)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)
        if now - self._painted >= _OFTEN or progress.step == "hosts":
            self._show(now)

    def end(self) -> None:
        """Nothing of it stays."""
        if self._timer is not None:
            self._timer.cancel()
        if self._shown:
            self._paint("")

    def _tick(self) -> None:
        self._show(self._clock())
        self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def _show(self, now: float) -> None:
        self._painted = now
        parts = []
        if self._of:
            parts.append(self._teller.words["screen"]["hosts"].format(done=self._done, of=self._of))
        if self._under_way:
            place, (step, since) = min(self._under_way.items(), key=lambda one: one[1][1])
            seconds = now - since
            waited = f" ({span(round(seconds), self._teller.language)})" if seconds >= _LONG else ""
            parts += [part for part in (place, f"{self._teller.step(step)}{waited}") if part]
        self._paint(" · ".join(map(printable, parts)))

    def _paint(self, text: str) -> None:
        text = cut(text, max(shutil.get_terminal_size().columns - 1, 20))
        cells = width(text)
        sys.stderr.write(f"\r{text}{' ' * max(self._shown - cells, 0)}{'' if cells else chr(13)}")
        sys.stderr.flush()
        self._shown = cells
