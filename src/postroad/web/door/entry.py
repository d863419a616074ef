"""Who asks: by a token, by a sign-in, by the one password of an open developer's inbox, or because all may.

An entry tells the person of each request, and says who may sign in. There is one for each application.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from typing import Final, Protocol

from starlette.datastructures import Headers

from postroad.admin.access import Access
from postroad.web.door.people import NOBODY, Person, Role

COOKIE: Final = "postroad_session"
#: Cookies of our name that are looked at; another site of the same host can set some beside ours.
_MAX_COOKIES: Final = 4
MAX_NAME: Final = 320
MAX_PASSWORD: Final = 1_024


class Entry(Protocol):
    """See the module."""

    signs_in: bool
    """People have to sign in here."""
    asks_basic: bool
    """HTTP Basic is understood: programs are told so."""
    scrape_near: bool
    """Whoever runs on this machine may read the metrics without signing in."""

    def person(self, headers: Headers) -> Person:
        """Who asks; NOBODY when that cannot be told."""
        ...

    async def sign_in(self, name: str, password: str, client: str) -> tuple[Person, str] | None:
        """The person and the new cookie; None when name and password are not right. Raises Busy."""
        ...

    def sign_out(self, person: Person) -> None:
        """The person's cookie is worth nothing from now on."""
        ...

    def knows(self, name: str, client: str) -> bool:
        """Whether this person was lately signed in from there."""
        ...


class Busy(Exception):
    """Too many passwords are being checked."""


class Everybody:
    """No door: whoever comes has one role. For this machine's developer, and for the operator's own socket."""

    signs_in = False
    asks_basic = False
    scrape_near = True

    def __init__(self, role: Role) -> None:
        self._person = Person("", role)

    def person(self, headers: Headers) -> Person:
        """Always the same."""
        return self._person

    async def sign_in(self, name: str, password: str, client: str) -> tuple[Person, str] | None:
        """There is nothing to sign in to."""
        return None

    def sign_out(self, person: Person) -> None:
        """Nobody is in."""

    def knows(self, name: str, client: str) -> bool:
        """Nobody is known."""
        return False


class People:
    """Those to whom the settings give a role, and programs with a token."""

    signs_in = True
    asks_basic = False
    scrape_near = True

    def __init__(self, access: Access) -> None:
        self._access = access

    def person(self, headers: Headers) -> Person:
        """By ``Authorization`` when it is there, right or wrong; else by the cookie."""
        if (authorization := headers.get("authorization")) is not None:
            scheme, _, credentials = authorization.partition(" ")
            return self._authorized(scheme.lower(), credentials.strip())
        for cookie in _cookies(headers):
            found = self._access.sign_ins.find(cookie)
            role = self._role(found.name, found.mark) if found is not None else Role.NOBODY
            if found is not None and role is not Role.NOBODY:
                return Person(found.name, role, found.id)
        return NOBODY

    def _authorized(self, scheme: str, credentials: str) -> Person:
        token = self._access.tokens.find(credentials) if scheme == "bearer" else None
        return NOBODY if token is None else Person(token.name, Role[token.role.upper()], f"token:{token.created_at}")

    def _role(self, name: str, mark: str) -> Role:
        """What a person may who signed in when ``mark`` was right."""
        known = self._access.resident(name)
        return Role[known.role.upper()] if known is not None and known.mark == mark else Role.NOBODY

    async def sign_in(self, name: str, password: str, client: str) -> tuple[Person, str] | None:
        """By the password of ``[[user]]``, in the time that a name takes that does not exist."""
        right = await self._access.verify(name, password)
        if right is None:
            raise Busy
        known = self._access.resident(name)
        if not right or known is None:
            return None
        made, cookie = self._access.sign_ins.begin(name, known.mark, client)
        return Person(name, Role[known.role.upper()], made.id), cookie

    def sign_out(self, person: Person) -> None:
        """A token has no sign-in and goes on."""
        self._access.sign_ins.end(person.session)

    def knows(self, name: str, client: str) -> bool:
        """Whether this person was lately signed in from there."""
        return self._access.sign_ins.knows(name, client)


class OnePassword(People):
    """A developer's inbox that the network can reach: any name, and the password that was printed at the start."""

    asks_basic = True
    scrape_near = False

    def __init__(self, access: Access, password: str) -> None:
        super().__init__(access)
        self._password = password.encode()

    def _authorized(self, scheme: str, credentials: str) -> Person:
        if scheme != "basic":
            return super()._authorized(scheme, credentials)
        try:
            name, _, password = base64.b64decode(credentials, validate=True).partition(b":")
        except ValueError:
            return NOBODY
        if not hmac.compare_digest(password, self._password):
            return NOBODY
        return Person(name.decode("utf-8", "replace")[:60], Role.OPERATOR, "basic")

    def _role(self, name: str, mark: str) -> Role:
        return Role.OPERATOR

    async def sign_in(self, name: str, password: str, client: str) -> tuple[Person, str] | None:
        """Any name."""
        if not hmac.compare_digest(password.encode("utf-8", "surrogatepass"), self._password):
            return None
        made, cookie = self._access.sign_ins.begin(name[:60], "", client)
        return Person(made.name, Role.OPERATOR, made.id), cookie


def _cookies(headers: Headers) -> Iterator[str]:
    """The values of our cookie, in the browser's order."""
    seen = 0
    for line in headers.getlist("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE and seen < _MAX_COOKIES:
                seen += 1
                yield value.strip()
