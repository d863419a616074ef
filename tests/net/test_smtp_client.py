"""The client against hosts on loopback: kind ones, hostile ones, and those that vanish, at every stage."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from postroad.errors import LocalProtocolError
from postroad.net.connecting import Endpoint, Target
from postroad.net.smtp_client import ConnectFault, SmtpClient
from postroad.replies import Reply
from postroad.smtp.client_timeouts import ClientTimeouts
from postroad.smtp.mail_transaction import Answer, Stage
from tests.delivery.fixtures import Peer, blocks, host, until
from tests.net.client_loopback import BODY, LOOPS, Run, connect, hear_chunk, letter, options, runner

#: Only the wait that the test is about is short, so that a slow machine changes nothing.
SHORT_GREETING = ClientTimeouts(greeting=0.05)
SHORT_BLOCK = ClientTimeouts(block=0.05)
SILENT_AT = {
    b"MAIL": ClientTimeouts(mail=0.05),
    b"RCPT": ClientTimeouts(rcpt=0.05),
    b"DATA": ClientTimeouts(data=0.05),
    b".": ClientTimeouts(content=0.05),
    b"BDAT": ClientTimeouts(chunk=0.05),
    b"BDAT LAST": ClientTimeouts(content=0.05),
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return runner(request.param)


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


@pytest.mark.parametrize("name", ["a" * 70 + ".example", "a..example", ".example"])
def test_a_name_that_is_none(run: Run, name: str) -> None:
    with pytest.raises(ConnectFault, match="no address of") as caught:
        run(SmtpClient.connect(Target(name, 25), options()))
    assert caught.value.stage == "CONNECT"


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
CHUNK_STAGES = [b"MAIL", b"RCPT", b"BDAT", b"BDAT LAST"]
#: More than one chunk.
LONG = [b"x" * 998 + b"\r\n"] * 300


async def misbehave(peer: Peer, manner: str) -> None:
    """What the host does in place of its reply."""
    if manner == "rubbish":
        await peer.say(b"2x0 what\r\n")
    elif manner == "half a reply":
        await peer.say(b"250-o")
    elif manner == "421":
        await peer.say(b"421 4.3.2 bye\r\n")
    elif manner == "reset":
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    if manner in ("rubbish", "silence"):
        await peer.reader.read()


def misbehaving(manner: str, stage: bytes, extensions: tuple[bytes, ...]) -> Callable[[Peer], Awaitable[None]]:
    """A host that misbehaves at one stage; RCPT to ``refused`` is refused."""

    async def play(peer: Peer) -> None:
        await peer.greet(*extensions)
        stages = [(await peer.hear())[:4]]
        while True:
            word, reply = stages[-1], b"250 ok\r\n"
            if word == b"BDAT":
                octets = int(peer.heard[-1].split()[1])
                await peer.reader.readexactly(octets)
                word = b"BDAT LAST" if peer.heard[-1].endswith(b" LAST\r\n") else word
            if word == stage and b"refused" not in peer.heard[-1]:
                await misbehave(peer, manner)
                return
            if word == b"DATA":
                await peer.say(b"354 go\r\n")
                await peer.hear_content()
                stages.append(b".")
                continue
            await peer.say(b"550 5.1.1 who\r\n" if b"refused" in peer.heard[-1] else reply)
            stages.append((await peer.hear())[:4])

    return play


MANNERS = ["closes", "rubbish", "half a reply", "silence", "421", "reset"]
CASES = [(stage, False) for stage in STAGES] + [(stage, True) for stage in CHUNK_STAGES]


@pytest.mark.parametrize(("stage", "bdat"), CASES)
@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("manner", MANNERS)
def test_faults_at_each_stage(run: Run, stage: bytes, bdat: bool, pipelining: bool, manner: str) -> None:
    """Who was refused before keeps that answer; who has none is uncertain only when all content was sent."""
    extensions = (b"CHUNKING",) * bdat + (b"PIPELINING",) * pipelining
    timeouts = SILENT_AT[stage] if manner == "silence" else ClientTimeouts()

    async def work() -> None:
        async with host(misbehaving(manner, stage, extensions)) as (port, _):
            client = await connect(port, timeouts=timeouts)
            refused, answer = await client.deliver(letter("refused", "a", content=blocks(*LONG), bdat=bdat))
            if stage not in (b"MAIL", b"RCPT") or (stage == b"RCPT" and refused.stage is Stage.RCPT):
                assert refused == Answer(Stage.RCPT, Reply(550, "who", "5.1.1"))
            assert not answer.accepted
            if manner == "421":
                assert answer.reply == Reply(421, "bye", "4.3.2")
                assert not answer.uncertain
            else:
                assert answer.reply is None
                assert answer.fault
                assert manner != "reset" or answer.fault.endswith(("reset by peer)", "(Broken pipe)"))
                all_sent = stage in (b".", b"BDAT LAST") or (stage == b"BDAT" and pipelining)
                assert answer.uncertain == all_sent
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


# --- BDAT


def test_content_by_bdat_waits_for_the_host_and_for_its_answers(run: Run) -> None:
    """The host takes chunks and does not answer for a while: no more is taken from the spool than the window holds."""
    chunks: list[bytes] = []
    taken = 0
    gate = asyncio.Event()
    block = b"x" * 65_534 + b"\r\n"

    async def play(peer: Peer) -> None:
        await peer.greet(b"CHUNKING", b"PIPELINING")
        for _ in range(2):
            await peer.hear()
            await peer.say(b"250 ok\r\n")
        last = False
        while not last:
            octets, last = await hear_chunk(peer)
            chunks.append(octets)
            if len(chunks) == 4:
                await gate.wait()
                await peer.say(b"250 ok\r\n" * 3)
            if len(chunks) >= 4:
                await peer.say(b"250 ok\r\n")
        await peer.reader.read()

    async def content() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield block

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            delivery = asyncio.create_task(client.deliver(letter(content=content, bdat=True)))
            await until(lambda: len(chunks) == 4)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert taken == 20  # four chunks on their way, one that waits
            gate.set()
            assert (await delivery)[0].accepted
            assert client.is_usable
            client.abort()

    run(work())
    assert b"".join(chunks) == block * 100
    assert len(chunks) == 25


def test_a_chunk_that_is_refused_while_the_host_reads_no_more(run: Run) -> None:
    """The refusal is heard although content waits in the buffer, and nothing more is read from the spool."""
    taken = 0

    async def play(peer: Peer) -> None:
        await peer.greet(b"CHUNKING", b"PIPELINING")
        for _ in range(2):
            await peer.hear()
            await peer.say(b"250 ok\r\n")
        await peer.hear()
        await peer.say(b"452 4.3.1 full\r\n")
        await asyncio.sleep(0.1)

    async def content() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b"x" * 65_534 + b"\r\n"

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            (answer,) = await client.deliver(letter(content=content, bdat=True))
            assert answer == Answer(Stage.CONTENT, Reply(452, "full", "4.3.1"))
            assert taken < 100
            client.abort()

    run(work())


def test_bdat_where_it_was_not_announced_is_never_said(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"PIPELINING")
        assert await peer.reader.read() == b""

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            with pytest.raises(LocalProtocolError, match="CHUNKING"):
                await client.deliver(letter(bdat=True))

    run(work())


# --- what the host asks of the session


def test_no_more_transactions_than_the_host_wants(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"LIMITS MAILMAX=2")
        await peer.serve({}, [])

    async def work() -> None:
        async with host(play) as (port, peers):
            client = await connect(port)
            for usable in (True, False):
                assert (await client.deliver(letter()))[0].accepted
                assert client.is_usable is usable
            await client.quit()
            await until(lambda: peers[0].heard[-1] == b"QUIT\r\n")

    run(work())


def test_a_transaction_ends_in_time_although_the_host_answers_now_and_then(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        while await peer.hear():
            await asyncio.sleep(0.02)
            await peer.say(b"250 ok\r\n")

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, timeouts=ClientTimeouts(transaction=0.2))
            answers = await client.deliver(letter(*[f"n{number}" for number in range(1000)]))
            assert len(answers) == 1000
            assert {(a.stage, a.fault, a.uncertain) for a in answers} == {
                (Stage.CONNECTION, "waited 0.2 s in vain for the transaction to end", False)
            }

    run(work())


def test_a_host_that_floods_an_idle_connection(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        with pytest.raises(ConnectionError):
            while True:
                await peer.say(b"250-" + b"x" * 60_000)

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port)
            framer = client.engine._framer
            await until(lambda: framer._flooded)
            assert len(framer._buffer) <= 1024 * 1024
            assert not client.is_usable
            await client.quit()

    run(work())
