"""Tokens of programs: who holds one may use the API as a viewer or an operator until it ends or is removed.

A secret has 256 random bits and is shown once; kept is its SHA-256, which tells nothing of it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from postroad.admin.kept import read_rows, write_rows
from postroad.clock import Clock
from postroad.errors import NotFound, PostroadError

Rows = list[dict[str, Any]]
RoleName = Literal["viewer", "operator"]
ROLES: Final[tuple[RoleName, ...]] = get_args(RoleName)

PREFIX: Final = "prt_"
MAX_TOKENS: Final = 200
MAX_DAYS: Final = 3650
#: Seconds between two times that "last used" is written down.
_USE_TICK: Final = 300.0
_DAY: Final = 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}\Z")


@dataclass(frozen=True, slots=True)
class Token:
    """One of them, without its secret."""

    name: str
    role: RoleName
    created_at: float
    used_at: float | None = None
    """Last, to some minutes; None: never."""
    ends_at: float | None = None
    """None: when it is removed."""


class Tokens:
    """The tokens of one server, in ``path`` when there is one; only one process may hold them."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._tokens: dict[str, Token] = {}  # by the SHA-256 of the secret
        for row in read_rows(path):
            if (found := _revived(row)) is not None:
                self._tokens[found[0]] = found[1]

    def list(self) -> Sequence[Token]:
        """Those that have not ended, by name."""
        now = self._clock.wall()
        return sorted((one for one in self._tokens.values() if not _ended(one, now)), key=lambda one: one.name)

    def add(self, name: str, role: str, days: int | None = None) -> tuple[Token, str]:
        """A new token and its secret, which nobody can tell a second time. ``days`` None: it does not end by itself.

        Raises PostroadError for a name or number that cannot be, or when it cannot be stored.
        """
        if _NAME.match(name) is None:
            raise PostroadError(f"{name[:80]!r} cannot be the name of a token", "1 to 64 of A-Z a-z 0-9 . _ @ -")
        known = next((one for one in ROLES if one == role), None)
        if known is None:
            raise PostroadError(f"there is no role {role[:40]!r}", "viewer or operator")
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise PostroadError(f"a token lasts 1 to {MAX_DAYS} days")
        now = self._clock.wall()
        kept = {mark: one for mark, one in self._tokens.items() if not _ended(one, now)}
        if any(one.name == name for one in kept.values()):
            raise PostroadError(f"there is a token `{name}` already", f"remove it first: postroad token remove {name}")
        if len(kept) >= MAX_TOKENS:
            raise PostroadError(f"there are {MAX_TOKENS} tokens already", "remove those that nobody uses")
        secret = PREFIX + secrets.token_urlsafe(32)
        made = Token(name, known, now, None, None if days is None else now + days * _DAY)
        self._keep({**kept, _mark(secret): made})
        return made, secret

    def remove(self, name: str) -> None:
        """It lets nobody in from now on; raises NotFound."""
        left = {mark: one for mark, one in self._tokens.items() if one.name != name}
        if len(left) == len(self._tokens):
            raise NotFound(f"no token `{name[:64]}`", "postroad token list")
        self._keep(left)

    def find(self, secret: str) -> Token | None:
        """Whose secret this is, None when it is nobody's (any more)."""
        if _SECRET.match(secret) is None:
            return None
        mark = _mark(secret)
        found, now = self._tokens.get(mark), self._clock.wall()
        if found is None or _ended(found, now):
            return None
        if found.used_at is None or not 0 <= now - found.used_at < _USE_TICK:
            self._used(mark, replace(found, used_at=now))
        return found

    def _used(self, mark: str, token: Token) -> None:
        self._tokens[mark] = token
        try:
            write_rows(self._path, self._rows(self._tokens), sure=False)
        except PostroadError:
            return  # that it was used is worth less than the answer

    def _keep(self, tokens: dict[str, Token]) -> None:
        write_rows(self._path, self._rows(tokens))
        self._tokens = tokens

    @staticmethod
    def _rows(tokens: dict[str, Token]) -> Rows:
        return [
            {
                "sha256": mark,
                "name": one.name,
                "role": one.role,
                "created_at": one.created_at,
                "used_at": one.used_at,
                "ends_at": one.ends_at,
            }
            for mark, one in tokens.items()
        ]


def _mark(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _ended(token: Token, now: float) -> bool:
    return token.ends_at is not None and token.ends_at <= now


def _revived(row: dict[str, Any]) -> tuple[str, Token] | None:
    """A kept row; None for one that nobody of us wrote."""
    try:
        if row["role"] not in ROLES:
            return None
        used, ends = row["used_at"], row["ends_at"]
        return str(row["sha256"]), Token(
            str(row["name"]),
            row["role"],
            float(row["created_at"]),
            None if used is None else float(used),
            None if ends is None else float(ends),
        )
    except (KeyError, TypeError, ValueError):
        return None
