"""Faulty servers on loopback, each with the finding that tells what is wrong with it: the table that the probe is held to.

A row says how the server behaves, which finding decides, and which other warnings are right to be told beside it; any
warning or error that is not in the row is a mistake of the probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from postroad.diagnosis.watching import Waits
from tests.diagnosis.certificates import HOST, context

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Handler = Callable[[Reader, Writer], Awaitable[None]]

GREETING: Final = f"220 {HOST} ESMTP\r\n".encode()
EHLO: Final = f"250-{HOST}\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n".encode()
FOREVER: Final = 60.0


@dataclass(frozen=True)
class Talk:
    """A server that answers by verb; what a row leaves out is answered as a good server does."""

    greeting: bytes = GREETING
    ehlo: bytes = EHLO + b"250 STARTTLS\r\n"
    inside: bytes = EHLO + b"250 DSN\r\n"
    helo: bytes = b"250 " + HOST.encode() + b"\r\n"
    mail: bytes = b"250 2.1.0 Ok\r\n"
    rcpt: bytes = b"554 5.7.1 relaying denied\r\n"
    starttls: bytes = b"220 2.0.0 go ahead\r\n"
    auth: bytes = b"235 2.7.0 welcome\r\n"
    tls: str = "good"
    """Name of the server's context; empty: the connection closes behind the 220 to STARTTLS."""
    implicit: bool = False
    delay: float = 0.0
    """Seconds before the greeting."""

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        secure = self.implicit
        if self.implicit:
            await writer.start_tls(context(self.tls))
        await asyncio.sleep(self.delay)
        await say(writer, self.greeting)
        while line := await reader.readline():
            verb = line.split(b" ")[0].strip().upper()
            answer = {
                b"EHLO": self.inside if secure else self.ehlo,
                b"LHLO": b"500 5.5.1 Command unrecognized\r\n",
                b"HELO": self.helo,
                b"MAIL": self.mail,
                b"RCPT": self.rcpt,
                b"STARTTLS": self.starttls,
                b"AUTH": self.auth,
                b"QUIT": b"221 2.0.0 Bye\r\n",
                b"RSET": b"250 2.0.0 Ok\r\n",
            }.get(verb, b"500 5.5.1 Command unrecognized\r\n")
            if answer == SILENCE:
                await asyncio.sleep(FOREVER)
            if answer == CUT:
                return
            await say(writer, answer)
            if verb == b"QUIT" or answer.startswith(b"421"):
                return
            if verb == b"STARTTLS" and answer.startswith(b"220"):
                if not self.tls:
                    return
                await writer.start_tls(context(self.tls))
                secure = True


SILENCE: Final = b"(silence)"
CUT: Final = b"(cut)"


async def say(writer: Writer, octets: bytes) -> None:
    writer.write(octets)
    await writer.drain()


def says(octets: bytes, then: float = FOREVER) -> Handler:
    """Says it, whatever it hears, and stays for ``then`` seconds."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await say(writer, octets)
        await asyncio.sleep(then)

    return handler


async def silent(reader: Reader, writer: Writer) -> None:
    await asyncio.sleep(FOREVER)


async def reset(reader: Reader, writer: Writer) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def web(reader: Reader, writer: Writer) -> None:
    """A web server: waits for a request, and calls everything else a bad one."""
    await reader.read(64)
    await say(writer, b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n")


async def secure_web(reader: Reader, writer: Writer) -> None:
    await writer.start_tls(context("good"))
    await reader.read(64)


async def trickle(reader: Reader, writer: Writer) -> None:
    """A tar pit: an octet now and then, never a whole line."""
    for octet in b"220 " + b"x" * 200:
        await say(writer, bytes((octet,)))
        await asyncio.sleep(0.05)


async def flood(reader: Reader, writer: Writer) -> None:
    with contextlib.suppress(OSError):
        for _ in range(10_000):
            await say(writer, b"220-" + b"x" * 400 + b"\r\n")


async def ftp(reader: Reader, writer: Writer) -> None:
    await say(writer, b"220 (vsFTPd 3.0.3)\r\n")
    while await reader.readline():
        await say(writer, b"530 Please login with USER and PASS.\r\n")


async def lmtp(reader: Reader, writer: Writer) -> None:
    await say(writer, b"220 mx.example.test Dovecot ready.\r\n")
    while line := await reader.readline():
        await say(
            writer, b"221 2.0.0 Bye\r\n" if line.upper().startswith(b"QUIT") else b"500 5.5.1 Unknown command\r\n"
        )


async def injecting(reader: Reader, writer: Writer) -> None:
    """Somebody on the way who puts a reply behind the 220 to STARTTLS."""
    await say(writer, GREETING)
    while line := await reader.readline():
        await say(
            writer, b"220 go\r\n250 forged\r\n" if line.upper().startswith(b"STARTTLS") else EHLO + b"250 STARTTLS\r\n"
        )


async def stalling(reader: Reader, writer: Writer) -> None:
    """Promises TLS, then says nothing to the first message of the handshake."""
    await say(writer, GREETING)
    while line := await reader.readline():
        if line.upper().startswith(b"STARTTLS"):
            await say(writer, b"220 go\r\n")
            await asyncio.sleep(FOREVER)
        await say(writer, EHLO + b"250 STARTTLS\r\n")


#: For whoever answers: no load of the machine makes a difference.
PATIENT: Final = Waits(connect=20, greeting=30, answer=30, tls_trial=20, quit=2, total=120, slow=60)
#: For whoever never says a greeting, or never says anything.
NO_220: Final = replace(PATIENT, greeting=1.0)
MUTE: Final = replace(PATIENT, greeting=1.0, answer=1.0, tls_trial=1.0)


@dataclass(frozen=True)
class Faulty:
    """One row."""

    name: str
    expect: str
    """The finding that decides."""
    serve: Handler | None = None
    """None: nobody listens."""
    level: str = "error"
    also: tuple[str, ...] = ()
    """Other warnings and errors that are right."""
    says: str = ""
    """What the evidence must contain."""
    role: str = "mx"
    implicit: bool = False
    """Spoken to as port 465 is."""
    rcpt: str = ""
    relay: bool = False
    waits: Waits = PATIENT


CLEAR: Final = EHLO + b"250 DSN\r\n"
MANGLED: Final = b"250-mx.example.test\r\n250-SIZE 1000000\r\n250 XXXXXXXA\r\n"
TINY: Final = b"250-mx.example.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
ODD: Final = b"250-mx.example.test\r\n250-SIZE much\r\n250-!!\r\n250-DSN\r\n250-DSN\r\n250 STARTTLS\r\n"
PLAIN: Final = EHLO + b"250 AUTH PLAIN LOGIN\r\n"
PLAIN_TLS: Final = EHLO + b"250-AUTH PLAIN\r\n250 STARTTLS\r\n"

#: No 220 at all.
NO_GREETING: Final = (
    Faulty("nobody listens", "connect.refused"),
    Faulty("nothing is said", "greeting.silent", silent, waits=MUTE),
    Faulty("TLS from the first octet", "greeting.tls-only", Talk(implicit=True), says=HOST, waits=NO_220),
    Faulty("a web server with TLS", "greeting.tls-other", secure_web, waits=replace(NO_220, tls_trial=2.0)),
    Faulty("a web server that waits", "greeting.not-smtp", web, says="HTTP", waits=NO_220),
    Faulty("closed at once", "greeting.closed", says(b"", 0)),
    Faulty("reset at once", "greeting.reset", reset),
    Faulty("closed within the greeting", "greeting.cut", says(b"220-mx.example.test\r\n220 hal", 0), says="220-mx"),
    Faulty("554 in its place", "greeting.554", says(b"554 5.7.1 No SMTP service here\r\n", 0), says="554 5.7.1"),
    Faulty("554 of a block list", "greeting.554", says(b"554 5.7.1 blocked using zen.example\r\n", 0), says="zen"),
    Faulty("421 in its place", "greeting.421", says(b"421 4.3.2 too many connections\r\n", 0), "warn", says="421"),
    Faulty("521 in its place", "greeting.521", says(b"521 5.3.2 does not accept mail\r\n", 0), says="521"),
    Faulty("550 in its place", "greeting.refused", says(b"550 go away\r\n", 0), says="550"),
    Faulty("450 in its place", "greeting.refused", says(b"450 4.7.1 not now\r\n", 0), "warn", says="450"),
    Faulty("SSH", "greeting.not-smtp", says(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), says="SSH"),
    Faulty("IMAP", "greeting.not-smtp", says(b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n"), says="IMAP"),
    Faulty("POP3", "greeting.not-smtp", says(b"+OK Dovecot ready.\r\n"), says="POP3"),
    Faulty("HTTP at once", "greeting.not-smtp", says(b"HTTP/1.1 408 Request Timeout\r\n\r\n", 0), says="HTTP"),
    Faulty("NNTP", "greeting.not-smtp", says(b"200 news.example.test InterNetNews NNRP ready\r\n"), says="NNTP"),
    Faulty("a database", "greeting.not-smtp", says(b"J\0\0\0\n8.0.36\0\x1b\0\0\0abcdefgh\0\xff"), says="binary"),
    Faulty("a TLS alert", "greeting.not-smtp", says(b"\x15\x03\x01\x00\x02\x02\x28", 0), says="TLS"),
    Faulty("telnet", "greeting.not-smtp", says(b"\xff\xfd\x18\xff\xfd\x20\r\nlogin: "), says="Telnet"),
    Faulty("plain words", "greeting.not-smtp", says(b"Welcome to the machine\r\n"), says="Welcome"),
    Faulty("a tar pit", "greeting.unfinished", trickle, says="220 x", waits=replace(PATIENT, greeting=2.0)),
    Faulty("a greeting without end", "greeting.unfinished", says(b"220-mx.example.test\r\n220-wait\r\n"), says="220-mx", waits=NO_220),
)  # fmt: skip

#: A greeting, and something wrong with it or with the answer to EHLO.
GREETED: Final = (
    Faulty("a slow greeting", "greeting.slow", Talk(delay=0.5), "warn", waits=replace(PATIENT, slow=0.3)),
    Faulty("a bare LF", "greeting.line-ends", says(b"220 mx.example.test ESMTP\n")),
    Faulty("250 in its place", "greeting.code", says(b"250 mx.example.test hello\r\n"), says="250"),
    Faulty("two codes", "greeting.malformed", says(b"220-mx.example.test\r\n554 no\r\n")),
    Faulty("a flood", "greeting.flood", flood),
    Faulty("no name", "greeting.no-name", Talk(b"220 ESMTP\r\n"), "warn"),
    Faulty("a hidden name", "greeting.masked", Talk(b"220 " + b"*" * 40 + b"\r\n"), "warn"),
    Faulty("localhost", "greeting.odd-name", Talk(b"220 localhost ESMTP\r\n"), "warn"),
    Faulty("a short name", "greeting.odd-name", Talk(b"220 mail ESMTP\r\n"), "warn"),
    Faulty("another name in EHLO", "name.ehlo-differs", Talk(b"220 other.example.test ESMTP\r\n"), "warn"),
    Faulty("EHLO unknown", "ehlo.unknown", Talk(ehlo=b"502 5.5.1 no such command\r\n"), "warn", ("starttls.missing",)),
    Faulty("closed at EHLO", "ehlo.closed", Talk(ehlo=CUT)),
    Faulty("silent at EHLO", "ehlo.silent", Talk(ehlo=SILENCE), waits=MUTE),
    Faulty("421 at EHLO", "ehlo.refused", Talk(ehlo=b"421 4.3.2 closing\r\n"), "warn", says="421"),
    Faulty("550 at EHLO", "ehlo.refused", Talk(ehlo=b"550 5.7.1 bad name\r\n"), says="550"),
    Faulty("a garbled EHLO", "ehlo.garbled", Talk(ehlo=b"250-mx.example.test\r\n251 SIZE\r\n")),
    Faulty("a device on the way", "ehlo.mangled", Talk(ehlo=MANGLED), "warn", ("starttls.missing",), says="XXXXXXXA"),
    Faulty("odd extensions", "ehlo.odd", Talk(ehlo=ODD), "warn", says="SIZE much"),
    Faulty("no room for any mail", "ehlo.odd", Talk(ehlo=TINY, inside=TINY.replace(b"STARTTLS", b"DSN")), "warn", says="SIZE 1000"),
    Faulty("FTP", "ehlo.not-smtp", ftp, says="FTP"),
    Faulty("LMTP", "ehlo.not-smtp", lmtp, says="LMTP"),
)  # fmt: skip

#: Faults of TLS and of its certificate.
SECURED: Final = (
    Faulty("no STARTTLS", "starttls.missing", Talk(ehlo=CLEAR), "warn"),
    Faulty("no STARTTLS on submission", "starttls.missing", Talk(ehlo=PLAIN), also=("auth.in-clear",), role="submission"),
    Faulty("STARTTLS refused", "starttls.refused", Talk(starttls=b"454 4.7.0 TLS not available\r\n"), says="454"),
    Faulty("closed behind 220", "tls.failed", Talk(tls="")),
    Faulty("no handshake", "tls.failed", stalling, waits=replace(PATIENT, answer=2.0)),
    Faulty("an injected reply", "starttls.injection", injecting),
    Faulty("TLS 1.1 only", "tls.old", Talk(tls="old")),
    Faulty("expired", "cert.expired", Talk(tls="expired")),
    Faulty("not yet valid", "cert.not-yet", Talk(tls="future")),
    Faulty("ends soon", "cert.soon", Talk(tls="soon"), "warn"),
    Faulty("self-signed", "cert.self-signed", Talk(tls="self-signed"), "warn"),
    Faulty("an unknown authority", "cert.unknown-issuer", Talk(tls="unknown"), "warn"),
    Faulty("an incomplete chain", "cert.unknown-issuer", Talk(tls="incomplete"), "warn"),
    Faulty("another name", "cert.name", Talk(tls="other"), "warn", says="other.example.test"),
    Faulty("465 in clear", "tls.plain", Talk(ehlo=PLAIN_TLS, inside=PLAIN), role="submission", implicit=True),
    Faulty("465 dead", "tls.failed", says(b"", 0), role="submission", implicit=True),
    Faulty("465 silent", "tls.failed", silent, role="submission", implicit=True, waits=MUTE),
    Faulty("password in clear", "auth.in-clear", Talk(ehlo=PLAIN_TLS, inside=PLAIN), "info", role="submission"),
    Faulty("no AUTH", "auth.missing", Talk(), role="submission"),
    Faulty("submission expired", "cert.expired", Talk(tls="expired", inside=PLAIN, implicit=True), role="submission", implicit=True),
    Faulty("submission self-signed", "cert.self-signed", Talk(tls="self-signed", inside=PLAIN, implicit=True), role="submission", implicit=True),
)  # fmt: skip

#: What the envelope brings out.
ASKED: Final = (
    Faulty("an open relay", "relay.open", Talk(rcpt=b"250 2.1.5 Ok\r\n"), relay=True),
    Faulty("unclear about relaying", "relay.unclear", Talk(rcpt=b"451 4.7.1 later\r\n"), "info", relay=True),
    Faulty("no such mailbox", "rcpt.refused", Talk(rcpt=b"550 5.1.1 User unknown\r\n"), rcpt="kana@example.test", says="550"),
    Faulty("greylisting", "rcpt.later", Talk(rcpt=b"450 4.7.1 Greylisted\r\n"), "warn", rcpt="kana@example.test", says="450"),
    Faulty("sender refused", "mail.refused", Talk(mail=b"553 5.7.1 no\r\n"), rcpt="kana@example.test", says="553"),
    Faulty("closes at MAIL", "mail.refused", Talk(mail=b"421 4.7.0 bye\r\n"), "warn", rcpt="kana@example.test", says="421"),
)  # fmt: skip

TABLE: Final = (*NO_GREETING, *GREETED, *SECURED, *ASKED)


@contextlib.asynccontextmanager
async def serving(handler: Handler | None, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """The server on a free port; gives the port. Nobody listens there when the handler is None."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            # Cancelled at the end: later releases of asyncio log that as a fault of the callback.
            with contextlib.suppress(OSError, EOFError, ssl.SSLError, asyncio.CancelledError):
                assert handler is not None
                await handler(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(one, address, port)
    found = int(server.sockets[0].getsockname()[1])
    if handler is None:
        server.close()
        await server.wait_closed()
    try:
        yield found
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port that answers no attempt to connect, as behind a firewall that drops: the kernel's queue of it is full."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(listening.getsockname())
        waiting.append(one)
    try:
        yield listening.getsockname()[1]
    finally:
        for one in (*waiting, listening):
            one.close()
