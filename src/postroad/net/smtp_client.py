"""One SMTP or LMTP conversation as a client over asyncio: connect, greet, STARTTLS, AUTH, then message after message.

Drives one ClientEngine. Every wait has a deadline, every write waits for the host to take it, and every fault comes
back as an Answer or a ConnectFault with a sentence for people; no reply is invented for it. Addresses are tried in
turn. Opportunistic TLS takes any certificate, and goes on in clear on a new connection when the handshake fails: both
are told in ``security``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from postroad.address import Mailbox
from postroad.errors import PostroadError, RemoteProtocolError
from postroad.net.connecting import Endpoint, Target, UseTls, endpoints_of, open_endpoint, reason_of
from postroad.net.tls import describe
from postroad.replies import Reply
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Auth, Command, Hello, Quit, StartTls
from postroad.smtp.client_events import ClientEvent, ConnectionEnded, Greeted, Replied, TlsReady
from postroad.smtp.client_timeouts import ClientTimeouts, Patience
from postroad.smtp.events import NEED_DATA
from postroad.smtp.mail_transaction import Answer, MailTransaction
from postroad.smtp.parameters import NOTHING_GIVEN, Given
from postroad.smtp.states import State
from postroad.smtp.transcript import Transcript

#: Octets that may wait in the write buffer before content stops being read.
_HIGH_WATER: Final = 256 * 1024

#: Characters of a transcript that are kept of its beginning and of its end.
_TRANSCRIPT_END: Final = 32 * 1024


#: How far the beginning of a session came.
ConnectStage = Literal["CONNECT", "GREETING", "EHLO", "STARTTLS", "AUTH"]

#: Direction (``C`` we, ``S`` the host, ``*`` a remark) and text of one line, secrets blanked.
Listener = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How we present ourselves and how long we wait."""

    hello: str
    """Our name or address literal for EHLO."""
    tls: UseTls = UseTls.OPPORTUNISTIC
    context: ssl.SSLContext | None = None
    """For STARTTLS; None: never."""
    timeouts: ClientTimeouts = field(default_factory=ClientTimeouts)
    connect_timeout: float = 30.0
    """Seconds for each address."""
    account: str = ""
    password: str = field(default="", repr=False)
    verifying: ssl.SSLContext | None = None
    """For VERIFIED; None: with the system's authorities."""
    implicit_tls: bool = False
    """TLS from the first octet (RFC 8314), with the certificates that ``tls`` asks for."""
    source: str = ""
    """The address to connect from; empty: the system chooses."""
    mechanisms: tuple[str, ...] = ()
    """SASL mechanisms in the order of preference; empty: PLAIN, LOGIN."""
    auth_in_clear: bool = False
    """Whether the password may go to another machine without TLS."""
    listener: Listener | None = None
    """Hears every line as it is said; see ``SmtpClient.on_line``."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What one transaction carries."""

    reverse_path: Mailbox | None
    recipients: Sequence[tuple[Mailbox, Given]]
    content: Callable[[], AsyncIterator[bytes]]
    """The octets in blocks, CRLF everywhere; called once, when the host wants them."""
    parameters: Given = NOTHING_GIVEN
    bdat: bool = False
    """Content by BDAT (RFC 3030); the host must have announced CHUNKING."""
    pipelining: bool = True
    """Whether a group of commands goes out at once where the host announced PIPELINING."""


class ConnectFault(PostroadError):
    """No session came about: no connection, a refusal before MAIL, garbage, or a deadline passed."""

    def __init__(
        self,
        message: str,
        host: str = "",
        reply: Reply | None = None,
        transcript: str = "",
        stage: ConnectStage = "CONNECT",
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.host = host
        self.reply = reply
        """The host's, when it refused in words."""
        self.transcript = transcript
        """Of every address that was tried, in turn."""
        self.stage: ConnectStage = stage
        """How far the last address came: no connection, no proper greeting, EHLO, STARTTLS or AUTH not done."""
        self.seconds = seconds
        """How long all of it took."""


class _HandshakeFault(ConnectFault):
    """TLS was begun and did not come about."""


class SmtpClient(asyncio.Protocol):
    """One connection; made by ``connect``, used for one message at a time."""

    def __init__(self, endpoint: Endpoint, options: ClientOptions) -> None:
        self.engine = ClientEngine(lmtp=endpoint.target.lmtp, timeouts=options.timeouts)
        self.host = str(endpoint)
        """Who answers: ``mx.example.net [192.0.2.1]:25``."""
        self.security = "in clear"
        """``TLSv1.3 …, certificate not verified``, or ``in clear`` and why."""
        self.messages = 0
        """Transactions begun on this connection."""
        self._endpoint = endpoint
        self._options = options
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._lost = False
        self._fault = ""
        self._progress = -1
        self._deadline = 0.0

    # --- the connection's whole life

    @classmethod
    async def connect(cls, target: Target, options: ClientOptions) -> SmtpClient:
        """A session that is greeted and, where wanted, inside TLS and authenticated; raises ConnectFault."""
        try:
            endpoints = await endpoints_of(target, options.connect_timeout)
        except OSError as fault:
            raise ConnectFault(f"no address of {target}: {reason_of(fault)}", str(target)) from fault
        return await cls.connect_to(endpoints, options)

    @classmethod
    async def connect_to(cls, endpoints: Sequence[Endpoint], options: ClientOptions) -> SmtpClient:
        """The same for addresses that are known, the first that works; raises the ConnectFault of the last."""
        last = ConnectFault("there is no address to connect to")
        for endpoint in endpoints:
            try:
                return await cls._open(endpoint, options, options.tls)
            except _HandshakeFault as fault:
                last = fault
                if options.tls is UseTls.OPPORTUNISTIC:
                    try:
                        client = await cls._open(endpoint, options, UseTls.NEVER)
                    except ConnectFault as again:
                        last = again
                    else:
                        client.security = f"in clear, since {fault.message}"
                        return client
            except ConnectFault as fault:
                last = fault
        raise last

    @classmethod
    async def _open(cls, endpoint: Endpoint, options: ClientOptions, tls: UseTls) -> SmtpClient:
        client = cls(endpoint, options)
        try:
            await open_endpoint(endpoint, client, options.connect_timeout)
        except OSError as fault:
            raise ConnectFault(f"no connection to {endpoint}: {reason_of(fault)}", client.host) from fault
        try:
            await client._begin(tls)
        except BaseException as fault:
            client.abort()
            if isinstance(fault, ConnectFault) or not isinstance(fault, (PostroadError, OSError)):
                raise
            raise client._connect_fault(str(fault)) from fault
        return client

    async def deliver(self, letter: Letter) -> list[Answer]:
        """One transaction; an Answer for each recipient, in order.

        Raises LocalProtocolError, before the first octet, for what may not be said, and for content that may not be
        passed on; raises what reading the content raises. After any exception the connection is gone.
        """
        self.messages += 1
        transaction = MailTransaction(
            self.engine,
            letter.reverse_path,
            letter.recipients,
            letter.parameters,
            bdat=letter.bdat,
            pipelining=letter.pipelining,
        )
        try:
            transaction.begin()
            while not transaction.is_over:
                if transaction.wants_content:
                    await self._send_content(transaction, letter.content)
                else:
                    transaction.hear(await self._event())
        except (_Fault, RemoteProtocolError) as fault:
            transaction.fail(fault.message)
            self.abort()
        except BaseException:
            self.abort()
            raise
        self._flush()
        return transaction.answers

    @property
    def is_usable(self) -> bool:
        """Whether another message may be sent: the session is idle and the host has not closed it."""
        if self._lost or not self.engine.is_idle:
            return False
        try:
            return self.engine.next_event() is NEED_DATA
        except RemoteProtocolError:
            return False

    def take_transcript(self) -> str:
        """What was said since the last call, secrets blanked."""
        text = self.engine.transcript.text()
        self.engine.transcript = Transcript()
        if len(text) > 2 * _TRANSCRIPT_END:
            text = f"{text[:_TRANSCRIPT_END]}\n-- part of it is left out\n{text[-_TRANSCRIPT_END:]}"
        return text

    async def quit(self) -> None:
        """Say QUIT, wait a little for the answer, close."""
        try:
            if self.is_usable:
                await self._ask(Quit())
        except (_Fault, RemoteProtocolError):
            pass
        finally:
            if self._transport is not None:
                self._transport.close()
            self._lost = True

    def abort(self, why: str = "") -> None:
        """Close now; whoever waits hears ``why``."""
        self._fault = self._fault or why or "the connection was closed by us"
        if self._transport is not None:
            self._transport.abort()
        self._lost = True
        self._wake()

    # --- the session's beginning

    async def _begin(self, tls: UseTls) -> None:
        greeted = await self._event()
        if not isinstance(greeted, Greeted) or not greeted.accepted:
            raise self._refusal(greeted, "the greeting")
        await self._hello()
        wants_tls = tls is not UseTls.NEVER and self._options.context is not None
        if wants_tls and self.engine.offers("STARTTLS"):
            event = await self._ask(StartTls())
            if isinstance(event, TlsReady):
                await self._handshake()
                await self._hello()
            else:
                self.security = "in clear, since STARTTLS was refused"
        if tls is UseTls.REQUIRED and not self.engine.tls:
            raise self._connect_fault("TLS is required here and the host offers none")
        if self._options.account:
            await self._command(Auth(self._options.account, self._options.password))

    async def _hello(self) -> None:
        await self._command(Hello(self._options.hello))

    async def _handshake(self) -> None:
        context = self._options.context
        if self._transport is None or context is None:
            raise self._connect_fault("no connection to start TLS on")
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=self._endpoint.tls_name or None,
                ssl_handshake_timeout=self._options.timeouts.handshake,
            )
        except (OSError, ssl.SSLError) as fault:
            raise _HandshakeFault(f"the TLS handshake failed: {reason_of(fault)}", self.host) from fault
        if transport is None:
            raise _HandshakeFault("the TLS handshake failed: the connection was closed", self.host)
        self._transport = transport
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self.engine.tls_started()
        verified = context.verify_mode is ssl.CERT_REQUIRED
        self.security = describe(transport.get_extra_info("ssl_object"))
        self.security += ", certificate verified" if verified else ", certificate not verified"

    async def _command(self, command: Command) -> None:
        event = await self._ask(command)
        if not isinstance(event, Replied) or not event.reply.is_positive:
            raise self._refusal(event, type(command).__name__.upper())

    async def _ask(self, command: Command) -> ClientEvent:
        self.engine.send(command)
        return await self._event()

    def _refusal(self, event: ClientEvent, what: str) -> ConnectFault:
        if isinstance(event, (Greeted, Replied)):
            return self._connect_fault(f"refused at {what}", event.reply)
        reason = event.reason if isinstance(event, ConnectionEnded) else "out of step"
        return self._connect_fault(f"the connection ended at {what}: {reason}", getattr(event, "reply", None))

    def _connect_fault(self, message: str, reply: Reply | None = None) -> ConnectFault:
        return ConnectFault(message, self.host, reply, self.take_transcript())

    # --- waiting

    async def _event(self) -> ClientEvent:
        """The next event but NEED_DATA; raises _Fault when the host keeps us waiting, RemoteProtocolError."""
        while True:
            event = self.engine.next_event()
            self._flush()
            if event is not NEED_DATA:
                return event
            await self._wait()

    async def _send_content(self, transaction: MailTransaction, content: Callable[[], AsyncIterator[bytes]]) -> None:
        blocks = content()
        try:
            async for block in blocks:
                transaction.send_content(block)
                self._flush()
                await self._until_room(transaction)
                if not transaction.wants_content:
                    return  # an early refusal, or the end of the connection
        finally:
            if isinstance(blocks, AsyncGenerator):
                await blocks.aclose()
        transaction.end_content()
        self._flush()

    async def _until_room(self, transaction: MailTransaction) -> None:
        """Hear what there is, and wait for more while the host has to take or to answer what was sent."""
        while True:
            while (event := self.engine.next_event()) is not NEED_DATA and self.engine.state is not State.CLOSED:
                transaction.hear(event)
            if event is not NEED_DATA:
                transaction.hear(event)
            if not transaction.wants_content or not (self._paused or transaction.is_full):
                return
            await self._wait()

    async def _wait(self) -> None:
        """Until octets came, the buffer drained or the connection was lost; raises _Fault at the deadline."""
        if self._fault:
            raise _Fault(self._fault)
        patience = self.engine.patience() or Patience("anything", self._options.timeouts.other)
        if self.engine.progress != self._progress:
            self._progress = self.engine.progress
            self._deadline = self._loop.time() + patience.seconds
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._waiter
        except TimeoutError:
            raise _Fault(f"waited {patience.seconds:g} s in vain for {patience.what}") from None
        finally:
            self._waiter = None
        if self._fault:
            raise _Fault(self._fault)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _flush(self) -> None:
        data = self.engine.data_to_send()
        if data and self._transport is not None and not self._lost:
            self._transport.write(data)

    # --- asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from asyncio's
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Octets of the host."""
        self.engine.receive(data)
        self._wake()

    def eof_received(self) -> bool | None:
        """The host will say no more: the transport closes itself."""
        self.engine.receive_eof()
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; ``exc`` says why when it broke."""
        self._lost = True
        if exc is not None:
            self.engine.transcript.add(f"connection lost: {reason_of(exc)}")
        self.engine.receive_eof()
        self._paused = False
        self._wake()

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        self._paused = False
        self._wake()


class _Fault(PostroadError):
    """The conversation cannot go on; the message says why."""
