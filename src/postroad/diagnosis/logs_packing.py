"""Lines of a mail log that something packed into JSON: journald, Docker, Kubernetes, and the JSON of syslog daemons.

``journalctl -o json`` (systemd.journal-fields(7)), Docker's ``json-file``, Fluentd, rsyslog and syslog-ng by the names
that their documents give. The line comes out as syslog would have written it, and its readers need not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from postroad.diagnosis.logs_event import MAX_LINE

MAX_PACKED: Final = 64 * 1024
"""Octets of a packed line; journald adds two dozen fields to what was said."""

_SAID: Final = ("MESSAGE", "log", "message", "msg")
_MOMENTS: Final = (
    "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP", "@timestamp", "timestamp", "timereported", "time", "ISODATE", "date",
)  # fmt: skip
_PROGRAMS: Final = ("SYSLOG_IDENTIFIER", "programname", "PROGRAM", "appname", "app-name", "ident")
_PROCESSES: Final = ("SYSLOG_PID", "_PID", "procid", "PID", "pid")
_HOSTS: Final = ("_HOSTNAME", "hostname", "HOST", "host")
#: Fields of Postroad's own lines, which are no packing.
_OWN: Final = ("logger", "schema")

_ISO = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-9:]{8}(?:[.,][0-9]{1,9})?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?\Z")
_NUMBER = re.compile(r"[0-9]{9,20}(?:\.[0-9]{1,9})?\Z")
_NO_WORD = re.compile(r"[^\x21-\x7e]")
#: Above which a count since the epoch is one of nanoseconds, microseconds, milliseconds.
_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
_decode = msgspec.json.Decoder().decode


def unpacked(line: bytes) -> bytes:
    """The line that is packed in this one; this one itself where there is none. Never raises."""
    if line[:1] != b"{" or len(line) > MAX_PACKED:
        return line
    try:
        fields = _decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError, ValueError):
        return line
    if not isinstance(fields, dict) or any(name in fields for name in _OWN):
        return line
    said = next((text for name in _SAID if (text := _text(fields.get(name)))), b"")
    return b"%s%s" % (_front(fields).encode("ascii"), said) if said else line


def _text(value: object) -> bytes:
    """One line of text; journald gives octets that are no UTF-8 as numbers."""
    if isinstance(value, str):
        octets = value.encode("utf-8", "replace")
    elif isinstance(value, list):
        try:
            octets = bytes(value[:MAX_LINE])
        except (TypeError, ValueError):
            return b""
    else:
        return b""
    return octets.strip(b"\r\n").replace(b"\n", b" ")


def _front(fields: Mapping[str, Any]) -> str:
    """``2026-11-24T10:00:01Z mail postfix/smtp[77]: `` as far as it is told."""
    moment = next((one for name in _MOMENTS if (one := _moment(fields.get(name)))), "")
    host, program = _word(fields, _HOSTS) or "-", _word(fields, _PROGRAMS)
    if not moment and not program:
        return ""
    return f"{moment} {host} {program or '-'}[{_word(fields, _PROCESSES) or '0'}]: ".lstrip()


def _word(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of these fields that tells something, as one word."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str | int) and value != "":
            return _NO_WORD.sub("?", str(value)[:100])
    return ""


def _moment(value: object) -> str:
    """A stamp that ``Stamps`` reads, of a stamp or of a count since the epoch in whichever unit."""
    if isinstance(value, str) and _ISO.match(value[:40]):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not _NUMBER.match(str(value)[:40]):
        return ""
    count = float(value)
    seconds = next((count / unit for above, unit in _UNITS if count > above), count)
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""
