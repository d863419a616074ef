"""Diagnosis on a page: a form, and the steps of a job as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.errors import PostroadError
from postroad.web.diagnosing import MAX_RUNNING, Diagnoses, teller
from postroad.web.door.people import Role
from postroad.web.pages.house import House, see
from postroad.web.problems import Refusal, status_of, words
from postroad.web.requests import Form, word

if TYPE_CHECKING:
    from postroad.diagnosis.diagnosing import Diagnosis, Progress
    from postroad.diagnosis.findings import Finding
    from postroad.diagnosis.telling import Teller, Told

ROLES: Final = ("mx", "submission", "lmtp")
_MAX_TARGET: Final = 300
_MAX_PORT: Final = 5
#: What stands between two steps of a host, and is no step itself.
_NO_STEPS: Final = frozenset(("done",))

#: What the form has no field for, and the command line says how to ask.
_ONLY_ASKED: Final = frozenset(("rcpt.skipped", "relay.skipped", "auth.skipped", "dkim.skipped"))


@dataclass(frozen=True, slots=True)
class Place:
    """What was found at one address, or of the domain."""

    label: str
    """Host, address and port; ``""``: the name and the domain."""
    told: tuple[Told, ...]
    transcript: str = ""
    step: str = ""
    """What is being done there now, in words; ``""``: nothing, or it is over."""
    level: str = "ok"
    """The gravest: ``ok``, ``info``, ``warn`` or ``error``."""


class Diagnose:
    """The pages /diagnose and /diagnoses."""

    def __init__(self, house: House, diagnoses: Diagnoses) -> None:
        self._house = house
        self._diagnoses = diagnoses

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/diagnose", house.open(self.ask, Role.OPERATOR), methods=["GET"]),
            Route("/diagnose", house.form(self.begin), methods=["POST"]),
            Route("/diagnoses/{id}", house.open(self.job), methods=["GET"]),
            Route("/diagnoses/{id}/end", house.form(self.end), methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """The form, filled in with what the address says."""
        asked = {name: word(request, name)[:_MAX_TARGET] for name in ("target", "as", "port")}
        return self._form(request, asked)

    def _form(self, request: Request, asked: Mapping[str, str], fault: Exception | None = None) -> Response:
        said, hint = words(fault) if fault is not None else ("", "")
        return self._house.page(
            request,
            "diagnose.html",
            200 if fault is None else status_of(fault),
            asked=asked,
            roles=ROLES,
            fault=said,
            hint=hint,
            jobs=self._diagnoses.jobs,
            full=self._diagnoses.running >= MAX_RUNNING,
            most=MAX_RUNNING,
        )

    async def begin(self, request: Request, fields: Form) -> Response:
        """Begin, and go on to its page; the form again when it cannot."""
        asked = {name: fields.get(name, "").strip() for name in ("target", "as", "port")}
        try:
            job = self._diagnoses.begin(_target(asked["target"]), _wishes(asked))
        except PostroadError as fault:
            return self._form(request, asked, fault)
        return see(f"/diagnoses/{job.id}")

    async def job(self, request: Request) -> Response:
        """How it goes, step by step."""
        job = self._diagnoses.job(request.path_params["id"])
        telling = teller(self._house.language(request))
        places = _over(job.diagnosis, telling) if job.diagnosis is not None else _so_far(job.events, telling)
        return self._house.page(
            request,
            "diagnose_job.html",
            job=job,
            places=places,
            counts=_counts(places),
            asked={"as": job.wishes.get("role", "mx"), "port": job.wishes.get("port", "")},
            hosts=next((event.of for event in reversed(job.events) if event.of), 0),
            hosts_done=next((event.done for event in reversed(job.events) if event.of), 0),
        )

    async def end(self, request: Request, fields: Form) -> Response:
        """The button "end it"."""
        self._diagnoses.end(request.path_params["id"])
        return see("/diagnose")


def _target(text: str) -> str:
    if not text or len(text) > _MAX_TARGET:
        raise Refusal(400, "say what is to be looked at", "a host or a domain, for example example.com")
    return text


def _wishes(asked: Mapping[str, str]) -> dict[str, Any]:
    """The keywords of ``diagnose`` that the form asks for; raises Refusal."""
    wishes: dict[str, Any] = {"role": asked["as"] if asked["as"] in ROLES else "mx"}
    if port := asked["port"]:
        if not (port.isascii() and port.isdecimal() and len(port) <= _MAX_PORT and 1 <= int(port) <= 65_535):
            raise Refusal(400, "a port is a number from 1 to 65535")
        wishes["port"] = int(port)
    return wishes


def _so_far(events: Sequence[Progress], telling: Teller) -> list[Place]:
    """What has come until now, a place for each address in the order in which they began."""
    found: dict[str, list[Finding]] = {}
    steps: dict[str, str] = {}
    for event in list(events):
        found.setdefault(event.place, [])
        if event.finding is not None:
            found[event.place].append(event.finding)
        steps[event.place] = "" if event.step in _NO_STEPS else event.step
    return [_place(label, ones, telling, step=steps[label]) for label, ones in found.items()]


def _over(diagnosis: Diagnosis, telling: Teller) -> list[Place]:
    """All of it: what one address says may have been set right by the others."""
    places = [_place("", diagnosis.findings, telling)] if diagnosis.findings else []
    return places + [_place(one.place.label, one.findings, telling, one.transcript) for one in diagnosis.hosts]


def _place(label: str, ones: Sequence[Finding], telling: Teller, transcript: str = "", step: str = "") -> Place:
    ones = [one for one in ones if one.id not in _ONLY_ASKED]
    level = max((one.level for one in ones), default=None)
    told = tuple(map(telling.told, ones))
    return Place(label, told, transcript, telling.step(step) if step else "", "ok" if level is None else level.label)


def _counts(places: Sequence[Place]) -> dict[str, int]:
    """Level -> findings of it."""
    counts = dict.fromkeys(("error", "warn", "info", "ok"), 0)
    for level in _levels(places):
        counts[level] += 1
    return counts


def _levels(places: Sequence[Place]) -> Iterator[str]:
    for place in places:
        for told in place.told:
            yield told.finding.level.label
