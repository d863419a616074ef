"""How often somebody may be wrong at the sign-in: longer and longer waits for an address, and for a name from everywhere.

A try counts when it begins, so that many at once are not more than one after another; one that was right does not count.
What is counted fades: every FADE seconds half as much. The wait for a name is short at most, and does not concern
addresses from which its bearer was lately signed in, so that strangers lock nobody out. Names that do not exist are
counted as those that do, in a fixed number of heaps that only we can tell apart.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from postroad.clock import Clock
from postroad.policy.clients import address_of, client_of

#: Seconds in which half of what is counted is forgotten.
FADE: Final = 900.0
#: Wrong tries that cost no wait.
FREE_FOR_CLIENT: Final = 5
FREE_FOR_NAME: Final = 10
#: The longest waits, in seconds; programs of this machine stand for many people when a proxy does not say for whom.
MOST_FOR_CLIENT: Final = 900.0
MOST_FOR_NAME: Final = 60.0
MOST_FOR_LOOPBACK: Final = 60.0

MAX_CLIENTS: Final = 20_000
_HEAPS: Final = 1 << 16


@dataclass(slots=True)
class _Count:
    tries: float
    at: float
    """When it was counted last."""

    def now(self, moment: float) -> float:
        """What is left of it."""
        return self.tries * math.exp2((self.at - moment) / FADE)

    def wait(self, moment: float, free: int, most: float) -> float:
        """Seconds from now until the next try: about 2, 4, 8 … since the last one."""
        over = self.now(moment) - free
        if over < -0.5:
            return 0.0
        return max(self.at + min(math.exp2(min(over + 1.0, 20.0)), most) - moment, 0.0)


class Try:
    """One that has begun."""

    def __init__(self, counts: list[_Count]) -> None:
        self._counts = counts

    def was_right(self) -> None:
        """It does not count."""
        for count in self._counts:
            count.tries = max(count.tries - 1.0, 0.0)
        self._counts = []


class Limiter:
    """The counts of one door."""

    def __init__(self, clock: Clock, max_clients: int = MAX_CLIENTS) -> None:
        self._clock = clock
        self._max_clients = max_clients
        self._clients: OrderedDict[str, _Count] = OrderedDict()  # the longest idle first
        self._names: dict[int, _Count] = {}
        self._key = secrets.token_bytes(32)

    def begin(self, peer: str, name: str, known: bool) -> Try | float:
        """A try that may go on, or the seconds to wait before the next. ``known``: its bearer was lately here, too."""
        now = self._clock.monotonic()
        client, heap = client_of(peer), self._heap(name)
        by_client = self._clients.get(client, _Count(0.0, now))
        by_name = self._names.get(heap, _Count(0.0, now))
        address = address_of(peer)
        most = MOST_FOR_LOOPBACK if address is not None and address.is_loopback else MOST_FOR_CLIENT
        wait = by_client.wait(now, FREE_FOR_CLIENT, most)
        if not known:
            wait = max(wait, by_name.wait(now, FREE_FOR_NAME, MOST_FOR_NAME))
        if wait > 0:
            return wait
        self._clients[client], self._names[heap] = by_client, by_name
        self._clients.move_to_end(client)
        while len(self._clients) > self._max_clients:
            self._clients.popitem(last=False)
        for count in (by_client, by_name):
            count.tries, count.at = count.now(now) + 1.0, now
        return Try([by_client, by_name])

    def _heap(self, name: str) -> int:
        mark = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8)
        return int.from_bytes(mark.digest(), "big") % _HEAPS
