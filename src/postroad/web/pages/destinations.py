"""Where mail goes: how each destination stands, and one with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin.destinations import Destination, State, as_written
from postroad.admin.heard import Run
from postroad.delivery.routing import Hold, Maildir, Mx, Smtp
from postroad.delivery.routing import Route as Way
from postroad.errors import PostroadError
from postroad.web.diagnosing import Diagnoses
from postroad.web.pages.house import House, see
from postroad.web.pages.plots import Plot, Series
from postroad.web.pages.wording import Wording
from postroad.web.problems import Refusal
from postroad.web.requests import Form, flag, word

PAGE: Final = 50
_MAX_NAME: Final = 1_000
_TONES: Final = {
    State.RESTING: "never",
    State.REFUSING: "never",
    State.DEFERRING: "later",
    State.WELL: "good",
    State.QUIET: "",
}
#: What stands before the word of a state, so that no colour is needed.
_MARKS: Final = {State.RESTING: "‖", State.REFUSING: "✕", State.DEFERRING: "↻", State.WELL: "✓", State.QUIET: "–"}


class Destinations:
    """The pages below /destinations."""

    def __init__(self, house: House, diagnoses: Diagnoses) -> None:
        self._house = house
        self._diagnoses = diagnoses

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/destinations/diagnose", house.form(self.diagnose), methods=["POST"]),
            Route("/destinations/resume", house.form(self.resume), methods=["POST"]),
            Route("/destinations", house.open(self.list), methods=["GET"]),
            Route("/destinations/{name:path}", house.open(self.one), methods=["GET"]),
        ]

    async def list(self, request: Request) -> Response:
        """How they stand, trouble first."""
        part, trouble, after = word(request, "part"), flag(request, "trouble"), word(request, "after")
        page = await self._house.admin.destinations.page(part, trouble=trouble, after=after, limit=PAGE)
        asked = {name: value for name, value in (("part", part), ("trouble", "true" if trouble else "")) if value}
        return self._house.page(
            request,
            "destinations.html",
            page=page,
            part=part,
            trouble=trouble,
            first=urlencode(asked) if after else None,
            following=urlencode({**asked, "after": page.next}) if page.next else "",
            **_dress(),
        )

    async def one(self, request: Request) -> Response:
        """All that is known of one."""
        name = request.path_params["name"]
        found = await self._house.admin.destinations.find(name)
        say = self._house.wording(request)
        return self._house.page(
            request,
            "destinations_one.html",
            found=found,
            one=found.standing,
            sentence=_sentence(found, say, self._house.admin.now()),
            now=self._house.admin.now(),
            plot=_plot(found, say),
            way=_way(found.route),
            asked_for=_asked(found.route, name, found.port)[0],
            **_dress(),
        )

    async def diagnose(self, request: Request, fields: Form) -> Response:
        """The button "diagnose now": of the way that mail for the destination goes."""
        name = fields.get("destination", "")
        route, port = self._house.admin.destinations.route(name)
        target, wishes = _asked(route, name, port)
        if not target:
            raise Refusal(400, "no host is asked for this destination", "its mail goes into a folder, or is held")
        fixed = isinstance(route, Smtp)
        try:
            job = self._diagnoses.begin(target, wishes, trusted=fixed, about=name)
        except Refusal as fault:
            if fault.status != 429:  # reply: an HTTP status
                raise
            return see("/diagnose?" + urlencode({"target": target}))
        return see(f"/diagnoses/{job.id}")

    async def resume(self, request: Request, fields: Form) -> Response:
        """The button "try it now" of one that is left alone."""
        name = fields.get("destination", "")
        await self._house.admin.destinations.resume(name)
        return see(_link(name))


def _dress() -> dict[str, Any]:
    """What the templates call."""
    return {"link": _link, "unicode": as_written, "tones": _TONES, "marks": _MARKS, "percent": _percent}


def _link(name: str) -> str:
    """Where a destination is shown, whatever it is called."""
    return f"/destinations/{quote(name[:_MAX_NAME], safe='')}"


def _percent(rate: float | None) -> str:
    """``97 %``; never 0 or 100 when it is only nearly so; ``""`` when nothing was tried."""
    if rate is None:
        return ""
    whole = round(rate * 100)
    whole = min(whole, 99) if rate < 1 else whole
    return f"{max(whole, 1) if rate > 0 else whole} %"


def _sentence(found: Destination, say: Wording, now: float) -> str:
    """How it stands; what it answers is shown beside it."""
    one, run, texts = found.standing, found.heard.run, say.texts
    if one.state is State.RESTING:
        key = "destinations.say.resting" if (one.rests_until or 0) > now else "destinations.say.probing"
        return texts(key, time=say.short_clock(one.rests_until))
    if one.state.is_trouble:
        if run is None:
            return texts(f"destinations.say.{one.state}")
        return texts.n(f"destinations.say.{one.state}.{_how_many(run)}", run.tries, **_since(run, say))
    if one.state is State.WELL:
        tally = one.tally
        tries = tally.delivered + tally.deferred + tally.failed
        return texts.n("destinations.say.well", tries, delivered=f"{tally.delivered:,}")
    return texts("destinations.say.waiting" if one.waiting or one.held else "destinations.say.quiet")


def _how_many(run: Run) -> str:
    return "all" if run.top.count == run.tries else "some"


def _since(run: Run, say: Wording) -> Mapping[str, str]:
    return {"time": say.short_clock(run.since), "same": f"{run.top.count:,}"}


def _plot(found: Destination, say: Wording) -> Plot | None:
    """A week in bars."""
    span = found.span
    if span is None:
        return None
    tones = (("delivered", "good"), ("deferred", "later"), ("failed", "never"))
    series = [Series(say.texts(f"destinations.plot.{name}"), tone, span.values[name]) for name, tone in tones]  # type: ignore[arg-type]
    note = say.texts("destinations.plot.note")
    return Plot("week", say.texts("destinations.plot"), "bars", span.starts, span.step, series, note)


def _way(route: Way | None) -> str:
    """The key of what is said of a route: ``mx``, ``smtp``, ``maildir``, ``hold``; ``none``: nothing is delivered."""
    match route:
        case None:
            return "none"
        case Mx():
            return "mx"
        case Smtp():
            return "smtp"
        case Maildir():
            return "maildir"
        case Hold():
            return "hold"


def _asked(route: Way | None, name: str, port: int) -> tuple[str, dict[str, Any]]:
    """What is looked at for a destination, and with which keywords of ``diagnose``; ``""``: there is no host."""
    match route:
        case Smtp(path="") as fixed:
            host = f"[{fixed.host}]" if ":" in fixed.host else fixed.host
            wishes: dict[str, Any] = {"role": "lmtp" if fixed.lmtp else "mx", "host_only": True}
            return f"{host}:{fixed.port}", wishes | ({"implicit_tls": True} if fixed.implicit_tls else {})
        case Mx() | None:
            bare = name.removeprefix("[IPv6:").removeprefix("[ipv6:").removeprefix("[").removesuffix("]")
            target = f"[{bare}]" if ":" in bare else bare
            return (target if _is_name(target) else ""), {"port": port} if port != 25 else {}  # strict: a number
        case _:
            return "", {}


def _is_name(text: str) -> bool:
    from postroad.diagnosis.targets import read_target

    try:
        read_target(text)
    except PostroadError:
        return False
    return True
