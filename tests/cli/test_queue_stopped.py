"""``postroad queue`` and ``postroad log`` on the spool that a stopped server left: read, and never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from postroad.envelope import MessageId, Outcome
from postroad.spool.sqlite import SqliteSpool
from tests.cli.fake_server import Ended
from tests.web.queue_house import RATE_LIMITED, UNKNOWN, QueueHouse, StillClock

Run = Callable[..., Ended]
NOTE = "the server is stopped; this is its spool as it was left\n"


def left_behind(state: Path, work: Callable[[QueueHouse], Awaitable[None]]) -> None:
    """A server's spool after it stopped."""

    async def inside() -> None:
        spool = await SqliteSpool.open(state / "spool", clock=StillClock(), min_free=0)
        try:
            await work(QueueHouse(spool))
        finally:
            await spool.close()

    asyncio.run(inside())


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, MessageId]:
    monkeypatch.setenv("POSTROAD_STATE", str(tmp_path))
    monkeypatch.setenv("POSTROAD_LANG", "en")
    made: dict[str, MessageId] = {}

    async def work(house: QueueHouse) -> None:
        made["grey"] = await house.put("kana@example.net", "bob@example.net")
        made["rate"] = await house.put("bob@example.org")
        made["held"] = await house.put("sales@example.com", hold="no route")
        made["gone"] = await house.put("x@example.net")
        await house.tried(made["grey"], numbers=[0])
        await house.tried(made["rate"], RATE_LIMITED, transcript="S: 421 4.7.0 rate limited")
        await house.tried(made["gone"], UNKNOWN, Outcome.FAILED)

    left_behind(tmp_path, work)
    return made


def test_list(run: Run, ids: dict[str, MessageId]) -> None:
    listed = run("queue", "list", "--json")
    assert listed.code == 0 and listed.err == NOTE
    assert [row["to"] for row in listed.document["recipients"]] == [
        "kana@example.net", "bob@example.net", "bob@example.org", "sales@example.com",
    ]  # fmt: skip
    found = run("queue", "list", "--reason", "greylisted", ids["grey"][-8:], "--json").document["recipients"]
    assert [row["to"] for row in found] == ["kana@example.net"]
    paged = run("queue", "list", "--limit", 1, "--json").document
    assert paged["matching"] == {"recipients": 4, "destinations": 3}
    behind = run("queue", "list", "--limit", 9, "--after", paged["next"], "--json").document["recipients"]
    assert [row["to"] for row in behind] == ["bob@example.net", "bob@example.org", "sales@example.com"]
    assert run("queue", "list", "--state", "x").code == 64
    groups = run("queue", "list", "--by", "reply", "--json").document["groups"]
    assert {one["key"] for one in groups} >= {"451 4.7.1", "421 4.7.0"}


def test_why_and_show(run: Run, ids: dict[str, MessageId]) -> None:
    why = run("queue", "why", ids["grey"][-8:])
    assert why.code == 0 and why.err == NOTE and "451 4.7.1 Greylisting in action" in why.out
    assert "others    1 more recipient waits for example.net in all" in why.out
    assert "no route leads to example.com" in run("queue", "why", ids["held"]).out
    assert run("queue", "why", ids["gone"], "--lang", "ja").out.startswith("x@example.net には届きません。")
    assert "550 5.1.1 User unknown" in run("queue", "show", ids["gone"]).out
    assert "S: 421 4.7.0 rate limited" in run("queue", "show", ids["rate"], "--transcripts").out
    assert run("queue", "show", ids["rate"], "--raw").out == "Subject: hello\r\n\r\nhello\r\n"
    assert run("queue", "why", "nope").code == 66
    ambiguous = run("queue", "why", "0-")
    assert ambiguous.code != 0 and ids["rate"] in ambiguous.err


def test_log(run: Run, ids: dict[str, MessageId]) -> None:
    shown = run("log")
    assert shown.err == NOTE
    assert [line.split()[2] for line in shown.out.rstrip("\n").split("\n")] == [ids["grey"], ids["rate"], ids["gone"]]
    assert run("log", "--message", ids["gone"][-8:], "--json").document["reply"]["code"] == 550
    assert run("log", "--code", "4.7.*", "--to", "org", "--json").document["message"] == ids["rate"]
    follow = run("log", "-f")
    assert follow.code == 69 and "without -f" in follow.err


def test_nothing_is_changed(run: Run, ids: dict[str, MessageId]) -> None:
    for verb in ("retry", "hold", "release", "drop", "bounce"):
        ended = run("queue", verb, "--all", "--yes")
        assert ended.code == 69 and "only a running server changes its queue" in ended.err
    assert run("queue", "list", "--json").document["matching"]["recipients"] == 4


def test_a_spool_without_anything(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    listed = run("queue", "list", "--state-dir", tmp_path)
    assert (listed.code, listed.out) == (0, "nothing waits\n")
    assert run("queue", "why", "x", "--state-dir", tmp_path).code == 66
