"""Who may call himself what: passwords against Argon2id hashes, without telling strangers anything.

One reply for every failure. An unknown name costs what a known one costs: a hash of the same strength is computed for
it, so neither reply nor time says which names exist. Hashes run in a few threads with a short queue, so a flood of AUTH
takes neither the memory nor the other sessions' time; beyond the queue we say 454. A password that was right is
remembered for some minutes under a keyed hash, never in clear.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from postroad.clock import Clock
from postroad.policy.stages import Decision
from postroad.replies import Reply
from postroad.smtp.events import AuthGiven

AUTHENTICATION_FAILED: Final = Reply(535, "Authentication credentials invalid", "5.7.8")
AUTHENTICATION_BUSY: Final = Reply(454, "Temporary authentication failure, try again later", "4.7.0")

#: Hashes that wait or run at the same time; each takes some 20 ms and, while it runs, the memory its ``m=`` says.
QUEUE: Final = 64
THREADS: Final = min(4, os.cpu_count() or 1)
#: Right passwords are remembered so long (seconds) and so many.
REMEMBERED_SECONDS: Final = 300.0
REMEMBERED: Final = 10_000

_SALT_AND_HASH = re.compile(r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)\Z")
#: What ``postroad user hash`` makes, too: 19 MiB, two passes, one lane (OWASP's first choice for Argon2id).
_USUAL: Final = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Accounts:
    """The accounts of one server; ``close()`` it when its settings are replaced."""

    def __init__(self, hashes: Mapping[str, str], clock: Clock, threads: int = THREADS, queue: int = QUEUE) -> None:
        """``hashes``: name -> ``$argon2id$…``, as checked by settings."""
        self._hashes = dict(hashes)
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._decoys = tuple(_decoy(encoded) for encoded in sorted({*hashes.values()}) or [_USUAL])
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._queue = queue
        self._busy = 0
        self._closed = False

    def authenticate(self, auth: AuthGiven) -> Decision:
        """None when the password is right, else why not: 535 5.7.8, or 454 4.7.0 when too many ask at once."""
        name = auth.authentication_id
        if auth.authorization_id not in ("", name):
            name = ""  # nobody may act for another; the answer takes the time that a wrong password takes
        if self._is_remembered(name, auth.password):
            return None
        if self._busy >= self._queue or self._closed:
            return AUTHENTICATION_BUSY
        return self._answer(self.verify(name, auth.password))

    async def check(self, name: str, password: str) -> bool | None:
        """As ``authenticate``, for doors other than AUTH; None when too many ask at once. They get half of the queue."""
        if self._is_remembered(name, password):
            return True
        if self._busy >= self._queue // 2 or self._closed:
            return None
        return await self.verify(name, password)

    def verify(self, name: str, password: str) -> asyncio.Future[bool]:
        """Whether this is the password of ``name``; computes one hash in any case (nobody knows a decoy's)."""
        encoded = self._hashes.get(name)
        work = self._threads.submit(_matches, encoded or self._decoy_for(name), _octets(password))
        self._busy += 1
        future = asyncio.wrap_future(work)
        future.add_done_callback(lambda done: self._verified(done, name, password, encoded))
        return future

    def close(self) -> None:
        """Take no more; whoever waits gets an answer first."""
        self._closed = True
        self._threads.shutdown(wait=False)

    def _verified(self, done: asyncio.Future[bool], name: str, password: str, encoded: str | None) -> None:
        self._busy -= 1
        if encoded is not None and not done.cancelled() and done.exception() is None and done.result():
            self._remember(name, password, encoded)

    async def _answer(self, right: Awaitable[bool]) -> Reply | None:
        return None if await right else AUTHENTICATION_FAILED

    def _decoy_for(self, name: str) -> str:
        """The same name always meets the same strength, as if it existed."""
        return self._decoys[self._mark(name, "", "")[0] % len(self._decoys)]

    def _mark(self, name: str, password: str, encoded: str) -> bytes:
        mark = hashlib.blake2b(key=self._key, digest_size=32)
        for text in (name, encoded, password):
            octets = _octets(text)
            mark.update(len(octets).to_bytes(8, "big") + octets)
        return mark.digest()

    def _is_remembered(self, name: str, password: str) -> bool:
        encoded = self._hashes.get(name)
        if encoded is None or not self._remembered:
            return False
        until = self._remembered.get(self._mark(name, password, encoded))
        return until is not None and self._clock.monotonic() < until

    def _remember(self, name: str, password: str, encoded: str) -> None:
        mark = self._mark(name, password, encoded)
        self._remembered[mark] = self._clock.monotonic() + REMEMBERED_SECONDS
        self._remembered.move_to_end(mark)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


class AnyPassword:
    """Dev mode: every name and password is right, so that a program's login can be tried."""

    def authenticate(self, auth: AuthGiven) -> Decision:
        """Always None."""
        return None

    def close(self) -> None:
        """Nothing to end."""


def make_hash(password: str) -> str:
    """An Argon2id hash for ``[[user]] password_hash``."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(_octets(password))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoy(encoded: str) -> str:
    """A hash of the same strength and shape that no password is known for."""
    return _SALT_AND_HASH.sub(lambda found: f"${_random(found[1])}${_random(found[2])}", encoded)


def _random(like: str) -> str:
    """As many base64 octets as ``like`` stands for, random."""
    import base64

    octets = secrets.token_bytes(len(like) * 3 // 4)
    return base64.b64encode(octets).rstrip(b"=").decode("ascii")


def _matches(encoded: str, password: bytes) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(encoded.encode("ascii"), password, Type.ID)
    except (VerificationError, InvalidHashError):
        return False
