"""The first page: how it goes, what needs somebody, where mail waits. In dev mode: what was caught, and how to send."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin.attention import Need
from postroad.admin.queue_filter import QueueFilter
from postroad.admin.traffic import Span
from postroad.envelope import RecipientState
from postroad.inbox.inbox import Filter
from postroad.web.pages import display, needs
from postroad.web.pages.house import House
from postroad.web.pages.plots import Plot, Series, Tone
from postroad.web.pages.wording import Wording

DAY: Final = 86_400.0
_QUARTER: Final = 900.0
_HOUR: Final = 3600.0
#: Destinations, and mails in dev mode, that are shown.
_DESTINATIONS: Final = 8
_NEWEST: Final = 8
_QUEUED: Final = QueueFilter(states=frozenset({RecipientState.QUEUED}))
#: What is counted -> where it can be understood.
_FIGURES: Final = {
    "accepted": "/inbox",
    "delivered": "/destinations",
    "deferred": "/queue?state=deferred",
    "refused": "/sessions?refused=true",
}
_OUTCOMES: Final[tuple[tuple[str, Tone], ...]] = (("delivered", "good"), ("deferred", "later"), ("failed", "never"))
_CLASSES: Final[tuple[tuple[int, Tone], ...]] = ((2, "good"), (4, "later"), (5, "never"))


class Dashboard:
    """The page at ``/``."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [Route("/", self._house.open(self.overview), methods=["GET"])]

    async def overview(self, request: Request) -> Response:
        """The page; raises SpoolError."""
        admin, say = self._house.admin, self._house.wording(request)
        status = await admin.status()
        found = await admin.attention.now()
        values: dict[str, Any] = {
            "status": status,
            "health": admin.health.now(),
            "figures": self._figures(dev=status.about.dev),
            "found": found,
            "needs": [_told(one, say) for one in found.needs],
            "plots": self._plots(say, dev=status.about.dev),
        }
        values |= await (self._caught(request) if status.about.dev else self._waiting())
        return self._house.page(request, "dashboard.html", **values)

    def _figures(self, *, dev: bool) -> list[tuple[str, str, int, int]]:
        """Name, address, how many in 24 hours, how many in the 24 hours before."""
        traffic = self._house.admin.traffic
        today, two_days = traffic.series(DAY, _QUARTER).values, traffic.series(2 * DAY, _HOUR)
        half = len(two_days.starts) // 2
        names = [name for name in _FIGURES if not dev or name in ("accepted", "refused")]
        return [(one, _FIGURES[one], sum(today[one]), sum(two_days.values[one][:half])) for one in names]

    def _plots(self, say: Wording, *, dev: bool) -> list[Plot]:
        traffic = self._house.admin.traffic
        fine, coarse = traffic.series(DAY, _QUARTER), traffic.series(DAY, _HOUR)
        if dev:
            return [
                _lines(say, fine, "accepted", (("accepted", "good"), ("refused", "never"))),
                _bars(say, coarse, "said"),
            ]
        return [_lines(say, fine, "deliveries", _OUTCOMES), _bars(say, coarse, "heard"), _bars(say, coarse, "said")]

    async def _waiting(self) -> dict[str, Any]:
        admin = self._house.admin
        await admin.heard.ready()
        oldest = (await admin.queue.page(_QUEUED, "", 1, False)).rows
        groups = await admin.queue.groups("destination", _QUEUED, _DESTINATIONS)
        return {
            "oldest": oldest[0] if oldest else None,
            "destinations": [(one, admin.heard.present(one.key)) for one in groups],
        }

    async def _caught(self, request: Request) -> dict[str, Any]:
        admin = self._house.admin
        page = await admin.inbox_list(Filter(), 0, 0, _NEWEST)
        return {
            "newest": page.items,
            "first": display.first_listener(admin.about.listeners, request.url.hostname or "localhost"),
        }


def _told(need: Need, say: Wording) -> tuple[Need, str, str, str]:
    return need, needs.sentence(need, say), needs.told(need, say), needs.action(need, say)


def _lines(say: Wording, span: Span, name: str, shown: tuple[tuple[str, Tone], ...]) -> Plot:
    series = [Series(say.texts(f"dashboard.{one}"), tone, span.values[one]) for one, tone in shown]
    title, note = say.texts(f"dashboard.plot.{name}"), say.texts(f"dashboard.plot.{name}.note")
    return Plot(f"plot-{name}", title, "lines", span.starts, span.step, series, note)


def _bars(say: Wording, span: Span, direction: str) -> Plot:
    series = [Series(f"{digit}yz", tone, span.values[f"{direction}_{digit}"]) for digit, tone in _CLASSES]
    title, note = say.texts(f"dashboard.plot.{direction}"), say.texts("dashboard.plot.replies.note")
    return Plot(f"plot-{direction}", title, "bars", span.starts, span.step, series, note)
