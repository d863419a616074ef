"""Explanations on a terminal: labelled paragraphs that wrap in every script; plain lines when nobody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from postroad.cli.columns import terminal_width, width
from postroad.observe.printable import printable

#: No line begins with these (JIS X 4051).
_NOT_FIRST = frozenset("、。，．・：；？！）」』】〉》ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ…%)],.;:!?")
#: No line ends with these.
_NOT_LAST = frozenset("（「『【〈《([")

#: Cells below which a column is no longer read with ease.
_NARROW = 20

_STYLES = {"bold": "1", "good": "32", "warn": "33", "bad": "31", "faint": "2"}


class Screen:
    """Where the lines go: so many cells wide (0 is no limit), with colour or without."""

    def __init__(self, room: int, colour: bool) -> None:
        self.room = room
        self.colour = colour
        self.lines: list[str] = []

    def style(self, text: str, name: str) -> str:
        """The text in a style of the terminal, or as it is."""
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self.colour and text else text

    def add(self, line: str = "") -> None:
        """One line, as it is."""
        self.lines.append(line.rstrip())

    def block(self, label: str, paragraphs: Iterable[str], indent: int) -> None:
        """Paragraphs under a label in the margin; nothing when there are none."""
        margin = self.style(label, "bold") + " " * (indent - width(label))
        for paragraph in paragraphs:
            if width(label) >= indent and margin != " " * indent:  # a label wider than the margin has its own line
                self.add(margin)
                margin = " " * indent
            self.hang(margin, paragraph, indent)
            margin = " " * indent

    def hang(self, first: str, text: str, indent: int) -> None:
        """A text that begins after ``first`` and goes on ``indent`` cells from the edge."""
        room = max(self.room - indent, 24) if self.room else 0
        for line in wrapped(plain(text), room):
            self.add(first + line)
            first = " " * indent

    def head(self, left: str, right: str, style: str) -> None:
        """Title at the left, class at the right, or below where a line has no room for both."""
        gap = self.room - width(left) - width(right) if self.room else 2
        if gap >= 2:
            self.add(self.style(left, "bold") + " " * gap + self.style(right, style))
            return
        for line in wrapped(left, self.room):
            self.add(self.style(line, "bold"))
        self.add(self.style(right, style))

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)


def screen(colour: str = "auto") -> Screen:
    """The screen that standard output is."""
    shown = sys.stdout.isatty()
    wanted = colour == "always" or (colour == "auto" and shown and not os.environ.get("NO_COLOR"))
    return Screen(min(terminal_width(), 100) if shown else 0, wanted)


def plain(text: str) -> str:
    """A text without the marks of literals, and without anything that could move a cursor."""
    return printable(text.replace("`", ""))


def wrapped(text: str, room: int) -> list[str]:
    """The text in lines of at most ``room`` cells; 0 leaves it in one."""
    if not room or width(text) <= room:
        return [text]
    lines, line = [], ""
    for piece in _pieces(text):
        if line and width(line) + width(piece.rstrip()) > room:
            lines.append(line.rstrip())
            line = ""
        while width(piece.rstrip()) > room:  # a word longer than a line, such as an address
            lines.append(_head(piece, room))
            piece = piece[len(lines[-1]) :]
        line += piece if line else piece.lstrip()
    return [*lines, line.rstrip()] if line.strip() else lines


def _head(text: str, room: int) -> str:
    """As many characters as fit into ``room`` cells, but one at the least."""
    used = 0
    for index, character in enumerate(text):
        used += width(character)
        if used > room and index:
            return text[:index]
    return text


def _pieces(text: str) -> Iterator[str]:
    """What must not be broken: words with the space behind them, wide characters with their punctuation."""
    piece = ""
    for character in text:
        if piece and _may_break(piece[-1], character):
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _may_break(before: str, after: str) -> bool:
    if after == " " or after in _NOT_FIRST or before in _NOT_LAST:
        return False
    return before == " " or width(before) == 2 or width(after) == 2


def columns(heads: tuple[str, str, str], rows: Iterable[tuple[str, str, str]], room: int) -> Iterator[str]:
    """A label and two texts side by side, each wrapped in its column; one below the other where that is too narrow."""
    table = [tuple(plain(cell) for cell in row) for row in (heads, *rows)]
    first = max(width(row[0]) for row in table) + 2
    cells = (room - first - 2) // 2 if room else max(width(cell) for row in table for cell in row[1:])
    if room and cells < _NARROW:
        yield from _stacked(table, room)
        return
    for label, a, b in table:
        left, right = wrapped(a, cells if room else 0), wrapped(b, cells if room else 0)
        for index in range(max(len(left), len(right))):
            name = label if index == 0 else ""
            one = left[index] if index < len(left) else ""
            other = right[index] if index < len(right) else ""
            yield f"{_padded(name, first)}{_padded(one, cells + 2)}{other}".rstrip()


def _stacked(table: list[tuple[str, ...]], room: int) -> Iterator[str]:
    (_, *heads), *rows = table
    indent = max(map(width, heads)) + 4
    for label, *texts in rows:
        yield from wrapped(label, room)
        for head, text in zip(heads, texts, strict=True):
            first, *more = wrapped(text, max(room - indent, 24))
            yield f"{_padded(f'  {head}', indent)}{first}".rstrip()
            yield from (" " * indent + line for line in more)


def _padded(text: str, cells: int) -> str:
    return text + " " * max(cells - width(text), 0)
