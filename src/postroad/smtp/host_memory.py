"""What hosts refused of late, so that the next message goes without it from the start; every memory expires.

What a host last offered in answer to EHLO is kept beside it, for people to read: nothing is decided by it.

Bounded: the host that was asked about longest ago is forgotten first. Clock-free: the caller says when it is now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

#: Seconds for which a refusal is believed.
LASTS: Final = 3600.0
#: Lines of an EHLO that are kept to be shown, and characters of one.
_OFFERS: Final = 40
_MAX_OFFER: Final = 200


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of one host."""

    offers: tuple[str, ...] = ()
    """What its last EHLO announced, a line each (``SIZE 52428800``); empty: it was not met of late."""
    refused: Mapping[str, float] = field(default_factory=dict)
    """Keyword -> the seconds for which it is still left out."""


class HostMemory:
    """Host -> the keywords it refused, each until its time is over."""

    __slots__ = ("_hosts", "_most", "_offers")

    def __init__(self, most: int = 10_000) -> None:
        """``most`` hosts are remembered."""
        self._hosts: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._offers: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._most = most

    def refused(self, host: str, now: float) -> frozenset[str]:
        """The keywords that ``host`` is known to refuse at ``now`` (seconds of any clock that goes forward)."""
        kept = self._hosts.get(host)
        if kept is None:
            return frozenset()
        for keyword in [keyword for keyword, until in kept.items() if until <= now]:
            del kept[keyword]
        if not kept:
            del self._hosts[host]
            return frozenset()
        self._hosts.move_to_end(host)
        return frozenset(kept)

    def learn(self, host: str, keywords: Iterable[str], now: float, seconds: float = LASTS) -> None:
        """``host`` has refused these; believed for ``seconds`` from ``now``."""
        learnt = dict.fromkeys(keywords, now + seconds)
        if not learnt or seconds <= 0:
            return
        self._hosts.setdefault(host, {}).update(learnt)
        self._hosts.move_to_end(host)
        while len(self._hosts) > self._most:
            self._hosts.popitem(last=False)

    def met(self, host: str, announced: Mapping[str, str]) -> None:
        """``host`` has answered EHLO with these keywords and their parameters."""
        self._offers[host] = tuple(f"{name} {more}".rstrip()[:_MAX_OFFER] for name, more in announced.items())[:_OFFERS]
        self._offers.move_to_end(host)
        while len(self._offers) > self._most:
            self._offers.popitem(last=False)

    def known(self, host: str, now: float) -> Remembered:
        """What is known of ``host``, to be shown; asking does not keep it in mind any longer."""
        kept = self._hosts.get(host, {})
        left = {keyword: until - now for keyword, until in sorted(kept.items()) if until > now}
        return Remembered(self._offers.get(host, ()), left)

    def forget(self, host: str) -> None:
        """What ``host`` refused is tried again with the next message."""
        self._hosts.pop(host, None)
