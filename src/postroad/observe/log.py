"""The log of cold paths: JSON lines for programs, readable lines for people; one event is always one line.

Whatever a peer said stands in a field, never in the event's name, and leaves here with every character that could forge
a line, move a terminal's cursor or turn the text around written as ``\\uXXXX``; a field is cut at 1,000 characters.
Used as a library, Postroad configures nothing: events go to the standard ``logging`` tree, their fields in
``record.fields``.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import IO, Any, Final, Literal, cast

import structlog

from postroad.observe.printable import printable

Format = Literal["auto", "json", "text"]
Level = Literal["debug", "info", "warning", "error"]

MAX_VALUE: Final = 1_000
#: Of a traceback the end is kept, for the fault stands there.
MAX_TRACEBACK: Final = 8_000
_MAX_ITEMS: Final = 50
_OWN: Final = ("at", "level", "event", "logger")
_QUOTE_FOR: Final = frozenset(' "=\\')


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a room or file: ``get_logger("inbound").info("listening", address="127.0.0.1:25")``."""
    logger = structlog.wrap_logger(
        logging.getLogger(f"postroad.{name}"),
        processors=[structlog.stdlib.filter_by_level, _to_record],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def configure(format: Format = "auto", level: Level = "info", stream: IO[str] | None = None) -> None:
    """Write every log of this process to ``stream`` (standard error); ``auto`` is text on a terminal, else JSON lines.

    Other libraries are heard from ``warning`` on. A second call replaces the first.
    """
    target = stream if stream is not None else sys.stderr
    text = format == "text" or (format == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(TextLines() if text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("postroad").setLevel(level.upper())
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to fail


def _to_record(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The last step of structlog: the event's name as the message, everything else in ``record.fields``."""
    handed: dict[str, Any] = {"msg": str(event.pop("event", ""))}
    for key in ("exc_info", "stack_info"):
        if key in event:
            handed[key] = event.pop(key)
    return handed | {"extra": {"fields": dict(event)}}


def _written(value: object, depth: int = 0) -> object:
    """A value as JSON can hold it, with bounded size."""
    match value:
        case None | bool():
            return value
        case int():
            return value if value.bit_length() <= 128 else _cut(hex(value))
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return _cut(value)
        case bytes() | bytearray():
            return _cut(bytes(value[:MAX_VALUE]).decode("utf-8", "backslashreplace"))
        case Mapping() if depth < 3:
            pairs = list(value.items())[:_MAX_ITEMS]
            return {_cut(str(key)): _written(one, depth + 1) for key, one in pairs}
        case list() | tuple() | set() | frozenset() if depth < 3:
            return [_written(one, depth + 1) for one in list(value)[:_MAX_ITEMS]]
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def _json(value: object) -> str:
    return printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", None)
    if not isinstance(fields, dict):
        return {}
    return {(f"{key}_" if key in _OWN else _cut(str(key))): _written(value) for key, value in fields.items()}


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    text = formatter.formatException(record.exc_info)
    return text if len(text) <= MAX_TRACEBACK else "…" + text[1 - MAX_TRACEBACK :]


class JsonLines(logging.Formatter):
    """``{"at":"2026-11-24T05:31:46.123Z","level":"info","event":"listening","logger":"postroad.inbound",…}``"""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        line: dict[str, object] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "event": _cut(record.getMessage()),
            "logger": record.name,
            **_fields(record),
        }
        traceback = _traceback(self, record)
        return _json(line | {"exception": traceback} if traceback else line)


class TextLines(logging.Formatter):
    """``2026-11-24T05:31:46.123Z info    listening address=127.0.0.1:25``; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line, and the lines of its traceback."""
        words = [_at(record), f"{record.levelname.lower():7}", printable(_cut(record.getMessage()))]
        words += [f"{printable(key)}={_word(value)}" for key, value in _fields(record).items()]
        lines = [" ".join(words), *_traceback(self, record).split("\n")]
        return "\n    ".join(printable(line) for line in lines if line)


def _word(value: object) -> str:
    """A value as a word: quoted as JSON when it would not be one, or could be taken for something else."""
    if isinstance(value, str) and value and value.isprintable() and not _QUOTE_FOR & set(value):
        return value
    return _json(value)
