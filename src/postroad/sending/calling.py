"""``send`` and ``send_sync``: one call from a message to what became of it for every recipient."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import fields
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Unpack, get_args

from postroad.address import Mailbox
from postroad.delivery.content import needs_of
from postroad.delivery.mx import MxRouting
from postroad.errors import LocalProtocolError, PostroadError
from postroad.net.smtp_client import ClientOptions
from postroad.net.tls import client_context
from postroad.net.use_tls import UseTls
from postroad.sending.composing import Composable, Composed, compose
from postroad.sending.driving import Driver, Order
from postroad.sending.hello import own_name
from postroad.sending.needs import parameters_for, scanned
from postroad.sending.parameters import place
from postroad.sending.results import SendResult
from postroad.sending.servers import Server, read_server
from postroad.sending.wishes import SendOptions, Stage, TlsMode, Wishes
from postroad.smtp.client_commands import auth_line, check_secret, hello_line
from postroad.smtp.client_timeouts import ClientTimeouts
from postroad.smtp.states import Verb

_USES: Final = {
    "never": UseTls.NEVER,
    "opportunistic": UseTls.OPPORTUNISTIC,
    "require": UseTls.REQUIRED,
    "verify": UseTls.VERIFIED,
    "implicit": UseTls.VERIFIED,
}
#: Stages before anybody is named.
_NAMELESS: Final = ("connect", "ehlo", "tls", "auth")


class OptionError(PostroadError):
    """An argument of ``send`` that cannot be obeyed, or two that contradict each other."""


async def send(message: Composable, **options: Unpack[SendOptions]) -> SendResult:
    """Send a message and say what became of it for each recipient; the keywords are explained at ``Wishes``.

    ``message``: octets, text, a Path, an open file or an EmailMessage. A refusal is a result. Raises SendError when no
    host said anything about anybody, and MessageError, ServerError, ParameterError, OptionError and
    AddressSyntaxError, before anything is said, for what cannot be sent.
    """
    wishes = Wishes(**options)
    host = _host(wishes)
    _check(wishes, host)
    composed = await asyncio.to_thread(_composed, message, wishes)
    mail, rcpt = place(wishes.parameters)
    scan = await asyncio.to_thread(scanned, composed.content)
    order = Order(
        composed=composed,
        options=_options(wishes, host),
        server=host,
        routing=wishes.routing if host is not None or wishes.routing is not None else _routing(wishes),
        mail=parameters_for(needs_of(scan), mail),
        rcpt=rcpt,
        scan=scan,
        adapt=wishes.adapt,
        pipelining=wishes.pipelining,
        bdat=wishes.bdat,
        family=wishes.family,
        retry=wishes.retry,
        pause=wishes.pause,
        stop_after=wishes.stop_after,
    )
    return await Driver(order, wishes.listener).run()


def send_sync(message: Composable, **options: Unpack[SendOptions]) -> SendResult:
    """``send`` for programs that have no loop of their own; raises OptionError where one is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise OptionError("send_sync would stop the event loop that runs here", "await postroad.send(...)")
    return asyncio.run(send(message, **options))


def _host(wishes: Wishes) -> Server | None:
    if not wishes.server:
        return None
    implicit = wishes.tls == "implicit"
    return read_server(wishes.server, lmtp=wishes.lmtp, implicit=implicit, authenticates=bool(wishes.user))


def _check(wishes: Wishes, host: Server | None) -> None:
    if wishes.tls not in get_args(TlsMode):
        raise OptionError(f"no such use of TLS: {wishes.tls!r}", f"one of {', '.join(get_args(TlsMode))}")
    if wishes.stop_after not in get_args(Stage):
        raise OptionError(f"no such stage: {wishes.stop_after!r}", f"one of {', '.join(get_args(Stage)[1:])}")
    if host is None and wishes.lmtp:
        raise OptionError("LMTP needs a server", "LMTP hosts are not found by MX (RFC 2033 section 5): name one")
    if host is None and wishes.user:
        raise OptionError("a password needs a server", "a mail host that is found by MX is a stranger: name one")
    if host is not None and host.implicit_tls and wishes.tls == "never":
        raise OptionError("TLS from the first octet and no TLS contradict each other", "another port, or another tls")
    if wishes.password and not wishes.user:
        raise OptionError("a password without an account", "name the user")
    if wishes.retry < 0 or wishes.pause < 0 or (wishes.timeout is not None and wishes.timeout <= 0):
        raise OptionError("a time is a number of seconds above zero")
    _check_words(wishes)


def _check_words(wishes: Wishes) -> None:
    """What goes into a command must not be able to be another one; the engine would refuse it, later."""
    try:
        check_secret(wishes.user)
        check_secret(wishes.password)
        if wishes.hello:
            hello_line(Verb.EHLO, wishes.hello)
        if wishes.mechanism:
            auth_line(wishes.mechanism.upper(), None)
    except LocalProtocolError as fault:
        raise OptionError(fault.message, fault.hint) from fault
    if wishes.source and not _is_address(wishes.source):
        raise OptionError(f"no IP address to connect from: {wishes.source[:60]!r}")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _composed(message: Composable, wishes: Wishes) -> Composed:
    if wishes.stop_after in _NAMELESS and not (wishes.to or wishes.bcc) and message in (b"", ""):
        return Composed(recipients=(Mailbox("postmaster", ""),))  # nobody is named before MAIL
    return compose(message, wishes.sender, wishes.people, wishes.bcc, now=datetime.now().astimezone())


def _options(wishes: Wishes, host: Server | None) -> ClientOptions:
    implicit = host is not None and host.implicit_tls
    mode = _mode(wishes, host)
    seconds = wishes.timeout
    return ClientOptions(
        hello=wishes.hello,
        tls=_USES[mode],
        context=client_context(verify=False, implicit=implicit),
        verifying=_verifying(wishes.tls_ca, implicit) if mode in ("verify", "implicit") else None,
        timeouts=ClientTimeouts() if seconds is None else _timeouts(seconds),
        connect_timeout=30.0 if seconds is None else seconds,
        account=wishes.user,
        password=wishes.password,
        implicit_tls=implicit,
        source=wishes.source,
        mechanisms=(wishes.mechanism.upper(),) if wishes.mechanism else (),
        auth_in_clear=wishes.tls == "never",
    )


def _mode(wishes: Wishes, host: Server | None) -> str:
    """What ``auto`` means here: a password goes to another machine only when that has proved its name."""
    if wishes.tls != "auto":
        return wishes.tls
    if host is not None and host.target.path:
        return "never"
    guarded = wishes.user and not (host is not None and host.is_near)
    return "verify" if guarded or wishes.tls_ca is not None else "opportunistic"


def _verifying(tls_ca: Path | str | None, implicit: bool) -> ssl.SSLContext:
    try:
        return client_context(implicit=implicit, cafile=None if tls_ca is None else Path(tls_ca))
    except (OSError, ssl.SSLError) as fault:
        reason = "no certificate in PEM form is in it" if isinstance(fault, ssl.SSLError) else fault.strerror
        raise OptionError(f"the certificates of {tls_ca} cannot be used", reason or "") from fault


def _timeouts(seconds: float) -> ClientTimeouts:
    """The same for every wait; a whole transaction keeps its own time, since it grows with the message."""
    names = (one.name for one in fields(ClientTimeouts) if one.name != "transaction")
    return ClientTimeouts(**dict.fromkeys(names, seconds))


def _routing(wishes: Wishes) -> MxRouting:
    from postroad.net.resolver import Resolver

    families = (wishes.family,) if wishes.family else (6, 4)
    return MxRouting(Resolver(), wishes.hello or own_name(""), families=families)
