"""A house to look into: a spool with mail, sessions, rules and conditions, and the application over them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from starlette.applications import Starlette

from postroad.admin import About, Admin, Listening
from postroad.admin.access import Access, Resident
from postroad.admin.setup import Facts
from postroad.admin.tokens import RoleName
from postroad.clock import Clock, SystemClock
from postroad.envelope import Draft, NewRecipient, Origin
from postroad.errors import SpoolError
from postroad.inbox.chaos import Chaos
from postroad.inbox.inbox import Inbox
from postroad.observe.sessions import SessionLog, SessionRecord
from postroad.policy.accounts import Accounts
from postroad.policy.conditions import ConditionsBoard
from postroad.spool.memory import MemorySpool
from postroad.web.app import create_app
from postroad.web.door.entry import Everybody
from postroad.web.door.people import Role

KNOWN = ("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "NOTIFY", "AUTH")
TRANSCRIPT = (
    "S: 220 dev.example ESMTP\nC: EHLO client.example\nS: 250-dev.example\nS: 250 SIZE\nC: QUIT\nS: 221 2.0.0 Bye"
)


def _hash(password: str) -> str:
    """The cheapest there is."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def token_of(page: httpx.Response) -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


class House:
    """Made inside the loop that uses it."""

    def __init__(
        self,
        dev: bool = True,
        people: Mapping[str, tuple[str, RoleName]] | None = None,
        role: Role | None = Role.VIEWER,
        folder: Path | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        """``people``: name -> password and role, who have to sign in; without them, and outside dev mode, everybody is
        ``role`` (None: nobody has one, tokens only). ``folder`` keeps tokens and sign-ins.
        """
        self.clock = clock or SystemClock()
        self.people = dict(people or {})
        self.residents = {name: Resident(one, _hash(password)) for name, (password, one) in self.people.items()}
        hashes = {name: one.password_hash for name, one in self.residents.items()}
        self.accounts = Accounts(hashes, self.clock, threads=1)
        self.access = Access(residents=lambda: self.residents, verify=self._verify, folder=folder, clock=self.clock)
        self.spool = MemorySpool()
        self.inbox = Inbox(self.spool)
        self.conditions = ConditionsBoard(SystemClock(), None, KNOWN)
        self.sessions = SessionLog()
        self.chaos = Chaos() if dev else None
        self.why_unready = ""
        listening = Listening("dev", "127.0.0.1", 1025, auth="any")
        self.admin = Admin(
            spool=self.spool,
            inbox=self.inbox,
            conditions=self.conditions,
            sessions=self.sessions,
            chaos=self.chaos,
            about=lambda: About("dev.example", "0.0", dev, (listening,), 500 if dev else None),
            unready=lambda: self.why_unready,
            access=self.access,
            setup=lambda: Facts(hostname="dev.example", dev=dev, resolver=(("127.0.0.1", 9),)),  # nobody answers there
        )
        if not dev and people is None and role is not None and not options.keys() & {"control", "password"}:
            options.setdefault("entry", Everybody(role))
        self.app: Starlette = create_app(self.admin, dev=dev, **options)

    async def _verify(self, name: str, password: str) -> bool | None:
        return await self.accounts.verify(name, password)

    async def sign_in(self, client: httpx.AsyncClient, name: str, to: str = "/") -> httpx.Response:
        """``client`` is this person from now on."""
        page = await client.get("/sign-in", params={"to": to})
        fields = {"token": token_of(page), "name": name, "password": self.people[name][0], "to": to}
        answer = await client.post("/sign-in", data=fields)
        assert answer.status_code == 303, answer.text
        return answer

    def client(self, **options: Any) -> httpx.AsyncClient:
        options.setdefault("base_url", "http://localhost:8025")
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), **options)

    async def put(
        self,
        message: bytes | None = None,
        to: tuple[str, ...] = ("kana@example.net",),
        sender: str = "me@example.com",
        subject: str = "Hello",
        hold: str = "inbox",
        **origin: str,
    ) -> str:
        if message is None:
            head = f"From: Me <{sender}>\r\nTo: {', '.join(to)}\r\nSubject: {subject}\r\n\r\n"
            message = head.encode() + b"It works: https://example.com/next\r\n"
        done: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
        content = self.spool.open_content()
        content.write(message)
        recipients = tuple(NewRecipient(path, path.rpartition("@")[2], hold=hold) for path in to)
        came_from = {"session": "s1", "listener": "dev", "peer": "127.0.0.1:40000", "hello": "client.example", **origin}
        now = SystemClock().wall()
        draft = Draft(
            self.spool.new_id(), sender, recipients, now, b"", "BODY=8BITMIME", Origin(**came_from), TRANSCRIPT
        )
        self.spool.accept(draft, content, done.set_result)
        error = await done
        assert error is None
        return draft.id

    def session(self, name: str = "s1", **fields: Any) -> SessionRecord:
        values: dict[str, Any] = {
            "id": name,
            "listener": "dev",
            "peer": "127.0.0.1:40000",
            "hello": "client.example",
            "account": "",
            "tls": "",
            "began_at": SystemClock().wall(),
            "seconds": 0.123,
            "messages": (),
            "refusals": (),
            "ended": "quit",
            "transcript": TRANSCRIPT,
        }
        record = SessionRecord(**{**values, **fields})
        self.sessions.add(record)
        return record
