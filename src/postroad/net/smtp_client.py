"""One SMTP or LMTP conversation as a client over asyncio: connect, greet, TLS, AUTH, then message after message.

Drives one ClientEngine. Every wait has a deadline, every write waits for the host to take it, and every fault comes
back as an Answer or a ConnectFault with a sentence for people; no reply is invented for it. Addresses are tried in
turn. Opportunistic TLS takes any certificate, and goes on in clear on a new connection when the handshake fails: both
are told in ``security``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final

from postroad.errors import RemoteProtocolError
from postroad.net.client_options import ClientOptions, ConnectFault, ConnectStage, Letter, Listener, TlsFault
from postroad.net.connecting import Endpoint, Target, endpoints_of, reason_of
from postroad.net.conversation import Fault
from postroad.net.opening import Opening, manners
from postroad.net.tls import TlsFacts
from postroad.net.use_tls import UseTls
from postroad.replies import Reply
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Command, Quit
from postroad.smtp.events import NEED_DATA
from postroad.smtp.mail_transaction import Answer, MailTransaction
from postroad.smtp.states import State

__all__ = ["ClientOptions", "ConnectFault", "ConnectStage", "Letter", "Listener", "SmtpClient"]

#: Octets of content that are written at once.
_WRITE_OCTETS: Final = 64 * 1024

#: Characters of a transcript that are kept of its beginning and of its end.
_TRANSCRIPT_END: Final = 32 * 1024


class SmtpClient:
    """One connection; made by ``connect``, used for one message at a time."""

    def __init__(self, opened: Opening, host: str, before: str = "") -> None:
        self.host = host
        """Who answers: ``mx.example.net [192.0.2.1]:25``."""
        self.security = opened.security
        """``TLSv1.3 …, certificate not verified``, or ``in clear`` and why."""
        self.tls_info: TlsFacts | None = opened.tls_info
        """What the handshake came to; None in clear."""
        self.messages = 0
        """Transactions begun on this connection."""
        self._conversation = opened.conversation
        self._before = before  # what was said to other addresses on the way here

    @property
    def engine(self) -> ClientEngine:
        """What the host announced, its limits, the state of the session."""
        return self._conversation.engine

    @property
    def on_line(self) -> Listener | None:
        """Hears every line as it is said: ``C`` we, ``S`` the host, ``*`` a remark; secrets blanked, controls escaped."""
        return self.engine.transcript.listener

    @on_line.setter
    def on_line(self, listener: Listener | None) -> None:
        self.engine.transcript.listener = listener

    # --- the connection's whole life

    @classmethod
    async def connect(cls, target: Target, options: ClientOptions) -> SmtpClient:
        """A session that is greeted and, where wanted, inside TLS and authenticated; raises ConnectFault."""
        started = asyncio.get_running_loop().time()
        try:
            endpoints = await endpoints_of(target, options.connect_timeout)
        except OSError as fault:
            seconds = asyncio.get_running_loop().time() - started
            words = f"no address of {target}: {reason_of(fault)}"
            raise ConnectFault(words, str(target), None, f"-- {words}", "CONNECT", seconds) from fault
        return await cls.connect_to(endpoints, options)

    @classmethod
    async def connect_to(cls, endpoints: Sequence[Endpoint], options: ClientOptions) -> SmtpClient:
        """The same for addresses that are known, the first that works; raises the ConnectFault of the last."""
        started = asyncio.get_running_loop().time()
        last = ConnectFault("there is no address to connect to")
        told: list[str] = []
        for endpoint in endpoints:
            for tls in manners(options, endpoint):
                opening = Opening(endpoint, options, tls)
                try:
                    await opening.run()
                except ConnectFault as fault:
                    told.append(_told(fault))
                    if options.listener is not None:
                        options.listener("*", fault.message)
                    last = fault
                    if not isinstance(fault, TlsFault):
                        break
                else:
                    if tls is UseTls.NEVER and options.tls is not UseTls.NEVER:
                        opening.security = f"in clear, since {last.message}"
                    return cls(opening, str(endpoint), "\n".join(told))
        seconds = asyncio.get_running_loop().time() - started
        transcript = _shortened("\n".join(told))
        raise ConnectFault(last.message, last.host, last.reply, transcript, last.stage, seconds) from last

    async def deliver(self, letter: Letter) -> list[Answer]:
        """One transaction; an Answer for each recipient, in order.

        Raises LocalProtocolError, before the first octet, for what may not be said, and for content that may not be
        passed on; raises what reading the content raises. After any exception the connection is gone.
        """
        self.messages += 1
        line = self._conversation
        transaction = MailTransaction(
            self.engine,
            letter.reverse_path,
            letter.recipients,
            letter.parameters,
            bdat=letter.bdat,
            pipelining=letter.pipelining,
        )
        try:
            line.begin_transaction()
            transaction.begin()
            while not transaction.is_over:
                if transaction.wants_content:
                    await self._send_content(transaction, letter.content)
                elif (event := line.next_event()) is NEED_DATA:
                    await line.wait()
                else:
                    transaction.hear(event)
        except (Fault, RemoteProtocolError) as fault:
            transaction.fail(fault.message)
            self.abort()
        except BaseException:
            self.abort()
            raise
        line.end_transaction()
        line.flush()
        return transaction.answers

    async def ask(self, command: Command) -> Reply | None:
        """Say one command outside of ``deliver`` and hear the answer, None when none comes; content is not sent from here.

        Raises LocalProtocolError, before the first octet, for what may not be said now.
        """
        try:
            event = await self._conversation.ask(command)
        except (Fault, RemoteProtocolError) as fault:
            self.abort(fault.message)
            return None
        return getattr(event, "reply", None)

    @property
    def is_usable(self) -> bool:
        """Whether another message may be sent: the session is idle, still open, and below its MAILMAX (RFC 9422)."""
        if self._conversation.is_lost or not self.engine.is_idle or self.is_spent:
            return False
        return self._is_silent

    @property
    def is_spent(self) -> bool:
        """Whether the host takes no more messages in this session: MAILMAX of RFC 9422, earlier messages included."""
        most = self.engine.limits.mailmax
        return most is not None and self.engine.mails >= most

    @property
    def _is_silent(self) -> bool:
        try:
            return self.engine.next_event() is NEED_DATA
        except RemoteProtocolError:
            return False

    def take_transcript(self) -> str:
        """What was said since the last call, secrets blanked."""
        text, before = self.engine.transcript.text(), self._before
        self.engine.transcript.clear()
        self._before = ""
        return _shortened(f"{before}\n-- {self.host}\n{text}" if before else text)

    async def quit(self) -> None:
        """Say QUIT, wait a little for the answer, close."""
        line = self._conversation
        try:
            if not line.is_lost and self.engine.is_idle and self._is_silent:
                await line.ask(Quit())
        except (Fault, RemoteProtocolError):
            pass
        finally:
            line.close()

    def abort(self, why: str = "") -> None:
        """Close now; whoever waits hears ``why``."""
        self._conversation.abort(why)

    # --- content

    async def _send_content(self, transaction: MailTransaction, content: Callable[[], AsyncIterator[bytes]]) -> None:
        blocks, unsent = content(), 0
        try:
            async for block in blocks:
                transaction.send_content(block)
                unsent += len(block)
                if unsent < _WRITE_OCTETS:  # small content and its end go out at once
                    continue
                unsent = 0
                self._conversation.flush()
                await self._until_room(transaction)
                if not transaction.wants_content:
                    return  # an early refusal, or the end of the connection
        finally:
            if isinstance(blocks, AsyncGenerator):
                await blocks.aclose()
        self._hear_waiting(transaction)
        if transaction.wants_content:
            transaction.end_content()
            self._conversation.flush()

    async def _until_room(self, transaction: MailTransaction) -> None:
        """Hear what there is, and wait for more while the host has to take or to answer what was sent."""
        self._hear_waiting(transaction)
        while transaction.wants_content and (self._conversation.is_paused or transaction.is_full):
            await self._conversation.wait()
            self._hear_waiting(transaction)

    def _hear_waiting(self, transaction: MailTransaction) -> None:
        """Every event that needs no waiting; raises Fault once we were aborted."""
        self._conversation.check()
        while (event := self.engine.next_event()) is not NEED_DATA:
            transaction.hear(event)
            if self.engine.state is State.CLOSED:
                return


def _told(fault: ConnectFault) -> str:
    said = f"{fault.transcript}\n" if fault.transcript else ""
    return f"-- {fault.host}\n{said}-- {fault.message}"


def _shortened(text: str) -> str:
    if len(text) <= 2 * _TRANSCRIPT_END:
        return text
    return f"{text[:_TRANSCRIPT_END]}\n-- part of it is left out\n{text[-_TRANSCRIPT_END:]}"
