"""Who has signed in: one row for each browser, found by the SHA-256 of the cookie that the browser holds.

A sign-in ends by signing out, after IDLE seconds without a request, LASTS seconds after it began, and as soon as its
person's password or role is another. A restart ends none.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from postroad.admin.kept import read_rows, write_rows
from postroad.clock import Clock
from postroad.errors import PostroadError
from postroad.observe.log import get_logger

log = get_logger("admin")

IDLE: Final = 12 * 3600.0
LASTS: Final = 7 * 86_400.0
#: Of one person; one more ends the one that was idle longest.
MAX_EACH: Final = 10
MAX_ALL: Final = 2_000
#: Seconds between two times that "last seen" is written down.
_SEEN_TICK: Final = 300.0
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True, slots=True)
class SignIn:
    """One browser of one person."""

    id: str
    """Stable, and no secret."""
    name: str
    mark: str
    """Of the password and role with which it began; another mark voids it."""
    client: str
    """From where: an address, or the /64 of one."""
    began_at: float
    seen_at: float


class SignIns:
    """All of one server, in ``path`` when there is one; only one process may hold them."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._all: dict[str, SignIn] = {}  # by the SHA-256 of the cookie
        self._written_at = 0.0
        for row in read_rows(path):
            if (found := _revived(row)) is not None:
                self._all[found[0]] = found[1]

    def list(self) -> Sequence[SignIn]:
        """Those that have not ended, the latest seen first."""
        now = self._clock.wall()
        return sorted((one for one in self._all.values() if not _ended(one, now)), key=lambda one: -one.seen_at)

    def begin(self, name: str, mark: str, client: str) -> tuple[SignIn, str]:
        """A new one, and the cookie that proves it: 256 random bits, told to nobody else."""
        now, cookie = self._clock.wall(), secrets.token_urlsafe(32)
        made = SignIn(secrets.token_hex(8), name, mark, client, now, now)
        kept = {key: one for key, one in self._all.items() if not _ended(one, now)}
        own = sorted((one.seen_at, key) for key, one in kept.items() if one.name == name)
        every = sorted((one.seen_at, key) for key, one in kept.items())
        for _, key in (*own[: max(0, len(own) - MAX_EACH + 1)], *every[: max(0, len(every) - MAX_ALL + 1)]):
            kept.pop(key, None)
        self._all = {**kept, _key(cookie): made}
        self._write()
        return made, cookie

    def find(self, cookie: str) -> SignIn | None:
        """The one that this cookie proves, None when it has ended; a request counts as a sign of life."""
        if _COOKIE.match(cookie) is None:
            return None
        key, now = _key(cookie), self._clock.wall()
        found = self._all.get(key)
        if found is None or _ended(found, now):
            return None
        self._all[key] = replace(found, seen_at=now)
        if not 0 <= now - self._written_at < _SEEN_TICK:
            self._write()
        return found

    def end(self, sign_in_id: str) -> bool:
        """End one; gives whether there was one."""
        return self._end_where(lambda one: one.id == sign_in_id)

    def end_all(self, name: str) -> bool:
        """End all of one person."""
        return self._end_where(lambda one: one.name == name)

    def knows(self, name: str, client: str) -> bool:
        """Whether this person is, or was lately, signed in from there."""
        return any(one.name == name and one.client == client for one in self._all.values())

    def _end_where(self, ends: Any) -> bool:
        left = {key: one for key, one in self._all.items() if not ends(one)}
        changed = len(left) != len(self._all)
        self._all = left
        if changed:
            self._write()
        return changed

    def _write(self) -> None:
        """A file that cannot be written costs a sign-in after the next start, and nothing now."""
        self._written_at = self._clock.wall()
        rows = [
            {
                "sha256": key,
                "id": one.id,
                "name": one.name,
                "mark": one.mark,
                "client": one.client,
                "began_at": one.began_at,
                "seen_at": one.seen_at,
            }
            for key, one in self._all.items()
        ]
        try:
            write_rows(self._path, rows, sure=False)
        except PostroadError as fault:
            log.warning("sign-ins not stored", cause=fault.message)


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _ended(one: SignIn, now: float) -> bool:
    """A clock that was set back makes nobody immortal: what lies in the future has ended, too."""
    return not (one.seen_at - 60.0 <= now < one.seen_at + IDLE and one.began_at - 60.0 <= now < one.began_at + LASTS)


def _revived(row: dict[str, Any]) -> tuple[str, SignIn] | None:
    try:
        return str(row["sha256"]), SignIn(
            str(row["id"]),
            str(row["name"]),
            str(row["mark"]),
            str(row["client"]),
            float(row["began_at"]),
            float(row["seen_at"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
