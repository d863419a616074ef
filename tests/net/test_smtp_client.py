"""The client against hosts on loopback: kind ones, hostile ones, and those that vanish, at every stage."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError
from postroad.net.connecting import Endpoint, Target, UseTls
from postroad.net.smtp_client import ClientOptions, ConnectFault, Letter, SmtpClient
from postroad.net.tls import client_context
from postroad.replies import Reply
from postroad.smtp.client_timeouts import ClientTimeouts
from postroad.smtp.mail_transaction import Answer, Stage
from postroad.smtp.parameters import NOTHING_GIVEN
from tests.delivery.fixtures import Peer, blocks, host, until

#: Only the wait that the test is about is short, so that a slow machine changes nothing.
SHORT_GREETING = ClientTimeouts(greeting=0.05)
SHORT_BLOCK = ClientTimeouts(block=0.05)
SILENT_AT = {
    b"MAIL": ClientTimeouts(mail=0.05),
    b"RCPT": ClientTimeouts(rcpt=0.05),
    b"DATA": ClientTimeouts(data=0.05),
    b".": ClientTimeouts(content=0.05),
}
BODY = b"Subject: x\r\n\r\n.x\r\n"
Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runs(work: Awaitable[Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(work, 30))  # type: ignore[arg-type]

    return runs


def letter(*names: str, content: Callable[[], AsyncIterator[bytes]] = blocks(BODY)) -> Letter:
    people = [(Mailbox(name, "example.com"), NOTHING_GIVEN) for name in names or ("bob",)]
    return Letter(Mailbox("kana", "example.net"), people, content)


def options(**more: Any) -> ClientOptions:
    return ClientOptions("me.example", **more)


async def connect(port: int, **more: Any) -> SmtpClient:
    return await SmtpClient.connect(Target("127.0.0.1", port), options(**more))


def test_messages_follow_each_other_on_one_connection(run: Run) -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"PIPELINING")
        await peer.serve({}, contents)

    async def work() -> None:
        async with host(play) as (port, peers):
            client = await connect(port)
            for _ in range(3):
                assert await client.deliver(letter("a", "b")) == [Answer(Stage.CONTENT, Reply(250, "queued"))] * 2
                assert client.is_usable
            assert client.security == "in clear"
            assert client.host == f"127.0.0.1:{port}"
            assert "C: MAIL FROM:<kana@example.net>" in client.take_transcript()
            assert client.take_transcript() == ""
            await client.quit()
            await until(lambda: peers[0].heard[-1] == b"QUIT\r\n")
            assert len(peers) == 1

    run(work())
    assert contents == [BODY] * 3


def test_large_content_waits_for_the_host(run: Run) -> None:
    """The host does not read for a while: no more is taken from the spool than the buffers hold."""
    contents: list[bytes] = []
    taken = 0
    gate = asyncio.Event()
    block = b"x" * 998 + b"\r\n"

    async def play(peer: Peer) -> None:
        await peer.greet()
        for reply in (b"250 ok\r\n", b"250 ok\r\n"):
            await peer.hear()
            await peer.say(reply)
        await peer.hear()
        await peer.say(b"354 go\r\n")
        await gate.wait()
        contents.append(await peer.hear_content())
        await peer.say(b"250 queued\r\n")

    async def content() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(500):
            taken += 1
            yield block * 64

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            delivery = asyncio.create_task(client.deliver(letter(content=content)))
            await until(lambda: taken)
            before = -1
            while before != taken:  # until it has come to rest
                before = taken
                await asyncio.sleep(0.02)
            assert taken < 400
            gate.set()
            assert (await delivery)[0].accepted

    run(work())
    assert contents == [block * 64 * 500]


# --- no session


def test_nobody_listens(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ConnectFault, match="Connection refused") as fault:
            run(connect(port))
    assert fault.value.reply is None
    assert fault.value.host == f"127.0.0.1:{port}"


def test_a_name_without_address(run: Run) -> None:
    with pytest.raises(ConnectFault, match="no address"):
        run(SmtpClient.connect(Target("nobody.invalid", 25), options()))


def test_no_socket(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConnectFault, match="No such file"):
        run(SmtpClient.connect(Target(path=str(tmp_path / "none"), lmtp=True), options()))


def test_the_next_address_is_tried(run: Run) -> None:
    """One name, two addresses: nobody listens at the first."""

    async def play(peer: Peer) -> None:
        await peer.greet()
        await peer.serve({}, [])

    async def work() -> None:
        async with host(play) as (port, peers):
            target = Target("host.example", port)
            endpoints = [Endpoint(target, address) for address in ("127.0.0.9", "127.0.0.1")]
            client = await SmtpClient.connect_to(endpoints, options())
            assert client.host == f"host.example [127.0.0.1]:{port}"
            assert len(peers) == 1
            client.abort()
            with pytest.raises(ConnectFault, match="there is no address"):
                await SmtpClient.connect_to([], options())
            (client, other) = await asyncio.gather(
                *[SmtpClient.connect(Target(name, port), options()) for name in ("localhost", "127.0.0.1")]
            )
            assert client.host == f"localhost [127.0.0.1]:{port}"
            client.abort()
            other.abort()

    run(work())


GREETINGS = [
    (b"", "the greeting"),
    (b"220 hi", "the greeting"),
    (b"421 4.3.2 busy\r\n", "refused at the greeting"),
    (b"554 no\r\n", "refused at the greeting"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no reply line"),
    (b"\x16\x03\x01\x02\x00\x01", "no reply line"),
    (b"220-a\r\n" * 600, "more than 512 lines"),
    (b"220 " + b"a" * 70_000 + b"\r\n", "more than 4096 octets"),
    (b"220 a\n", "bare CR or LF"),
]


@pytest.mark.parametrize(("octets", "words"), GREETINGS)
def test_greetings_that_are_none(run: Run, octets: bytes, words: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.say(octets)
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, _):
            timeouts = SHORT_GREETING if octets in (b"", b"220 hi") else ClientTimeouts()
            with pytest.raises(ConnectFault, match=words) as fault:
                await connect(port, timeouts=timeouts)
            assert (fault.value.reply is not None) == octets.startswith((b"421", b"554"))

    run(work())


def test_a_drop_of_octets_now_and_then_is_no_progress(run: Run) -> None:
    """A host that trickles its greeting is left at the deadline all the same."""

    async def play(peer: Peer) -> None:
        for octet in b"220 a very long greeting that never ends":
            await peer.say(bytes((octet,)))
            await asyncio.sleep(0.01)

    async def work() -> None:
        async with host(play) as (port, _):
            with pytest.raises(ConnectFault, match="in vain for the greeting"):
                await connect(port, timeouts=SHORT_GREETING)

    run(work())


# --- a host that vanishes, talks rubbish or falls silent at each stage

STAGES = [b"MAIL", b"RCPT", b"DATA", b"."]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("manner", ["closes", "rubbish", "silence", "421", "reset"])
def test_faults_at_each_stage(run: Run, stage: bytes, pipelining: bool, manner: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(*([b"PIPELINING"] if pipelining else []))
        for word in STAGES:
            if word == b".":
                await peer.hear_content()
            else:
                await peer.hear()
            if word != stage:
                await peer.say(b"354 go\r\n" if word == b"DATA" else b"250 ok\r\n")
                continue
            if manner == "rubbish":
                await peer.say(b"2x0 what\r\n")
            elif manner == "421":
                await peer.say(b"421 4.3.2 bye\r\n")
            elif manner == "reset":
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if manner in ("rubbish", "silence"):
                await peer.reader.read()
            return

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, timeouts=SILENT_AT[stage] if manner == "silence" else ClientTimeouts())
            (answer,) = await client.deliver(letter())
            assert not answer.accepted
            if manner == "421":
                assert answer.reply == Reply(421, "bye", "4.3.2")
                assert not answer.uncertain
            else:
                assert answer.reply is None
                assert answer.fault
                assert answer.uncertain == (stage == b".")
            assert not client.is_usable
            await client.quit()

    run(work())


def test_a_host_that_stops_reading_content(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await peer.hear()
            await peer.say(reply)
        await asyncio.sleep(1)

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, timeouts=SHORT_BLOCK)
            (answer,) = await client.deliver(letter(content=blocks(*[b"x" * 62 + b"\r\n"] * 200_000)))
            assert answer.reply is None
            assert "to take content" in answer.fault
            assert not answer.uncertain

    run(work())


def test_content_that_is_refused_on_its_way(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n552 too much\r\n"):
            await peer.hear()
            await peer.say(reply)
        await peer.reader.read()

    async def content() -> AsyncIterator[bytes]:
        for _ in range(1000):
            await asyncio.sleep(0)
            yield b"x\r\n"

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            assert await client.deliver(letter(content=content)) == [Answer(Stage.CONTENT, Reply(552, "too much"))]
            assert not client.is_usable

    run(work())


def test_content_that_cannot_be_read_ends_the_connection_without_a_dot(run: Run) -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet()
        await peer.serve({}, contents)

    async def broken() -> AsyncIterator[bytes]:
        yield b"Subject: x\r\n"
        raise OSError("the disk is gone")

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            with pytest.raises(OSError, match="the disk is gone"):
                await client.deliver(letter(content=broken))
            client = await connect(port)
            with pytest.raises(LocalProtocolError, match="bare"):
                await client.deliver(letter(content=blocks(b"a\r\n", b"b\nc\r\n")))
            assert not client.is_usable

    run(work())
    assert contents == []


def test_abort_tells_whoever_waits(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            delivery = asyncio.create_task(client.deliver(letter()))
            await asyncio.sleep(0.01)
            client.abort("we are stopping")
            assert await delivery == [Answer(Stage.CONNECTION, None, "we are stopping")]

    run(work())


def test_a_kept_connection_that_the_host_closed_is_not_usable(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        await peer.say(b"421 4.4.2 idle\r\n")

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            await until(lambda: not client.is_usable)
            await client.quit()

    run(work())


# --- STARTTLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_starttls_with_any_certificate(run: Run, authority: trustme.CA) -> None:
    contents: list[bytes] = []
    hellos: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS", b"X-CLEAR")
        hellos.append(await peer.hear())
        await peer.say(b"220 go\r\n")
        await peer.writer.start_tls(server_side(authority))
        hellos.append(await peer.hear())
        await peer.say(b"250-host.example\r\n250 SIZE 1000\r\n")
        await peer.serve({}, contents)

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, context=client_context(verify=False))
            assert client.security.startswith("TLSv1.3 TLS_")
            assert client.security.endswith(", certificate not verified")
            assert client.engine.announced == {"SIZE": "1000"}
            large = [b"x" * 998 + b"\r\n"] * 2000
            assert (await client.deliver(letter(content=blocks(*large))))[0].accepted
            assert contents == [b"".join(large)]
            await client.quit()

    run(work())
    assert hellos == [b"STARTTLS", b"EHLO me.example"]


def test_a_failed_handshake_goes_on_in_clear_or_not_at_all(run: Run, authority: trustme.CA) -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        if await peer.hear() == b"STARTTLS":
            await peer.say(b"220 go\r\n")
            await peer.reader.read(1)
            await peer.say(b"this is no TLS at all" * 10)
            return
        await peer.say(b"250 ok\r\n")
        await peer.serve({}, contents)

    async def work() -> None:
        async with host(play) as (port, peers):
            client = await connect(port, context=client_context(verify=False))
            assert client.security.startswith("in clear, since the TLS handshake failed")
            (answer,) = await client.deliver(letter())
            assert answer.accepted
            with pytest.raises(ConnectFault, match="TLS handshake failed"):
                await connect(port, context=client_context(), tls=UseTls.REQUIRED)
            assert not any(line.startswith(b"MAIL") for line in peers[-1].heard)

    run(work())


def test_a_certificate_that_must_be_good(run: Run, authority: trustme.CA) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        await peer.hear()
        await peer.say(b"220 go\r\n")
        await peer.writer.start_tls(server_side(authority))
        await peer.hear()
        await peer.say(b"250 host.example\r\n")
        await peer.reader.read()

    async def work() -> None:
        trusting = client_context()
        authority.configure_trust(trusting)
        async with host(play) as (port, _):
            client = await connect(port, context=trusting, tls=UseTls.REQUIRED)
            assert client.security.endswith(", certificate verified")
            client.abort()
            with pytest.raises(ConnectFault, match="certificate not accepted"):
                await connect(port, context=client_context(), tls=UseTls.REQUIRED)

    run(work())


@pytest.mark.parametrize("tls", [UseTls.OPPORTUNISTIC, UseTls.REQUIRED])
def test_octets_behind_the_220_are_never_heard_inside_tls(run: Run, tls: UseTls) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        await peer.hear()
        await peer.say(b"220 go\r\n250-evil\r\n250 SIZE\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, peers):
            with pytest.raises(ConnectFault, match="injection"):
                await connect(port, context=client_context(verify=False), tls=tls)
            assert len(peers) == 1  # and not once more in clear

    run(work())


@pytest.mark.parametrize("extensions", [(), (b"STARTTLS",)])
def test_no_mail_in_clear_where_tls_is_required(run: Run, extensions: tuple[bytes, ...]) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(*extensions)
        await peer.hear()
        await peer.say(b"454 4.7.0 not now\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, peers):
            with pytest.raises(ConnectFault, match="TLS is required"):
                await connect(port, context=client_context(), tls=UseTls.REQUIRED)
            await until(lambda: peers[0].reader.at_eof())
            client = await connect(port, context=client_context())
            assert client.security == ("in clear, since STARTTLS was refused" if extensions else "in clear")
            client.abort()

    run(work())


# --- AUTH


def test_auth(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"AUTH PLAIN")
        good = await peer.hear() == b"AUTH PLAIN AGthbmEAc2VjcmV0"
        await peer.say(b"235 ok\r\n" if good else b"535 5.7.8 no\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, account="kana", password="secret")
            assert client.engine.authenticated
            client.abort()
            with pytest.raises(ConnectFault, match="refused at AUTH") as fault:
                await connect(port, account="kana", password="wrong")
            assert fault.value.reply == Reply(535, "no", "5.7.8")
            assert "C: AUTH PLAIN\n" in fault.value.transcript
            assert "d3Jvbmc" not in fault.value.transcript

    run(work())


# --- LMTP


def test_lmtp_over_a_socket(run: Run, tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        await peer.say(b"220 lmtp\r\n")
        assert await peer.hear() == b"LHLO me.example"
        await peer.say(b"250-host.example\r\n250 PIPELINING\r\n")
        await peer.serve({b".": b"250 for a\r\n452 4.2.2 full\r\n"}, [])

    async def work() -> None:
        path = str(tmp_path / "lmtp")
        server = await asyncio.start_unix_server(serve, path)
        client = await SmtpClient.connect(Target(path=path, lmtp=True), options())
        answers = await client.deliver(letter("a", "b"))
        assert [answer.reply for answer in answers] == [Reply(250, "for a"), Reply(452, "full", "4.2.2")]
        assert client.host == path
        await client.quit()
        server.close()

    run(work())
