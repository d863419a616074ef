"""What the only way out could not do at its last EHLO, as conditions for those who send to us.

A server that would take SMTPUTF8 mail and could only hold it does better to say so at MAIL: 455, since the next hop may
have learnt it in ten minutes (RFC 5321 section 4.1.1.11). Where there are several ways, or none by SMTP, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

from postroad.delivery.routing import Hold, Routes, Smtp
from postroad.smtp.extensions import BINARYMIME, CHUNKING, SMTPUTF8
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.smtputf8 import UTF8

#: Seconds for which the last EHLO is believed.
BELIEVED: Final = 600.0

#: Parameter, as conditions name it -> the EHLO keywords without which it cannot be passed on.
_NEEDED: Final = {
    UTF8.keyword: (SMTPUTF8.keyword,),
    f"{BODY.keyword}={Body.BINARYMIME.value}": (BINARYMIME.keyword, CHUNKING.keyword),
}


class Conditions(Protocol):
    """Who keeps what is refused just now."""

    def set(self, parameter: str, why: str, seconds: float | None, source: Literal["server"]) -> object:
        """Refuse for a time."""
        ...

    def clear(self, parameter: str | None, source: Literal["server"]) -> int:
        """Refuse no longer."""
        ...


class NextHops:
    """Listens to what hosts announce."""

    def __init__(self, conditions: Conditions, routes: Callable[[], Routes]) -> None:
        self._conditions = conditions
        self._routes = routes

    def heard(self, route: Smtp, announced: Mapping[str, str]) -> None:
        """A host on ``route`` has answered EHLO with these keywords."""
        if not self._is_only_way(route):
            return
        for parameter, needed in _NEEDED.items():
            missing = [keyword for keyword in needed if keyword not in announced]
            if missing:
                why = f"the only route, {route}, did not offer {' and '.join(missing)}"
                self._conditions.set(parameter, why, BELIEVED, "server")
            else:
                self._conditions.clear(parameter, "server")

    def _is_only_way(self, route: Smtp) -> bool:
        """Whether all mail that leaves goes there."""
        routes = self._routes()
        ways = {one for _, one in routes if not isinstance(one, Hold)}
        if not isinstance(routes.default, Hold):
            ways.add(routes.default)
        return ways == {route}
