"""To the next hop by SMTP or LMTP: fits the message to what the host announces, and keeps connections for a while.

A refusal before MAIL (greeting, EHLO, AUTH) is about the host, not about the recipient, so that it defers whatever its
code; a 5yz from MAIL on is final. Recipients that do not fit into one transaction go in the next, on the same
connection (RFC 5321 section 4.5.3.1.10).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from postroad.delivery.fitting import Fit, fit
from postroad.delivery.routing import Smtp
from postroad.delivery.transport import Consignment, Fate, Handed, Report, same_for_all
from postroad.errors import LocalProtocolError
from postroad.net.connecting import Target
from postroad.net.smtp_client import ClientOptions, ConnectFault, Letter, SmtpClient
from postroad.smtp import reactions
from postroad.smtp.mail_transaction import Answer, Stage


@dataclass(frozen=True, slots=True)
class Keep:
    """How long a connection is kept for the next message, and for how many."""

    idle: float = 5.0
    """Seconds."""
    messages: int = 100
    connections: int = 20
    """Idle ones of one target."""


class SmtpTransport:
    """Every ``smtp:`` and ``lmtp:`` route."""

    def __init__(
        self,
        options: ClientOptions,
        keep: Keep | None = None,
        heard: Callable[[Smtp, Mapping[str, str]], None] | None = None,
    ) -> None:
        """``heard`` is told what each host announces to a new connection."""
        self._options = options
        self._heard = heard
        self._keep = keep if keep is not None else Keep()
        self._idle: dict[Target, list[tuple[SmtpClient, asyncio.TimerHandle]]] = {}
        self._active: set[SmtpClient] = set()
        self._connecting: dict[asyncio.Task[SmtpClient], str] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def deliver(self, consignment: Consignment) -> Report:
        """Try once; connects when no idle connection is there."""
        route = consignment.route
        if not isinstance(route, Smtp):
            raise LocalProtocolError(f"not a route of this transport: {route}")
        target = Target(route.host, route.port, route.path, route.lmtp)
        client = self._take(target)
        if client is not None:
            report = await self._use(client, target, consignment, reused=True)
            if report is not None:
                return report
        try:
            client = await self._connect(target)
        except ConnectFault as fault:
            handed = same_for_all(consignment, Fate.NOT_NOW, fault.message, fault.reply)
            return Report(handed, fault.host, fault.transcript)
        if self._heard is not None:
            self._heard(route, client.engine.announced)
        report = await self._use(client, target, consignment, reused=False)
        if report is None:
            raise LocalProtocolError("a fresh connection was taken for a reused one")
        return report

    def abort(self, why: str) -> None:
        """Close every connection that is in use or on its way."""
        for client in list(self._active):
            client.abort(why)
        for task in self._connecting:
            self._connecting[task] = why
            task.cancel()

    async def close(self) -> None:
        """Say QUIT on idle connections."""
        for target in list(self._idle):
            while (client := self._take(target)) is not None:
                self._quit(client)
        await asyncio.gather(*self._closing)

    # --- one delivery

    async def _use(
        self, client: SmtpClient, target: Target, consignment: Consignment, *, reused: bool
    ) -> Report | None:
        """Deliver over ``client``; None when a reused connection turned out to be dead before it said a word."""
        self._active.add(client)
        try:
            fitted = await fit(consignment, client.engine.announced)
            answers = await self._transactions(client, consignment, fitted)
        except LocalProtocolError as fault:
            client.abort()  # what may not be said to any host: people must look at it
            handed = same_for_all(consignment, Fate.NEVER, fault.message)
            return Report(handed, client.host, client.take_transcript())
        except BaseException:
            client.abort()
            raise
        finally:
            self._active.discard(client)
        if reused and answers and all(a.stage is Stage.CONNECTION and a.reply is None for a in answers.values()):
            client.abort()
            return None
        handed = tuple(fitted.refused) + tuple(_handed(n, a, client) for n, a in answers.items())
        report = Report(tuple(sorted(handed, key=lambda one: one.number)), client.host, client.take_transcript())
        self._put_back(client, target)
        return report

    async def _transactions(self, client: SmtpClient, consignment: Consignment, fitted: Fit) -> dict[int, Answer]:
        """As many transactions as it takes; recipient number -> its answer."""
        answers: dict[int, Answer] = {}
        waiting = list(fitted.numbers)
        while waiting:
            now, waiting = waiting[: fitted.at_once], waiting[fitted.at_once :]
            letter = Letter(
                fitted.reverse_path,
                [fitted.recipients[number] for number in now],
                consignment.read,
                fitted.parameters,
            )
            heard = dict(zip(now, await client.deliver(letter), strict=True))
            answers.update(heard)
            if not client.is_usable:
                left = Answer(Stage.CONNECTION, None, "the connection ended before this recipient's turn")
                answers.update(dict.fromkeys(waiting, left))
                break
            again = [number for number in now if _is_overflow(heard[number])]
            if again and any(answer.accepted for answer in heard.values()):
                waiting = again + waiting
        return answers

    # --- connections

    async def _connect(self, target: Target) -> SmtpClient:
        """A new connection; raises ConnectFault, after ``abort`` too."""
        task = asyncio.get_running_loop().create_task(SmtpClient.connect(target, self._options))
        self._connecting[task] = ""
        try:
            await asyncio.wait((task,))
        finally:
            why = self._connecting.pop(task)
            if not task.done():
                task.cancel()
        if not why:
            return task.result()
        if not task.cancelled() and task.exception() is None:
            task.result().abort(why)
        raise ConnectFault(why, str(target))

    def _take(self, target: Target) -> SmtpClient | None:
        """An idle connection that still stands."""
        kept = self._idle.get(target, [])
        while kept:
            client, timer = kept.pop()
            timer.cancel()
            if client.is_usable:
                return client
            client.abort()
        self._idle.pop(target, None)
        return None

    def _put_back(self, client: SmtpClient, target: Target) -> None:
        kept = self._idle.setdefault(target, [])
        full = client.messages >= self._keep.messages or len(kept) >= self._keep.connections
        if full or self._keep.idle <= 0 or not client.is_usable:
            self._quit(client)
            return
        timer = asyncio.get_running_loop().call_later(self._keep.idle, self._expire, client, target)
        kept.append((client, timer))

    def _expire(self, client: SmtpClient, target: Target) -> None:
        self._idle[target] = [entry for entry in self._idle.get(target, []) if entry[0] is not client]
        if not self._idle[target]:
            del self._idle[target]
        self._quit(client)

    def _quit(self, client: SmtpClient) -> None:
        task = asyncio.get_running_loop().create_task(client.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _is_overflow(answer: Answer) -> bool:
    return answer.stage is Stage.RCPT and answer.reply is not None and reactions.wants_fewer_recipients(answer.reply)


def _handed(number: int, answer: Answer, client: SmtpClient) -> Handed:
    if answer.accepted:
        return Handed(number, Fate.DELIVERED, answer.reply, client.security)
    reply = answer.reply
    if reply is None or answer.stage is Stage.CONNECTION:
        return Handed(number, Fate.NOT_NOW, reply, answer.fault, answer.uncertain)
    if reply.is_permanent and not _is_overflow(answer):
        return Handed(number, Fate.NEVER, reply, f"refused at {answer.stage.value}")
    return Handed(number, Fate.NOT_NOW, reply, f"refused for now at {answer.stage.value}")
