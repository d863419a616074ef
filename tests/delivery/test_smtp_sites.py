"""Host after host of a site: who is asked next, what TLS is owed, and what the site's health is taken to be."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from postroad.delivery.mx import Exchange, Site
from postroad.delivery.routing import Login, Mx, Smtp
from postroad.delivery.smtp_transport import Keep, SmtpTransport
from postroad.delivery.transport import Consignment, Fate, Health, Report
from postroad.net import opening
from postroad.net.smtp_client import ClientOptions
from postroad.net.use_tls import UseTls
from postroad.replies import Reply
from tests.delivery.fixtures import HandClock, Peer, blocks, host, message, until

CONTENT = b"Subject: x\r\n\r\nbody\r\n"
Play = Callable[[Peer], Awaitable[None]]


def run(work: Awaitable[Any]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work, 30)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


def serving(contents: list[bytes], replies: dict[bytes, bytes] | None = None, *extensions: bytes) -> Play:
    async def play(peer: Peer) -> None:
        await peer.greet(*extensions)
        await peer.serve(replies or {}, contents)

    return play


def greeting(octets: bytes) -> Play:
    async def play(peer: Peer) -> None:
        await peer.say(octets)
        await peer.reader.read()

    return play


class SiteOf:
    """Hosts on loopback as a site, and a transport that goes there."""

    def __init__(self, **more: Any) -> None:
        self.clock = HandClock()
        self.transport = SmtpTransport(ClientOptions("me.example", **more), clock=self.clock, again_after=0.0)
        self.exchanges: list[Exchange] = []
        self.peers: list[list[Peer]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> SiteOf:
        return self

    async def __aexit__(self, *fault: Any) -> None:
        await self.transport.close()
        await self._stack.aclose()

    async def add(self, play: Play, name: str = "") -> None:
        port, peers = await self._stack.enter_async_context(host(play))
        self.peers.append(peers)
        name = name or f"mx{len(self.exchanges)}.example"
        self.exchanges.append(Exchange(name, port, ("127.0.0.1",), len(self.exchanges)))

    async def add_closed(self) -> None:
        async with host(greeting(b"")) as (port, _):
            pass
        place = len(self.exchanges)
        self.exchanges.append(Exchange(f"mx{place}.example", port, ("127.0.0.1",), place))

    async def deliver(self, *recipients: str, tls: UseTls = UseTls.OPPORTUNISTIC, **more: Any) -> Report:
        stored = message(*recipients or ("bob@example.com",), **more)
        site = Site("site", tuple(self.exchanges))
        return await self.transport.deliver(Consignment(stored, Mx(tls), blocks(CONTENT), site, "site"))


def fates(report: Report) -> list[Fate]:
    return [one.fate for one in report.handed]


GREETINGS = [
    b"554 5.3.2 not today\r\n",
    b"421 4.3.2 too busy\r\n",
    b"450 later\r\n",
    b"garbage\r\n",
    b"",
]


@pytest.mark.parametrize("said", GREETINGS)
def test_the_next_host_is_tried_when_one_lets_nobody_in(said: bytes) -> None:
    contents: list[bytes] = []

    async def closing(peer: Peer) -> None:
        if said:
            await peer.say(said)

    async def work() -> Report:
        async with SiteOf() as site:
            await site.add(closing)
            await site.add_closed()
            await site.add(serving(contents))
            return await site.deliver()

    report = run(work())
    assert fates(report) == [Fate.DELIVERED]
    assert contents == [CONTENT]
    assert report.health is Health.FINE
    assert report.host.startswith("mx2.example [127.0.0.1]:")
    assert "mx0.example" in report.transcript and "mx1.example" in report.transcript
    assert "S: 250 queued" in report.transcript


@pytest.mark.parametrize(
    ("replies", "health"),
    [
        ({b"EHLO": b"554 no\r\n", b"HELO": b"554 no\r\n"}, Health.FINE),
        ({b"MAIL": b"421 4.3.2 going down\r\n"}, Health.FINE),
        ({b"MAIL": b"451 4.3.0 my disk\r\n"}, Health.FINE),
        ({b"MAIL": b"450 4.4.0 my network\r\n"}, Health.FINE),
        ({b"RCPT": b"421 going down\r\n"}, Health.FINE),
    ],
)
def test_a_refusal_that_is_about_the_host_goes_to_the_next(replies: dict[bytes, bytes], health: Health) -> None:
    contents: list[bytes] = []

    async def refusing(peer: Peer) -> None:
        if b"EHLO" in replies:
            await peer.say(b"220 hi\r\n")
        else:
            await peer.greet()
        await peer.serve(replies, [])

    async def work() -> Report:
        async with SiteOf() as site:
            await site.add(refusing)
            await site.add(serving(contents))
            return await site.deliver()

    report = run(work())
    assert fates(report) == [Fate.DELIVERED]
    assert contents == [CONTENT]
    assert report.health is health


@pytest.mark.parametrize(
    ("replies", "fate", "health"),
    [
        ({b"RCPT": b"550 5.1.1 nobody\r\n"}, Fate.NEVER, Health.FINE),
        ({b"RCPT": b"450 4.2.1 greylisted\r\n"}, Fate.NOT_NOW, Health.FINE),
        ({b"MAIL": b"550 5.7.1 not you\r\n"}, Fate.NEVER, Health.FINE),
        ({b"MAIL": b"450 4.7.1 too fast\r\n"}, Fate.NOT_NOW, Health.OVERLOADED),
        ({b".": b"451 4.7.0 later\r\n"}, Fate.NOT_NOW, Health.FINE),
        ({b".": b"554 5.6.0 spam\r\n"}, Fate.NEVER, Health.FINE),
    ],
)
def test_a_refusal_that_is_about_the_mail_is_the_sites_word(
    replies: dict[bytes, bytes], fate: Fate, health: Health
) -> None:
    async def work() -> tuple[Report, int]:
        async with SiteOf() as site:
            await site.add(serving([], replies))
            await site.add(serving([]))
            report = await site.deliver()
            return report, len(site.peers[1])

    report, second = run(work())
    assert fates(report) == [fate]
    assert report.handed[0].stage in ("MAIL", "RCPT", "content", "CONTENT")
    assert report.health is health
    assert second == 0


def test_each_recipient_has_its_own_host() -> None:
    """The first host takes one and closes at the other; that one goes to the second host alone."""
    contents: list[bytes] = []

    async def half(peer: Peer) -> None:
        await peer.greet(b"LIMITS RCPTMAX=1")
        for word in (b"MAIL", b"RCPT", b"DATA"):
            await peer.hear()
            await peer.say(b"354 go\r\n" if word == b"DATA" else b"250 ok\r\n")
        contents.append(await peer.hear_content())
        await peer.say(b"250 queued\r\n")
        await peer.hear()
        await peer.say(b"421 enough\r\n")

    async def work() -> tuple[Report, list[bytes]]:
        async with SiteOf() as site:
            await site.add(half)
            await site.add(serving(contents))
            report = await site.deliver("a@example.com", "b@example.com")
            return report, site.peers[1][0].heard

    report, heard = run(work())
    assert fates(report) == [Fate.DELIVERED] * 2
    assert [line for line in heard if line.startswith(b"RCPT")] == [b"RCPT TO:<b@example.com>\r\n"]
    assert len(contents) == 2


def test_a_host_that_takes_few_in_a_session_gets_the_rest_in_further_ones() -> None:
    """RFC 9422: else many recipients would wait for as many attempts, and the last of them expire."""
    contents: list[bytes] = []
    people = [f"r{number}@example.com" for number in range(7)]

    async def work() -> None:
        async with SiteOf() as site:
            await site.add(serving(contents, None, b"LIMITS MAILMAX=1 RCPTMAX=2"))
            report = await site.deliver(*people)
            assert fates(report) == [Fate.DELIVERED] * 7
            assert [len(contents), len(site.peers[0])] == [4, 4]

    run(work())


def test_a_host_that_says_no_to_the_rest_is_not_asked_at_once_again() -> None:
    async def busy(peer: Peer) -> None:
        await peer.greet(b"LIMITS RCPTMAX=1")
        for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            await peer.hear()
            await peer.say(answer)
        await peer.hear_content()
        await peer.say(b"250 queued\r\n")
        await peer.hear()
        await peer.say(b"421 4.7.0 enough for now\r\n")

    async def work() -> None:
        async with SiteOf() as site:
            await site.add(busy)
            assert fates(await site.deliver("a@example.com", "b@example.com")) == [Fate.DELIVERED, Fate.NOT_NOW]
            assert len(site.peers[0]) == 1

    run(work())


def test_when_all_hosts_are_away_the_last_reason_stands() -> None:
    async def work() -> Report:
        async with SiteOf() as site:
            await site.add_closed()
            await site.add_closed()
            return await site.deliver("a@example.com", "b@example.com")

    report = run(work())
    assert fates(report) == [Fate.NOT_NOW] * 2
    assert report.health is Health.AWAY
    assert {(one.reply, one.stage) for one in report.handed} == {(None, "CONNECT")}
    assert "mx1.example" in report.handed[0].note
    assert report.security == ""


def test_when_all_hosts_refuse_at_the_greeting_mail_is_deferred() -> None:
    async def work() -> Report:
        async with SiteOf() as site:
            await site.add_closed()
            await site.add(greeting(b"554 5.7.1 your network is not welcome\r\n"))
            return await site.deliver()

    (handed,) = (report := run(work())).handed
    assert report.health is Health.REFUSED
    assert (handed.fate, handed.stage) == (Fate.NOT_NOW, "GREETING")
    assert handed.reply == Reply(554, "your network is not welcome", "5.7.1")


def test_a_lost_final_reply_is_not_sent_to_the_next_host() -> None:
    """At most one host may have it: trying the next at once would make two."""

    async def losing(peer: Peer) -> None:
        await peer.greet()
        for _ in range(3):
            await peer.hear()
            await peer.say(b"354 go\r\n" if peer.heard[-1] == b"DATA\r\n" else b"250 ok\r\n")
        await peer.hear_content()

    async def work() -> tuple[Report, int]:
        async with SiteOf() as site:
            await site.add(losing)
            await site.add(serving([]))
            return await site.deliver(), len(site.peers[1])

    report, second = run(work())
    assert [(one.fate, one.uncertain) for one in report.handed] == [(Fate.NOT_NOW, True)]
    assert report.health is Health.OVERLOADED
    assert second == 0


def test_one_connection_serves_a_site_message_after_message() -> None:
    contents: list[bytes] = []

    async def work() -> list[int]:
        async with SiteOf() as site:
            await site.add_closed()
            await site.add(serving(contents))
            for _ in range(4):
                assert fates(await site.deliver()) == [Fate.DELIVERED]
            return [len(peers) for peers in site.peers]

    assert run(work()) == [1]
    assert len(contents) == 4


def test_a_kept_connection_that_answers_421_costs_nobody_an_attempt() -> None:
    contents: list[bytes] = []

    async def tired(peer: Peer) -> None:
        await peer.greet()
        for _ in range(3):
            await peer.hear()
            await peer.say(b"354 go\r\n" if peer.heard[-1] == b"DATA\r\n" else b"250 ok\r\n")
        contents.append(await peer.hear_content())
        await peer.say(b"250 queued\r\n")
        await peer.hear()
        await peer.say(b"421 4.4.2 you were idle for too long\r\n")

    async def work() -> None:
        async with SiteOf() as site:
            await site.add(tired)
            for _ in range(3):
                report = await site.deliver()
                assert fates(report) == [Fate.DELIVERED]
                assert report.health is Health.FINE
            assert len(site.peers[0]) == 3

    run(work())
    assert len(contents) == 3


def test_what_a_host_refused_is_remembered_and_every_step_told() -> None:
    contents: list[bytes] = []

    async def picky(peer: Peer) -> None:
        await peer.greet(b"DSN")
        while True:
            line = await peer.hear()
            word = line.partition(b" ")[0]
            if word == b"RCPT" and b"NOTIFY" in line:
                await peer.say(b"555 5.5.4 what is that\r\n")
                continue
            await peer.say({b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}.get(word, b"250 ok\r\n"))
            if word == b"DATA":
                contents.append(await peer.hear_content())
                await peer.say(b"250 queued\r\n")
            if word == b"QUIT":
                return

    async def work() -> tuple[list[Report], list[bytes]]:
        async with SiteOf() as site:
            await site.add(picky)
            reports = []
            for _ in range(2):
                stored = message("bob@example.com", wishes="NOTIFY=SUCCESS,FAILURE")
                place = Site("site", tuple(site.exchanges))
                reports.append(await site.transport.deliver(Consignment(stored, Mx(), blocks(CONTENT), place, "site")))
            return reports, [line for peer in site.peers[0] for line in peer.heard if line.startswith(b"RCPT")]

    (first, second), heard = run(work())
    assert fates(first) == fates(second) == [Fate.DELIVERED]
    assert first.handed[0].relayed and second.handed[0].relayed
    assert [b"NOTIFY" in line for line in heard] == [True, False, False]
    assert [step.action for step in first.steps] == ["omit"]
    assert first.steps[0].parameters == ("NOTIFY",)
    assert str(first.steps[0].reply) == "555 5.5.4 what is that"
    assert [(step.action, step.reply) for step in second.steps] == [("omit", None)]


# --- TLS


def with_tls(contexts: ssl.SSLContext, contents: list[bytes]) -> Play:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        assert await peer.hear() == b"STARTTLS"
        await peer.say(b"220 go\r\n")
        await peer.writer.start_tls(contexts)
        await peer.hear()
        await peer.say(b"250 host.example\r\n")
        await peer.serve({}, contents)

    return play


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, name: str, tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.mark.parametrize(
    ("tls", "name", "fate"),
    [
        (UseTls.VERIFIED, "mx0.example", Fate.DELIVERED),
        (UseTls.VERIFIED, "other.example", Fate.NOT_NOW),
        (UseTls.REQUIRED, "other.example", Fate.DELIVERED),
    ],
)
def test_tls_that_is_owed(authority: trustme.CA, tmp_path: Path, tls: UseTls, name: str, fate: Fate) -> None:
    server, client = contexts(authority, name, tmp_path)
    contents: list[bytes] = []

    async def work() -> Report:
        async with SiteOf(verifying=client) as site:
            await site.add(with_tls(server, contents))
            return await site.deliver(tls=tls)

    report = run(work())
    (handed,) = report.handed
    assert handed.fate is fate
    if fate is Fate.NOT_NOW:
        assert handed.reply is not None and str(handed.reply).startswith("451 4.7.5")
        assert "certificate" in handed.note
        assert contents == []
        assert report.health is Health.AWAY
    else:
        assert report.security.startswith("TLS")
        assert ("not verified" in report.security) == (tls is UseTls.REQUIRED)


@pytest.mark.parametrize("first", [None, b"421 4.3.2 too busy\r\n"])
def test_what_a_host_lacks_is_no_last_word_while_a_better_one_is_away(first: bytes | None) -> None:
    async def work(*, alone: bool) -> Report:
        async with SiteOf() as site:
            if not alone:
                await (site.add_closed() if first is None else site.add(greeting(first)))
            await site.add(serving([], None, b"SIZE 50"))
            await site.add(serving([], None, b"SIZE 50"))
            return await site.deliver(size=100)

    for alone, fate in ((True, Fate.NEVER), (False, Fate.NOT_NOW)):
        (handed,) = run(work(alone=alone)).handed
        assert handed.fate is fate
        assert str(handed.reply).startswith("552 5.3.4")


def test_what_a_kept_connection_lacks_is_asked_of_the_best_host() -> None:
    """It may lead to a host that took over for a while."""
    contents: list[bytes] = []
    away = [True]

    async def play(peer: Peer) -> None:
        if away[0]:
            await peer.say(b"421 4.3.2 too busy\r\n")
            return
        await serving(contents)(peer)

    async def work() -> None:
        async with SiteOf() as site:
            await site.add(play)
            await site.add(serving([], None, b"SIZE 50"))
            assert fates(await site.deliver(size=10)) == [Fate.DELIVERED]
            away[0] = False
            assert fates(await site.deliver(size=100)) == [Fate.DELIVERED]
            assert len(contents) == 1

    run(work())


def test_a_handshake_that_fails_does_not_bounce_the_mail() -> None:
    """In clear the host says 530 (RFC 3207 section 4): that is about the session, and the next one may have TLS."""

    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        if await peer.hear() == b"STARTTLS":
            await peer.say(b"220 go\r\n")
            await peer.reader.read(1)
            return
        await peer.say(b"530 5.7.0 Must issue a STARTTLS command first\r\n")
        await peer.hear()

    async def work() -> Report:
        async with SiteOf() as site:
            await site.add(play)
            return await site.deliver()

    (handed,) = run(work()).handed
    assert (handed.fate, handed.stage) == (Fate.NOT_NOW, "MAIL")
    assert handed.reply is not None and handed.reply.code == 530


@pytest.mark.parametrize("tls", [UseTls.REQUIRED, UseTls.VERIFIED])
def test_a_host_without_tls_gets_nothing_when_it_is_owed(tls: UseTls) -> None:
    async def work() -> tuple[Report, list[bytes]]:
        async with SiteOf() as site:
            await site.add(serving([]))
            return await site.deliver(tls=tls), site.peers[0][0].heard

    report, heard = run(work())
    (handed,) = report.handed
    assert handed.fate is Fate.NOT_NOW
    assert handed.reply is not None and str(handed.reply).startswith("451 4.7.4")
    assert handed.stage == ""
    assert not any(line.startswith(b"MAIL") for line in heard)


def test_a_login_goes_to_the_smarthost() -> None:
    async def work() -> tuple[Report, list[bytes]]:
        async with host(serving([], {b"AUTH": b"235 ok\r\n"}, b"AUTH PLAIN")) as (port, peers):
            transport = SmtpTransport(ClientOptions("me.example", auth_in_clear=True))
            route = Smtp("127.0.0.1", port, login=Login("kana", "secret"))
            report = await transport.deliver(Consignment(message("bob@example.com"), route, blocks(CONTENT)))
            await transport.close()
            return report, peers[0].heard

    report, heard = run(work())
    assert fates(report) == [Fate.DELIVERED]
    assert any(line.startswith(b"AUTH PLAIN ") for line in heard)
    assert "secret" not in report.transcript


def test_the_source_address_is_that_of_the_family() -> None:
    async def work() -> str:
        froms: list[str] = []

        async def play(peer: Peer) -> None:
            froms.append(peer.writer.get_extra_info("peername")[0])
            await peer.greet()
            await peer.serve({}, [])

        async with SiteOf() as site:
            site.transport = SmtpTransport(ClientOptions("me.example"), sources=("::1", "127.0.0.9"))
            await site.add(play)
            await site.deliver()
            return froms[0]

    assert run(work()) == "127.0.0.9"


def test_abort_tries_no_further_host() -> None:
    async def work() -> tuple[Report, int]:
        async with SiteOf() as site:
            await site.add(greeting(b""))
            await site.add(serving([]))
            task = asyncio.create_task(site.deliver())
            await until(lambda: site.peers[0])
            site.transport.abort("we are stopping")
            return await task, len(site.peers[1])

    report, second = run(work())
    (handed,) = report.handed
    assert (handed.fate, handed.note, handed.reply) == (Fate.NOT_NOW, "we are stopping", None)
    assert report.health is Health.UNKNOWN
    assert second == 0


# --- content that a host cannot take as it is

EIGHT_BIT = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nああ\r\n".encode()
BINARY = (
    b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\xff"
)
SIGNED = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe3\x81\x82\r\n"
    b"--b\r\nContent-Type: application/x-signature\r\n\r\nx\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("content", "parameters", "extensions", "fate", "said"),
    [
        (EIGHT_BIT, "BODY=8BITMIME", (b"8BITMIME",), Fate.DELIVERED, b"BODY=8BITMIME"),
        (EIGHT_BIT, "BODY=8BITMIME", (), Fate.DELIVERED, b""),
        (EIGHT_BIT, "", (), Fate.DELIVERED, b""),
        (BINARY, "BODY=BINARYMIME", (b"8BITMIME",), Fate.DELIVERED, b""),
        (SIGNED, "BODY=8BITMIME", (), Fate.NEVER, None),
    ],
)
def test_content_is_made_seven_bit_where_it_must_and_can_be(
    content: bytes, parameters: str, extensions: tuple[bytes, ...], fate: Fate, said: bytes | None
) -> None:
    contents: list[bytes] = []

    async def work() -> tuple[Report, list[bytes]]:
        async with SiteOf() as site:
            await site.add(serving(contents, None, *extensions))
            stored = message("bob@example.com", parameters=parameters)
            place = Site("site", tuple(site.exchanges))
            report = await site.transport.deliver(Consignment(stored, Mx(), blocks(content), place, "site"))
            return report, [line for line in site.peers[0][0].heard if line.startswith(b"MAIL")]

    report, mails = run(work())
    assert fates(report) == [fate]
    if said is None:
        assert (mails, contents) == ([], [])
        assert report.handed[0].reply is not None and str(report.handed[0].reply).startswith("554 5.6.3")
        return
    assert mails[0].removesuffix(b"\r\n").endswith(said or b">")
    if (not extensions and parameters) or content is BINARY:
        assert contents[0].isascii()
        assert b"Content-Transfer-Encoding: " in contents[0]
        assert [step.action for step in report.steps] == ["seven-bit"]
    else:
        assert contents == [content]


# --- kept connections and our own shortages


def test_idle_connections_are_bounded_in_all() -> None:
    async def work() -> list[int]:
        async with SiteOf() as site:
            site.transport = SmtpTransport(ClientOptions("me.example"), Keep(idle=30, total=2))
            for number in range(4):
                await site.add(serving([]))
                place = Site(f"site{number}", (site.exchanges[number],))
                one = Consignment(message("bob@example.com"), Mx(), blocks(CONTENT), place, f"site{number}")
                assert fates(await site.transport.deliver(one)) == [Fate.DELIVERED]
            await until(lambda: all(peers[0].heard[-1] == b"QUIT\r\n" for peers in site.peers[:2]))
            return [number for number, peers in enumerate(site.peers) if peers[0].heard[-1] == b"QUIT\r\n"]

    assert run(work()) == [0, 1]


@pytest.mark.parametrize(
    ("number", "health"), [(errno.EMFILE, Health.UNKNOWN), (errno.ECONNREFUSED, Health.AWAY), (None, Health.AWAY)]
)
def test_what_is_short_here_is_no_fault_of_the_site(
    monkeypatch: pytest.MonkeyPatch, number: int | None, health: Health
) -> None:
    async def broken(*_: Any) -> None:
        raise OSError(number, "x") if number is not None else TimeoutError

    monkeypatch.setattr(opening, "open_endpoint", broken)

    async def work() -> Report:
        async with SiteOf() as site:
            site.exchanges.append(Exchange("mx.example", 25, ("127.0.0.1",)))
            return await site.deliver()

    report = run(work())
    assert fates(report) == [Fate.NOT_NOW]
    assert report.health is health


def test_octets_behind_the_220_to_starttls_are_told_as_what_they_are() -> None:
    """Nobody owes that host TLS; it is left alone for what it said, and the words must not be others."""

    async def injecting(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        await peer.hear()
        await peer.say(b"220 go\r\n250 injected\r\n")
        await peer.reader.read()

    async def work() -> Report:
        async with SiteOf() as site:
            await site.add(injecting)
            return await site.deliver()

    (handed,) = run(work()).handed
    assert (handed.fate, handed.reply, handed.stage) == (Fate.NOT_NOW, None, "STARTTLS")
    assert "behind the reply to STARTTLS" in handed.note
