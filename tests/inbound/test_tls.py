"""TLS: all that was said in clear is forgotten, nothing injected is answered, and a handshake that fails leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from postroad.inbound.pace import Deadlines
from postroad.inbound.reception import Reception
from postroad.inbound.service import InboundService
from postroad.net.listener import listen
from postroad.net.tls import Certificate, client_context
from postroad.policy.stages import Act
from postroad.replies import Reply
from tests.inbound.conftest import Run
from tests.inbound.house import REFUSED, House, Scripted, alive, looped, settle, until, without_collector
from tests.inbound.wires import BODY, TRANSACTION, Called, Line, calling, greeted

PLAIN_KANA = "AUTH PLAIN AGthbmEAc2VjcmV0"


@dataclass
class Papers:
    """A certificate of ours, and somebody who trusts it."""

    certificate: Certificate
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    made = authority.issue_cert("mx.example.net")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    client = client_context()
    authority.configure_trust(client)
    return Papers(Certificate(folder / "cert.pem", folder / "key.pem"), client)


def starttls_house(papers: Papers, *policies: Scripted, **changes: object) -> House:
    return House(*policies, tls=papers.certificate.starttls, **changes)  # type: ignore[arg-type]


# --- STARTTLS


def test_an_upgraded_session_delivers(run: Run, papers: Papers) -> None:
    async def work() -> None:
        policy = Scripted()
        async with calling(starttls_house(papers, policy)) as called:
            caller = await called.greeted()
            assert (await caller.starttls(papers.client)).startswith("220 2.0.0")
            assert (await caller.ask("MAIL FROM:<a@b.example>"))[:3] == "503"  # EHLO is due again
            offered = await caller.ask("EHLO again.example")
            assert "STARTTLS" not in offered
            assert "AUTH PLAIN LOGIN" in offered
            assert (await caller.ask("STARTTLS"))[:3] == "503"
            assert (await caller.deliver())[:3] == "250"
            assert (await caller.ask("QUIT"))[:3] == "221"
            assert await caller.rest() == b""
            [draft] = called.house.spool.drafts
            assert draft.origin.tls.startswith("TLSv1.3 TLS_")
            assert draft.origin.hello == "again.example"
            cipher = draft.origin.tls.partition(" ")[2]
            assert b" with ESMTPS id " in draft.prefix
            assert f"(using TLSv1.3 with cipher {cipher})".encode() in draft.prefix
            assert policy.facts is not None
            assert policy.facts.tls == draft.origin.tls
            await until(lambda: called.house.counts.gone)
            assert called.house.counts.handshakes == 1
            assert not called.service.connections

    run(work())


def test_the_upgrade_forgets_hello_and_account(run: Run, papers: Papers) -> None:
    """RFC 3207 section 4.2: all that the client said before was said to nobody."""

    async def work() -> None:
        async with calling(starttls_house(papers, auth_in_clear_on_loopback=True)) as called:
            caller = await called.greeted()
            assert (await caller.ask(PLAIN_KANA))[:3] == "235"
            [connection] = called.service.connections
            assert (connection.facts.hello, connection.facts.account) == ("client.example", "kana")
            await caller.starttls(papers.client)
            await until(lambda: connection.facts.tls)
            assert (connection.facts.hello, connection.facts.account, connection.facts.esmtp) == ("", "", False)
            await caller.ask("EHLO again.example")
            assert (await caller.ask(PLAIN_KANA))[:3] == "235"  # it has to be said again, and may be
            assert connection.facts.account == "kana"

    run(work())


def test_large_content_through_tls(run: Run, papers: Papers) -> None:
    async def work() -> None:
        body = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 60_000
        async with calling(starttls_house(papers)) as called:
            caller = await called.greeted()
            await caller.starttls(papers.client)
            await caller.ask("EHLO again.example")
            assert (await caller.deliver(body))[:3] == "250"
            [content] = await called.house.contents()
            assert content.endswith(body)

    run(work())


def test_a_client_without_the_courtesy_to_wait(run: Run, papers: Papers) -> None:
    """Its EHLO comes in one segment with the last word of its handshake: before our task hears that it is done."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with calling(starttls_house(papers)) as called:
            caller = socket.create_connection(("127.0.0.1", called.port))
            caller.setblocking(False)
            await loop.sock_recv(caller, 1000)
            await loop.sock_sendall(caller, b"STARTTLS\r\n")
            assert (await loop.sock_recv(caller, 1000))[:3] == b"220"
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            end = papers.client.wrap_bio(incoming, outgoing, server_hostname="mx.example.net")
            while True:
                try:
                    end.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await loop.sock_sendall(caller, outgoing.read())
                    incoming.write(await loop.sock_recv(caller, 65536))
            end.write(b"EHLO eager.example\r\nMAIL FROM:<a@b.example>\r\n")
            await loop.sock_sendall(caller, outgoing.read())  # Finished, EHLO and MAIL at once
            heard = b""
            while b"250 2.1.0" not in heard:
                block = await loop.sock_recv(caller, 65536)
                assert block, heard
                incoming.write(block)
                try:
                    while True:
                        heard += end.read(65536)
                except ssl.SSLWantReadError:
                    pass
            assert heard.startswith(b"250-mx.example.net\r\n")
            caller.close()
            await until(lambda: called.house.counts.gone)

    run(work())


@pytest.mark.parametrize("tail", [b"NOOP\r\n", b"EHLO x\r\nMAIL FROM:<evil@example.org>\r\n", b"\x16"])
def test_what_is_injected_behind_starttls_is_never_answered(run: Run, papers: Papers, tail: bytes) -> None:
    async def work() -> None:
        policy = Scripted()
        async with calling(starttls_house(papers, policy)) as called:
            caller = await called.greeted()
            assert await caller.ask(b"STARTTLS\r\n" + tail) == "554 5.5.0 Input behind STARTTLS, bye"
            assert await caller.rest() == b""
            caller.writer.close()
            await until(lambda: called.house.counts.gone)
            assert policy.asked == ["connect", "hello"]

    run(work())


def test_what_is_injected_behind_the_220_is_part_of_no_session(run: Run, papers: Papers) -> None:
    async def work() -> None:
        policy = Scripted()
        async with calling(starttls_house(papers, policy)) as called:
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "220"
            caller.say("EHLO evil.example", TRANSACTION[0])
            rest = await caller.rest()
            assert b"250" not in rest
            assert b"220" not in rest
            await until(lambda: called.house.counts.gone)
            assert policy.asked == ["connect", "hello"]
            assert not called.service.connections

    run(work())


FAULTS = {
    "rubbish": b"\x00" * 100,
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "nothing": b"",
}


@pytest.mark.parametrize("sent", FAULTS.values(), ids=FAULTS)
def test_a_handshake_that_fails_leaves_nothing_behind(
    run: Run, papers: Papers, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "postroad.inbound")

    async def work() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        async with calling(starttls_house(papers)) as called:
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "220"
            caller.say(sent)
            if not sent:
                caller.reset()
            await until(lambda: called.house.counts.gone)
            await settle()
            assert not called.service.connections
            assert len(called.house.counts.gone) == 1
            assert [record.msg for record in caplog.records].count("handshake failed") == 1
        assert faults == []

    run(work())


def test_a_handshake_that_does_not_come_has_its_own_deadline(run: Run, papers: Papers) -> None:
    async def work() -> None:
        async with calling(starttls_house(papers, deadlines=Deadlines(handshake=0.05))) as called:
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "220"
            assert await caller.rest() in (b"", b"(reset)")
            await until(lambda: called.house.counts.gone)
            assert not called.service.connections

    run(work())


def test_a_shutdown_in_the_middle_of_a_handshake(run: Run, papers: Papers) -> None:
    async def work() -> None:
        async with calling(starttls_house(papers)) as called:
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "220"
            await called.service.drain(0.03)
            await until(lambda: called.house.counts.gone)
            assert not called.service.connections
            assert b"421" not in await caller.rest()  # nothing in clear where TLS is due
            assert len(called.house.counts.gone) == 1

    run(work())


def test_a_session_that_comes_out_of_its_handshake_into_a_shutdown(run: Run, papers: Papers) -> None:
    async def work() -> None:
        async with calling(starttls_house(papers)) as called:
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "220"
            draining = asyncio.create_task(called.service.drain(20))
            await settle()
            await caller.writer.start_tls(papers.client, server_hostname="mx.example.net")
            assert (await caller.hear()).startswith("421 4.3.2")
            caller.writer.close()
            await draining

    run(work())


def test_starttls_may_be_refused(run: Run, papers: Papers) -> None:
    async def work() -> None:
        async with calling(starttls_house(papers)) as called:
            called.house.counts.on_handshake = REFUSED
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "550"
            assert (await caller.ask("NOOP"))[:3] == "250"
            called.house.counts.on_handshake = Act(Reply(421, "Too many", "4.7.0"), close=True)
            assert (await caller.ask("STARTTLS"))[:3] == "421"
            assert await caller.rest() == b""

    run(work())


def test_no_certificate_no_upgrade(run: Run) -> None:
    """Settings do not let it come to this; should it, the connection ends and nobody stays in clear unknowingly."""

    async def work() -> None:
        async with calling(House(tls=None)) as called:
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "220"
            assert await caller.rest() in (b"", b"(reset)")
            await until(lambda: called.house.counts.gone)
        async with calling(House(tls=None, config={"tls_available": False})) as called:
            caller = await called.greeted()
            assert (await caller.ask("STARTTLS"))[:3] == "454"
            assert (await caller.ask("NOOP"))[:3] == "250"

    run(work())


@looped
async def test_a_peer_that_does_not_read_and_then_wants_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it reads again, the octets of the handshake are still not ours to read."""

    async def never(*given: object) -> asyncio.Transport:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("postroad.inbound.connection.upgrade", never)
    line = await greeted(House())
    line.wire.stuck, line.wire.waiting = True, 65_500
    line.say("HELP", "STARTTLS")
    assert not line.wire.reading
    line.wire.flow()
    assert not line.wire.reading
    line.wire.lose()
    await settle()
    assert line.is_gone


def test_an_upgraded_session_is_freed_at_once(run: Run, papers: Papers) -> None:
    async def one(called: Called) -> None:
        caller = await called.greeted()
        await caller.starttls(papers.client)
        await caller.ask("EHLO again.example")
        await caller.ask("QUIT")
        await caller.rest()
        caller.writer.close()

    async def work() -> None:
        async with calling(starttls_house(papers)) as called:
            await without_collector(lambda: one(called))

    run(work())


def test_a_failed_handshake_keeps_nothing_alive(run: Run, papers: Papers) -> None:
    """asyncio's own traceback is a circle, so here the collector may help."""

    async def work() -> None:
        gc.collect()
        others = alive()
        async with calling(starttls_house(papers)) as called:
            for _ in range(5):
                caller = await called.greeted()
                await caller.ask("STARTTLS")
                caller.say("rubbish")
                await until(lambda: not called.service.connections)
                caller.writer.close()
            await settle()
            gc.collect()
            assert alive(besides=others) == []

    run(work())


# --- TLS from the first octet


class Secured(House):
    def __init__(self, papers: Papers, *policies: Scripted, **changes: object) -> None:
        super().__init__(
            *policies,
            name="submissions",
            tls=papers.certificate.implicit,
            implicit_tls=True,
            **changes,  # type: ignore[arg-type]
        )


def test_implicit_tls_delivers(run: Run, papers: Papers) -> None:
    async def work() -> None:
        async with calling(Secured(papers, Scripted())) as called:
            caller = await called.greeted(ssl=papers.client, server_hostname="mx.example.net")
            assert (await caller.ask(PLAIN_KANA))[:3] == "235"
            assert (await caller.deliver())[:3] == "250"
            assert (await caller.ask("QUIT"))[:3] == "221"
            assert await caller.rest() == b""
            caller.writer.close()
            [draft] = called.house.spool.drafts
            assert (draft.origin.listener, draft.origin.account) == ("submissions", "kana")
            assert draft.origin.tls.startswith("TLSv1.3 ")
            assert b" with ESMTPSA id " in draft.prefix
            await until(lambda: called.house.counts.gone)
            assert called.house.counts.handshakes == 1

    run(work())


def test_implicit_tls_may_be_refused_by_the_rates(run: Run, papers: Papers) -> None:
    async def work() -> None:
        house = Secured(papers)
        house.counts.on_handshake = Act(Reply(421, "Too many TLS starts", "4.7.0"), close=True)
        async with calling(house) as called:
            caller = await called.call(ssl=papers.client, server_hostname="mx.example.net")
            assert (await caller.hear())[:3] == "421"
            assert await caller.rest() == b""
            caller.writer.close()
            await until(lambda: house.counts.gone)

    run(work())


def test_clear_text_on_an_implicit_port(run: Run, papers: Papers) -> None:
    async def work() -> None:
        house = Secured(papers, Scripted())
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with calling(house) as called:
            caller = await called.call()
            caller.say("EHLO x", "QUIT")
            assert b"220" not in await caller.rest()
            assert not called.service.connections
            assert house.counts.gone == []  # it never was a session

    run(work())


def test_an_implicit_listener_without_handshake_lets_go(run: Run, papers: Papers) -> None:
    async def work() -> None:
        house = Secured(papers, deadlines=Deadlines(handshake=0.05))
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with calling(house) as called:
            caller = await called.call()
            assert await caller.rest() in (b"", b"(reset)")

    run(work())


def test_two_listeners_of_one_service(run: Run, papers: Papers) -> None:
    async def work() -> None:
        clear, secured = starttls_house(papers), Secured(papers)
        service = InboundService(clear.clock)
        receptions: dict[str, Reception] = {"mx": clear.reception, "submissions": secured.reception}
        service.use(receptions)
        sockets = {name: [listen("127.0.0.1", 0)] for name in receptions}
        ports = {name: bound.getsockname()[1] for name, [bound] in sockets.items()}
        await service.start(sockets)
        one = await Called(clear, service, ports["mx"]).greeted()
        two = await Called(secured, service, ports["submissions"]).greeted(
            ssl=papers.client, server_hostname="mx.example.net"
        )
        assert (await one.deliver())[:3] == (await two.deliver())[:3] == "250"
        assert sorted(c.facts.listener for c in service.connections) == ["mx", "submissions"]
        for caller in (one, two):
            assert (await caller.ask("QUIT"))[:3] == "221"
            caller.writer.close()
        await service.drain(1)
        assert [len(house.spool.drafts) for house in (clear, secured)] == [1, 1]

    run(work())


@looped
async def test_content_of_a_session_is_marked_by_its_own_security_only() -> None:
    house = House()
    line = Line(house)
    await line.ask("EHLO x", *TRANSACTION, "DATA")
    await line.ask(BODY + b".\r\n")
    assert house.spool.drafts[0].origin.tls == ""
    assert b"using" not in house.spool.drafts[0].prefix
