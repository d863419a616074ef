"""Much that waits for busy destinations in front of others costs steps, not a walk; nobody is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from postroad.envelope import MessageId, NewRecipient
from postroad.spool import turns
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import T0, Backend, accepted, attempt, story


class TestTurns(Backend):
    @pytest.fixture(autouse=True)
    def _short_sight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(turns, "_PASSED_OVER", 5)
        monkeypatch.setattr(turns, "_VISITS", 4)

    async def open(self, folder: Path, **options: Any) -> SqliteSpool:
        return await SqliteSpool.open(folder, clock=self.clock, min_free=0, **options)

    async def fill(self, spool: SqliteSpool, *counts: tuple[str, int], at: float = T0) -> list[MessageId]:
        return [
            await accepted(spool, NewRecipient(f"a@{name}", name), received_at=at + number)
            for name, count in counts
            for number in range(count)
        ]

    @story()
    async def test_those_behind_a_busy_destination_are_found(self, spool: SqliteSpool) -> None:
        await self.fill(spool, ("busy", 20))
        names = await self.fill(spool, ("b", 2), ("a", 1), at=T0 + 50)
        batches = await spool.lease(T0 + 99, 9, 60, busy=["busy"])
        assert [batch.message.id for batch in batches] == [names[2], names[0], names[1]]
        assert await spool.next_due(["busy"]) == T0 + 159
        assert await spool.lease(T0 + 99, 9, 60, busy=["busy"]) == []

    @story()
    async def test_everybody_gets_a_share_who_waits_longest_first(self, spool: SqliteSpool) -> None:
        await self.fill(spool, ("busy", 20))
        await self.fill(spool, ("a", 5), at=T0 + 60)
        await self.fill(spool, ("b", 5), at=T0 + 50)
        batches = await spool.lease(T0 + 99, 4, 600, busy=["busy"])
        assert [batch.destination for batch in batches] == ["b", "b", "a", "a"]
        batches = await spool.lease(T0 + 99, 9, 600, busy=["busy"], per_destination=1)
        assert [batch.destination for batch in batches] == ["b", "a"]
        batches = await spool.lease(T0 + 99, 9, 600, busy=["busy"])
        assert [batch.destination for batch in batches] == ["b", "b", "a", "a"]

    @story()
    async def test_many_destinations_are_gone_through_within_a_few_calls(self, spool: SqliteSpool) -> None:
        await self.fill(spool, ("busy", 20))
        names = await self.fill(spool, *((f"d{number:02}", 1) for number in range(15)), at=T0 + 50)
        found = []
        for _ in range(6):
            found += await spool.lease(T0 + 99, 100, 600, busy=["busy"])
        assert {batch.message.id for batch in found} == set(names)
        assert len(found) == 15

    @story()
    async def test_a_destination_that_had_enough_hides_nobody(self, spool: SqliteSpool) -> None:
        await self.fill(spool, ("big", 30))
        await self.fill(spool, ("small", 1), at=T0 + 50)
        batches = await spool.lease(T0 + 99, 9, 60, per_destination=2)
        assert [batch.destination for batch in batches] == ["big", "big", "small"]

    @story()
    async def test_when_the_next_is_due_behind_a_dead_destination(self, spool: SqliteSpool) -> None:
        await self.fill(spool, ("dead", 20))
        await self.fill(spool, ("a", 1), ("b", 2), at=T0 + 500)
        await spool.postpone("dead", T0 + 900)
        assert await spool.next_due() == T0 + 500
        assert await spool.next_due(["a"]) == T0 + 500
        assert await spool.next_due(["a", "b"]) == T0 + 900
        assert await spool.next_due(["a", "b", "dead"]) is None
        await spool.postpone("dead", T0 + 300)
        assert await spool.next_due() == T0 + 300

    @story()
    async def test_given_back_to_the_end_of_nobody(self, spool: SqliteSpool) -> None:
        await self.fill(spool, ("busy", 20))
        await self.fill(spool, ("a", 3), at=T0 + 50)
        for batch in await spool.lease(T0 + 99, 2, 60, busy=["busy"]):
            assert await spool.settle(batch, attempt())
        assert len(await spool.lease(T0 + 99, 9, 60, busy=["busy"])) == 3

    @story()
    @pytest.mark.parametrize(
        "ask",
        [
            lambda spool: spool.lease(T0 + 99, 9, 60, busy=["busy"]),
            lambda spool: spool.next_due(["busy"]),
        ],
        ids=["lease", "next_due"],
    )
    async def test_no_walk_through_what_is_busy(
        self, spool: SqliteSpool, ask: Callable[[SqliteSpool], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Counted in steps of the engine, not in time: ten times as much in front costs the same."""
        steps = []
        for count in (100, 900):
            await self.fill(spool, ("busy", count))
            opcodes = 0

            def count_up() -> bool:
                nonlocal opcodes
                opcodes += 1
                return False

            def watch(connection: apsw.Connection) -> None:
                connection.set_progress_handler(count_up, 10)

            await spool._committer.perform(lambda tx: watch(tx.connection))
            await spool._reader.ask(watch)
            opcodes = 0
            assert await ask(spool) in ([], None)
            steps.append(opcodes)
        assert steps[1] < 1.5 * steps[0]
