"""The way by SMTP: what is said to which host, which connection is kept, and what becomes of each recipient."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
import uvloop
from aiosmtpd.smtp import SMTP

from postroad.delivery.routing import Smtp
from postroad.delivery.smtp_transport import Keep, SmtpTransport
from postroad.delivery.transport import Consignment, Fate, Report
from postroad.net.smtp_client import ClientOptions
from postroad.replies import Reply
from postroad.smtp.client_timeouts import ClientTimeouts
from tests.delivery.fixtures import Peer, blocks, host, message, until

CONTENT = b"Subject: x\r\n\r\n.x\r\n"
WIDE = "Subject: あ\r\n\r\n".encode()


def run(work: Awaitable[Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 30))  # type: ignore[arg-type]


def transport(**more: Any) -> SmtpTransport:
    keep = Keep(**{name: more.pop(name) for name in ("idle", "messages", "connections") if name in more})
    return SmtpTransport(ClientOptions("me.example", **more), keep)


def consignment(port: int, *recipients: str, content: bytes = CONTENT, lmtp: bool = False, **more: Any) -> Consignment:
    stored = message(*recipients or ("bob@example.com",), **more)
    return Consignment(stored, Smtp("127.0.0.1", port, lmtp), blocks(content))


def fates(report: Report) -> list[Fate]:
    return [one.fate for one in report.handed]


# --- against another's server


def test_aiosmtpd_gets_the_octets() -> None:
    taken: list[Any] = []

    class Handler:
        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
            if address.startswith("no"):
                return "550 5.1.1 no such user"
            if address.startswith("later"):
                return "450 4.2.0 later"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            taken.append(envelope)
            return "250 2.0.0 got it"

    async def work() -> Report:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(Handler(), enable_SMTPUTF8=True), "127.0.0.1", 0)
        way = transport()
        port = server.sockets[0].getsockname()[1]
        people = ("bob@example.com", "no@example.com", "later@example.com", "あ@example.com")
        report = await way.deliver(
            consignment(port, *people, parameters="BODY=8BITMIME SMTPUTF8", content=WIDE + CONTENT)
        )
        await way.close()
        server.close()
        return report

    report = run(work())
    assert fates(report) == [Fate.DELIVERED, Fate.NEVER, Fate.NOT_NOW, Fate.DELIVERED]
    assert [one.reply for one in report.handed] == [
        Reply(250, "got it", "2.0.0"),
        Reply(550, "no such user", "5.1.1"),
        Reply(450, "later", "4.2.0"),
        Reply(250, "got it", "2.0.0"),
    ]
    assert [one.note for one in report.handed][1:3] == ["refused at RCPT", "refused for now at RCPT"]
    (envelope,) = taken
    assert envelope.mail_from == "kana@example.net"
    assert envelope.rcpt_tos == ["bob@example.com", "あ@example.com"]
    assert envelope.original_content == WIDE + CONTENT
    assert envelope.mail_options == ["SIZE=100", "BODY=8BITMIME", "SMTPUTF8"]
    assert "C: RCPT TO:<no@example.com>\nS: 550 5.1.1 no such user" in report.transcript


# --- what each fault comes to


@pytest.mark.parametrize(
    ("replies", "fate", "note"),
    [
        ({b"MAIL": b"550 no\r\n"}, Fate.NEVER, "refused at MAIL"),
        ({b"MAIL": b"451 no\r\n"}, Fate.NOT_NOW, "refused for now at MAIL"),
        ({b"MAIL": b"421 no\r\n"}, Fate.NOT_NOW, "the host refuses all mail for now at MAIL"),
        ({b"RCPT": b"550 no\r\n"}, Fate.NEVER, "refused at RCPT"),
        ({b"RCPT": b"552 5.2.2 no\r\n"}, Fate.NEVER, "refused at RCPT"),
        ({b"DATA": b"554 no\r\n"}, Fate.NEVER, "refused at DATA"),
        ({b".": b"554 no\r\n"}, Fate.NEVER, "refused at content"),
        ({b".": b"451 no\r\n"}, Fate.NOT_NOW, "refused for now at content"),
        ({b"EHLO": b"550 no\r\n"}, Fate.NOT_NOW, "refused at EHLO"),
    ],
)
def test_refusals(replies: dict[bytes, bytes], fate: Fate, note: str) -> None:
    async def play(peer: Peer) -> None:
        if b"EHLO" in replies:
            await peer.say(b"220 hi\r\n")
        else:
            await peer.greet()
        await peer.serve(replies, [])

    async def work() -> Report:
        async with host(play) as (port, _):
            way = transport()
            report = await way.deliver(consignment(port))
            await way.close()
            return report

    (handed,) = run(work()).handed
    assert (handed.fate, handed.note) == (fate, note)
    assert handed.reply is not None
    assert not handed.uncertain


def test_a_greeting_of_554_defers_since_it_is_about_the_host() -> None:
    async def play(peer: Peer) -> None:
        await peer.say(b"554 5.3.2 closed for today\r\n")

    async def work() -> Report:
        async with host(play) as (port, _):
            return await transport().deliver(consignment(port))

    (handed,) = run(work()).handed
    assert (handed.fate, handed.reply) == (Fate.NOT_NOW, Reply(554, "closed for today", "5.3.2"))


def test_a_lost_final_reply_is_uncertain() -> None:
    async def play(peer: Peer) -> None:
        await peer.greet()
        for _ in range(3):
            await peer.hear()
            await peer.say(b"354 go\r\n" if peer.heard[-1] == b"DATA\r\n" else b"250 ok\r\n")
        await peer.hear_content()

    async def work() -> Report:
        async with host(play) as (port, _):
            return await transport().deliver(consignment(port))

    (handed,) = run(work()).handed
    assert (handed.fate, handed.reply, handed.uncertain) == (Fate.NOT_NOW, None, True)
    assert handed.note


# --- connections are kept


def served(contents: list[bytes], *extensions: bytes, replies: dict[bytes, bytes] | None = None) -> Any:
    async def play(peer: Peer) -> None:
        await peer.greet(*extensions)
        await peer.serve(replies or {}, contents)

    return play


def test_a_connection_is_used_again_and_then_closed() -> None:
    contents: list[bytes] = []

    async def work() -> None:
        async with host(served(contents)) as (port, peers):
            way = transport(messages=2, idle=30)
            for _ in range(5):
                assert fates(await way.deliver(consignment(port))) == [Fate.DELIVERED]
            assert len(peers) == 3
            await way.close()
            await until(lambda: all(peer.heard[-1] == b"QUIT\r\n" for peer in peers))

    run(work())
    assert len(contents) == 5


def test_an_idle_connection_says_quit_after_a_while() -> None:
    async def work() -> None:
        async with host(served([])) as (port, peers):
            way = transport(idle=0.01)
            await way.deliver(consignment(port))
            await until(lambda: peers[0].heard[-1] == b"QUIT\r\n")
            await way.deliver(consignment(port))
            assert len(peers) == 2
            await way.close()

    run(work())


def test_a_kept_connection_that_died_costs_nobody_an_attempt() -> None:
    """The host closes as soon as it hears the second MAIL: that one goes over a fresh connection at once."""
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet()
        for number in range(2):
            for word in (b"MAIL", b"RCPT", b"DATA"):
                await peer.hear()
                if number:
                    return
                await peer.say(b"354 go\r\n" if word == b"DATA" else b"250 ok\r\n")
            contents.append(await peer.hear_content())
            await peer.say(b"250 queued\r\n")

    async def work() -> None:
        async with host(play) as (port, peers):
            way = transport(idle=30)
            for number in range(1, 4):
                assert fates(await way.deliver(consignment(port))) == [Fate.DELIVERED]
                assert len(peers) == number
            await way.close()

    run(work())
    assert len(contents) == 3


# --- many recipients


def test_a_host_that_takes_few_at_a_time_gets_the_rest_at_once() -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"PIPELINING")
        taken = 0
        while True:
            word = (await peer.hear()).partition(b" ")[0]
            if word == b"MAIL":
                taken = 0
            taken += word == b"RCPT"
            if word == b"RCPT" and taken > 2:
                await peer.say(b"452 4.5.3 too many\r\n")
            else:
                await peer.say(b"354 go\r\n" if word == b"DATA" else b"250 ok\r\n")
            if word == b"DATA":
                contents.append(await peer.hear_content())
                await peer.say(b"250 queued\r\n")

    async def work() -> Report:
        async with host(play) as (port, peers):
            way = transport()
            report = await way.deliver(consignment(port, *[f"n{number}@example.com" for number in range(5)]))
            assert len(peers) == 1
            way.abort("over")
            return report

    assert fates(run(work())) == [Fate.DELIVERED] * 5
    assert len(contents) == 3


def test_a_host_that_takes_none_at_all_is_asked_once() -> None:
    async def work() -> Report:
        async with host(served([], replies={b"RCPT": b"452 4.5.3 too many\r\n"})) as (port, peers):
            way = transport()
            report = await way.deliver(consignment(port, "a@example.com", "b@example.com"))
            await way.close()
            assert sum(line.startswith(b"RCPT") for line in peers[0].heard) == 2
            return report

    assert fates(run(work())) == [Fate.NOT_NOW] * 2


@pytest.mark.parametrize(
    ("extensions", "most"), [((), 100), ((b"LIMITS RCPTMAX=7",), 7), ((b"LIMITS RCPTMAX=x",), 100)]
)
def test_transactions_are_as_large_as_every_host_must_take_or_this_one_says(
    extensions: tuple[bytes, ...], most: int
) -> None:
    contents: list[bytes] = []

    async def work() -> Report:
        async with host(served(contents, *extensions)) as (port, _):
            way = transport()
            report = await way.deliver(consignment(port, *[f"n{number}@example.com" for number in range(150)]))
            await way.close()
            return report

    assert fates(run(work())) == [Fate.DELIVERED] * 150
    assert len(contents) == -(-150 // most)


def test_the_rest_is_deferred_when_the_connection_ends_in_between() -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"LIMITS RCPTMAX=1")
        for word in (b"MAIL", b"RCPT", b"DATA"):
            await peer.hear()
            await peer.say(b"354 go\r\n" if word == b"DATA" else b"250 ok\r\n")
        await peer.hear_content()
        await peer.say(b"250 queued\r\n421 bye\r\n")

    async def work() -> Report:
        async with host(play) as (port, _):
            return await transport().deliver(consignment(port, "a@example.com", "b@example.com"))

    assert fates(run(work())) == [Fate.DELIVERED, Fate.NOT_NOW]


# --- what is fitted to the host


def test_those_who_can_be_served_are() -> None:
    contents: list[bytes] = []

    async def work() -> Report:
        async with host(served(contents)) as (port, _):
            way = transport()
            people = ("a@example.com", "あ@example.com", "Postmaster", "not an address")
            report = await way.deliver(consignment(port, *people, sender=""))
            assert fates(await way.deliver(consignment(port, "あ@example.com"))) == [Fate.NEVER]
            await way.close()
            return report

    assert fates(run(work())) == [Fate.DELIVERED, Fate.NEVER, Fate.DELIVERED, Fate.NEVER]
    assert contents == [CONTENT]


def test_content_that_may_not_be_passed_on_fails() -> None:
    contents: list[bytes] = []

    async def work() -> Report:
        async with host(served(contents)) as (port, _):
            return await transport().deliver(consignment(port, content=b"a\nb\r\n"))

    (handed,) = run(work()).handed
    assert handed.fate is Fate.NEVER
    assert "bare CR or LF" in handed.note
    assert contents == []


def test_lmtp() -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"PIPELINING")
        await peer.serve({b".": b"250 for a\r\n550 5.2.1 not b\r\n"}, [])

    async def work() -> Report:
        async with host(play) as (port, peers):
            way = transport()
            report = await way.deliver(consignment(port, "a@example.com", "b@example.com", lmtp=True))
            await way.close()
            assert peers[0].heard[0] == b"LHLO me.example\r\n"
            return report

    assert fates(run(work())) == [Fate.DELIVERED, Fate.NEVER]


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_abort_ends_what_is_under_way(lines: int) -> None:
    """While the greeting is waited for, during EHLO, and inside the transaction."""

    async def play(peer: Peer) -> None:
        if lines:
            await peer.say(b"220 hi\r\n")
            await peer.hear()
        if lines > 1:
            await peer.say(b"250 me\r\n")
        await peer.reader.read(1)
        await peer.reader.read()

    async def work() -> Report:
        async with host(play) as (port, peers):
            way = transport(timeouts=ClientTimeouts())
            task = asyncio.create_task(way.deliver(consignment(port)))
            await until(lambda: peers and len(peers[0].heard) == min(lines, 1))
            way.abort("we are stopping")
            return await task

    (handed,) = run(work()).handed
    assert (handed.fate, handed.note) == (Fate.NOT_NOW, "we are stopping")


def test_whoever_is_cancelled_while_it_connects_leaves_no_connection() -> None:
    async def play(peer: Peer) -> None:
        assert await peer.reader.read() == b""

    async def work() -> None:
        async with host(play) as (port, peers):
            way = transport()
            task = asyncio.create_task(way.deliver(consignment(port)))
            await until(lambda: peers)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await way.close()

    run(work())


def test_winding_down_waits_for_no_silent_host_and_lets_a_transaction_end() -> None:
    """A server that is stopped must not sit out the greeting of a host that says nothing."""
    may_answer = asyncio.Event()

    async def silent(peer: Peer) -> None:
        assert await peer.reader.read() == b""

    async def slow(peer: Peer) -> None:
        await peer.greet()
        for said in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await peer.hear()
            await peer.say(said)
        await may_answer.wait()
        await peer.say(b"250 queued\r\n")
        await peer.reader.read()

    async def work() -> tuple[Report, Report]:
        async with host(silent) as (first, silents), host(slow) as (second, slows):
            way = transport(timeouts=ClientTimeouts())
            waiting = asyncio.create_task(way.deliver(consignment(first)))
            begun = asyncio.create_task(way.deliver(consignment(second)))
            await until(lambda: silents and slows and any(line == b"DATA\r\n" for line in slows[0].heard))
            way.wind_down("we are stopping")
            given_up = await waiting
            may_answer.set()
            return given_up, await begun

    given_up, ended = run(work())
    assert (given_up.handed[0].fate, given_up.handed[0].note) == (Fate.NOT_NOW, "we are stopping")
    assert ended.handed[0].fate is Fate.DELIVERED
