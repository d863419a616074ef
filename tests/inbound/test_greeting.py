"""The first words: 220 at once, or later when told so; those who talk before it; and those who are turned away."""

from __future__ import annotations

import asyncio
import socket

import pytest

from postroad.policy.stages import Act, Verdict
from postroad.replies import Reply
from tests.inbound.conftest import Run
from tests.inbound.house import REFUSED, Gate, House, Scripted, looped, settle, until
from tests.inbound.wires import Line, calling

CLOSING = Reply(421, "Come later", "4.3.2")


@looped
async def test_the_greeting_leaves_at_once_with_name_and_software() -> None:
    line = Line(House(Scripted()))
    assert line.heard() == "220 mx.example.net ESMTP Postroad\r\n"  # before the loop has turned
    assert line.seconds_left == 300


def test_a_caller_hears_it_first(run: Run) -> None:
    async def work() -> None:
        async with calling(House()) as called:
            assert await (await called.call()).hear() == "220 mx.example.net ESMTP Postroad"

    run(work())


@looped
async def test_a_delayed_greeting() -> None:
    line = Line(House(greet_delay=0.03))
    await settle()
    assert line.heard() == ""
    await until(line.heard)
    assert await line.ask("EHLO x") == ["250"]


@looped
async def test_who_talks_before_a_delayed_greeting_is_sent_away() -> None:
    line = Line(House(greet_delay=0.02))
    line.say("EHLO early.example", "MAIL FROM:<a@b.example>")
    assert line.heard() == ""
    await until(lambda: line.wire.writes)
    assert line.heard() == "554 5.5.0 Input before the greeting, bye\r\n"
    assert line.wire.state == "half"  # what we left unread must not reset the connection under our last words
    assert line.expire() is False
    line.say("QUIT")
    assert line.heard() == ""


@looped
async def test_an_early_flood_is_not_taken_in() -> None:
    """Nobody reads it before the greeting, so it stays in the kernel: memory is bounded."""
    line = Line(House(greet_delay=0.05))
    for _ in range(40):
        line.say(b"x" * 65_536)
    assert not line.wire.reading
    assert line.connection.engine.buffered() <= 3 * 65_536
    await until(lambda: line.wire.writes)
    assert line.codes() == ["554"]


@looped
async def test_a_flood_during_the_decision_about_the_client_is_not_taken_in() -> None:
    gate = Gate()
    line = Line(House(Scripted(connect=gate)))
    for _ in range(40):
        line.say(b"x" * 65_536)
    assert not line.wire.reading
    await gate.open()
    assert line.codes() == ["554"]


@looped
async def test_a_client_that_goes_before_its_greeting_leaves_nothing_behind() -> None:
    house = House(greet_delay=0.01)
    line = Line(house)
    line.wire.lose()
    await asyncio.sleep(0.03)
    assert line.is_gone
    assert line.wire.writes == []
    assert len(house.counts.gone) == 1


@looped
async def test_a_half_close_before_the_greeting_ends_the_session() -> None:
    line = Line(House(greet_delay=5))
    line.eof()
    await settle()
    assert line.is_gone


def test_input_with_the_connection_is_an_early_talker(run: Run) -> None:
    """Seen in the receive buffer at accept, without a delay and without reading it."""

    async def work() -> None:
        async with calling(House()) as called:
            caller = socket.create_connection(("127.0.0.1", called.port))
            caller.sendall(b"EHLO early.example\r\n")  # the loop has not turned since: it is there at accept
            caller.setblocking(False)
            heard = b""
            while True:
                block = await asyncio.get_running_loop().sock_recv(caller, 1000)
                if not block:
                    break
                heard += block
            caller.close()
            assert heard == b"554 5.5.0 Input before the greeting, bye\r\n"
            await until(lambda: called.house.counts.gone)

    run(work())


# --- verdicts on the client


@pytest.mark.parametrize("verdict", [REFUSED, Act(REFUSED)])
@looped
async def test_who_is_refused_hears_it_in_place_of_the_greeting_and_may_only_quit(verdict: Verdict) -> None:
    line = Line(House(Scripted(connect=verdict)))
    assert line.heard() == "550 5.7.1 Not you\r\n"
    assert await line.ask("EHLO x") == ["503"]
    assert await line.ask("MAIL FROM:<a@b.example>") == ["503"]
    assert await line.ask("QUIT") == ["221"]
    assert line.is_gone


@pytest.mark.parametrize("verdict", [CLOSING, Act(CLOSING), Act(CLOSING, close=True)])
@looped
async def test_421_in_place_of_the_greeting_closes(verdict: Verdict) -> None:
    line = Line(House(Scripted(connect=verdict)))
    assert line.heard() == "421 4.3.2 Come later\r\n"
    assert line.wire.state in ("half", "closing")
    line.eof()
    await settle()
    assert line.is_gone


@looped
async def test_a_refusal_that_closes() -> None:
    house = House(Scripted(connect=Act(REFUSED, close=True)))
    line = Line(house)
    assert line.heard() == "550 5.7.1 Not you\r\n"
    await settle()
    assert line.is_gone
    assert house.records[0].ended == "disconnect"
    assert house.records[0].refusals == ("550 5.7.1 Not you",)


@looped
async def test_a_close_without_a_word() -> None:
    line = Line(House(Scripted(connect=Act(close=True))))
    await settle()
    assert (line.heard(), line.is_gone) == ("", True)


@looped
async def test_a_delay_and_then_the_greeting() -> None:
    line = Line(House(Scripted(connect=Act(delay=0.02))))
    await settle()
    assert line.heard() == ""
    await until(lambda: line.wire.writes)
    assert line.codes() == ["220"]


@looped
async def test_who_talks_while_we_decide_is_an_early_talker() -> None:
    gate = Gate()
    line = Line(House(Scripted(connect=gate)))
    line.say("EHLO early.example")
    assert line.heard() == ""
    await gate.open()
    assert line.codes() == ["554"]


@pytest.mark.parametrize("awaited", [False, True])
@looped
async def test_a_policy_that_fails_turns_the_client_away_for_now(
    awaited: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Greeting a client that could not be judged would let it in; saying nothing would keep it for ever."""
    gate = Gate()
    house = House(Scripted(connect=gate if awaited else RuntimeError("a bug")))
    line = Line(house)
    if awaited:
        await gate.open(RuntimeError("a bug"))
    assert line.heard().startswith("421 4.3.2 ")
    assert line.wire.state == "half"
    line.eof()
    await settle()
    assert line.is_gone
    [incident] = [record for record in caplog.records if record.msg == "incident"]
    assert incident.fields["stage"] == "on_connect"  # type: ignore[attr-defined]
    assert incident.exc_info is not None
    assert incident.fields["number"] in house.records[0].transcript  # type: ignore[attr-defined]


@looped
async def test_a_client_that_goes_while_we_decide() -> None:
    gate = Gate()
    house = House(Scripted(connect=gate))
    line = Line(house)
    await settle()
    line.wire.lose()
    await settle()
    assert line.is_gone
    assert gate.waiting[0].cancelled()
    assert line.wire.writes == []


# --- what a session knows of its client


@looped
async def test_what_a_policy_is_told_about_the_client() -> None:
    first, second = Scripted(), Scripted()
    Line(House(first, trusts=lambda host: host == "2001:db8::1"), peer=("2001:db8::1", 4321, 0, 7))
    Line(House(second, name="submission"))
    assert first.facts is not None
    assert second.facts is not None
    known = first.facts
    assert (known.listener, known.peer_host, known.peer_port) == ("mx", "2001:db8::1", 4321)
    assert (known.local_host, known.local_port) == ("192.0.2.25", 25)
    assert (known.hello, known.esmtp, known.account, known.tls) == ("", False, "", "")
    assert known.trusted
    assert not second.facts.trusted
    assert (second.facts.listener, second.facts.peer_host) == ("submission", "192.0.2.1")
    assert known.id != second.facts.id
