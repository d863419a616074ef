"""The logs of the corpus, read."""

from __future__ import annotations

from pathlib import Path

from postroad.diagnosis.logs_event import Event, Stamps
from postroad.diagnosis.logs_reading import LogLines

LOGS = Path(__file__).parent / "logs"
NAMES = sorted(path.stem for path in LOGS.glob("*.log"))
#: 2026-11-25, so that stamps without a year are those of 2026.
REFERENCE = 1_795_600_000.0


def events_of(name: str, size: int = 1 << 20) -> tuple[LogLines, list[Event]]:
    log = LogLines(Stamps(REFERENCE))
    octets = (LOGS / f"{name}.log").read_bytes()
    found = [event for start in range(0, len(octets), size) for event in log.feed(octets[start : start + size])]
    return log, [*found, *log.finish()]
