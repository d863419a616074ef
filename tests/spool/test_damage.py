"""A database is untrusted when it is read: damage is a SpoolError that names the message, and listings go on."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from postroad.envelope import MessageId, NewRecipient, Outcome, Result
from postroad.errors import NotFound, SpoolError
from postroad.spool.interface import JournalQuery, MessageQuery, Spool
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import (
    BOB,
    EVE,
    HELD,
    LATER,
    T0,
    Backend,
    FakeClock,
    accepted,
    attempt,
    delivered,
    everything,
    octets,
    scratch,
    story,
)


class TestDamagedRows(Backend):
    async def open(self, folder: Path, **options: Any) -> SqliteSpool:
        self.folder = folder
        return await SqliteSpool.open(folder, clock=self.clock, min_free=0, **options)

    def damage(self, *statements: str) -> None:
        connection = apsw.Connection(str(self.folder / "shard-0" / "spool.sqlite"))
        for statement in statements:
            connection.execute(statement)
        connection.close()

    async def three(self, spool: Spool) -> list[MessageId]:
        """The one in the middle is to be damaged: it has a reply, a journal line, two destinations."""
        names = [await accepted(spool, BOB, EVE, content=b"content", transcript="S: 220") for _ in range(3)]
        batches = await spool.lease(T0, 10, 60)
        for batch in batches:
            result = Result(batch.message.recipients[0].number, Outcome.DEFERRED, LATER, "", T0 + 1)
            await spool.settle(batch, attempt(result))
        return names

    @story()
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE message SET origin = '[1' WHERE sequence = 2",
            "UPDATE message SET origin = '{\"peer\": 5}' WHERE sequence = 2",
            "UPDATE message SET id = 'no id at all!' WHERE sequence = 2",
            "UPDATE message SET size = -1 WHERE sequence = 2",
            "UPDATE recipient SET state = 9 WHERE message = 2",
            "UPDATE recipient SET number = -1 WHERE message = 2 AND number = 0",
            "UPDATE recipient SET attempts = -1 WHERE message = 2",
            "UPDATE recipient SET reply = '[999,null,\"\"]' WHERE message = 2",
            "UPDATE recipient SET reply = '{' WHERE message = 2",
            "UPDATE recipient SET reply = '[true,null,\"\"]' WHERE message = 2",
            "UPDATE recipient SET note = CAST(x'c0ff' AS TEXT) WHERE message = 2",
            "UPDATE recipient SET destination = CAST(x'c0ff' AS TEXT) WHERE message = 2 AND number = 1",
            "UPDATE message SET reverse_path = CAST(x'ff' AS TEXT) WHERE sequence = 2",
        ],
    )
    async def test_a_listing_leaves_it_out_and_asking_for_it_is_an_error(
        self, spool: SqliteSpool, statement: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        names = await self.three(spool)
        self.damage(statement)
        assert await everything(spool) == [names[0], names[2]]
        assert "left out" in caplog.text
        with pytest.raises((SpoolError, NotFound)) as caught:
            await spool.message(names[1])
        assert names[1] in str(caught.value)
        leased = await spool.lease(T0 + 1, 10, 60)
        assert {batch.message.id for batch in leased} - {names[1]} == {names[0], names[2]}
        for batch in leased:
            await spool.settle(batch, delivered(batch))
        await accepted(spool)

    @story()
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE message SET size = size + 1 WHERE sequence = 2",
            "UPDATE content SET octets = NULL WHERE sequence = 2",
            "UPDATE content SET octets = x'00' WHERE sequence = 2",
            "UPDATE content SET prefix = x'' WHERE sequence = 2",
            "DELETE FROM content WHERE sequence = 2",
            "UPDATE message SET file = '../spool.sqlite' WHERE sequence = 2",
            "UPDATE message SET file = '../../../../../../etc/passwd', size = 900000 WHERE sequence = 2",
            "UPDATE message SET file = '0123456789abcdef01234567', size = 900000 WHERE sequence = 2",
        ],
    )
    async def test_content_that_is_not_as_its_row_says_is_not_given_out(
        self, spool: SqliteSpool, statement: str
    ) -> None:
        names = await self.three(spool)
        self.damage(statement, "UPDATE content SET octets = NULL WHERE sequence IN "
                               "(SELECT sequence FROM message WHERE file IS NOT NULL)")  # fmt: skip
        got: list[bytes] = []
        with pytest.raises(SpoolError, match=r"damaged|cannot be read|no content file"):
            async for block in spool.read(names[1]):
                got.append(block)
        assert got in ([], [b"Received: here\r\n"])
        assert await octets(spool, names[2]) == b"Received: here\r\ncontent"

    @story()
    async def test_a_content_file_of_another_length(self, spool: SqliteSpool) -> None:
        name = await accepted(spool, content=bytes(100_000))
        (path,) = (self.folder / "shard-0" / "content").iterdir()
        os.truncate(path, 99_999)
        with pytest.raises(SpoolError, match=f"{name} is damaged.*99999 octets, not 100000"):
            await octets(spool, name)

    @story()
    async def test_a_content_file_that_is_cut_while_it_is_read(self, spool: SqliteSpool) -> None:
        name = await accepted(spool, content=bytes(2_000_000))
        (path,) = (self.folder / "shard-0" / "content").iterdir()
        blocks = spool.read(name)
        for _ in range(3):
            await anext(blocks)
        os.truncate(path, 600_000)
        with pytest.raises(SpoolError, match=f"{name} is damaged"):
            async for _ in blocks:
                pass

    @story()
    @pytest.mark.parametrize(
        "change",
        [
            "results = '[{}]'", "results = '{'", "steps = '[1]'", "paths = '[]'", "paths = '{\"x\":\"y\"}'",
            "host = CAST(x'ff' AS TEXT)",
        ],
    )  # fmt: skip
    async def test_a_damaged_journal_line_is_left_out(
        self, spool: SqliteSpool, change: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        names = await self.three(spool)
        whole = await spool.journal(JournalQuery(oldest_first=True))
        (line, *_) = [entry.line for entry in whole if entry.message == names[1]]
        assert len(await spool.attempts(names[1])) == 2
        self.damage(f"UPDATE journal SET {change} WHERE line = {line}")
        assert len(await spool.attempts(names[1])) == 1
        assert await spool.journal(JournalQuery(oldest_first=True)) == [one for one in whole if one.line != line]
        assert "left out" in caplog.text
        assert await spool.trim_journal(T0 + 1, 0) == len(whole)

    @story()
    async def test_what_cannot_be_leased_is_set_aside_once(self, spool: SqliteSpool) -> None:
        names = await self.three(spool)
        self.damage("UPDATE message SET origin = '?' WHERE sequence = 2")
        batches = await spool.lease(T0 + 1, 10, 60)
        assert {batch.message.id for batch in batches} == {names[0], names[2]}
        assert await spool.next_due() == T0 + 61  # not at once again, for ever
        self.damage("UPDATE message SET origin = '{}' WHERE sequence = 2")
        message = await spool.message(names[1])
        assert [one.state for one in message.recipients] == [HELD, HELD]
        assert "damaged" in message.recipients[0].note
        assert (await spool.stats()).recipients == {"queued": 4, "held": 2, "delivered": 0, "failed": 0}

    @story()
    async def test_the_operator_can_remove_it(self, spool: SqliteSpool) -> None:
        names = await self.three(spool)
        self.damage(
            "UPDATE recipient SET state = 9 WHERE message = 2", "UPDATE message SET origin = '?' WHERE sequence = 2"
        )
        assert await spool.remove([names[1]]) == 1
        assert await spool.remove(names) == 2

    @story()
    async def test_hostile_text_comes_back_as_it_was(
        self, spool: SqliteSpool, caplog: pytest.LogCaptureFixture
    ) -> None:
        hostile = "'; DROP TABLE message; --\x1b[2J\r\n\u202e<script>\x00"
        one = NewRecipient(hostile, hostile, hostile, hold=hostile)
        name = await accepted(spool, one, reverse_path=hostile, parameters=hostile, transcript=hostile)
        message = await spool.message(name)
        assert message.reverse_path == message.parameters == message.recipients[0].note == hostile
        assert message.recipients[0].destination == hostile
        assert await spool.transcript(name) == hostile
        assert await spool.messages(MessageQuery(to="'; drop table")) == [message]
        assert await spool.messages(MessageQuery(destination=hostile)) == [message]
        self.damage("UPDATE recipient SET reply = char(27, 10)", "UPDATE message SET id = char(27, 10)")
        assert await everything(spool) == []
        assert "left out" in caplog.text
        assert not any(c in record.getMessage() for record in caplog.records for c in "\x1b\n\r")


FLIPS = 60


def test_one_flipped_octet_never_brings_it_down(tmp_path: Path) -> None:
    """Wherever it is: an answer, or a SpoolError; never anything else, and never a hang."""

    async def create(folder: Path) -> None:
        spool = await SqliteSpool.open(folder, clock=FakeClock(), min_free=0)
        for number in range(40):
            await accepted(spool, BOB, EVE, content=bytes(number * 200), transcript="S: 220")
        for batch in await spool.lease(T0, 60, 60):
            result = Result(batch.message.recipients[0].number, Outcome.DEFERRED, LATER, "", T0 + 1)
            await spool.settle(batch, attempt(result))
        await spool.close()

    async def use(folder: Path) -> str:
        clock = FakeClock()
        try:
            spool = await SqliteSpool.open(folder, clock=clock, min_free=0)
        except SpoolError:
            return "refused"
        try:
            for ask in questions(spool):
                try:
                    await ask()
                except (SpoolError, NotFound):
                    pass
        finally:
            await spool.close()
        return "opened"

    chance = random.Random(455)
    with scratch(tmp_path) as folder:
        asyncio.run(create(folder))
        path = folder / "shard-0" / "spool.sqlite"
        whole = path.read_bytes()
        seen = set()
        for _ in range(FLIPS):
            damaged = bytearray(whole)
            damaged[chance.choice([chance.randrange(len(whole)), chance.randrange(4096)])] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            seen.add(asyncio.run(use(folder)))
        assert seen == {"refused", "opened"}


def questions(spool: Spool) -> list[Callable[[], Awaitable[object]]]:
    async def each() -> None:
        for message in await spool.messages(MessageQuery(limit=1000)):
            for ask in (octets, type(spool).attempts, type(spool).transcript):
                try:
                    await ask(spool, message.id)
                except (SpoolError, NotFound):
                    pass

    async def deliver() -> None:
        for batch in await spool.lease(T0 + 9999, 1000, 60):
            try:
                await spool.settle(batch, delivered(batch))
            except SpoolError:
                pass

    async def take_all() -> None:
        for message in await spool.messages(MessageQuery(limit=1000)):
            try:
                await spool.take(message.id, None, T0 + 99_999, 60)
            except (SpoolError, NotFound):
                pass

    return [
        each,
        spool.stats,
        lambda: spool.journal(JournalQuery(code="4*", to="e")),
        lambda: spool.summary("reply", MessageQuery(), 9),
        lambda: spool.summary("destination", MessageQuery(code="4*", state=HELD), 9),
        lambda: spool.messages(MessageQuery(code="4*", destination="*e*")),
        lambda: spool.find_ids("0-", 9),
        lambda: spool.next_due(["example.org"]),
        lambda: spool.lease(T0 + 9999, 3, 60, busy=["example.org"], per_destination=1),
        lambda: spool.retry(MessageQuery(code="4*"), T0),
        take_all,
        spool.next_due,
        lambda: accepted(spool),
        lambda: spool.release(MessageQuery(), T0),
        lambda: spool.trim(30, 10**9),
        lambda: spool.trim_journal(T0 + 1, 2000),
        deliver,
    ]
