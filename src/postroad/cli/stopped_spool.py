"""The API's answers about the queue from the spool of a stopped server, which is opened for reading only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from postroad.admin.journal import JournalDesk, LogQuery
from postroad.admin.others import By
from postroad.admin.queue import QueueDesk
from postroad.admin.queue_filter import FIELDS, QueueFilter, read_code, read_filter
from postroad.admin.why import why
from postroad.cli.outcome import Exit, Failure
from postroad.errors import PostroadError
from postroad.replies.catalogue import catalogue
from postroad.spool.readonly import open_readonly
from postroad.web.api import queue_shapes as shapes

Answer = TypeVar("Answer")
Query = Mapping[str, object]


def answer(spool: Path, path: str, query: Query) -> Any:
    """The document that a server would give; raises what the spool raises, and Failure for what only a server can."""
    match [unquote(part) for part in path.strip("/").split("/")]:
        case ["queue"]:
            return _ask(spool, lambda desk: _page(desk, query))
        case ["queue", "groups"]:
            return _ask(spool, lambda desk: _groups(desk, query))
        case ["queue", name]:
            return _ask(spool, lambda desk: _message(desk, name, bool(query.get("transcripts"))))
        case ["queue", name, "why"]:
            return _ask(spool, lambda desk: _why(desk, name, _text(query, "lang") or "en"))
        case ["log"]:
            return _ask(spool, lambda desk: _log(desk, query))
    raise Failure(Exit.UNAVAILABLE, "no server is running", "only a running one can answer that")


def octets(spool: Path, name: str) -> bytes:
    """A message as it is kept."""

    async def read(desk: QueueDesk) -> bytes:
        message_id = await desk.find(name)
        (holder,) = [one for one in desk.spools if message_id.startswith(f"{one.shard}-")]
        return b"".join([block async for block in holder.read(message_id)])

    return _ask(spool, read)


def _ask(spool: Path, question: Callable[[QueueDesk], Awaitable[Answer]]) -> Answer:
    async def asked() -> Answer:
        shards = open_readonly(spool)
        try:
            return await question(QueueDesk(shards, lambda: catalogue().rules))
        finally:
            for shard in shards:
                await shard.close()

    try:
        return asyncio.run(asked())
    except PostroadError as fault:
        if type(fault) is PostroadError:  # what the API answers with 400: a wrong word
            raise Failure(Exit.USAGE, fault.message, fault.hint) from fault
        raise


def _text(query: Query, name: str) -> str:
    value = query.get(name)
    return "" if value is None else str(value)


def _number(query: Query, name: str, usual: int) -> int:
    return int(_text(query, name) or usual)


def _wanted(desk: QueueDesk, query: Query) -> QueueFilter:
    ids = cast("list[str]", query.get("id") or [])
    return read_filter({name: _text(query, name) for name in FIELDS}, ids, desk.clock.wall(), desk.rules)


async def _page(desk: QueueDesk, query: Query) -> Any:
    page = await desk.page(_wanted(desk, query), _text(query, "after"), _number(query, "limit", 50))
    return shapes.page_shape(page, desk.clock.wall())


async def _groups(desk: QueueDesk, query: Query) -> Any:
    by: By = "reply" if _text(query, "by") == "reply" else "destination"
    groups = await desk.groups(by, _wanted(desk, query), _number(query, "limit", 50))
    return shapes.groups_shape(by, groups, desk.clock.wall())


async def _message(desk: QueueDesk, name: str, transcripts: bool) -> Any:
    return shapes.case_shape(await desk.case(name), desk.clock.wall(), transcripts)


async def _why(desk: QueueDesk, name: str, language: str) -> Any:
    return shapes.why_shape(await why(desk, name), language)


async def _log(desk: QueueDesk, query: Query) -> Any:
    since = _text(query, "since")
    wanted = LogQuery(
        message=_text(query, "message"),
        to=_text(query, "to"),
        code=read_code(_text(query, "code")),
        since=desk.clock.wall() - float(since) if since else None,
        after=int(_text(query, "after")) if _text(query, "after") else None,
        limit=_number(query, "limit", 100),
    )
    return shapes.log_page_shape(await JournalDesk(desk).page(wanted))
