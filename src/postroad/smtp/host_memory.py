"""What hosts refused of late, so that the next message goes without it from the start; every memory expires.

Bounded: the host that was asked about longest ago is forgotten first. Clock-free: the caller says when it is now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

#: Seconds for which a refusal is believed.
LASTS: Final = 3600.0


class HostMemory:
    """Host -> the keywords it refused, each until its time is over."""

    __slots__ = ("_hosts", "_most")

    def __init__(self, most: int = 10_000) -> None:
        """``most`` hosts are remembered."""
        self._hosts: OrderedDict[str, dict[str, float]] = OrderedDict()
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

    def forget(self, host: str) -> None:
        """What ``host`` refused is tried again with the next message."""
        self._hosts.pop(host, None)
