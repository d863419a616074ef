"""Shutdown: who is idle hears 421 now, who is sending is heard out, and a 250 that is due is said first."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.inbound.conftest import Run
from tests.inbound.house import REFUSED, Gate, House, Scripted, SlowSpool, looped, settle, until
from tests.inbound.wires import BODY, TRANSACTION, Called, Line, calling, greeted

CLOSING = "421 4.3.2 Service closing transmission channel, try again later\r\n"
DOT = BODY + b".\r\n"


@looped
async def test_idle_sessions_hear_it_now() -> None:
    greeted_only = Line(House())
    ready = await greeted(House())
    after_rset = await greeted(House(), *TRANSACTION, "RSET")
    after_mail = await greeted(House(), *TRANSACTION, "DATA")
    await after_mail.ask(DOT)
    turned_away = Line(House(Scripted(connect=REFUSED)))
    for line in (greeted_only, ready, after_rset, after_mail, turned_away):
        line.heard()
        line.connection.drain()
        assert line.heard() == CLOSING
        assert line.wire.state == "half"
        line.eof()
        await settle()
        assert line.is_gone


@looped
async def test_a_transaction_under_way_is_finished_first() -> None:
    house = House()
    line = await greeted(house, TRANSACTION[0])
    line.connection.drain()
    assert line.heard() == ""
    assert await line.ask(TRANSACTION[1]) == ["250"]
    assert await line.ask("DATA") == ["354"]
    assert await line.ask(DOT) == ["250", "421"]
    assert line.wire.state == "half"
    assert len(await house.contents()) == 1


@pytest.mark.parametrize("end", ["RSET", "EHLO again.example"])
@looped
async def test_a_transaction_that_is_given_up_is_over(end: str) -> None:
    line = await greeted(House(), *TRANSACTION)
    line.connection.drain()
    assert await line.ask(end) == ["250", "421"]


@looped
async def test_a_refused_message_is_over_too() -> None:
    line = await greeted(House(Scripted(message=REFUSED)), *TRANSACTION, "DATA")
    line.connection.drain()
    assert await line.ask(DOT) == ["550", "421"]


@looped
async def test_no_second_message() -> None:
    """One that is in the buffer already is served; who begins one later is told to come again."""
    house = House()
    line = await greeted(house, *TRANSACTION)
    line.connection.drain()
    size = f"BDAT {len(BODY)} LAST"
    line.say(b"".join(one.encode() + b"\r\n" for one in (size,)) + BODY + b"MAIL FROM:<next@example.org>\r\n")
    await settle()
    assert line.codes() == ["250", "250"]
    line.say(TRANSACTION[1], size, BODY)
    await settle()
    assert line.codes() == ["250", "250", "421"]
    assert len(await house.contents()) == 2


@looped
async def test_a_commit_under_way_gets_its_250() -> None:
    house = House(spool=SlowSpool())
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(DOT)
    line.connection.drain()
    assert line.heard() == ""
    line.connection.end(*_end())
    assert line.heard() == ""  # not even at the end of our patience: the 250 is due first
    await house.spool.finish()  # type: ignore[attr-defined]
    assert line.codes() == ["250", "421"]


def _end() -> tuple[object, str]:
    from postroad.smtp import refusals

    return refusals.SHUTTING_DOWN, "shutdown"


@looped
async def test_a_decision_under_way_is_made_first() -> None:
    gate = Gate()
    line = await greeted(House(Scripted(hello=gate)))
    await gate.open()
    line.heard()
    line.say("EHLO again.example")
    line.connection.drain()
    assert line.heard() == ""
    await gate.open()
    assert line.codes() == ["250", "421"]


@looped
async def test_at_the_end_of_our_patience_a_decision_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    house = House(Scripted(sender=gate))
    line = await greeted(house)
    assert await line.ask(TRANSACTION[0]) == []
    line.connection.end(*_end())
    assert line.heard() == CLOSING
    await settle()
    assert gate.waiting[0].cancelled()
    assert [record for record in caplog.records if record.msg == "incident"] == []
    line.eof()
    await settle()
    assert line.is_gone
    assert await house.contents() == []


@looped
async def test_content_under_way_at_the_end_of_our_patience() -> None:
    house = House()
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(b"Subject: x\r\n")
    line.connection.drain()
    line.connection.end(*_end())
    assert line.heard() == CLOSING
    assert house.spool.open == 0
    line.say(b"\r\nmore\r\n.\r\n")
    await settle()
    assert line.heard() == ""
    assert await house.contents() == []


@looped
async def test_a_client_that_is_not_greeted_yet() -> None:
    gate = Gate()
    line = Line(House(Scripted(connect=gate)))
    line.connection.drain()
    assert line.heard() == ""
    await gate.open()
    assert line.codes() == ["220", "421"]


# --- the service


def test_a_drain_over_the_wire(run: Run) -> None:
    async def work() -> None:
        house = House(spool=SlowSpool())
        spool: SlowSpool = house.spool  # type: ignore[assignment]
        async with calling(house) as called:
            idle = await called.greeted()
            sending = await called.greeted()
            committing = await called.greeted()
            for caller in (sending, committing):
                for line in (*TRANSACTION, "DATA"):
                    await caller.ask(line)
            sending.say(b"Subject: half\r\n")
            committing.say(DOT)
            await until(lambda: spool.pending)
            draining = asyncio.create_task(called.service.drain(20))

            assert (await idle.hear()) + "\r\n" == CLOSING
            assert await idle.rest() == b""
            idle.writer.close()
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", called.port)

            await spool.finish()
            assert (await committing.hear())[:3] == "250"
            assert (await committing.hear())[:3] == "421"
            committing.writer.close()
            assert not draining.done()

            sending.say(b"\r\nthe rest\r\n.\r\n")
            await until(lambda: spool.pending)
            await spool.finish()
            assert (await sending.hear())[:3] == "250"
            assert (await sending.hear())[:3] == "421"
            assert await sending.rest() == b""
            sending.writer.close()
            await draining
            assert not called.service.connections
            assert len(house.counts.gone) == 3
            assert len(await house.contents()) == 2

    run(work())


def test_patience_ends(run: Run) -> None:
    async def work() -> None:
        house = House(spool=SlowSpool())
        spool: SlowSpool = house.spool  # type: ignore[assignment]
        async with calling(house) as called:
            half, committing = await called.greeted(), await called.greeted()
            for caller in (half, committing):
                for line in (*TRANSACTION, "DATA"):
                    await caller.ask(line)
            committing.say(DOT)
            await until(lambda: spool.pending)
            await called.service.drain(0.03)
            await until(lambda: not called.service.connections)
            assert (await half.hear()) + "\r\n" == CLOSING
            assert await committing.rest() in (b"", b"(reset)")
            await spool.finish()  # it was taken: it stays
            assert len(await house.contents()) == 1
            assert len(house.counts.gone) == 2

    run(work())


def test_a_drain_without_sessions_takes_no_time_and_twice_is_harmless(run: Run) -> None:
    async def work() -> None:
        async with calling(House()) as called:
            await called.service.drain(100)
            await called.service.drain(100)

    run(work())


def test_new_receptions_are_for_new_sessions_only(run: Run) -> None:
    async def work() -> None:
        old, new = House(Scripted(sender=REFUSED)), House(Scripted())
        async with calling(old) as called:
            before = await called.greeted()
            called.service.use({"mx": new.reception})
            after = await called.greeted()
            assert (await before.ask(TRANSACTION[0]))[:3] == "550"
            assert (await after.ask(TRANSACTION[0]))[:3] == "250"
            assert isinstance(called, Called)

    run(work())


def test_many_at_once(run: Run) -> None:
    """A crowd on loopback: each gets its own answers, and each goes."""

    async def one(called: Called, number: int) -> None:
        caller = await called.greeted()
        await caller.ask(f"MAIL FROM:<s{number}@example.org>")
        await caller.ask(f"RCPT TO:<r{number}@example.net>")
        await caller.ask("DATA")
        assert (await caller.ask(f"Subject: {number}\r\n\r\n.\r\n".encode()))[:3] == "250"
        assert (await caller.ask("QUIT"))[:3] == "221"
        assert await caller.rest() == b""
        caller.writer.close()

    async def work() -> None:
        async with calling(House()) as called:
            await asyncio.gather(*(one(called, number) for number in range(100)))
            pairs = {(draft.reverse_path, draft.recipients[0].forward_path) for draft in called.house.spool.drafts}
            assert pairs == {(f"s{n}@example.org", f"r{n}@example.net") for n in range(100)}
            await until(lambda: len(called.house.counts.gone) == 100)
            assert len(set(called.house.counts.gone)) == 100

    run(work())


def test_a_half_close_behind_quit_and_behind_nothing(run: Run) -> None:
    async def talk(called: Called, octets: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        caller = socket.create_connection(("127.0.0.1", called.port))
        caller.setblocking(False)
        heard = await loop.sock_recv(caller, 1000)
        caller.sendall(octets)
        caller.shutdown(socket.SHUT_WR)
        while block := await loop.sock_recv(caller, 1000):
            heard += block
        caller.close()
        return heard

    async def work() -> None:
        async with calling(House()) as called:
            assert (await talk(called, b"")).endswith(b"Postroad\r\n")
            assert b"221 2.0.0" in await talk(called, b"EHLO x\r\nQUIT\r\n")
            assert b"250 2.0.0" in await talk(called, b"EHLO x\r\nNOOP\r\n")
            assert b"500 5." not in await talk(called, b"EHLO x\r\nNOO")
            await until(lambda: len(called.house.counts.gone) == 4)

    run(work())
