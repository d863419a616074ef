"""Where each effective value comes from: the file and line, the command line, the environment, the machine, or nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from postroad.settings.document import HIDDEN, document, written
from postroad.settings.model import Settings

Source = Literal["file", "default", "command line", "environment", "machine"]


@dataclass(frozen=True, slots=True)
class Sourced:
    """One value and where it comes from."""

    key: str
    """``limits.connections``; tables of an array carry their number: ``domain.0.name``."""
    value: str
    """As the file would say it; secrets are ``(hidden)``."""
    source: Source
    place: str = ""
    """``postroad.toml:12``, the option or the variable; ``""`` where there is none."""
    default: str = ""
    """What it is unless said, where that is another value and known beforehand."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key that the file on the disk has otherwise; ``""`` where it is not there."""

    key: str
    runs: str
    is_now: str


def sourced(settings: Settings) -> tuple[Sourced, ...]:
    """Every effective value, in the order of the file."""
    usual = dict(leaves(document(Settings(hostname="", state=Path("/")))))
    found = (_sourced(settings, key, value) for key, value in leaves(document(settings)))
    return tuple(
        replace(one, default=usual[one.key]) if usual.get(one.key, one.value) != one.value and "." in one.key else one
        for one in found
    )


def changes(runs: Settings, is_now: Settings) -> tuple[Change, ...]:
    """What differs; a password that is another one is told without either."""
    before, after = dict(leaves(document(runs))), dict(leaves(document(is_now)))
    found = [
        Change(key, before.get(key, ""), after.get(key, ""))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]
    hashes = zip(runs.accounts, is_now.accounts, strict=False)
    for place, (was, now) in enumerate(hashes):
        if was.password_hash != now.password_hash:
            found.append(Change(f"{is_now.people}.{place}.password_hash", HIDDEN, HIDDEN))
    return tuple(found)


def leaves(found: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key and value of everything in a document."""
    for key, value in found.items():
        inner = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from leaves(value, inner)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, one in enumerate(value):
                yield from leaves(one, f"{inner}.{number}")
        else:
            yield inner, value if value == HIDDEN else written(value)


def _sourced(settings: Settings, key: str, value: str) -> Sourced:
    if option := _option(settings, key):
        if key == "state" and os.environ.get("POSTROAD_STATE") == str(settings.overrides.state):
            return Sourced(key, value, "environment", "POSTROAD_STATE")
        return Sourced(key, value, "command line", option)
    if place := settings.places.get(key, ""):
        return Sourced(key, value, "file", place)
    if key == "hostname" and settings.dev is None:
        return Sourced(key, value, "machine")
    if key == "state" and (home := os.environ.get("XDG_STATE_HOME", "")).startswith("/") and value[1:].startswith(home):
        return Sourced(key, value, "environment", "XDG_STATE_HOME")
    return Sourced(key, value, "default")


def _option(settings: Settings, key: str) -> str:
    """The option of the command line that decided this key."""
    said = settings.overrides
    options = {
        "state": [("--state", said.state is not None)],
        "dev.listen": [("--host", said.host is not None), ("--port", said.port is not None)],
        "web.listen": [("--host", said.host is not None), ("--web-port", said.web_port is not None)],
    }
    return " ".join(option for option, is_said in options.get(key, ()) if is_said)
