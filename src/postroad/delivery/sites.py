"""From a destination and its route to the place where its mail waits its turn: all that goes to one site goes together.

What MX records say is asked of the resolver, which keeps it as long as the DNS allows; here the answer is only kept for
a moment, so that a message costs no question.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from postroad.clock import Clock
from postroad.delivery.mx import Site, Unroutable
from postroad.delivery.routing import Maildir, Mx, Route, Smtp
from postroad.errors import LocalProtocolError
from postroad.net.use_tls import UseTls

#: Seconds for which an answer is kept, and how long the lack of one.
_KEPT: Final = 30.0
_FAULT_KEPT: Final = 5.0
_MOST: Final = 20_000


class SiteFinder(Protocol):
    """What of ``MxRouting`` is needed."""

    async def site_of(self, destination: str) -> Site:
        """The site of a destination; raises Unroutable."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where mail waits: the same for all that may share connections."""

    key: str
    route: Route
    site: Site | None = None
    """The hosts, for a route by MX records."""
    fault: Unroutable | None = None
    """Why there is no way."""

    @property
    def is_far(self) -> bool:
        """Whether another host decides how much it bears, and may be away."""
        return not isinstance(self.route, Maildir) and (self.fault is None or not self.fault.permanent)


class Places:
    """Finds places; bounded memory."""

    def __init__(self, finder: SiteFinder | None, clock: Clock) -> None:
        self._finder = finder
        self._clock = clock
        self._found: OrderedDict[tuple[str, Mx], tuple[Place, float]] = OrderedDict()
        self._fixed: dict[Route, Place] = {}

    def known(self, destination: str, route: Route) -> Place | None:
        """The place, when it can be told without asking anybody."""
        if isinstance(route, Mx):
            found = self._found.get((destination, route))
            return found[0] if found is not None and self._clock.monotonic() < found[1] else None
        place = self._fixed.get(route)
        if place is None:
            place = self._fixed[route] = Place(_fixed_key(route), route)
        return place

    async def find(self, destination: str, route: Route) -> Place:
        """The place; a destination without a way has one, too, where its mail hears why."""
        place = self.known(destination, route)
        if place is not None or not isinstance(route, Mx):
            return place if place is not None else Place(_fixed_key(route), route)
        if self._finder is None:
            raise LocalProtocolError("mail goes by MX records and there is no resolver")
        try:
            site = await self._finder.site_of(destination)
        except Unroutable as fault:
            place = Place(f"no way to {destination}", route, fault=fault)
        else:
            place = Place(_mx_key(site, route.tls), route, site)
        kept = _FAULT_KEPT if place.fault is not None else _KEPT
        self._found[(destination, route)] = (place, self._clock.monotonic() + kept)
        self._found.move_to_end((destination, route))
        if len(self._found) > _MOST:
            self._found.popitem(last=False)
        return place


def _mx_key(site: Site, tls: UseTls) -> str:
    return site.key if tls is UseTls.OPPORTUNISTIC else f"{site.key} tls={tls.value}"


def _fixed_key(route: Route) -> str:
    """Mail that needs another login or another security shares no connection."""
    if not isinstance(route, Smtp):
        return str(route)
    key = str(route)
    if route.login is not None:
        key += f" as {route.login.account}"
    return key if route.tls is UseTls.OPPORTUNISTIC else f"{key} tls={route.tls.value}"
