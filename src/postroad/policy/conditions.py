"""Which MAIL and RCPT parameters are refused for a time, why, since when and how often (RFC 5321 section 4.1.1.11).

The operator switches a parameter off and on again; the server does the same for what it knows to be passing. What is
switched off stays announced and is answered with its "not now" reply (455, or what its RFC names). Refusals that come
from passing conditions alone (no room for SIZE) are listed too, as long as they are fresh.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from postroad.clock import Clock
from postroad.errors import NotFound, ParameterSyntaxError, PostroadError
from postroad.smtp.parameters import ExtensionSet

Source = Literal["operator", "server"]

#: A refusal that nobody switched on is shown for so many seconds after it was last seen.
SEEN_FOR: Final = 600.0
#: The longest time for which a switch may be set; beyond it, leave ``seconds`` out.
MAX_SECONDS: Final = 366 * 86_400.0
MAX_WHY: Final = 500

_NAME = re.compile(r"[A-Z0-9][A-Z0-9-]{0,62}(?:=[!-<>-~]{1,200})?\Z")
_log = logging.getLogger("postroad.conditions")


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter that is refused just now."""

    parameter: str
    """``KEYWORD`` or ``KEYWORD=VALUE``, in capitals."""
    why: str
    """For the operator; the peer never sees it."""
    source: Source
    """Who decided: the operator, or the server from what it knows."""
    since: float
    """Seconds since the epoch."""
    until: float | None
    """Seconds since the epoch when it ends by itself; None: when it is cleared."""
    refused: int
    """How often it was the answer since then (since the start, after a restart)."""
    last_refused: float | None
    """Seconds since the epoch."""


class _Entry:
    __slots__ = ("deadline", "last_refused", "parameter", "refused", "since", "source", "until", "why")

    def __init__(
        self, parameter: str, why: str, source: Source, since: float, until: float | None, deadline: float | None
    ) -> None:
        self.parameter = parameter
        self.why = why
        self.source: Source = source
        self.since = since
        self.until = until
        self.deadline = deadline  # on the monotonic clock
        self.refused = 0
        self.last_refused: float | None = None

    def value(self) -> Condition:
        return Condition(self.parameter, self.why, self.source, self.since, self.until, self.refused, self.last_refused)


def known_parameters(extensions: ExtensionSet) -> tuple[str, ...]:
    """The keywords of all MAIL and RCPT parameters of ``extensions``, for the board's constructor."""
    return tuple(sorted({p.keyword for extension in extensions.extensions for p in extension.parameters}))


class ConditionsBoard:
    """The switches of one server. ``store`` (a small JSON file) lets the operator's switches outlive a restart."""

    def __init__(self, clock: Clock, store: Path | None = None, known: Iterable[str] = ()) -> None:
        """``known``: keywords that may be named, ``KEYWORD=VALUE`` to permit only listed values; empty: any."""
        self._clock = clock
        self._store = store
        self._known = frozenset(word.upper() for word in known)
        self._entries: dict[tuple[Source, str], _Entry] = {}
        self._seen: dict[str, _Entry] = {}
        self._view: Mapping[str, str] = MappingProxyType({})
        self._view_until = float("inf")
        self._listeners: list[Callable[[], None]] = []
        self._load()
        self._renew()

    def on_changed(self, listener: Callable[[], None]) -> None:
        """Tell ``listener`` when something is switched, runs out or is the answer once more."""
        self._listeners.append(listener)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    @property
    def known(self) -> tuple[str, ...]:
        """The parameters that may be named, in order."""
        return tuple(sorted(self._known))

    def set(
        self, parameter: str, why: str = "", seconds: float | None = None, source: Source = "operator"
    ) -> Condition:
        """Refuse ``parameter`` from now on, for ``seconds`` or until it is cleared; a second call replaces the first.

        Raises NotFound for a parameter that this server does not know, PostroadError for a time that makes no sense
        or a switch that cannot be stored.
        """
        name = self._check_name(parameter)
        if seconds is not None and not 0 < seconds <= MAX_SECONDS:
            raise PostroadError(f"not a time for which a parameter can be switched off: {seconds:g} s", "1 s to 366 d")
        now = self._clock.wall()
        until = None if seconds is None else now + seconds
        deadline = None if seconds is None else self._clock.monotonic() + seconds
        entry = _Entry(name, " ".join(why.split())[:MAX_WHY], source, now, until, deadline)
        changed = {**self._entries, (source, name): entry}
        if source == "operator":
            self._save(changed)
        self._entries = changed
        self._renew()
        return entry.value()

    def clear(self, parameter: str | None = None, source: Source = "operator") -> int:
        """Take ``parameter`` (None: all) again; gives how many switches of ``source`` went.

        Raises NotFound when the server does not know the parameter at all.
        """
        name = None if parameter is None else self._check_name(parameter)
        gone = [key for key in self._entries if key[0] == source and name in (None, key[1])]
        if gone:
            changed = {key: entry for key, entry in self._entries.items() if key not in gone}
            if source == "operator":
                self._save(changed)
            self._entries = changed
            self._renew()
        return len(gone)

    def list(self) -> Sequence[Condition]:
        """What is refused now, the operator's switches first, each by name."""
        self.unavailable()
        self._forget_seen()
        entries = [*self._entries.values(), *self._seen.values()]
        return [entry.value() for entry in sorted(entries, key=lambda e: (e.source != "operator", e.parameter))]

    def unavailable(self) -> Mapping[str, str]:
        """``KEYWORD`` or ``KEYWORD=VALUE`` -> why, for Conditions.unavailable. One comparison unless a time ran out."""
        if self._clock.monotonic() >= self._view_until:
            now = self._clock.monotonic()
            self._entries = {k: e for k, e in self._entries.items() if e.deadline is None or e.deadline > now}
            self._renew()
        return self._view

    def count(self, parameter: str, why: str = "") -> None:
        """One refusal of ``parameter`` has been answered. ``why`` tells of those that nobody switched on."""
        name = parameter.upper()[:264]
        now = self._clock.wall()
        for entry in self._matching(name) or (self._notice(name, why, now),):
            entry.refused += 1
            entry.last_refused = now
        self._tell()

    def _matching(self, name: str) -> Sequence[_Entry]:
        """The switches that refused ``name``; a bare keyword also names its values, for events carry only that."""
        exact = [entry for (_, key), entry in self._entries.items() if key == name or name.startswith(f"{key}=")]
        return exact or [entry for (_, key), entry in self._entries.items() if key.startswith(f"{name}=")]

    def _notice(self, name: str, why: str, now: float) -> _Entry:
        deadline = self._clock.monotonic() + SEEN_FOR
        entry = self._seen.get(name)
        if entry is None or entry.deadline is None or entry.deadline <= self._clock.monotonic():
            self._forget_seen()
            entry = _Entry(name, "", "server", now, None, deadline)
            if len(self._seen) < 100:
                self._seen[name] = entry
        entry.why = " ".join(why.split())[:MAX_WHY] or "passing conditions"
        entry.deadline = deadline
        return entry

    def _forget_seen(self) -> None:
        now = self._clock.monotonic()
        self._seen = {name: e for name, e in self._seen.items() if e.deadline is not None and e.deadline > now}

    def _renew(self) -> None:
        ordered = sorted(self._entries.values(), key=lambda e: e.source == "operator")  # the operator has the last word
        self._view = MappingProxyType({entry.parameter: entry.why for entry in ordered})
        deadlines = (entry.deadline for entry in self._entries.values() if entry.deadline is not None)
        self._view_until = min(deadlines, default=float("inf"))
        self._tell()

    def _check_name(self, parameter: str) -> str:
        name = parameter.strip().upper()
        if _NAME.match(name) is None:
            raise ParameterSyntaxError(
                f"not a parameter: {parameter[:80]!r}", "a keyword such as SMTPUTF8, or one value: BODY=BINARYMIME"
            )
        keyword, equals, _ = name.partition("=")
        values = [word for word in self._known if word.startswith(f"{keyword}=")]
        if not self._known or name in self._known or (keyword in self._known and not (equals and values)):
            return name
        if not equals and values:
            return name
        near = difflib.get_close_matches(name, sorted(self._known), n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else "known here: " + ", ".join(sorted(self._known))
        raise NotFound(f"this server knows no parameter `{name}`", hint)

    def _load(self) -> None:
        if self._store is None:
            return
        try:
            rows = json.loads(self._store.read_bytes())
            entries = [entry for row in rows if (entry := self._revive(row)) is not None]
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
            _log.warning("the stored conditions cannot be read and are left aside: %s: %s", self._store, fault)
            return
        self._entries = {("operator", entry.parameter): entry for entry in entries}

    def _revive(self, row: dict[str, Any]) -> _Entry | None:
        """A stored switch, None when it ran out meanwhile or names a parameter that is no longer known."""
        try:
            name = self._check_name(str(row["parameter"]))
        except PostroadError:
            return None
        until = None if row["until"] is None else float(row["until"])
        deadline: float | None = None
        if until is not None:
            left = until - self._clock.wall()
            if not 0 < left <= MAX_SECONDS:
                return None
            deadline = self._clock.monotonic() + left
        return _Entry(name, str(row["why"])[:MAX_WHY], "operator", float(row["since"]), until, deadline)

    def _save(self, entries: Mapping[tuple[Source, str], _Entry]) -> None:
        """Replace the file in one step. An operator's rare act: it may block the loop for one small write."""
        if self._store is None:
            return
        rows = [
            {"parameter": e.parameter, "why": e.why, "since": e.since, "until": e.until}
            for e in entries.values()
            if e.source == "operator"
        ]
        aside = self._store.with_name(self._store.name + ".new")
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(json.dumps(rows, indent=1).encode())
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._store)
        except OSError as fault:
            raise PostroadError(
                f"the switch cannot be stored: {fault}",
                "nothing was changed; make room or mend the rights of the state folder",
            ) from fault
