"""A session as lines, secrets blanked, bounded: read by logs, pages and tests.

Kept as the octets and replies themselves and written as text only when somebody asks, so that keeping it costs next
to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from postroad.replies import Reply

#: A transcript keeps this many entries; what comes later is counted.
MAX_ENTRIES: Final = 1000
_MAX_LINE: Final = 2048

Entry = bytes | Reply | str


class Transcript:
    """What was said: ``bytes`` by the client, ``Reply`` by the server, ``str`` a remark of ours."""

    __slots__ = ("_entries", "_left_out", "listener")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._left_out = 0
        self.listener: Callable[[str, str], None] | None = None
        """Hears every line at once: ``C``, ``S`` or ``*`` for a remark, and the text as ``text`` would give it."""

    def add(self, entry: Entry) -> None:
        """Append an entry; beyond MAX_ENTRIES it is only counted."""
        if self.listener is not None:
            for direction, line in _lines(entry):
                self.listener(direction, line)
        if len(self._entries) < MAX_ENTRIES:
            self._entries.append(entry)
        else:
            self._left_out += 1

    def clear(self) -> None:
        """Forget what was said so far."""
        self._entries.clear()
        self._left_out = 0

    @property
    def has_refusals(self) -> bool:
        """Whether a 4yz or 5yz reply was said."""
        return any(isinstance(entry, Reply) and not entry.is_positive for entry in self._entries)

    def refusals(self) -> tuple[str, ...]:
        """The 4yz and 5yz replies, a line each."""
        return tuple(str(entry) for entry in self._entries if isinstance(entry, Reply) and not entry.is_positive)

    def text(self) -> str:
        """Its lines: ``C: `` client, ``S: `` server, ``-- `` remark; control characters escaped."""
        lines = [_written(entry) for entry in self._entries]
        if self._left_out:
            lines.append(f"-- {self._left_out} more lines left out")
        return "\n".join(lines)


def _written(entry: Entry) -> str:
    if isinstance(entry, Reply):
        return "S: " + "\nS: ".join(_reply_lines(entry))
    return f"C: {_visible(entry)}" if isinstance(entry, bytes) else f"-- {entry}"


def _lines(entry: Entry) -> list[tuple[str, str]]:
    if isinstance(entry, Reply):
        return [("S", line) for line in _reply_lines(entry)]
    if isinstance(entry, bytes):
        return [("C", _visible(entry))]
    return [("*", entry)]


def _reply_lines(reply: Reply) -> list[str]:
    return reply.to_bytes().decode("ascii", "replace").removesuffix("\r\n").split("\r\n")


def _visible(octets: bytes) -> str:
    text = octets[:_MAX_LINE].decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
