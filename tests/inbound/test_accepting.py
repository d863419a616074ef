"""250 is a promise: it leaves when the spool says durable, never before; all else leaves nothing behind."""

from __future__ import annotations

import pytest

from postroad.envelope import NewRecipient
from postroad.errors import SpoolError, StorageFull
from tests.inbound.conftest import Run
from tests.inbound.house import Addressing, House, Scripted, SlowSpool, WatchedSpool, looped, settle, until
from tests.inbound.wires import BODY, TRANSACTION, Line, calling, greeted

DOT = BODY + b".\r\n"
CHUNK = (f"BDAT {len(BODY)} LAST", BODY)
by_data_and_bdat = pytest.mark.parametrize("sent", [("DATA", DOT), CHUNK], ids=["data", "bdat"])


class SlowHouse(House):
    spool: SlowSpool

    def __init__(self, *policies: object, **changes: object) -> None:
        super().__init__(*policies, spool=SlowSpool(), **changes)  # type: ignore[arg-type]


async def committing(house: House, *sent: str | bytes) -> Line:
    """A line whose message is being made durable."""
    line = await greeted(house, *TRANSACTION)
    for one in sent or ("DATA", DOT):
        await line.ask(one)
    line.heard()
    return line


@by_data_and_bdat
@looped
async def test_no_reply_before_the_spool_calls_back(sent: tuple[str | bytes, ...]) -> None:
    house = SlowHouse()
    line = await committing(house, *sent)
    for _ in range(20):
        await settle()
        assert line.heard() == ""
    [(draft, _, _)] = house.spool.pending
    await house.spool.finish()
    assert line.heard() == f"250 2.0.0 Ok: queued as {draft.id}\r\n"
    [content] = await house.contents()
    assert content.endswith(BODY)


@pytest.mark.parametrize(
    ("fault", "reply"),
    [
        (SpoolError("the disk is on fire"), "451 4.3.0 "),
        (StorageFull("no space left"), "452 4.3.1 "),
    ],
)
@by_data_and_bdat
@looped
async def test_a_commit_that_fails(
    fault: SpoolError, reply: str, sent: tuple[str | bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    house = SlowHouse()
    line = await committing(house, *sent)
    await house.spool.finish(fault)
    said = line.heard()
    assert said.startswith(reply)
    assert "fire" not in said  # what ails us is for the log
    assert await house.contents() == []
    assert any(record.msg == "not accepted" for record in caplog.records)
    line.say(*TRANSACTION)
    line.say("DATA")
    line.say(DOT)
    await house.spool.finish()
    assert line.codes() == ["250", "250", "354", "250"]
    assert len(await house.contents()) == 1


@looped
async def test_commands_behind_the_dot_wait_for_it() -> None:
    house = SlowHouse()
    line = await committing(house)
    assert await line.ask("MAIL FROM:<next@example.org>", "QUIT") == []
    await house.spool.finish()
    assert line.codes() == ["250", "250", "221"]
    assert line.is_gone


@looped
async def test_a_half_close_behind_the_dot_waits_for_it() -> None:
    house = SlowHouse()
    line = await committing(house)
    line.eof()
    await settle()
    assert not line.is_gone
    await house.spool.finish()
    assert line.codes() == ["250"]
    assert line.is_gone


@looped
async def test_who_goes_while_we_commit_has_sent_his_message_all_the_same() -> None:
    house = SlowHouse()
    line = await committing(house)
    line.wire.lose(ConnectionResetError())
    await settle()
    assert line.is_gone
    assert house.counts.gone == [line.connection.facts.id]
    await house.spool.finish()
    assert len(await house.contents()) == 1
    assert line.heard() == ""


@looped
async def test_a_commit_that_fails_when_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    house = SlowHouse()
    line = await committing(house)
    line.wire.lose()
    await settle()
    await house.spool.finish(SpoolError("no"))
    assert await house.contents() == []
    assert [record.msg for record in caplog.records].count("not accepted") == 1


@looped
async def test_many_messages_of_one_session() -> None:
    house = House()
    line = await greeted(house)
    for number in range(20):
        await line.ask(*TRANSACTION, "DATA")
        assert await line.ask(f"Subject: {number}\r\n\r\n.\r\n".encode()) == ["250"]
    contents = await house.contents()
    assert [content.rpartition(b"Subject: ")[2] for content in contents] == [f"{n}\r\n\r\n".encode() for n in range(20)]
    assert house.spool.open == 0


# --- no room, and faults on the way


@pytest.mark.parametrize("command", ["DATA", f"BDAT {len(BODY)} LAST"])
@looped
async def test_no_room_for_content(command: str) -> None:
    house = House()
    line = await greeted(house, *TRANSACTION)
    house.spool.full = True
    assert await line.ask(command, *([BODY] if command != "DATA" else [])) == ["452"]
    house.spool.full = False
    again = [] if command == "DATA" else ["RSET", *TRANSACTION]
    await line.ask(*again) if again else None
    assert await line.ask("DATA") == ["354"]
    assert await line.ask(DOT) == ["250"]


FAULTS = [(SpoolError("broken"), "451"), (StorageFull("full"), "452"), (RuntimeError("a bug"), "451")]


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=lambda value: type(value).__name__)
@looped
async def test_a_spool_that_fails_in_the_middle_of_content(
    fault: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What still comes is drained, then refused; a message with a hole in it is never accepted."""
    house = House()
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(b"Subject: x\r\n\r\n" + b"first\r\n" * 1000)
    house.spool.write_fault = fault
    line.say(b"second\r\n" * 1000)
    house.spool.write_fault = None
    line.say(b"third\r\n" * 1000)
    assert line.heard() == ""
    assert house.spool.open == 0
    assert await line.ask(b".\r\n") == [code]
    assert await house.contents() == []
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    assert await line.ask(*TRANSACTION, "DATA") == ["250", "250", "354"]
    assert await line.ask(DOT) == ["250"]
    assert len(await house.contents()) == 1


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=lambda value: type(value).__name__)
@looped
async def test_a_spool_that_fails_in_the_middle_of_a_chunk(fault: Exception, code: str) -> None:
    house = House()
    line = await greeted(house, *TRANSACTION)
    assert await line.ask("BDAT 6", b"A: b\r\n") == ["250"]
    house.spool.write_fault = fault
    await line.ask("BDAT 6", b"C: d\r\n")
    house.spool.write_fault = None
    assert await line.ask("BDAT 5 LAST", b"\r\nx\r\n") == [code]
    assert house.spool.open == 0
    assert await house.contents() == []


@by_data_and_bdat
@looped
async def test_a_spool_that_takes_nothing_more(sent: tuple[str | bytes, ...]) -> None:
    """``accept`` itself raises, as that of a closed spool does."""
    house = House()
    house.spool.accept_fault = SpoolError("the spool is closed")
    line = await greeted(house, *TRANSACTION)
    codes = [await line.ask(one) for one in sent]
    assert codes[-1] == ["451"]
    assert house.spool.open == 0
    house.spool.accept_fault = None
    await line.ask(*TRANSACTION, "DATA")
    assert await line.ask(DOT) == ["250"]


@looped
async def test_an_addressing_that_fails_leaves_no_content_behind() -> None:
    class Lost(Addressing):
        def new_recipient(self, recipient: object) -> NewRecipient:
            raise LookupError("a bug")

    house = House(addressing=Lost())
    line = await committing(house)
    assert house.spool.begun[0].state == house.spool.begun[0].GONE
    assert await house.contents() == []
    assert await line.ask("NOOP") == ["250"]


# --- what is given up on the way


POINTS: dict[str, tuple[str | bytes, ...]] = {
    "sender": TRANSACTION[:1],
    "recipient": TRANSACTION,
    "chunks": (*TRANSACTION, "BDAT 12", b"Subject: x\r\n"),
    # here a command would be content
    "data": (*TRANSACTION, "DATA"),
    "content": (*TRANSACTION, "DATA", b"Subject: x\r\n\r\n" + b"line\r\n" * 20_000),
    "chunk": (*TRANSACTION, "BDAT 100 LAST", b"Subject: x\r\n"),
}
GIVEN_UP = [
    (point, end)
    for point in POINTS
    for end in ("RSET", "EHLO again.example", "HELO again.example", "QUIT", "lost", "eof")
    if point in ("sender", "recipient", "chunks") or end in ("lost", "eof")
]


@pytest.mark.parametrize(("point", "end"), GIVEN_UP)
@looped
async def test_a_transaction_that_is_given_up(point: str, end: str) -> None:
    house = House()
    line = await greeted(house)
    for step in POINTS[point]:
        await line.ask(step)
    assert house.spool.open == (0 if point in ("sender", "recipient") else 1)
    if end == "lost":
        line.wire.lose()
    elif end == "eof":
        line.eof()
    else:
        assert await line.ask(end) == ["221" if end == "QUIT" else "250"]
    await settle()
    assert house.spool.open == 0
    assert await house.contents() == []
    assert line.is_gone == (end in ("QUIT", "lost", "eof"))
    if not line.is_gone:
        assert await line.ask("DATA") == ["503"]
        await line.ask(*TRANSACTION, "DATA")
        assert await line.ask(DOT) == ["250"]


@looped
async def test_content_that_is_refused_is_given_up_at_once() -> None:
    house = House()
    line = await greeted(house, *TRANSACTION, "DATA")
    line.say(b"Subject: x\r\n\r\nbare\nnewline\r\n")
    assert house.spool.open == 0
    assert await line.ask(b".\r\n") == ["550"]


@looped
async def test_a_second_mail_does_not_touch_the_open_transaction() -> None:
    house = House()
    line = await greeted(house, *TRANSACTION)
    assert await line.ask("MAIL FROM:<other@example.org>") == ["503"]
    await line.ask("DATA")
    await line.ask(DOT)
    assert house.spool.drafts[0].reverse_path == "kana@example.org"


# --- over the wire


def test_the_callback_sends_the_250(run: Run) -> None:
    async def work() -> None:
        house = SlowHouse()
        async with calling(house) as called:
            caller = await called.greeted()
            for line in (*TRANSACTION, "DATA"):
                await caller.ask(line)
            caller.say(DOT, "NOOP")
            await until(lambda: house.spool.pending)
            await house.spool.finish()
            assert (await caller.hear()).startswith("250 2.0.0 Ok: queued as ")
            assert (await caller.hear()) == "250 2.0.0 Ok"

    run(work())


def test_who_hangs_up_behind_the_dot(run: Run) -> None:
    async def work() -> None:
        house = SlowHouse()
        async with calling(house) as called:
            caller = await called.greeted()
            for line in (*TRANSACTION, "DATA"):
                await caller.ask(line)
            caller.say(DOT)
            await until(lambda: house.spool.pending)
            caller.reset()
            await until(lambda: house.counts.gone)
            await house.spool.finish()
            assert len(await house.contents()) == 1

    run(work())


def test_who_hangs_up_before_the_dot(run: Run) -> None:
    async def work() -> None:
        house = House(Scripted())
        async with calling(house) as called:
            caller = await called.greeted()
            for line in (*TRANSACTION, "DATA"):
                await caller.ask(line)
            caller.say(b"Subject: half\r\n\r\nhalf a message\r\n")
            await until(lambda: house.spool.begun and house.spool.begun[0].size)
            caller.writer.transport.abort()
            await until(lambda: house.counts.gone)
            assert house.spool.open == 0
            assert await house.contents() == []
            assert isinstance(house.spool, WatchedSpool)

    run(work())
