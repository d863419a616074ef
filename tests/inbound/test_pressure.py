"""Back-pressure both ways: what waits is bounded, whoever is slow, and a peer that never reads is let go."""

from __future__ import annotations

import asyncio
import socket

import pytest

from postroad.inbound.pace import Deadlines
from tests.inbound.conftest import Run
from tests.inbound.house import REFUSED, Gate, House, Scripted, SlowSpool, looped, settle, until
from tests.inbound.wires import BODY, TRANSACTION, Caller, Line, calling, greeted

MOST = 128 * 1024


@looped
async def test_input_behind_a_decision_is_read_up_to_a_bound_and_then_left_to_the_kernel() -> None:
    gate = Gate()
    house = House(Scripted(sender=gate))
    line = await greeted(house)
    line.say(TRANSACTION[0])
    line.say(b"NOOP x\r\n" * 100_000)  # 800 KB
    assert not line.wire.reading
    assert MOST < line.connection.engine.buffered() <= MOST + 65_536
    await gate.open()
    assert line.wire.reading
    assert line.codes()[0] == "250"


@looped
async def test_what_stays_below_the_bound_is_read_on() -> None:
    gate = Gate()
    line = await greeted(House(Scripted(sender=gate)))
    line.say(TRANSACTION[0])
    line.say(b"NOOP\r\n" * 10_000)
    assert line.wire.reading
    assert line.connection.engine.buffered() == 60_000
    await gate.open(REFUSED)


@looped
async def test_input_behind_a_commit_is_bounded_and_nothing_of_it_is_lost() -> None:
    house = House(spool=SlowSpool())
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(BODY + b".\r\n")
    line.say(*TRANSACTION)
    line.say("BDAT 400000 LAST", b"\r\n" * 200_000)
    assert not line.wire.reading
    await house.spool.finish()  # type: ignore[attr-defined]
    line.pump()
    await settle()
    assert line.codes() == ["250"] * 3
    await house.spool.finish()  # type: ignore[attr-defined]
    assert line.codes() == ["250"]
    assert [len(one.octets()) for one in house.spool.begun] == [0, 0]
    contents = await house.contents()
    assert contents[1].endswith(b"\r\n" * 200_000)


# --- a peer that does not read


async def deaf(house: House, *lines: str) -> Line:
    """A line whose peer has stopped reading, and owes us more than the transport will hold."""
    line = await greeted(house, *lines)
    line.wire.stuck = True
    line.say(*["HELP"] * 90, *["RSET"] * 9)  # some 20 KB of answers
    line.wire.waiting += 60_000
    line.say("HELP")
    return line


@looped
async def test_who_does_not_read_is_not_read_from() -> None:
    line = await deaf(House())
    assert not line.wire.reading
    line.wire.flow()
    assert line.wire.reading


@looped
async def test_who_does_not_read_is_let_go_after_the_write_deadline() -> None:
    house = House(deadlines=Deadlines(write=60))
    line = await deaf(house)
    assert line.seconds_left == 60
    house.clock.now += 60
    assert line.expire()
    house.clock.now += 60
    line.expire()
    await settle()
    assert line.is_gone
    assert len(house.counts.gone) == 1


@looped
async def test_who_reads_again_in_time_goes_on() -> None:
    house = House(deadlines=Deadlines(write=60))
    line = await deaf(house)
    house.clock.now += 59
    line.wire.flow()
    assert line.seconds_left == 300
    house.clock.now += 100
    assert not line.expire()


@looped
async def test_who_reads_again_while_we_decide_has_no_deadline() -> None:
    gate = Gate()
    house = House(Scripted(sender=gate), deadlines=Deadlines(write=60))
    line = await greeted(house)
    line.wire.stuck = True
    line.wire.waiting = 65_000
    line.say(*["HELP"] * 5, TRANSACTION[0])
    assert not line.wire.reading
    assert line.seconds_left == 60
    line.wire.flow()
    assert line.seconds_left == float("inf")
    await gate.open()
    assert line.wire.reading
    assert line.codes()[-1] == "250"


@looped
async def test_a_decision_does_not_read_from_who_does_not_read() -> None:
    """Else every answer adds to what nobody takes."""
    gate = Gate()
    house = House(Scripted(sender=gate), deadlines=Deadlines(write=60))
    line = await greeted(house)
    line.wire.stuck = True
    line.wire.waiting = 65_000
    line.say(*["HELP"] * 5, TRANSACTION[0])
    house.clock.now += 10
    await gate.open()
    assert not line.wire.reading
    assert line.seconds_left == 50
    line.wire.flow()
    assert line.wire.reading
    assert line.seconds_left == 300


@looped
async def test_a_commit_does_not_read_from_who_does_not_read() -> None:
    house = House(spool=SlowSpool())
    line = await greeted(house, *TRANSACTION, "DATA")
    line.wire.stuck = True
    line.wire.waiting = 65_530
    line.say(BODY + b".\r\n")
    await house.spool.finish()  # type: ignore[attr-defined]
    assert not line.wire.reading
    await settle()
    assert not line.wire.reading


def test_a_deaf_peer_over_the_wire(run: Run) -> None:
    """It sends and sends and never reads; what we hold for it is bounded, and it is let go."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        house = House(config={"max_junk": 10_000_000}, deadlines=Deadlines(write=60))
        async with calling(house) as called:
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.setblocking(False)
                await loop.sock_connect(deaf, ("127.0.0.1", called.port))
                await loop.sock_recv(deaf, 100)
                await loop.sock_sendall(deaf, b"EHLO x\r\n")
                sending = loop.create_task(loop.sock_sendall(deaf, b"HELP\r\n" * 2_000_000))
                [connection] = called.service.connections
                await until(lambda: connection.deadline <= house.clock.now + 60)
                size = connection._transport.get_write_buffer_size()
                for _ in range(20):
                    await asyncio.sleep(0.001)
                assert connection._transport.get_write_buffer_size() <= size
                assert not sending.done()
                for _ in range(2):  # our last words, then the end
                    house.clock.now += 60
                    called.service._look()
                await until(lambda: not called.service.connections)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    run(work())


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_slow_reader_gets_every_reply_in_order(run: Run, size: int) -> None:
    async def work() -> None:
        gate = Gate()
        async with calling(House(Scripted(sender=gate), config={"max_junk": 100_000})) as called:
            caller: Caller = await called.greeted()
            count = max(1, size // 200)
            caller.say("MAIL FROM:<a@b.example>", *["HELP MAIL"] * count)
            await until(lambda: gate.waiting)
            await gate.open(REFUSED)
            await asyncio.sleep(0.02)
            replies = [(await caller.hear())[:3] for _ in range(count + 1)]
            assert replies == ["550"] + ["214"] * count

    run(work())
