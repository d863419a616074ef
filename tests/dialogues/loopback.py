"""The other side of a dialogue as a whole server: sockets, TLS, policies and spool, everything but settings."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import trustme
import uvloop

from postroad.clock import SystemClock
from postroad.envelope import NewRecipient
from postroad.inbound.reception import ConditionsNow, Reception
from postroad.inbound.service import InboundService
from postroad.net.listener import listen
from postroad.policy.stages import Policies, SessionFacts, Transaction
from postroad.replies import Reply
from postroad.smtp.events import AuthGiven, HelloGiven, RecipientGiven, SenderGiven
from postroad.smtp.parameters import Conditions
from postroad.spool.interface import MessageQuery
from postroad.spool.memory import MemorySpool
from tests.dialogues.runner import BAD_CREDENTIALS, Wanted, conditions, server_config, verdict
from tests.dialogues.script import Given

T = TypeVar("T")

#: A net against a server that says too little, never a measure of speed.
PATIENCE = 20.0
#: Seconds by which the greeting waits for a client that is meant to talk first.
GREET_DELAY = 0.3
#: Listener -> whether it speaks TLS from the first octet.
LISTENERS = {"mx": False, "tls": True, "submission": False, "submissions": True}


class ScriptedPolicies:
    """The policies of a script, at every stage."""

    def __init__(self, given: Given) -> None:
        self._given = given

    def on_connect(self, facts: SessionFacts) -> Reply | None:
        return verdict(self._given, "connect")

    def on_hello(self, facts: SessionFacts, hello: HelloGiven) -> Reply | None:
        return verdict(self._given, "hello")

    def on_auth(self, facts: SessionFacts, auth: AuthGiven) -> Reply | None:
        known = self._given.users.get(auth.authentication_id) == auth.password
        return verdict(self._given, "auth") or (None if known else BAD_CREDENTIALS)

    def on_sender(self, facts: SessionFacts, sender: SenderGiven) -> Reply | None:
        return verdict(self._given, "sender", sender.reverse_path)

    def on_recipient(self, facts: SessionFacts, transaction: Transaction, recipient: RecipientGiven) -> Reply | None:
        return verdict(self._given, "recipient", recipient.forward_path)

    def on_content(self, facts: SessionFacts, transaction: Transaction) -> Reply | None:
        return verdict(self._given, "content")

    def on_message(self, facts: SessionFacts, transaction: Transaction) -> Reply | None:
        return verdict(self._given, "message")

    # Counting: what is said to STARTTLS, and who has gone

    def on_tls(self, facts: SessionFacts) -> Reply | None:
        return verdict(self._given, "starttls")

    def disconnected(self, facts: SessionFacts) -> None:
        pass

    # Addressing

    def new_recipient(self, recipient: RecipientGiven) -> NewRecipient:
        path = recipient.forward_path
        return NewRecipient(str(path), path.destination or "mx.example.net", str(recipient.parameters))


class ScriptedConditions(ConditionsNow):
    """Only the script says what holds now."""

    def __init__(self, given: Given) -> None:
        self.current = conditions(given)
        super().__init__(self, given.size_limit)
        self.current = conditions(given)

    def unavailable(self) -> Mapping[str, str]:
        return self.current.unavailable

    def measure(self, free_octets: int | None, size_limit: int) -> None:
        pass

    def count(self, parameter: str, why: str = "") -> None:
        pass


class ScriptedReception:
    """What one dialogue is received by."""

    def __init__(self, given: Given, name: str, tls: ssl.SSLContext, greet_delay: float) -> None:
        self.spool = MemorySpool()
        self.prefixes: dict[str, int] = {}
        self.spool.on_accepted(lambda drafts: self.prefixes.update({one.id: len(one.prefix) for one in drafts}))
        self.conditions = ScriptedConditions(given)
        policies = ScriptedPolicies(given)
        self.reception = Reception(
            name=name,
            config=server_config(given),
            spool=self.spool,
            clock=SystemClock(),
            conditions=self.conditions,
            policies=Policies.of(policies),
            addressing=policies,
            counting=policies,
            trusts=lambda host: False,
            sessions=lambda record: None,
            tls=tls,
            implicit_tls=LISTENERS[name],
            auth_in_clear_on_loopback=given.auth_in_clear,
            greet_delay=greet_delay,
            message_size=given.size_limit,
        )

    async def contents(self) -> list[bytes]:
        """The content of each message, in the order of arrival, without the trace fields in front."""
        kept = []
        for message in await self.spool.messages(MessageQuery(oldest_first=True)):
            octets = b"".join([block async for block in self.spool.read(message.id)])
            assert octets.startswith(b"Received: from ")
            kept.append(octets[self.prefixes[message.id] :])
        return kept


class Loopback:
    """One running service with its event loop in a thread of its own; each dialogue brings its own reception."""

    def __enter__(self) -> Self:
        authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("mx.example.net").configure_cert(self.tls)
        self.client_tls = ssl.create_default_context()
        authority.configure_trust(self.client_tls)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback", daemon=True)
        self._thread.start()
        self.ports = self.run(self._start())
        return self

    async def _start(self) -> dict[str, int]:
        self._service = InboundService(SystemClock())
        sockets = {name: listen("127.0.0.1", 0) for name in LISTENERS}
        receptions = {name: ScriptedReception(Given(), name, self.tls, 0.0).reception for name in LISTENERS}
        self._service.use(receptions)
        await self._service.start({name: [one] for name, one in sockets.items()})
        return {name: one.getsockname()[1] for name, one in sockets.items()}

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._service.drain(0.0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the service's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def use(self, given: Given, greet_delay: float) -> ScriptedReception:
        """Receive the next connection like this."""
        name = ("submissions" if given.tls else "submission") if given.submission else ("tls" if given.tls else "mx")

        async def change() -> ScriptedReception:
            made = ScriptedReception(given, name, self.tls, greet_delay)
            self._service.use({name: made.reception})
            return made

        return self.run(change())


class LoopbackServer:
    """One connection to the service."""

    reason: str | None = None  # only the engine says why it ends

    def __init__(self, loopback: Loopback, given: Given) -> None:
        self._loopback = loopback
        self._given = given
        self._line: socket.socket | None = None
        self._reception: ScriptedReception | None = None
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.close()

    @property
    def reception(self) -> ScriptedReception:
        assert self._reception is not None
        return self._reception

    @property
    def line(self) -> socket.socket:
        assert self._line is not None
        return self._line

    @property
    def accepted(self) -> list[bytes]:
        return self._loopback.run(self.reception.contents())

    def _connect(self, greet_delay: float = 0.0) -> None:
        self._reception = self._loopback.use(self._given, greet_delay)
        port = self._loopback.ports[self._reception.reception.name]
        self._line = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._given.tls:
            self._line = self._loopback.client_tls.wrap_socket(self._line, server_hostname="mx.example.net")

    def hear(self, wanted: Wanted) -> bytes:
        self._connect()
        return self._read(wanted)

    def early(self, octets: bytes, wanted: Wanted) -> bytes:
        self._connect(GREET_DELAY)
        return self.send(octets, wanted)

    def send(self, octets: bytes, wanted: Wanted, eof: bool = False) -> bytes:
        self.line.sendall(octets)
        if eof:
            self.line.shutdown(socket.SHUT_WR)
        if not wanted.steps and not wanted.closes:
            self._loopback.run(asyncio.sleep(0))  # the service may take this segment before the next one comes
        return self._read(wanted)

    def handshake(self, wanted: Wanted) -> bytes:
        self._line = self._loopback.client_tls.wrap_socket(self.line, server_hostname="mx.example.net")
        return self._read(wanted)

    def change(self, conditions: Conditions) -> None:
        self.reception.conditions.current = conditions

    def finish(self) -> bytes:
        return self.send(b"QUIT\r\n", Wanted((), True))

    def _read(self, wanted: Wanted) -> bytes:
        """Read until it could be all, or until nothing comes any more."""
        said = b""
        while not self.closed and (wanted.closes or not wanted.is_in(said)):
            try:
                octets = self.line.recv(65536)
            except TimeoutError:
                break
            except (ConnectionResetError, ssl.SSLEOFError):
                octets = b""
            said += octets
            self.closed = octets == b""
        return said
