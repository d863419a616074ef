"""Whose mail may be read by whom, and what somebody looks for in it.

In dev mode all that is there was caught, and whoever comes in may read it; in production it is other people's.
"""

from __future__ import annotations

from starlette.requests import Request

from postroad.admin import Admin
from postroad.inbox.search import Filter, read_query
from postroad.web.door.people import Role, must_be, person_of
from postroad.web.problems import Refusal
from postroad.web.requests import word


def may_read(request: Request, admin: Admin) -> bool:
    """Whether this person may see subjects and content."""
    return admin.about.dev or person_of(request).role >= Role.OPERATOR


def must_read(request: Request, admin: Admin) -> None:
    """Raise Refusal for who may not read the mail that is here."""
    if not may_read(request, admin):
        must_be(request, Role.OPERATOR)


def wanted(request: Request, reads: bool) -> Filter:
    """``q``, ``to``, ``from`` and ``subject`` of the query; who does not read finds mail by its envelope only."""
    asked = Filter(word(request, "to"), word(request, "from"), word(request, "subject"), envelope_only=not reads)
    found = read_query(word(request, "q"), asked)
    if not reads and (found.subject or found.attachment):
        raise Refusal(403, "a viewer finds mail by its envelope only", "subjects and files are for operators")
    return found
