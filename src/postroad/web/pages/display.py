"""Values as pages show them, and forms as values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from postroad.admin import Listening
from postroad.web.problems import Refusal

_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?\Z")
_LINE = re.compile(r"([CS]): ?(.*)\Z", re.DOTALL)
_REPLY = re.compile(r"([2345])[0-9]{2}(?:[ -]|\Z)")
_KINDS: Final = {"2": "good", "3": "good", "4": "later", "5": "never"}
#: Lines of a transcript on a page.
MAX_LINES: Final = 5_000


def iso(seconds: float | None) -> str:
    """For ``<time datetime>``; ``""`` when there is none."""
    if seconds is None:
        return ""
    return _moment(seconds).isoformat(timespec="seconds").replace("+00:00", "Z")


def local(seconds: float) -> datetime:
    """The moment in the server's time zone."""
    return _moment(seconds).astimezone()


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def lasted(seconds: float) -> str:
    """``0.041 s``, ``12.3 s``."""
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"


def host_of(peer: str) -> str:
    """A peer's address without its port."""
    return peer.rpartition(":")[0] or peer


@dataclass(frozen=True, slots=True)
class WireLine:
    """A line of a transcript."""

    side: str
    """``C``, ``S`` or ``""`` for a remark."""
    text: str
    kind: str
    """``good``, ``later``, ``never`` for a reply by its class, else ``""``."""


def wire_lines(transcript: str) -> list[WireLine]:
    """A transcript as lines with a side and a class."""
    lines: list[WireLine] = []
    for line in transcript.split("\n", MAX_LINES)[:MAX_LINES]:
        found = _LINE.match(line.rstrip("\r"))
        if found is None:
            if line.strip():
                lines.append(WireLine("", line.removeprefix("-- "), ""))
            continue
        side, text = found[1], found[2]
        reply = _REPLY.match(text) if side == "S" else None
        lines.append(WireLine(side, text, "" if reply is None else _KINDS[reply[1]]))
    return lines


def first_listener(listeners: Sequence[Listening], host: str) -> Listening | None:
    """The one whose settings are shown to a newcomer: in clear where there is one.

    ``host``: by which the newcomer came here; it stands for a listener on every address.
    """
    found = min(listeners, key=lambda each: (each.tls == "implicit", each.name == "mx"), default=None)
    return replace(found, host=host) if found is not None and found.host in ("0.0.0.0", "::") else found


def decimal(text: str, name: str) -> float | None:
    """A number in a form; None when the field is empty."""
    if not text.strip():
        return None
    if _DECIMAL.match(text.strip()) is None:
        raise Refusal(400, f"`{name}` must be a number, not {text[:40]!r}")
    return float(text)


def rule_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """The form "add a rule" as ``read_rule`` wants it."""
    rule: dict[str, Any] = {name: fields[name] for name in ("to", "at", "text", "enhanced") if fields.get(name)}
    for name in ("reply", "times"):
        number = decimal(fields.get(name, ""), name)
        if number is not None:
            rule[name] = int(number) if number.is_integer() else number
    delay = decimal(fields.get("delay", ""), "delay")
    if delay is not None:
        rule["delay"] = delay
    if fields.get("disconnect"):
        rule["disconnect"] = True
    return rule
