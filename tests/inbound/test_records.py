"""What stays of a session: refused ones always, the others when every transcript is kept; each client counted out once."""

from __future__ import annotations

import gc

import pytest

from postroad.inbound.reception import new_session_id
from postroad.smtp.transcript import MAX_ENTRIES
from tests.inbound.conftest import Run
from tests.inbound.house import REFUSED, START, Gate, House, Scripted, SlowSpool, looped, settle, without_collector
from tests.inbound.wires import BODY, TRANSACTION, Called, Line, calling, greeted

DOT = BODY + b".\r\n"


async def ended(house: House, *lines: str | bytes) -> Line:
    """A session that says these lines, each alone, and QUIT."""
    line = await greeted(house)
    for one in (*lines, "QUIT"):
        await line.ask(one)
    await settle()
    assert line.is_gone
    return line


@looped
async def test_a_session_without_refusal_leaves_no_record() -> None:
    house = House()
    await ended(house, *TRANSACTION, "DATA", DOT)
    assert house.records == []
    assert house.spool.drafts[0].transcript == ""


@looped
async def test_a_refused_session_leaves_one() -> None:
    house = House(Scripted(recipient=lambda facts, transaction, given: REFUSED if "xavier" in str(given) else None))
    line = await greeted(house)
    house.clock.now += 5
    for one in (TRANSACTION[0], "RCPT TO:<xavier@example.net>", TRANSACTION[1], "DATA", DOT, "QUIT"):
        await line.ask(one)
    await settle()
    [record] = house.records
    assert (record.id, record.listener, record.peer) == (line.connection.facts.id, "mx", "192.0.2.1:4321")
    assert (record.hello, record.account, record.tls) == ("client.example", "", "")
    assert (record.began_at, record.seconds) == (START, 5)
    assert record.messages == (house.spool.drafts[0].id,)
    assert record.refusals == ("550 5.7.1 Not you",)
    assert record.ended == "quit"
    assert "C: RCPT TO:<xavier@example.net>\nS: 550 5.7.1 Not you" in record.transcript
    assert record.transcript.endswith("S: 221 2.0.0 Service closing transmission channel")


@looped
async def test_every_session_when_transcripts_are_kept() -> None:
    house = House(keep_transcripts=True)
    await ended(house, *TRANSACTION, "DATA", DOT)
    [record] = house.records
    assert record.refusals == ()
    lines = record.transcript.split("\n")
    assert lines[0] == "S: 220 mx.example.net ESMTP Postroad"
    assert f"-- content: {len(BODY)} octets" in lines
    assert lines[-1].startswith("S: 221")


@looped
async def test_the_transcript_that_is_stored_with_a_message_ends_with_its_250() -> None:
    house = House(keep_transcripts=True)
    await ended(house, *TRANSACTION, "DATA", DOT)
    [draft] = house.spool.drafts
    lines = draft.transcript.split("\n")
    assert lines[0].startswith("S: 220 ")
    assert lines[-3:] == [
        "S: 354 Start mail input; end with <CRLF>.<CRLF>",
        f"-- content: {len(BODY)} octets",
        f"S: 250 2.0.0 Ok: queued as {draft.id}",
    ]


@pytest.mark.parametrize(
    ("reason", "last"),
    [("quit", ["QUIT"]), ("protocol", [b"\x16\x03\x01\x00"]), ("protocol", ["GET / HTTP/1.1"])],
)
@looped
async def test_why_it_ended(reason: str, last: list[str | bytes]) -> None:
    house = House(Scripted(sender=REFUSED))
    line = await greeted(house, *TRANSACTION)
    await line.ask(*last)
    line.eof()
    await settle()
    assert house.records[0].ended == reason


@looped
async def test_why_it_ended_when_the_peer_just_went() -> None:
    house = House(Scripted(sender=REFUSED))
    line = await greeted(house, *TRANSACTION)
    line.wire.lose(ConnectionResetError())
    await settle()
    assert house.records[0].ended == "closed"
    assert "421" not in house.records[0].transcript


@looped
async def test_an_ipv6_client_is_shown_in_brackets() -> None:
    house = House(Scripted(sender=REFUSED))
    line = await greeted(house, *TRANSACTION, peer=("2001:db8::1", 25, 0, 0))
    line.wire.lose()
    await settle()
    assert house.records[0].peer == "[2001:db8::1]:25"


@looped
async def test_a_long_session_of_accepted_messages_needs_no_memory_of_them() -> None:
    house = House()
    line = await greeted(house)
    for _ in range(300):
        await line.ask(*TRANSACTION, "DATA")
        await line.ask(DOT)
    transcript = line.connection.engine.transcript
    assert transcript is not None
    assert transcript.text() == ""
    await line.ask("MAIL FROM:<a@b.example> FROB")
    line.wire.lose()
    await settle()
    assert house.records[0].refusals[0].startswith("555 ")
    assert len(house.records[0].messages) == 100, "the newest; a session of a million needs no more"


@looped
async def test_a_transcript_is_bounded() -> None:
    house = House(keep_transcripts=True, config={"max_junk": 10_000})
    line = await greeted(house)
    for _ in range(MAX_ENTRIES):
        line.say("NOOP")
    line.wire.lose()
    await settle()
    assert len(house.records[0].transcript.split("\n")) < MAX_ENTRIES + 20


# --- counted out once


@pytest.mark.parametrize("end", ["quit", "lost", "lost twice", "timeout", "turned away", "drained", "eof", "abandoned"])
@looped
async def test_a_client_is_counted_out_exactly_once(end: str) -> None:
    house = House(Scripted(connect=REFUSED if end == "turned away" else None))
    line = Line(house)
    await line.ask("EHLO x")
    match end:
        case "quit":
            await line.ask("QUIT")
        case "lost":
            line.wire.lose(ConnectionResetError())
        case "lost twice":
            line.connection.connection_lost(None)
            line.wire.lose()
        case "timeout":
            house.clock.now += 300
            line.expire()
            house.clock.now += 2
            line.expire()
        case "turned away":
            await line.ask("QUIT")
        case "drained":
            line.connection.drain()
            line.eof()
        case "eof":
            line.eof()
        case "abandoned":
            line.connection.abandon()
    await settle()
    line.connection.abandon()
    await settle()
    assert house.counts.gone == [line.connection.facts.id]
    assert line.is_gone


def test_no_two_sessions_have_one_id() -> None:
    made = [new_session_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(one.isalnum() and len(one) <= 24 for one in made)


# --- nothing keeps a closed session alive


@pytest.mark.parametrize("kind", ["plain", "mail", "awaited", "refused", "lost", "committing"])
def test_a_closed_session_needs_no_cycle_collector(kind: str) -> None:
    """A circle would keep each closed connection, with its buffers, until the collector's oldest generation is due."""
    counted: list[int] = []

    @looped
    async def session() -> None:
        gate = Gate()
        policies = {"awaited": Scripted(sender=gate), "refused": Scripted(recipient=REFUSED)}
        spool = SlowSpool() if kind == "committing" else None
        house = House(policies.get(kind, Scripted()), spool=spool)
        await _one(house, kind, gate)  # caches are filled
        await settle()
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await _one(house, kind, gate)
            await settle()
            counted.append(gc.collect())
        finally:
            gc.enable()

    session()
    assert counted[0] < 10, f"{counted[0]} objects of 10 sessions were left to the cycle collector"


async def _one(house: House, kind: str, gate: Gate) -> None:
    line = await greeted(house)
    line.say(TRANSACTION[0])
    if kind == "awaited":
        await settle()
        await gate.open()
    line.say(TRANSACTION[1])
    if kind in ("mail", "committing"):
        line.say("DATA")
        line.say(DOT)
        await settle()
    if kind in ("lost", "committing"):
        line.wire.lose()
    else:
        line.say("QUIT")
    await settle()
    if kind == "committing":
        await house.spool.finish()  # type: ignore[attr-defined]
    assert line.is_gone
    del line.wire.protocol, line.connection  # the wire is the test's own circle


def test_a_closed_connection_is_freed_at_once(run: Run) -> None:
    """Over real sockets: by reference counting alone, on both loops."""

    async def one(called: Called) -> None:
        caller = await called.greeted()
        await caller.deliver()
        await caller.ask("QUIT")
        await caller.rest()
        caller.writer.close()

    async def work() -> None:
        async with calling(House()) as called:
            await without_collector(lambda: one(called))

    run(work())
