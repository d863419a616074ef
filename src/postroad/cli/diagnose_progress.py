"""How far a diagnosis is, on one line of standard error, and only where a person looks."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Final

from postroad.cli.columns import cut, width

if TYPE_CHECKING:
    from postroad.diagnosis.diagnosing import Progress
    from postroad.diagnosis.telling import Teller

#: Seconds between two paintings of the line.
_OFTEN: Final = 0.05


class Watcher:
    """Hears the progress; ``end`` wipes the line."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._shown = 0
        self._painted = 0.0

    def hear(self, progress: Progress) -> None:
        """Something began, or was found."""
        if not self._shows or progress.finding is not None:
            return
        now = time.monotonic()
        if now - self._painted < _OFTEN and progress.step != "hosts":
            return
        self._painted = now
        parts = []
        if progress.of:
            parts.append(self._teller.words["screen"]["hosts"].format(done=progress.done, of=progress.of))
        parts += [part for part in (progress.place, self._teller.step(progress.step)) if part]
        self._paint(" · ".join(parts))

    def end(self) -> None:
        """Nothing of it stays."""
        if self._shown:
            self._paint("")

    def _paint(self, text: str) -> None:
        text = cut(text, max(shutil.get_terminal_size().columns - 1, 20))
        cells = width(text)
        sys.stderr.write(f"\r{text}{' ' * max(self._shown - cells, 0)}{'' if cells else chr(13)}")
        sys.stderr.flush()
        self._shown = cells
