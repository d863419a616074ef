"""Text for a terminal: columns that line up in every script, and nothing in other people's text that could move a cursor."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from postroad.observe.printable import printable


def width(text: str) -> int:
    """Cells that ``text`` takes: two for wide characters, none for combining ones (UAX 11)."""
    if text.isascii():
        return len(text)
    return sum(_cells(c) for c in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, cells: int) -> str:
    """``text`` in at most ``cells`` cells, never cut inside a wide character."""
    if width(text) <= cells:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > cells - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], room: int | None = None) -> str:
    """Rows under their heads; the last column gets what is left of ``room`` cells (the terminal's)."""
    cells = [list(heads)] + [[printable(str(value)) for value in row] for row in rows]
    widths = [max(width(row[index]) for row in cells) for index in range(len(heads))]
    room = room if room is not None else terminal_width()
    if room:
        _fit(widths, room)
    return "\n".join(_line(row, widths) for row in cells)


def _fit(widths: list[int], room: int) -> None:
    """Take cells from the widest columns until a line fits, none below 8."""
    over = sum(widths) + 2 * (len(widths) - 1) - room
    while over > 0:
        widest = max(range(len(widths)), key=lambda index: widths[index])
        if widths[widest] <= 8:
            return
        widths[widest] -= 1
        over -= 1


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for text, cells in zip(row, widths, strict=True):
        shown = cut(text, cells)
        parts.append(shown + " " * (cells - width(shown)))
    return "  ".join(parts).rstrip()


def terminal_width() -> int:
    """The terminal's cells, 0 when nobody looks."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def as_document(document: object) -> str:
    """JSON for programs: one document, keys never translated, nothing that a terminal would obey."""
    return printable(json.dumps(document, ensure_ascii=False, indent=None, separators=(", ", ": ")))


def moment(stamp: object) -> str:
    """A time of the API (RFC 3339) as local time; what is none stays as it is."""
    try:
        return datetime.fromisoformat(str(stamp)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return str(stamp or "")


def until(stamp: object, now: object = None) -> str:
    """How long it is until a time of the API: ``in 9m``; empty for None."""
    if stamp is None:
        return ""
    try:
        reference = datetime.now(UTC) if now is None else datetime.fromisoformat(str(now))
        return f"in {span((datetime.fromisoformat(str(stamp)) - reference).total_seconds())}"
    except (ValueError, TypeError):
        return str(stamp)


def span(seconds: float) -> str:
    """``45s``, ``12m``, ``3h20m``, ``2d``."""
    whole = max(int(seconds), 0)
    if whole < 120:
        return f"{whole}s"
    if whole < 7200:
        return f"{whole // 60}m"
    if whole < 172800:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d"


def octets(count: int) -> str:
    """``512 B``, ``1.2 KiB``, ``25.0 MiB``."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}" if unit != "B" else f"{count} B"
