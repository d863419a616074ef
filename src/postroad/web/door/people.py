"""People at the door: a name, a role, and what the role permits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from starlette.requests import HTTPConnection

from postroad.web.problems import Refusal


class Role(IntEnum):
    """What somebody may do; who may more may the lesser, too."""

    NOBODY = 0
    """What tells nothing of this server: the reference."""
    VIEWER = 1
    """Look at everything but the content of other people's mail."""
    OPERATOR = 2
    """Read content, change the queue, the conditions, the rules; make the server connect somewhere."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks."""

    name: str
    """``""``: nobody signed in, or nobody has to."""
    role: Role
    session: str = ""
    """Which sign-in it is, for forms and for signing out; ``""``: none."""


NOBODY: Final = Person("", Role.NOBODY)


def person_of(request: HTTPConnection) -> Person:
    """Who asks; the guard has put it there."""
    found = request.scope.get("state", {}).get("person", NOBODY)
    return found if isinstance(found, Person) else NOBODY


def is_still_in(request: HTTPConnection) -> bool:
    """Whether the one who asked may still do what they might then; for answers that last."""
    still = request.scope.get("state", {}).get("still")
    return bool(still()) if still is not None else True


def must_be(request: HTTPConnection, role: Role) -> None:
    """Raise Refusal (401, 403) for somebody who may not."""
    person = person_of(request)
    if person.role >= role:
        return
    if person.role is Role.NOBODY:
        raise Refusal(401, "this needs a sign-in", "open /sign-in, or send a token: Authorization: Bearer …")
    raise Refusal(403, f"a {person.role.name.lower()} may not do this", f"it takes an {role.name.lower()}")
