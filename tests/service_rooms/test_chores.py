"""Chores are done again and again, whatever becomes of one of them, until the service ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from postroad.errors import SpoolError
from postroad.service.chores import Chores
from postroad.spool.interface import JournalQuery, MessageQuery
from tests.service_rooms.rooms import MX, looped, running, send, settings_of, talk


@looped
async def test_a_chore_that_fails_is_done_again() -> None:
    done: list[int] = []
    enough = asyncio.Event()

    async def work() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise SpoolError("no disk")
        if len(done) == 2:
            raise ValueError("a bug")
        enough.set()

    chores = Chores()
    chores.begin("test", 0.001, work, first=0.0)
    await asyncio.wait_for(enough.wait(), 10)
    await chores.end()
    count = len(done)
    await asyncio.sleep(0.02)
    assert len(done) == count


@looped
async def test_attempts_are_forgotten_when_the_journal_says_so(tmp_path: Path) -> None:
    for keep, left in (("1h", 1), ("0s", 0)):
        folder = tmp_path / keep
        text = MX.replace('"hold"', f'"maildir:{folder}/mail/{{user}}"') + f'[journal]\nkeep = "{keep}"\n'
        folder.mkdir()
        async with running(settings_of(text, folder)) as service:
            await talk(service, send("kana@example.net"))

            async def count() -> int:
                return len(await service.spool.journal(JournalQuery()))

            await until_async(count, 1)
            await service._trim_journal()
            assert await count() == left


@looped
async def test_prometheus_is_told_of_mail_that_was_delivered(tmp_path: Path) -> None:
    text = MX.replace('"hold"', f'"maildir:{tmp_path}/mail/{{user}}"')
    async with running(settings_of(text, tmp_path)) as service:
        await talk(service, send("kana@example.net"))

        async def delivered() -> bool:
            return b'postroad_delivery_attempts_total{outcome="delivered"} 1.0' in await service.exposition()

        await until_async(delivered, True)
        told = (await service.exposition()).decode()
        assert 'postroad_smtp_replies_total{code="250",direction="said",enhanced="2.0.0",verb="CONTENT"} 1.0' in told
        assert 'postroad_sessions_total{listener="mx",tls="no"} 1.0' in told
        assert 'postroad_queue_recipients{state="queued"} 0.0' in told


async def until_async(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(20):
        while await look() != wanted:
            await asyncio.sleep(0.01)


@looped
async def test_deliveries_that_a_killed_process_was_at_are_counted_as_uncertain(tmp_path: Path) -> None:
    async with running(settings_of(MX, tmp_path)) as service:
        await talk(service, send("kana@example.net"))
        [message] = await service.spool.messages(MessageQuery())
        await service.spool.take(message.id, None, service.clock.wall(), 1000.0)  # and nobody settles it
    async with running(settings_of(MX, tmp_path)) as service:
        (entry,) = service.spool.interrupted
        assert (entry.message, entry.forward_paths) == (message.id, {0: "kana@example.net"})
        assert b"postroad_delivery_uncertain_total 1.0" in await service.exposition()
