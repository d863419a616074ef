"""Postroad's own lines: its log as JSON lines or text (``postroad.observe``), and what ``postroad log --json`` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from postroad.diagnosis.logs_event import (
    MAX_FIELD,
    OUTCOMES,
    REFUSED,
    Event,
    Stamps,
    domain_of,
    is_reply,
    without_port,
)

_TEXT = re.compile(r"\S{1,40}Z (?:debug|info|warning|error) {1,5}([a-z]{4,10}) (?=[a-z])")
_PAIR = re.compile(r'([a-z_]{1,30})=("(?:[^"\\]|\\.)*"|[^ "]*)')
_LINE = re.compile(rb"[0-9-]{10}T[0-9:.]{8,15}Z (?:debug|info|warning|error) ")
_OUTCOMES: Final = frozenset(OUTCOMES)
_decode = msgspec.json.Decoder().decode


class PostroadReader:
    """See ``Reader``."""

    name: str = "postroad"
    marks: tuple[bytes, ...] = (b"recipient", b"refus", b"postroad.log/")

    def knows(self, line: bytes) -> bool:
        """By the name of a logger or a form, or by the stamp and level of a line of text."""
        head = line[:200]
        return b'"postroad.' in head or _LINE.match(head) is not None

    def read(self, line: str, stamps: Stamps) -> Event | None:
        """See ``Reader``."""
        place = line.find("{")
        is_json = place >= 0 and ('"logger"' in line or '"postroad.log/' in line)
        fields = _json(line[place:]) if is_json else _text(line)
        return None if fields is None else _event(fields, line, stamps)


def _json(text: str) -> Mapping[str, Any] | None:
    try:
        found = _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _text(line: str) -> Mapping[str, Any] | None:
    found = _TEXT.match(line)
    if found is None:
        return None
    fields: dict[str, Any] = {"event": found[1]}
    for pair in _PAIR.finditer(line, found.end()):
        value = pair[2]
        try:
            fields[pair[1]] = json.loads(value) if value.startswith('"') else value
        except ValueError:
            fields[pair[1]] = value
    return fields


def _event(fields: Mapping[str, Any], line: str, stamps: Stamps) -> Event | None:
    outcome = _word(fields, "outcome") or _word(fields, "event")
    if outcome not in _OUTCOMES:
        return None
    at = stamps.read(_word(fields, "at") or line)
    if outcome == REFUSED:
        return _refusal(fields, at)
    to = (_word(fields, "to") or _word(fields, "recipient"))[:MAX_FIELD]
    if not to:
        return None
    reply = _reply(fields.get("reply"))
    return Event(
        outcome,
        at,
        to,
        domain_of(to),
        without_port(_word(fields, "host")),
        _word(fields, "stage")[:20],
        reply,
        _word(fields, "note"),
        "",
        _word(fields, "message")[:MAX_FIELD],
        str(fields.get("seconds", ""))[:30],
        fields.get("expired") in (True, "true"),
    )


def _refusal(fields: Mapping[str, Any], at: float) -> Event | None:
    """A session in which something was refused: the first of its refusals."""
    said = fields.get("refusals")
    if isinstance(said, str):
        said = _json(f'{{"one":{said}}}')
        said = said["one"] if said else None
    if not isinstance(said, list) or not said or not isinstance(said[0], str):
        return None
    reply = said[0] if is_reply(said[0]) else ""
    peer = _word(fields, "peer")[:MAX_FIELD]
    return Event(REFUSED, at, "", "", peer, "", reply, "" if reply else said[0])


def _reply(value: object) -> str:
    """A reply as text, from text or from ``{"code", "enhanced", "text": [line]}``."""
    if isinstance(value, str):
        return value if is_reply(value) else ""
    if not isinstance(value, dict):
        return ""
    code, status, text = value.get("code"), value.get("enhanced"), value.get("text")
    if not isinstance(code, int) or not 200 <= code <= 599 or not isinstance(text, list):
        return ""
    front = f"{status} " if isinstance(status, str) else ""
    lines = [str(line) for line in text[:50]] or [""]
    return "\n".join(
        f"{code}{' ' if number == len(lines) else '-'}{front}{line}" for number, line in enumerate(lines, 1)
    )


def _word(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
