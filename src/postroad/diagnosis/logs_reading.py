"""From blocks of a log to events: whole lines, the format found by itself, and no more work than a line deserves.

Memory is bounded by the block and one line, whatever the input is. A line longer than ``MAX_LINE`` is read up to there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from postroad.diagnosis.logs_event import MAX_LINE, Event, Reader, Stamps
from postroad.diagnosis.logs_exim import EximReader
from postroad.diagnosis.logs_opensmtpd import OpenSmtpdReader
from postroad.diagnosis.logs_packing import unpacked
from postroad.diagnosis.logs_postfix import PostfixReader
from postroad.diagnosis.logs_postroad import PostroadReader

BLOCK: Final = 1 << 20
"""Octets that are read at once."""
FORMATS: Final = ("postfix", "exim", "opensmtpd", "postroad")

_SAMPLE: Final = 64


def readers(formats: Sequence[str] = ()) -> tuple[Reader, ...]:
    """The readers of these formats, all without any; raises KeyError for an unknown name."""
    known: dict[str, Reader] = {
        one.name: one for one in (PostfixReader(), EximReader(), OpenSmtpdReader(), PostroadReader())
    }
    return tuple(known[name] for name in formats or FORMATS)


@dataclass(slots=True)
class LogLines:
    """One log, fed a block at a time."""

    stamps: Stamps
    chosen: tuple[Reader, ...] = ()
    """Formats that are known beforehand; without any they are found."""
    lines: int = 0
    octets: int = 0
    events: int = 0
    found: list[Reader] = field(default_factory=list)
    """The formats that were met, in the order they were."""
    writer: str = ""
    """The format of the newest event."""
    _packed: bool = False
    """Its lines are packed in JSON."""
    _rest: bytes = b""
    _skipping: bool = False
    """The rest of a line that is too long is still to come."""

    def feed(self, block: bytes) -> Iterator[Event]:
        """The events in what is now complete."""
        self.octets += len(block)
        text = self._rest + block if self._rest else block
        end = text.rfind(b"\n")
        if end < 0:
            yield from self._unfinished(text)
            return
        lines = text[:end].split(b"\n")
        self._rest = text[end + 1 :]
        if self._skipping:
            del lines[0]
            self._skipping = False
        if len(self._rest) > MAX_LINE:
            yield from self._unfinished(self._rest)
        yield from self._read(lines)

    def finish(self) -> Iterator[Event]:
        """The last line, which may have no end."""
        rest, self._rest = self._rest, b""
        if rest and not self._skipping:
            yield from self._read([rest])

    def _unfinished(self, text: bytes) -> Iterator[Event]:
        """A line whose end has not come: what is beyond the bound is not kept."""
        if self._skipping:
            self._rest = b""
        elif len(text) > MAX_LINE:
            self._rest, self._skipping = b"", True
            yield from self._read([text[:MAX_LINE]])
        else:
            self._rest = text

    def _read(self, lines: list[bytes]) -> Iterator[Event]:
        self.lines += len(lines)
        lines = self._without_packing(lines)
        if not self.chosen or not self.found:
            self._look(lines)
        if len(self.found) == 1:
            reader = self.found[0]
            self.writer = reader.name
            for line in sieve(lines, reader.marks):
                if event := _event(reader, line, self.stamps):
                    self.events += 1
                    yield event
            return
        for line in lines if self.found else ():
            for reader in self.found:
                if any(mark in line for mark in reader.marks) and (event := _event(reader, line, self.stamps)):
                    self.events += 1
                    self.writer = reader.name
                    yield event
                    break

    def _without_packing(self, lines: list[bytes]) -> list[bytes]:
        """By a sample of the lines, too; a log that was packed once stays so."""
        if not self._packed:
            sample = lines[:: max(len(lines) // _SAMPLE, 1)]
            self._packed = any(unpacked(line) is not line for line in sample)
        return [unpacked(line) for line in lines] if self._packed else lines

    def _look(self, lines: list[bytes]) -> None:
        """Find the formats in use: by a sample of the lines, by all of them as long as none was found."""
        if self.chosen:
            self.found = list(self.chosen)
            return
        step = max(len(lines) // _SAMPLE, 1)
        self._recognise(lines[::step])
        if not self.found:
            self._recognise(lines)

    def _recognise(self, lines: Iterable[bytes]) -> None:
        missing = [reader for reader in readers() if all(reader.name != one.name for one in self.found)]
        for line in lines:
            for reader in missing:
                if reader.knows(line):
                    self.found.append(reader)
                    missing.remove(reader)
                    break
            if not missing:
                return


def sieve(lines: list[bytes], marks: tuple[bytes, ...]) -> list[bytes]:
    """The lines that have one of the marks; spelt out, for this is where the time of a long log goes."""
    match marks:
        case (a, b):
            return [line for line in lines if a in line or b in line]
        case (a, b, c):
            return [line for line in lines if a in line or b in line or c in line]
        case (a, b, c, d):
            return [line for line in lines if a in line or b in line or c in line or d in line]
    return [line for line in lines if any(mark in line for mark in marks)]


def _event(reader: Reader, line: bytes, stamps: Stamps) -> Event | None:
    return reader.read(line[:MAX_LINE].rstrip(b"\r").decode("utf-8", "replace"), stamps)
