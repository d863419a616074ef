"""The queue over the API: what it lists, why something waits, what may be done to it, and the journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import jsonschema
import pytest

import postroad.reference
from postroad.envelope import MessageId, Outcome, RecipientState, Step
from postroad.replies import Reply
from postroad.spool.interface import MessageQuery
from postroad.spool.sqlite import SqliteSpool
from postroad.web.door.entry import Everybody
from postroad.web.door.people import Role
from tests.web.queue_house import (
    DAY,
    GREYLISTED,
    HOUR,
    NO_RET,
    NOW,
    RATE_LIMITED,
    TAKEN,
    UNKNOWN,
    QueueHouse,
    StillClock,
)

API = "http://localhost/api/v1"
SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "queue.json").read_text())
FORMS = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())

Work = Callable[[QueueHouse, "Asker"], Awaitable[None]]


class Asker:
    """Asks the API; what it answers has a published form."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.client.get(API + path, params=query)
        assert answer.status_code == 200, answer.text
        FORMS.validate(answer.json())
        return answer.json()

    async def refused(self, path: str, status: int, **query: Any) -> str:
        answer = await self.client.get(API + path, params=query)
        assert answer.status_code == status, answer.text
        return f"{answer.json()['detail']} {answer.json()['hint']}"

    async def act(self, action: str, **body: Any) -> Any:
        answer = await self.client.post(API + "/queue/actions", json={"action": action, **body})
        assert answer.status_code == 200, answer.text
        FORMS.validate(answer.json())
        return answer.json()

    async def act_refused(self, status: int, **body: Any) -> str:
        answer = await self.client.post(API + "/queue/actions", json=body)
        assert answer.status_code == status, answer.text
        return f"{answer.json()['detail']} {answer.json()['hint']}"


def run(work: Work, **options: Any) -> None:
    """The work in a house over each spool there is."""

    async def inside(house: QueueHouse) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(house.app)) as client:
            await asyncio.wait_for(work(house, Asker(client)), 20)

    async def in_memory() -> None:
        await inside(QueueHouse(**options))

    async def on_disk(folder: Path) -> None:
        spool = await SqliteSpool.open(folder, clock=StillClock(), min_free=0)
        try:
            await inside(QueueHouse(spool, **options))
        finally:
            await spool.close()

    asyncio.run(in_memory())
    with TemporaryDirectory() as folder:
        asyncio.run(on_disk(Path(folder)))


async def states(house: QueueHouse, message_id: MessageId) -> list[str]:
    return [one.state.value for one in (await house.spool.message(message_id)).recipients]


async def filled(house: QueueHouse) -> dict[str, MessageId]:
    """One of each kind."""
    ids = {
        "grey": await house.put("kana@example.net", "bob@example.net", ago=2 * HOUR),
        "rate": await house.put("bob@example.org", ago=26 * HOUR, sender="list@example.com"),
        "held": await house.put("sales@example.com", hold="no route", ago=180),
        "new": await house.put("new@example.net", ago=10),
    }
    await house.tried(ids["grey"])
    await house.tried(ids["rate"], RATE_LIMITED)
    return ids


# ── lists ───────────────────────────────────────────────────────────────────


def test_rows_are_recipients_in_the_order_of_arrival() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        page = await ask.get("/queue")
        assert [(row["id"], row["to"]) for row in page["recipients"]] == [
            (ids["grey"], "kana@example.net"),
            (ids["grey"], "bob@example.net"),
            (ids["rate"], "bob@example.org"),
            (ids["held"], "sales@example.com"),
            (ids["new"], "new@example.net"),
        ]
        assert page["matching"] == {"recipients": 5, "destinations": 3}
        assert page["next"] is None
        row = page["recipients"][0]
        assert (row["state"], row["attempts"], row["reason"]) == ("queued", 1, "greylisted")
        assert row["reply"] == {"code": 451, "enhanced": "4.7.1", "text": [GREYLISTED.text]}
        assert row["next_due"] == "2027-01-15T08:11:00.000Z"
        assert page["recipients"][3]["note"] == "no route"
        assert page["recipients"][4]["reason"] is None

    run(work)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"to": "KANA"}, ["kana@example.net"]),
        ({"from": "list@"}, ["bob@example.org"]),
        ({"destination": "example.org"}, ["bob@example.org"]),
        ({"code": "4.7.*"}, ["kana@example.net", "bob@example.net", "bob@example.org"]),
        ({"code": "421"}, ["bob@example.org"]),
        ({"code": "4.7.1", "to": "bob"}, ["bob@example.net"]),
        ({"reason": "greylisted"}, ["kana@example.net", "bob@example.net"]),
        ({"reason": "rate-limited"}, ["bob@example.org"]),
        ({"reason": "virus-detected"}, []),
        ({"state": "held"}, ["sales@example.com"]),
        ({"state": "deferred"}, ["kana@example.net", "bob@example.net", "bob@example.org"]),
        ({"state": "deferred,held", "to": "s@"}, ["sales@example.com"]),
        ({"state": "delivered"}, []),
        ({"older": "7000"}, ["kana@example.net", "bob@example.net", "bob@example.org"]),
        ({"older": "90000.5"}, ["bob@example.org"]),
    ],
)
def test_filters(query: dict[str, str], found: list[str]) -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        await filled(house)
        assert [row["to"] for row in (await ask.get("/queue", **query))["recipients"]] == found

    run(work)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"reason": "greylist"}, "no reason `greylist` known: "),
        ({"state": "waiting"}, "no state `waiting` --state takes queued"),
        ({"state": ","}, "no state `,`"),
        ({"state": "deferred,delivered"}, "`deferred` goes with `held` only"),
        ({"code": "temporary"}, "`temporary` is no reply code"),
        ({"code": "4.7.1.1"}, "is no reply code"),
        ({"older": "2h"}, "`older` must be a number of seconds"),
        ({"older": "-1"}, "`older` must be a number of seconds"),
        ({"after": "17"}, "`17` is no place in the queue"),
        ({"after": "0:1:²"}, "is no place in the queue"),
        ({"limit": "0x1"}, "`limit` must be a whole number"),
        ({"recipient": "a"}, "no query word `recipient`"),
        ({"to": "a" * 1001}, "`to` is longer than 1000 characters"),
    ],
)
def test_a_filter_that_would_be_ignored_is_refused(query: dict[str, str], said: str) -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        assert said in await ask.refused("/queue", 400, **query)

    run(work)


def test_pages_join_without_a_gap_and_within_a_message() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        for number in range(7):
            message_id = await house.put(*(f"u{number}{letter}@example.net" for letter in "abcde"))
            if number % 2:
                await house.spool.hold(message_id, "so", [1, 3])
        whole = [row["to"] for row in (await ask.get("/queue", limit=1000))["recipients"]]
        assert len(whole) == 35 and whole == sorted(whole)
        for limit in (1, 3, 5, 34, 35):
            joined: list[str] = []
            after = ""
            while True:
                page = await ask.get("/queue", limit=limit, after=after)
                assert len(page["recipients"]) <= limit
                assert page["matching"] == {"recipients": 35, "destinations": 1}
                joined += [row["to"] for row in page["recipients"]]
                after = page["next"]
                if after is None:
                    break
            assert joined == whole

    run(work)


def test_groups() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        await filled(house)
        by = (await ask.get("/queue/groups"))["groups"]
        assert [(one["key"], one["recipients"]) for one in by] == [
            ("example.net", 3), ("example.com", 1), ("example.org", 1),
        ]  # fmt: skip
        assert by[0]["oldest"] == "2027-01-15T06:00:00.000Z"
        replies = (await ask.get("/queue/groups", by="reply", state="queued"))["groups"]
        assert [(one["key"], one["recipients"]) for one in replies] == [("451 4.7.1", 2), ("421 4.7.0", 1)]
        assert "not grouped by `sender`" in await ask.refused("/queue/groups", 400, by="sender")
        assert "cannot be counted" in await ask.refused("/queue/groups", 400, reason="greylisted")

    run(work)


# ── names ───────────────────────────────────────────────────────────────────


def test_an_id_may_be_shortened() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        first, second = await house.put("a@example.net"), await house.put("b@example.net")
        assert (await ask.get(f"/queue/{first}"))["id"] == first
        assert (await ask.get(f"/queue/{second[-8:]}"))["id"] == second
        said = await ask.refused("/queue/0-", 400)
        assert first in said and second in said and "any of 2 messages" in said
        assert "no message `zzz`" in await ask.refused("/queue/zzz/why", 404)
        assert "no message" in await ask.refused("/queue/" + "0" * 90, 404)
        assert [row["id"] for row in (await ask.get("/queue", id=[second[-8:], first]))["recipients"]] == [
            first,
            second,
        ]

    run(work)


def test_of_very_many_candidates_ten_are_named() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        for _ in range(13):
            await house.put("a@example.net")
        said = await ask.refused("/queue/0-/why", 400)
        assert "may be any of 10+ messages" in said and said.endswith("and others")

    run(work)


# ── why ─────────────────────────────────────────────────────────────────────


def test_why_of_a_deferred_recipient() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        house.rests["example.net"] = NOW + 120
        why = await ask.get(f"/queue/{ids['grey']}/why")
        one, two = why["recipients"]
        assert (one["state"], one["attempts"], one["note"]) == ("queued", 1, "")
        assert one["gives_up_at"] == "2027-01-20T06:00:00.000Z"
        assert one["rests_until"] == "2027-01-15T08:02:00.000Z"
        assert one["last"] == {
            "at": "2027-01-15T07:59:00.000Z", "seconds": 2.1, "route": "mx", "host": "mx.example.net [192.0.2.10]:25",
            "security": "TLSv1.3", "stage": "RCPT", "outcome": "deferred",
        }  # fmt: skip
        explained = one["explanation"]
        assert (explained["reason"]["id"], explained["rule"], explained["confidence"]["id"]) == (
            "greylisted", "GRL-01", "high",
        )  # fmt: skip
        assert (explained["actor"]["id"], explained["temporary"]) == ("client", True)
        assert one["others"] == {"destination": 2, "cause": 1, "elsewhere": 0, "key": "451 4.7.1"}
        assert two["others"] == one["others"]
        ja = await ask.get(f"/queue/{ids['grey']}/why", lang="ja")
        assert ja["language"] == "ja" and ja["recipients"][0]["explanation"]["reason"]["label"] == "グレイリスティング"
        reader = {"Accept-Language": "ja,en;q=0.5"}
        answer = await ask.client.get(f"{API}/queue/{ids['grey']}/why", headers=reader)
        assert answer.json()["language"] == "ja"
        assert "no language `xx`" in await ask.refused(f"/queue/{ids['grey']}/why", 400, lang="xx")

    run(work)


def test_why_counts_the_same_reply_elsewhere() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        here = await house.put("a@example.net")
        for path in ("b@example.net", "c@example.org", "d@example.com"):
            await house.tried(await house.put(path))
        await house.tried(here)
        (one,) = (await ask.get(f"/queue/{here}/why"))["recipients"]
        assert one["others"] == {"destination": 1, "cause": 1, "elsewhere": 2, "key": "451 4.7.1"}

    run(work)


def test_why_counts_no_destination_that_only_looks_like_it() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        bare = Reply(451, "busy")
        one = await house.put("a@example.net")
        for path in ("b@example.net", "c@notexample.net", "d@example.net.example", "e@example.net"):
            await house.tried(await house.put(path), bare if path.startswith("e") else GREYLISTED)
        await house.tried(one, bare)
        (standing,) = (await ask.get(f"/queue/{one}/why"))["recipients"]
        assert standing["others"] == {"destination": 2, "cause": 1, "elsewhere": 0, "key": "451"}
        many = await house.put(*(f"x@d{number}.example" for number in range(20)), "y@example.net")
        await house.tried(many, GREYLISTED)
        found = (await ask.get(f"/queue/{many}/why"))["recipients"]
        assert found[0]["others"] == {"destination": 0, "cause": 0, "elsewhere": 23, "key": "451 4.7.1"}
        assert found[20]["others"] == {"destination": 3, "cause": 1, "elsewhere": 22, "key": "451 4.7.1"}

    run(work)


def test_a_destination_is_meant_whole() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        for path in ("a@example.net", "b@notexample.net", "c@mail.example.net", "d@example.net.example"):
            await house.put(path)

        async def found(destination: str) -> list[str]:
            page = await ask.get("/queue", destination=destination)
            assert page["matching"]["recipients"] == len(page["recipients"])
            return [row["to"][0] for row in page["recipients"]]

        assert await found("Example.NET") == ["a"]
        assert await found("*.example.net") == ["c"] and await found("*example*") == ["a", "b", "c", "d"]
        assert await found("example") == await found("[example.net") == []
        assert (await ask.act("drop", filter={"destination": "example.net"}))["recipients"] == 1

    run(work)


def test_why_asks_the_spool_a_few_times_however_many_recipients_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        many = await house.put(*(f"x@d{number}.example" for number in range(200)))
        await house.put(*(f"y@d{number}.example" for number in range(200)))
        await house.tried(many)
        asked: list[Any] = []
        summary = house.spool.summary

        async def counted(*arguments: Any) -> Any:
            asked.append(arguments)
            return await summary(*arguments)

        monkeypatch.setattr(house.spool, "summary", counted)
        found = (await ask.get(f"/queue/{many}/why"))["recipients"]
        assert all(one["others"]["destination"] == 1 for one in found) and len(asked) <= 4

    run(work)


def test_why_tells_the_ladder_and_the_parameters() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net", "b@example.net", mail="RET=HDRS ENVID=x")
        steps = (Step("again", "MAIL", NO_RET, waited=30.0), Step("omit", "RCPT", NO_RET, ("NOTIFY",), (1,)))
        await house.tried(message_id, NO_RET, steps=steps, stage="MAIL")
        one, two = (await ask.get(f"/queue/{message_id}/why"))["recipients"]
        assert [step["action"] for step in one["steps"]] == ["again"]
        assert [(step["action"], step["parameters"]) for step in two["steps"]] == [("again", []), ("omit", ["NOTIFY"])]
        await house.tried(message_id, NO_RET, steps=steps, stage="MAIL")
        again = (await ask.get(f"/queue/{message_id}/why"))["recipients"]
        assert [len(each["steps"]) for each in again] == [1, 2]
        assert one["steps"][0]["waited"] == 30.0 and one["steps"][0]["reply"]["code"] == 455
        assert one["refused_parameters"] == ["RET", "ENVID"]
        assert one["explanation"]["reason"]["id"] == "parameters-refused"

    run(work)


def test_why_of_a_held_one_and_of_one_that_was_never_tried() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        (held,) = (await ask.get(f"/queue/{ids['held']}/why"))["recipients"]
        assert (held["state"], held["note"], held["explanation"], held["last"]) == ("held", "no route", None, None)
        assert held["gives_up_at"] is None
        (new,) = (await ask.get(f"/queue/{ids['new']}/why"))["recipients"]
        assert (new["state"], new["attempts"], new["reply"], new["explanation"]) == ("queued", 0, None, None)
        assert new["others"]["destination"] == 2

    run(work)


def test_why_of_a_fault_without_a_reply_and_of_an_uncertain_delivery() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net")
        await house.tried(message_id, None, note="connection timed out", stage="CONNECT", host="")
        (one,) = (await ask.get(f"/queue/{message_id}/why"))["recipients"]
        assert one["reply"] is None and one["explanation"]["reason"]["id"] == "network-error"
        await house.tried(message_id, None, note="xyzzy", stage="CONTENT", uncertain=True)
        (one,) = (await ask.get(f"/queue/{message_id}/why"))["recipients"]
        assert one["uncertain"] and one["explanation"] is None
        assert one["others"]["key"] == "xyzzy"

    run(work)


def test_a_delivery_under_way_when_the_server_was_stopped(tmp_path: Path) -> None:
    async def asked() -> Any:
        spool = await SqliteSpool.open(tmp_path, clock=StillClock(), min_free=0)
        house = QueueHouse(spool)
        message_id = await house.put("a@example.net", "b@example.org")
        await house.tried(message_id)
        await spool.take(message_id, [0], NOW, 60.0)
        await spool.close()  # without a word of the worker that has it
        spool = await SqliteSpool.open(tmp_path, clock=StillClock(), min_free=0)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(QueueHouse(spool).app)) as client:
            why = await Asker(client).get(f"/queue/{message_id}/why")
        await spool.close()
        return why["recipients"]

    one, two = asyncio.run(asked())
    assert (one["uncertain"], one["interrupted"], two["uncertain"]) == (True, True, False)
    assert one["last"]["stage"] == "RCPT" and one["reply"]["code"] == 451


@pytest.mark.parametrize(
    ("sender", "rcpt", "told"),
    [
        ("me@example.com", "", "yes"),
        ("me@example.com", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a", "yes"),
        ("me@example.com", "NOTIFY=NEVER", "not-asked"),
        ("me@example.com", "NOTIFY=DELAY", "not-asked"),
        ("", "", "no-sender"),
    ],
)
def test_whether_the_sender_of_a_failed_one_was_told(sender: str, rcpt: str, told: str) -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net", "b@example.net", sender=sender, rcpt=rcpt)
        await house.tried(message_id, UNKNOWN, Outcome.FAILED, numbers=[0])
        one, two = (await ask.get(f"/queue/{message_id}/why"))["recipients"]
        assert (one["state"], one["told"], two["told"]) == ("failed", told, None)

    run(work)


def test_why_and_show_of_a_message_that_is_gone() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net", "b@example.net")
        await house.tried(message_id)
        await house.tried(message_id, TAKEN, Outcome.DELIVERED, numbers=[0], stage="CONTENT")
        await house.tried(message_id, UNKNOWN, Outcome.FAILED, numbers=[1], expired=True)
        assert await house.spool.messages(MessageQuery()) == []
        why = await ask.get(f"/queue/{message_id[-8:]}/why")
        assert why["gone"] and why["received_at"] is None and why["from"] == "me@example.com"
        one, two = why["recipients"]
        assert (one["address"], one["state"], one["attempts"], one["told"]) == ("a@example.net", "delivered", 2, None)
        assert (two["state"], two["expired"], two["told"]) == ("failed", True, "unknown")
        assert two["last"]["stage"] == "RCPT"
        shown = await ask.get(f"/queue/{message_id}")
        assert shown["gone"] and shown["message"] is None and len(shown["attempts"]) == 3
        assert shown["recipients"] == {"0": "a@example.net", "1": "b@example.net"}

    run(work)


def test_a_hold_hides_neither_the_reply_nor_the_attempt() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net")
        await house.tried(message_id)
        await ask.act("hold", ids=[message_id], note="looking at it")
        (one,) = (await ask.get(f"/queue/{message_id}/why"))["recipients"]
        assert (one["state"], one["note"], one["reply"]["code"]) == ("held", "held by the operator: looking at it", 451)
        assert one["last"]["host"] == "mx.example.net [192.0.2.10]:25"

    run(work)


def test_show() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net", mail="BODY=8BITMIME")
        await house.tried(message_id, transcript="C: RCPT TO:<a@example.net>\nS: 451 4.7.1 no")
        shown = await ask.get(f"/queue/{message_id}")
        assert shown["message"]["parameters"] == "BODY=8BITMIME"
        assert "transcript" not in shown["attempts"][0]
        assert shown["attempts"][0]["results"][0]["stage"] == "RCPT"
        with_it = await ask.get(f"/queue/{message_id}", transcripts="true")
        assert with_it["attempts"][0]["transcript"].startswith("C: RCPT")
        raw = await ask.client.get(f"{API}/queue/{message_id[-9:]}/raw")
        assert raw.content == b"Subject: hello\r\n\r\nhello\r\n"

    run(work)


# ── actions ─────────────────────────────────────────────────────────────────


def test_retry_makes_them_due_and_wakes_the_runner() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        would = await ask.act("retry", filter={"to": "bob@"}, dry_run=True)
        assert (would["recipients"], would["destinations"], would["dry_run"]) == (2, 2, True)
        assert {one["to"] for one in would["examples"]} == {"bob@example.net", "bob@example.org"}
        assert house.runner.probed == 0
        done = await ask.act("retry", filter={"to": "bob@"})
        assert (done["recipients"], done["busy"], house.runner.probed) == (2, 0, 1)
        kana, bob = (await house.spool.message(ids["grey"])).recipients
        assert (kana.next_due, bob.next_due) == (NOW + 660, NOW)

    run(work)


def test_an_action_by_reason_touches_only_who_was_told_so() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net", "b@example.net")
        await house.tried(message_id, numbers=[0])
        await house.tried(message_id, RATE_LIMITED, numbers=[1])
        assert (await ask.act("retry", filter={"reason": "rate-limited"}))["recipients"] == 1
        assert [one.next_due for one in (await house.spool.message(message_id)).recipients] == [NOW + 660, NOW]
        assert (await ask.act("hold", filter={"reason": "greylisted"}))["recipients"] == 1
        assert await states(house, message_id) == ["held", "queued"]
        await ask.act("hold", filter={"reason": "rate-limited"})
        assert (await ask.act("release", filter={"reason": "greylisted"}))["recipients"] == 1
        assert await states(house, message_id) == ["queued", "held"]

    run(work)


def test_hold_and_release() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        assert (await ask.act("hold", ids=[ids["rate"][-8:]]))["recipients"] == 1
        (one,) = (await house.spool.message(ids["rate"])).recipients
        assert (one.state, one.note) == (RecipientState.HELD, "held by the operator")
        assert (await ask.act("release", all=True))["recipients"] == 2
        assert await states(house, ids["rate"]) == await states(house, ids["held"]) == ["queued"]
        await ask.act("hold", ids=[ids["rate"]], note="no route")
        (one,) = (await house.spool.message(ids["rate"])).recipients
        assert one.note == "held by the operator: no route"  # and not "no route", which a reload releases

    run(work)


def test_drop_tells_nobody_and_leaves_a_line() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        done = await ask.act("drop", filter={"to": "kana"}, note="asked \x1b[31mto\n")
        assert (done["recipients"], done["destinations"]) == (1, 1)
        assert house.runner.asked == []
        kana, _ = (await ask.get(f"/queue/{ids['grey']}/why"))["recipients"]
        assert (kana["state"], kana["told"], kana["by_operator"]) == ("failed", "dropped", True)
        assert kana["note"] == "dropped by the operator: asked  [31mto "
        assert kana["reply"] == {"code": 451, "enhanced": "4.7.1", "text": [GREYLISTED.text]}
        assert (await ask.act("drop", all=True))["recipients"] == 4
        assert await house.spool.messages(MessageQuery()) == []
        (gone,) = (await ask.get(f"/queue/{ids['held']}/why"))["recipients"]
        assert (gone["state"], gone["told"]) == ("failed", "dropped")

    run(work)


def test_what_an_operator_did_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        caplog.clear()  # there is a house for each kind of spool
        message_id = await house.put("a@example.net")
        await house.put("b@example.net")
        await ask.act("drop", filter={"to": "a@"}, dry_run=True)
        assert not caplog.records
        await ask.act("drop", filter={"to": "a@"}, note="spam")
        dropped, whole = (record.fields for record in caplog.records)  # type: ignore[attr-defined]
        assert (dropped["message"], dropped["recipient"]) == (message_id, "a@example.net")
        assert dropped["note"] == "dropped by the operator: spam"
        assert whole == {"action": "drop", "recipients": 1, "note": "spam"}

    with caplog.at_level("INFO", "postroad"):
        run(work)


def test_bounce_asks_the_runner_for_these_recipients() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        done = await ask.act("bounce", filter={"code": "4.7.1"}, note="enough")
        assert (done["recipients"], house.runner.asked) == (
            2, [(ids["grey"], [0, 1], "given up by the operator: enough")],
        )  # fmt: skip
        one, _ = (await ask.get(f"/queue/{ids['grey']}/why"))["recipients"]
        assert (one["state"], one["by_operator"], one["told"]) == ("failed", True, "unknown")

    run(work)


def test_what_is_being_tried_is_left_alone() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net", "b@example.org")
        (batch,) = await house.spool.take(message_id, [0], NOW, 60.0)
        done = await ask.act("drop", ids=[message_id])
        assert (done["recipients"], done["busy"]) == (1, 1)
        assert await states(house, message_id) == ["queued", "failed"]
        assert batch.message.recipients[0].number == 0

    run(work)


def test_no_more_is_touched_than_was_agreed_to() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        await filled(house)
        said = await ask.act_refused(409, action="drop", all=True, at_most=4)
        assert "5 recipients match now, not 4" in said
        assert (await ask.get("/queue"))["matching"]["recipients"] == 5
        assert (await ask.act("drop", all=True, at_most=5))["recipients"] == 5

    run(work)


def test_what_came_after_a_dry_run_is_left_alone() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        gone = await house.put("a@example.net", ago=2 * HOUR)
        would = await ask.act("drop", all=True, dry_run=True)
        await house.tried(gone, TAKEN, Outcome.DELIVERED)
        house.clock.now += HOUR
        await house.put("b@example.net", ago=10.0)
        agreed = {"at_most": would["recipients"], "as_of": would["at"]}
        assert (await ask.act("drop", all=True, **agreed))["recipients"] == 0
        await house.put("c@example.net", ago=2 * HOUR)  # not three hours old when they were counted
        older = await ask.act("drop", filter={"older": "7200"}, **agreed)
        assert older["recipients"] == 0
        assert (await ask.get("/queue"))["matching"]["recipients"] == 2

    run(work)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"action": "drop", "all": True, "as_of": "yesterday"}, "`as_of` must be a moment with its zone"),
        ({"action": "drop", "all": True, "as_of": "2026-11-24T05:31:46"}, "`as_of` must be a moment with its zone"),
        ({"action": "drop", "as_of": "2026-11-24T05:31:46Z"}, "nothing says which messages are meant"),
        ({"action": "flush", "all": True}, "no action `flush` known: retry, hold"),
        ({"all": True}, "no action ``"),
        ({"action": "retry"}, "nothing says which messages are meant"),
        ({"action": "retry", "filter": {"state": "queued"}}, "nothing says which messages are meant"),
        ({"action": "retry", "all": "yes"}, "`all` must be true or false"),
        ({"action": "retry", "ids": "0-1"}, "`ids` must be a list"),
        ({"action": "retry", "ids": [""]}, "`ids` must be a list"),
        ({"action": "retry", "filter": {"to": 1}}, "`filter` must be an object of texts"),
        ({"action": "retry", "filter": {"subject": "x"}}, "no filter `subject`"),
        ({"action": "retry", "all": True, "at_most": True}, "`at_most` must be a whole number"),
        ({"action": "retry", "all": True, "force": True}, "no `force`"),
    ],
)
def test_an_action_that_is_not_clear_is_refused(body: dict[str, Any], said: str) -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        await filled(house)
        assert said in await ask.act_refused(400, **body)

    run(work)


def test_nobody_is_given_up_where_nothing_is_delivered() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        await house.put("a@example.net")
        assert "nobody can be told postroad queue drop" in await ask.act_refused(400, action="bounce", all=True)

    run(work, runner=False)


def test_nothing_is_changed_from_a_page_without_rights() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        await house.put("a@example.net")
        assert "a viewer may not do this" in await ask.act_refused(403, action="drop", all=True)
        assert (await ask.get("/queue"))["matching"]["recipients"] == 1

    run(work, control=False, dev=False, entry=Everybody(Role.VIEWER))


# ── the journal ─────────────────────────────────────────────────────────────


def test_the_journal_newest_last_and_narrowed_to_who_was_asked_for() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        ids = await filled(house)
        page = await ask.get("/log")
        assert [(one["to"], one["outcome"]) for one in page["entries"]] == [
            ("kana@example.net", "deferred"), ("bob@example.net", "deferred"), ("bob@example.org", "deferred"),
        ]  # fmt: skip
        assert [one["to"] for one in (await ask.get("/log", to="bob", limit=2))["entries"]] == [
            "bob@example.net", "bob@example.org",
        ]  # fmt: skip
        assert [one["to"] for one in (await ask.get("/log", code="421"))["entries"]] == ["bob@example.org"]
        assert [one["message"] for one in (await ask.get("/log", message=ids["rate"][-8:]))["entries"]] == [ids["rate"]]
        assert (await ask.get("/log", since="30"))["entries"] == []
        assert len((await ask.get("/log", since="90"))["entries"]) == 3
        behind = await ask.get("/log", after=page["next"] - 1)
        assert [one["to"] for one in behind["entries"]] == ["bob@example.org"]
        assert (await ask.get("/log", after=page["next"]))["entries"] == []
        assert "no message `zz`" in await ask.refused("/log", 404, message="zz")

    run(work)


def test_following_the_journal_misses_nothing() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        message_id = await house.put("a@example.net", "b@example.net")
        tip = (await ask.get("/log"))["next"]
        seen: list[str] = []

        async def follow() -> None:
            after = tip
            while len(seen) < 20:
                page = await ask.get("/log", after=after, wait=10, to="b@")
                seen.extend(one["to"] for one in page["entries"])
                after = page["next"]

        following = asyncio.ensure_future(follow())
        for turn in range(20):
            if turn % 3 == 0:
                await asyncio.sleep(0.001)
            await house.tried(message_id)
        await following
        assert seen == ["b@example.net"] * 20

    run(work)


def test_what_was_looked_at_is_not_looked_at_again() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        for _ in range(3):
            await house.tried(await house.put("a@example.net"))
        newest = (await ask.get("/log"))["next"]
        nothing = await ask.get("/log", after=0, to="nobody@")
        assert (nothing["entries"], nothing["next"]) == ([], newest)
        first = await ask.get("/log", after=0, to="a@", limit=1)
        assert first["next"] == first["entries"][0]["line"] < newest

    run(work)


def test_waiting_for_the_journal_ends() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        assert await ask.get("/log", after=0, wait="0.01") == {
            "schema": "postroad.log.page/1", "entries": [], "next": 0,
        }  # fmt: skip

    run(work)


def test_old_mail_is_found_by_its_age_alone() -> None:
    async def work(house: QueueHouse, ask: Asker) -> None:
        old = await house.put("a@example.net", ago=3 * DAY)
        await house.put("b@example.net", ago=DAY)
        done = await ask.act("drop", filter={"older": str(2 * DAY)})
        assert done["recipients"] == 1 and [one["id"] for one in done["examples"]] == [old]

    run(work)
