"""Who keeps us waiting: every wait for the peer ends, at a time that the peer cannot put off; ours has no end."""

from __future__ import annotations

import math

import pytest

from postroad.errors import SpoolError
from postroad.inbound.pace import Deadlines
from postroad.inbound.service import InboundService
from postroad.policy.stages import Act
from tests.inbound.conftest import Run
from tests.inbound.house import REFUSED, Gate, House, Scripted, SlowSpool, looped, settle, until
from tests.inbound.wires import BODY, TRANSACTION, Line, calling, greeted

TIMED_OUT = "421 4.4.2 Timeout, closing transmission channel\r\n"
TOO_SLOW = "421 4.4.2 Content arrives too slowly, closing transmission channel\r\n"


@looped
async def test_a_command_that_does_not_come() -> None:
    house = House()
    line = await greeted(house)
    house.clock.now += 299
    assert not line.expire()
    house.clock.now += 1
    assert line.expire()
    assert line.heard() == TIMED_OUT
    assert line.wire.state == "half"
    assert house.spool.open == 0


@pytest.mark.parametrize("drip", ["N", " ", "\t", "\x00"])
@looped
async def test_a_command_that_drips_is_late_all_the_same(drip: str) -> None:
    house = House()
    line = await greeted(house)
    for _ in range(299):
        house.clock.now += 1
        line.say(drip.encode())
        assert not line.expire()
    house.clock.now += 1
    line.say(drip.encode())
    assert line.expire()
    assert line.heard() == TIMED_OUT


@looped
async def test_each_reply_begins_a_new_deadline() -> None:
    house = House()
    line = await greeted(house)
    for _ in range(10):
        house.clock.now += 299
        assert not line.expire()
        assert await line.ask("NOOP") == ["250"]
        assert line.seconds_left == 300


@looped
async def test_a_sasl_response_that_does_not_come() -> None:
    house = House(auth_in_clear_on_loopback=True)
    line = await greeted(house, peer=("127.0.0.1", 1))
    assert await line.ask("AUTH LOGIN") == ["334"]
    assert line.seconds_left == 300
    house.clock.now += 300
    assert line.expire()
    assert line.heard() == TIMED_OUT


@looped
async def test_who_was_turned_away_and_does_not_quit() -> None:
    house = House(Scripted(connect=REFUSED))
    line = Line(house)
    line.heard()
    house.clock.now += 300
    assert line.expire()
    assert line.heard() == TIMED_OUT


@looped
async def test_content_that_stands_still() -> None:
    house = House(deadlines=Deadlines(content=60))
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(b"x" * 40_000)
    house.clock.now += 59
    assert not line.expire()
    line.say(b"y")
    house.clock.now += 59
    assert not line.expire()
    house.clock.now += 1
    assert line.expire()
    assert line.heard() == TIMED_OUT
    assert house.spool.open == 0
    assert await house.contents() == []


@looped
async def test_content_that_drips() -> None:
    house = House(deadlines=Deadlines(content=60, min_rate=100))
    line = await greeted(house, *TRANSACTION, "DATA")
    seconds = 0
    while not line.expire():
        house.clock.now += 1
        seconds += 1
        line.say(b"x")
        assert seconds < 70
    assert line.heard() == TOO_SLOW
    assert house.spool.open == 0


@looped
async def test_content_at_the_least_rate_goes_on_for_hours() -> None:
    house = House(deadlines=Deadlines(content=60, min_rate=100))
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say("")
    for _ in range(200):
        house.clock.now += 30
        line.say(b"x" * 2998 + b"\r\n")
        assert not line.expire()
    assert await line.ask(b".\r\n") == ["250"]


@looped
async def test_content_that_was_refused_is_drained_at_the_same_pace() -> None:
    """A sender that keeps the pace hears what is wrong with its content, however large; never a timeout."""
    house = House(deadlines=Deadlines(content=60, min_rate=100))
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(b"bare\nnewline\r\n")
    for _ in range(20):
        house.clock.now += 30
        line.say(b"x" * 2998 + b"\r\n")
        assert not line.expire()
    assert await line.ask(b".\r\n") == ["550"]


@looped
async def test_refused_content_that_stands_still() -> None:
    house = House(deadlines=Deadlines(content=60, min_rate=100))
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(b"bare\nnewline\r\n")
    house.clock.now += 60
    assert line.expire()
    assert line.heard() == TIMED_OUT


@looped
async def test_a_chunk_that_is_only_drained_has_its_pace_too() -> None:
    """Out of sequence, so no content was ever announced: its deadline counts from now, not from the machine's start."""
    house = House(deadlines=Deadlines(content=60, min_rate=100))
    house.clock.now = 1e6
    line = await greeted(house)
    line.say("NOOP", "BDAT 6000 LAST")
    assert line.codes() == ["250"]
    for _ in range(2):
        house.clock.now += 29
        assert not line.expire()
        line.say(b"x" * 2900)
    assert await line.ask(b"x" * 200) == ["503"]
    assert line.seconds_left == 300
    line.say("BDAT 6000 LAST")
    house.clock.now += 60
    assert line.expire()
    assert line.heard() == TIMED_OUT


@looped
async def test_a_pause_between_chunks_is_no_slowness() -> None:
    house = House(deadlines=Deadlines(content=60, min_rate=100))
    line = await greeted(house, *TRANSACTION)
    assert await line.ask("BDAT 4", b"A: b") == ["250"]
    for _ in range(5):
        house.clock.now += 299
        assert not line.expire()
        line.say("BDAT 4")
        house.clock.now += 50
        assert not line.expire()
        assert await line.ask(b"\r\nC:") == ["250"]
    assert await line.ask("BDAT 2 LAST", b"\r\n") == ["250"]


# --- what we take our time for


@looped
async def test_a_decision_of_ours_has_no_deadline_and_leaves_none_behind() -> None:
    """Neither the one of the command before, nor any other: the peer is not to blame."""
    gate = Gate()
    house = House(Scripted(sender=gate))
    line = await greeted(house)
    house.clock.now += 299
    line.say(TRANSACTION[0])
    assert line.seconds_left == math.inf
    house.clock.now += 10_000
    assert not line.expire()
    await gate.open()
    assert line.codes() == ["250"]
    assert line.seconds_left == 300


@looped
async def test_a_commit_has_no_deadline() -> None:
    """However slowly the content came: who is cut off before the 250 would send the message again."""
    house = House(spool=SlowSpool(), deadlines=Deadlines(content=60, min_rate=100))
    line = await greeted(house, *TRANSACTION, "DATA")
    house.clock.now += 59
    line.say(BODY + b".\r\n")
    assert line.seconds_left == math.inf
    house.clock.now += 10_000
    assert not line.expire()
    await house.spool.finish()  # type: ignore[attr-defined]
    assert line.codes() == ["250"]
    assert line.seconds_left == 300


@looped
async def test_a_commit_that_fails_late_leaves_the_usual_deadline() -> None:
    house = House(spool=SlowSpool())
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(BODY + b".\r\n")
    await house.spool.finish(SpoolError("no"))  # type: ignore[attr-defined]
    assert line.codes() == ["451"]
    assert line.seconds_left == 300


# --- the end


@looped
async def test_who_does_not_hear_our_last_words_is_cut_off() -> None:
    house = House(deadlines=Deadlines(linger=2))
    line = await greeted(house)
    house.clock.now += 300
    line.expire()
    assert line.seconds_left == 2
    line.say(b"x" * 100)  # read and dropped, so that our last words are not reset
    assert line.wire.reading
    assert not line.is_gone
    house.clock.now += 2
    assert line.expire()
    await settle()
    assert (line.wire.state, line.is_gone) == ("aborted", True)


@pytest.mark.parametrize("last", ["QUIT", TRANSACTION[0]])
@looped
async def test_a_close_that_the_peer_does_not_let_happen_has_an_end(last: str) -> None:
    """Its window is shut, so what is to be said never leaves: after the wait for a slow reader we go."""
    gate = Gate()
    house = House(Scripted(hello=gate, sender=Act(REFUSED, close=True)), deadlines=Deadlines(write=60))
    line = Line(house)
    line.wire.stuck = True
    line.say("EHLO client.example", last)  # the deadline is infinite while we decide
    await gate.open()
    assert line.wire.state == "closing"
    assert line.seconds_left <= 60
    house.clock.now += 60
    assert line.expire()
    await settle()
    assert line.is_gone
    assert len(house.counts.gone) == 1


def test_the_sweeper_finds_who_is_overdue(run: Run) -> None:
    async def work() -> None:
        async with calling(House()) as called:
            early, late = await called.greeted(), await called.greeted()
            called.house.clock.now += 200
            assert (await late.ask("NOOP"))[:3] == "250"
            called.house.clock.now += 100
            called.service._look()
            assert (await early.hear()) + "\r\n" == TIMED_OUT
            assert await early.rest() == b""
            early.writer.close()
            assert (await late.ask("NOOP"))[:3] == "250"
            await until(lambda: len(called.house.counts.gone) == 1)

    run(work())


@looped
async def test_the_sweeper_survives_a_spool_that_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postroad.inbound.service._TICK", 0.001)
    house = House()
    service = InboundService(house.clock)
    service.use({"mx": house.reception})
    answers = iter([SpoolError("gone"), RuntimeError("a bug")])

    def free_octets() -> int:
        fault = next(answers, None)
        if fault is not None:
            raise fault
        return 77

    monkeypatch.setattr(house.spool, "free_octets", free_octets)
    await service.start({})
    await until(lambda: house.reception.conditions.current.free_octets == 77)
    await service.drain(0)
    assert sum(record.msg == "sweep failed" for record in caplog.records) == 2


@looped
async def test_what_the_sweeper_measures_reaches_running_sessions_at_their_next_command() -> None:
    house = House(message_size=1000)
    line = await greeted(house)
    service = InboundService(house.clock)
    service.use({"mx": house.reception})
    house.spool._budget = 500  # type: ignore[attr-defined]
    service._look()
    assert house.reception.conditions.current.free_octets == 500
    assert house.reception.conditions.current.size_limit == 1000
    assert await line.ask("MAIL FROM:<a@b.example> SIZE=600") == ["452"]
    assert await line.ask("MAIL FROM:<a@b.example> SIZE=1001") == ["552"]
    assert await line.ask("MAIL FROM:<a@b.example> SIZE=400") == ["250"]
