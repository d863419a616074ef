"""How far a long reading has come, on standard error, and only where a person looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Final

from postroad.cli.columns import cut, octets, span, width
from postroad.observe.printable import printable

_EVERY: Final = 0.2
_BAR: Final = 24


class Progress:
    """A line that is written over; nothing at all where standard error is no terminal."""

    def __init__(self, all: int | None, words: Mapping[str, str], name: str = "", wanted: bool = True) -> None:
        """``all`` is how many octets there are, None for a pipe; ``words`` has ``percent`` and ``open``."""
        self._all = all
        self._words = words
        self._name = printable(name)
        self._shown = wanted and sys.stderr.isatty()
        self._began = self._told = time.monotonic()
        self._width = 0

    def at(self, done: int) -> None:
        """``done`` octets are read; told a few times a second."""
        if not self._shown:
            return
        now = time.monotonic()
        if now - self._told < _EVERY:
            return
        self._told = now
        self._write(self._text(done, max(now - self._began, 0.001)))

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._width:
            self._write("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def _text(self, done: int, seconds: float) -> str:
        rate = done / seconds
        words = {"done": octets(done), "rate": octets(int(rate))}
        if not self._all:
            return f"{self._name}  {self._words['open'].format(**words)}"
        part = min(done / self._all, 1.0)
        left = span((self._all - done) / rate) if rate else ""
        told = self._words["percent"].format(percent=int(part * 100), all=octets(self._all), left=left, **words)
        filled = int(part * _BAR)
        return f"{self._name}  [{'#' * filled}{'.' * (_BAR - filled)}]  {told}"

    def _write(self, text: str) -> None:
        room = _columns()
        text = cut(text, room - 1) if room > 1 else text
        sys.stderr.write("\r" + text + " " * max(self._width - width(text), 0))
        sys.stderr.flush()
        self._width = width(text)


def _columns() -> int:
    import os

    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 80
