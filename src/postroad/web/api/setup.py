"""The look at the own house, and the settings that run, over the JSON API.

| method and path | query or body | answer |
|---|---|---|
| GET /api/v1/setup | lang | ``postroad.setup/1``; looks again when nobody did in the last ten minutes |
| POST /api/v1/setup/check | lang; ``{}`` or ``{"targets": ["example.org"]}`` | 202, ``postroad.setup/1``: the run has begun |
| GET /api/v1/settings | | ``postroad.settings/1``; secrets are hidden |

While ``running`` is true, ask again for the rest. ``targets`` are called on port 25; without them no stranger is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from postroad.admin import Admin
from postroad.admin.setup import Report
from postroad.admin.setup.leaving import read_targets
from postroad.web import setup_words
from postroad.web.answers import Json
from postroad.web.api.message_shapes import stamp
from postroad.web.door.people import Role, must_be
from postroad.web.language import asked_language
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, json_body
from postroad.web.texts import LANGUAGES, Texts

#: Seconds that an answer waits for the run to end.
_PATIENCE: Final = 5.0


class SetupApi:
    """Answers."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def table(self) -> list[tuple[str, str, Callable[[Request], Awaitable[Response]]]]:
        """Path below /api/v1, method, who answers."""
        return [
            ("/setup", "GET", self.setup),
            ("/setup/check", "POST", self.check),
            ("/settings", "GET", self.settings),
        ]

    async def setup(self, request: Request) -> Response:
        """What is known."""
        check_query(request, "lang")
        texts = _texts(request)
        self._admin.setup.refresh()
        await self._admin.setup.wait(_PATIENCE)
        return Json(report_shape(self._admin.setup.report(), texts))

    async def check(self, request: Request) -> Response:
        """Look again."""
        must_be(request, Role.OPERATOR)
        check_query(request, "lang")
        given = await json_body(request)
        if given.keys() - {"targets"}:
            raise Refusal(400, f"unknown: {', '.join(sorted(given.keys() - {'targets'}))[:100]}", "targets")
        named = given.get("targets", [])
        if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
            raise Refusal(400, "`targets` must be a list of host names")
        targets = read_targets(" ".join(named))
        texts = _texts(request)
        self._admin.setup.begin(targets)
        return Json(report_shape(self._admin.setup.report(), texts), 202)

    async def settings(self, request: Request) -> Response:
        """The effective settings."""
        check_query(request)
        found = await self._admin.settings()
        reloaded = found.reloaded
        return Json(
            {
                "schema": "postroad.settings/1",
                "file": found.file,
                "settings": [asdict(one) for one in found.settings],
                "warnings": list(found.warnings),
                "on_disk": asdict(found.disk),
                "reloaded": None
                if reloaded is None
                else {"at": stamp(reloaded.at), "fault": reloaded.fault, "hint": reloaded.hint},
            }
        )


def _texts(request: Request) -> Texts:
    tag = asked_language(request)
    return Texts(tag if tag in LANGUAGES else "en")


def report_shape(report: Report, texts: Texts) -> dict[str, Any]:
    """``postroad.setup/1``."""
    return {
        "schema": "postroad.setup/1",
        "language": texts.language,
        "running": report.is_running,
        "began_at": stamp(report.began_at) if report.began_at else None,
        "ended_at": stamp(report.ended_at) if report.ended_at else None,
        "done": len(report.checks),
        "of": report.of,
        "level": report.level.label,
        "checks": [_row(setup_words.told(one, texts)) for one in report.checks],
    }


def _row(one: setup_words.ToldCheck) -> dict[str, Any]:
    return {
        "check": one.check.slug,
        "subject": one.check.subject,
        "level": one.level,
        "label": one.label,
        "said": [asdict(said) for said in one.said],
        "records": [{"name": each.name, "type": each.type, "value": each.value} for each in one.records],
        "evidence": [{"what": kind, "seen": value} for kind, _, value in one.evidence],
    }
