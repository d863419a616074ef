"""Routes that came or went: what was held for want of a route is released, what now must wait is held."""

from __future__ import annotations

from typing import Final

from postroad.clock import Clock
from postroad.delivery.routing import NO_ROUTE, ROUTE_IS_HOLD, Hold, Routes
from postroad.envelope import RecipientState
from postroad.errors import NotFound
from postroad.spool.interface import MessageQuery, Spool

_PAGE: Final = 500
#: Destinations that are looked at when the route of all other mail changed.
_GROUPS: Final = 10_000


async def apply_routes(spool: Spool, routes: Routes, clock: Clock) -> None:
    """Release what was held for want of a route that is there now; hold what now must wait. Raises SpoolError."""
    now = clock.wall()
    for destination, route in routes:
        if isinstance(route, Hold):
            await _hold_queued(spool, destination, route)
        else:
            for note in (NO_ROUTE, ROUTE_IS_HOLD):
                await spool.release(MessageQuery(destination=destination), now, note)
    if not isinstance(routes.default, Hold):
        await spool.release(MessageQuery(), now, NO_ROUTE)
        await _release_held(spool, routes, now)


async def _release_held(spool: Spool, routes: Routes, now: float) -> None:
    """What was held by a route of its own that is there no longer, and goes as all other mail."""
    held = MessageQuery(state=RecipientState.HELD, note=ROUTE_IS_HOLD)
    for group in await spool.summary("destination", held, _GROUPS):
        if not isinstance(routes.of(group.key), Hold):
            await spool.release(MessageQuery(destination=group.key), now, ROUTE_IS_HOLD)


async def _hold_queued(spool: Spool, destination: str, route: Hold) -> None:
    after = 0
    while True:
        query = MessageQuery(
            destination=destination, state=RecipientState.QUEUED, after=after, limit=_PAGE, oldest_first=True
        )
        page = await spool.messages(query)
        for message in page:
            after = message.sequence
            numbers = [one.number for one in message.recipients if one.destination == destination]
            try:
                await spool.hold(message.id, route.reason, numbers)
            except NotFound:
                pass
        if len(page) < _PAGE:
            return
