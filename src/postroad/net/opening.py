"""How a session begins: connection, greeting, EHLO, TLS, AUTH; each step that fails is a ConnectFault with its stage.

The password goes to another machine inside TLS only, and where opportunistic TLS was asked for, to one that has proved its
name only (unless the options say otherwise): an attacker on the way who breaks opportunistic TLS would read it.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from ipaddress import ip_address
from typing import Final

from postroad.errors import LocalProtocolError, PostroadError
from postroad.net.client_options import ClientOptions, ConnectFault, ConnectStage, TlsFault
from postroad.net.connecting import Endpoint, open_endpoint, reason_of
from postroad.net.conversation import Conversation
from postroad.net.tls import TlsFacts, client_context, facts_of
from postroad.net.use_tls import UseTls
from postroad.replies import Reply
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_auth import usable_mechanisms, wants_other_mechanism
from postroad.smtp.client_commands import Auth, Command, Hello, StartTls
from postroad.smtp.client_events import ClientEvent, ConnectionEnded, Greeted, Replied, TlsReady

_FIRM: Final = (UseTls.REQUIRED, UseTls.VERIFIED)


class Opening:
    """One attempt to begin a session with one address."""

    def __init__(self, endpoint: Endpoint, options: ClientOptions, tls: UseTls) -> None:
        engine = ClientEngine(lmtp=endpoint.target.lmtp, timeouts=options.timeouts)
        engine.transcript.listener = options.listener
        self.conversation = Conversation(engine, options.timeouts)
        self.security = "in clear"
        self.tls_info: TlsFacts | None = None
        self._endpoint = endpoint
        self._options = options
        self._tls = tls
        self._stage: ConnectStage = "CONNECT"
        self._started = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Raises ConnectFault, TlsFault when the session might come about in clear; then the connection is closed."""
        if self._options.listener is not None:
            self._options.listener("*", f"connecting to {self._endpoint}")
        try:
            await self._connect()
            await self._begin()
        except BaseException as fault:
            self.conversation.abort()
            if isinstance(fault, ConnectFault) or not isinstance(fault, (PostroadError, OSError)):
                raise
            raise self._fault(str(fault)) from fault

    async def _connect(self) -> None:
        timeout, source = self._options.connect_timeout, self._options.source
        try:
            await open_endpoint(self._endpoint, self.conversation, timeout, source)
        except OSError as fault:
            raise self._fault(f"no connection to {self._endpoint}: {reason_of(fault)}") from fault

    async def _begin(self) -> None:
        if self._options.implicit_tls:
            await self._handshake()
        self._stage = "GREETING"
        greeted = await self.conversation.event()
        if not isinstance(greeted, Greeted) or not greeted.accepted:
            raise self._refusal(greeted, "the greeting")
        if self._options.until in ("CONNECT", "GREETING"):
            return
        await self._hello()
        if not self._options.implicit_tls and self._options.until != "EHLO":
            await self._secure()
        if self._options.account and self._options.until == "AUTH":
            await self._authenticate()

    # --- EHLO

    async def _hello(self) -> None:
        self._stage = "EHLO"
        event = await self._ask(Hello(self._options.hello))
        if isinstance(event, ConnectionEnded) and event.reply is None and self.conversation.engine.tls:
            raise self._fault("the connection ended behind the TLS handshake", None, TlsFault)
        if not isinstance(event, Replied) or not event.reply.is_positive:
            raise self._refusal(event, "LHLO" if self.conversation.engine.lmtp else "EHLO")

    # --- TLS

    async def _secure(self) -> None:
        engine = self.conversation.engine
        if self._context() is not None and engine.offers("STARTTLS"):
            self._stage = "STARTTLS"
            event = await self._ask(StartTls())
            if isinstance(event, TlsReady):
                await self._handshake()
                await self._hello()
                return
            if isinstance(event, ConnectionEnded) and event.reply is None:
                raise self._fault("the connection ended at STARTTLS", None, TlsFault)
            if not engine.is_idle:  # 421
                raise self._refusal(event, "STARTTLS")
            if self._tls in _FIRM:
                reply = event.reply if isinstance(event, Replied) else None
                raise self._fault(f"TLS is required {self._where} and STARTTLS was refused", reply)
            self.security = "in clear, since STARTTLS was refused"
        elif self._tls in _FIRM:
            self._stage = "STARTTLS"
            raise self._fault(f"TLS is required {self._where} and the host offers none")

    @property
    def _where(self) -> str:
        return "here" if self._options.tls is self._tls else "to log in"

    async def _handshake(self) -> None:
        self._stage = "STARTTLS"
        context = self._context() or _any_certificate(implicit=True)
        try:
            connection = await self.conversation.start_tls(context, self._endpoint.tls_name)
        except (OSError, ValueError) as fault:
            raise self._fault(f"the TLS handshake failed: {reason_of(fault)}", None, TlsFault) from fault
        self.tls_info = facts_of(connection, context)
        self.security = str(self.tls_info)
        self.conversation.engine.tls_started(self.security)

    def _context(self) -> ssl.SSLContext | None:
        """The context for this attempt; None: no TLS."""
        options = self._options
        match self._tls:
            case UseTls.VERIFIED:
                return _strict(options.verifying or _good_certificate(implicit=options.implicit_tls))
            case UseTls.REQUIRED | UseTls.OPPORTUNISTIC:
                return options.context or _any_certificate(implicit=options.implicit_tls)
            case UseTls.NEVER:
                return None

    # --- AUTH

    async def _authenticate(self) -> None:
        self._stage = "AUTH"
        options, engine = self._options, self.conversation.engine
        if not engine.tls and not options.auth_in_clear and not is_here(self._endpoint):
            raise self._fault("the password is not sent in clear, and there is no TLS")
        mechanisms = usable_mechanisms(engine.announced, options.mechanisms)
        for mechanism in mechanisms:
            event = await self._ask(Auth(options.account, options.password, mechanism))
            if isinstance(event, Replied) and event.reply.is_positive:
                return
            another = isinstance(event, Replied) and wants_other_mechanism(event.reply)
            if not another or mechanism == mechanisms[-1]:
                raise self._refusal(event, "AUTH")

    # --- small things

    async def _ask(self, command: Command) -> ClientEvent:
        return await self.conversation.ask(command)

    def _refusal(self, event: ClientEvent, what: str) -> ConnectFault:
        if isinstance(event, (Greeted, Replied)):
            return self._fault(f"refused at {what}", event.reply)
        reason = event.reason if isinstance(event, ConnectionEnded) else "out of step"
        return self._fault(f"the connection ended at {what}: {reason}", getattr(event, "reply", None))

    def _fault(self, message: str, reply: Reply | None = None, kind: type[ConnectFault] = ConnectFault) -> ConnectFault:
        transcript = self.conversation.engine.transcript
        seconds = asyncio.get_running_loop().time() - self._started
        return kind(message, str(self._endpoint), reply, transcript.text(), self._stage, seconds)


def manners(options: ClientOptions, endpoint: Endpoint) -> tuple[UseTls, ...]:
    """How an address is tried: once, or once more in clear when opportunistic TLS did not come about."""
    if options.tls is not UseTls.OPPORTUNISTIC:
        return (options.tls,)
    if options.account and options.until == "AUTH" and not options.auth_in_clear and not is_here(endpoint):
        return (UseTls.VERIFIED,)
    return (UseTls.OPPORTUNISTIC,) if options.implicit_tls else (UseTls.OPPORTUNISTIC, UseTls.NEVER)


def is_here(endpoint: Endpoint) -> bool:
    """Whether what is said stays on this machine."""
    if endpoint.target.path:
        return True
    try:
        return ip_address(endpoint.address).is_loopback
    except ValueError:
        return False


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise LocalProtocolError("a context that does not verify names was given for verified TLS")
    return context


@cache
def _good_certificate(*, implicit: bool) -> ssl.SSLContext:
    return client_context(implicit=implicit)


@cache
def _any_certificate(*, implicit: bool) -> ssl.SSLContext:
    return client_context(verify=False, implicit=implicit)
