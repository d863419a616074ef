"""The pages of the queue: lists, filters, groups, the shape; hostile text, both languages, who may see what."""

from __future__ import annotations

import html
import re
import shlex
from typing import Any

import pytest

from postroad.admin.queue_filter import FIELDS
from postroad.admin.queue_shape import AGES
from postroad.cli import queue as cli_queue
from postroad.replies import EnhancedStatus, Reply
from postroad.web.door.people import Role
from postroad.web.pages.queue_asked import command, read_asked
from tests.web.house import Everybody
from tests.web.queue_house import DAY, GREYLISTED, HOUR, NOW, RATE_LIMITED
from tests.web.queue_pages import Desk, at_the_desk, command_of, rows

HOSTILE = '"<img src=x onerror=alert(1)>\u202e{{7*7}}"@evil.example'
HOSTILE_REPLY = Reply(451, "<script>alert(1)</script>\u202e", EnhancedStatus(4, 3, 99))


def test_a_list_of_who_waits() -> None:
    async def work(desk: Desk) -> None:
        house = desk.house
        first = await house.put("kana@example.net", ago=3 * HOUR)
        await house.tried(first, GREYLISTED)
        await house.put("new@example.org", sender="", ago=40)
        await house.put("here@example.com", hold="no route")
        third = await house.put("x@dead.example")
        await house.tried(third, None, note="the connection ended at RCPT")
        house.rests["dead.example"] = NOW + HOUR
        page = await desk.open()
        assert "Showing 4 of 4 recipients for 4 destinations" in " ".join(page.split())
        assert f'href="/message/{first}"' in page
        assert f'title="{first}"' in page
        assert "451 4.7.1" in page
        assert "Greylisted" in page
        assert 'href="/en/codes/451"' in page
        assert "in 11 min" in page
        assert "not tried yet" in page
        assert "on hold" in page
        assert "no route" in page
        assert "rests until" in page
        assert "the connection ended" in page
        assert "&lt;&gt;" in page  # the sender of a report
        assert page.index("kana@") < page.index("new@") < page.index("here@") < page.index("x@dead")

    at_the_desk(work)


def test_an_empty_queue() -> None:
    async def work(desk: Desk) -> None:
        assert "Nothing waits." in await desk.open()
        assert "待っているメールはありません" in await desk.open("/queue?lang=ja")
        assert "Nothing matches" in await desk.open("/queue?to=nobody")
        for path in ("/queue?by=destination", "/queue?by=reply", "/queue/shape", "/queue/shape?state=held"):
            assert "Nothing" in await desk.open(path)

    at_the_desk(work)


def test_every_filter_narrows() -> None:
    async def work(desk: Desk) -> None:
        house = desk.house
        old = await house.put("kana@example.net", sender="news@example.com", ago=DAY)
        await house.tried(old, GREYLISTED)
        full = await house.put("bob@sub.example.org", ago=2 * HOUR)
        await house.tried(full, RATE_LIMITED)
        await house.put("eve@example.org", ago=60, hold="no route")
        for query, found in {
            "to=KANA": {"kana"},
            "to=%40example": {"kana", "eve"},
            "from=news%40": {"kana"},
            "destination=*.example.org": {"bob"},
            "code=4.7.*": {"kana", "bob"},
            "code=421+4.7.0": {"bob"},
            "reason=greylisted": {"kana"},
            "state=held": {"eve"},
            "state=deferred": {"kana", "bob"},
            "state=deferred,held": {"kana", "bob", "eve"},
            "older=3h": {"kana"},
            "older=3600": {"kana", "bob"},
            f"id={old}": {"kana"},
            f"id={old[-8:]}&id={full}": {"kana", "bob"},
            "code=4*&older=90m&to=b": {"bob"},
        }.items():
            page = await desk.open(f"/queue?{query}")
            shown = set(re.findall(r"<bdi>(kana|bob|eve)@", page))
            assert shown == found, query

    at_the_desk(work)


def test_what_is_looked_for_one_by_one_is_not_counted() -> None:
    async def work(desk: Desk) -> None:
        for number in range(52):
            await desk.house.tried(await desk.house.put(f"u{number}@example.net"))
        for query in ("state=deferred", "reason=greylisted"):
            page = await desk.open(f"/queue?{query}")
            assert "Showing 50 recipients." in page
            assert "not counted in advance" in page
            assert "all that match" in page
            assert (await desk.ask(page, "hold", "filter")).text.count("Hold 52 recipients?") == 2

    at_the_desk(work)


def test_an_address_is_without_empty_fields() -> None:
    async def work(desk: Desk) -> None:
        answer = await desk.client.get("/queue?to=a%40b&from=&code=&state=held&reason=")
        assert (answer.status_code, answer.headers["location"]) == (303, "/queue?to=a%40b&state=held")
        answer = await desk.client.get("/queue?to=&from=")
        assert answer.headers["location"] == "/queue"

    at_the_desk(work)


@pytest.mark.parametrize(
    ("query", "field", "what"),
    [
        ("code=abc", "code", "Write 451, 4*, 4.7.* or 451 4.7.1."),
        ("code=4*1", "", ""),
        ("older=soon", "older", "Write 90s, 30m, 2h or 3d."),
        ("older=999999999d", "older", "Write 90s"),
        ("reason=nonsense", "reason", "There is no such reason."),
        ("state=lost", "state", "There is no such state."),
        ("state=deferred,failed", "state", "deferred goes with held only"),
    ],
)
def test_a_bad_filter_is_told_beside_its_field(query: str, field: str, what: str) -> None:
    async def work(desk: Desk) -> None:
        await desk.house.put("kana@example.net")
        if not field:
            await desk.open(f"/queue?{query}&to=kana")
            return
        page = await desk.open(f"/queue?{query}&to=kana", 400)
        assert f'aria-describedby="fault-{field}"' in page
        assert what in page
        assert 'value="kana"' in page
        assert html.escape(query.partition("=")[2]) in page
        assert "kana@example.net" not in page
        assert '<form id="act"' not in page
        assert not command_of(page)
        assert "直すまで何も表示しません" in await desk.open(f"/queue?{query}&lang=ja", 400)

    at_the_desk(work)


@pytest.mark.parametrize("query", ["colour=red", "by=sender", "after=x", "lang=en&code=451&x=1"])
def test_words_that_are_none_are_refused(query: str) -> None:
    async def work(desk: Desk) -> None:
        await desk.open(f"/queue?{query}", 400)
        await desk.open("/queue/shape?state=lost", 400)

    at_the_desk(work)


def test_pages_follow_each_other() -> None:
    async def work(desk: Desk) -> None:
        for number in range(120):
            await desk.house.put(f"u{number}@example.net")
        seen: list[str] = []
        path, pages = "/queue?to=u", 0
        while path:
            page = await desk.open(path)
            pages += 1
            seen += re.findall(r"<bdi>(u[0-9]+)@", page)
            assert "of 120 recipients for 1 destination" in page
            assert ('data-live="accepted settled queue"' in page) == (pages == 1)
            assert ('href="/queue?to=u">First page' in page) == (pages > 1)
            found = re.search(r'rel="next" href="([^"]+)"', page)
            path = html.unescape(found[1]) if found else ""
        assert (pages, seen) == (3, [f"u{number}" for number in range(120)])

    at_the_desk(work)


def test_groups_lead_to_what_is_in_them() -> None:
    async def work(desk: Desk) -> None:
        house = desk.house
        for number in range(3):
            await house.tried(await house.put(f"u{number}@example.net", ago=HOUR), GREYLISTED)
        await house.tried(await house.put("a@b.example"), None, note="connect: timed out")
        await house.put("held@c.example", hold="no route")
        page = await desk.open("/queue?by=destination&older=1m")
        links = [html.unescape(one) for one in re.findall(r'<th scope="row"[^>]*><div><a href="([^"]+)"', page)]
        assert links[0] == "/queue?older=1m&destination=example.net"
        assert len(links) == 3
        assert len(rows(await desk.open(links[0]))) == 3
        page = await desk.open("/queue?by=reply")
        assert "connect: timed out" in page
        assert 'href="/queue?code=451+4.7.1"' in page
        assert len(rows(await desk.open("/queue?code=451+4.7.1"))) == 3
        assert command_of(page) == "postroad queue list --by reply"
        assert "cannot be counted in groups" in await desk.open("/queue?by=reply&reason=greylisted", 400)

    at_the_desk(work)


def test_the_shape() -> None:
    async def work(desk: Desk) -> None:
        house = desk.house
        for minutes in (1, 6, 7, 30, 2000):
            await house.put(f"u{minutes}@example.net", ago=60.0 * minutes)
        await house.put("a@b.example", ago=60.0)
        await house.put("held@b.example", hold="no route", ago=60.0)
        shape = await house.admin.queue.shape()
        assert shape.whole.columns == (2, 2, 0, 1, 0, 0, 0, 0, 0, 1)
        assert [(one.destination, one.recipients) for one in shape.lines] == [("example.net", 5), ("b.example", 1)]
        assert shape.rest is None
        few = await house.admin.queue.shape(limit=1)
        assert few.rest is not None
        assert (few.destinations, few.rest.recipients, few.rest.columns) == (2, 1, (1, *([0] * len(AGES))))
        page = await desk.open("/queue/shape")
        href = "/queue?destination=example.net&state=queued&older=1280m"
        assert f'href="{html.escape(href)}"' in page
        assert re.findall(r"<bdi>(u[0-9]+)@", await desk.open(href)) == ["u2000"]
        held = await desk.open("/queue/shape?state=held")
        assert "1 recipient is on hold" in held
        assert "待機中の宛先 6 件" in await desk.open("/queue/shape?lang=ja")

    at_the_desk(work)


def test_hostile_text_stays_text() -> None:
    async def work(desk: Desk) -> None:
        house = desk.house
        await house.tried(await house.put(HOSTILE, sender=HOSTILE), HOSTILE_REPLY)
        await house.tried(await house.put(HOSTILE, sender=HOSTILE), None, note="<b>x</b>\u202e")
        await house.put(HOSTILE, sender=HOSTILE, hold="<i>\u202e")
        word = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE"
        pages = [
            await desk.open(),
            await desk.open("/queue?by=reply"),
            await desk.open("/queue?by=destination"),
            await desk.open("/queue/shape"),
            await desk.open(f"/queue?to={word}&from={word}&destination={word}"),
            await desk.open(f"/queue?code={word}&state={word}&reason={word}&older={word}", 400),
        ]
        page = pages[0]
        asked = await desk.ask(page, "drop", "ticked", rows(page))
        pages += [asked.text, (await desk.ask(page, "hold", "filter", note='"><b>')).text]
        for one in pages:
            assert "<script>alert" not in one
            assert "<img src=x" not in one
            assert "<b>x</b>" not in one
            assert "<i>" not in one
            assert '"><b>' not in one
            assert "\u202e" not in one
            assert "49" not in re.findall(r"<bdi>([^<]*)", one)
        assert "U+202E" in page
        # A terminal is not given what it cannot show.
        assert not command_of(pages[4])

    at_the_desk(work)


def test_who_only_looks_sees_no_boxes() -> None:
    async def work(desk: Desk) -> None:
        await desk.house.put("kana@example.net")
        page = await desk.open()
        assert "kana@example.net" in page
        assert 'type="checkbox"' not in page
        assert '<form id="act"' not in page
        token = re.search(r'name="token" value="([^"]+)"', page)
        fields = [("token", token[1] if token else ""), ("action", "drop"), ("scope", "filter")]
        for path in ("/queue/actions", "/queue/actions/sure"):
            assert (await desk.send(path, fields)).status_code == 403
        assert await desk.states() == {"kana@example.net": "queued"}

    at_the_desk(work, control=False, dev=False, entry=Everybody(Role.VIEWER))


def test_strangers_see_nothing() -> None:
    async def work(desk: Desk) -> None:
        await desk.house.put("kana@example.net")
        for path in ("/queue", "/queue/shape", "/queue/actions"):
            answer = await desk.client.get(path)
            assert "kana" not in answer.text
            assert answer.status_code in (303, 401)

    at_the_desk(work, control=False, dev=False, entry=Everybody(Role.NOBODY))


def test_japanese() -> None:
    async def work(desk: Desk) -> None:
        await desk.house.tried(await desk.house.put("kana@example.net"), GREYLISTED)
        page = await desk.open("/queue?lang=ja")
        assert '<html lang="ja">' in page
        for word in ("キュー", "宛先 1 件中 1 件を表示", "再試行待ち", "グレイリスティング", "同じ内容のコマンド"):
            assert word in page, word
        asked = await desk.ask(page, "bounce", "page")
        assert "1 件の配送を打ち切り、送信者に通知しますか" in (await desk.open("/queue?lang=ja")) + asked.text

    at_the_desk(work, language="ja")


# ── the same in a terminal ──────────────────────────────────────────────────


def _parsed(line: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command line would ask of the API."""
    heard: dict[str, Any] = {}

    class Source:
        stopped = False

        def __init__(self, server: object) -> None: ...

        def get(self, path: str, query: dict[str, Any], patience: float = 0.0) -> Any:
            heard.update(query)
            raise SystemExit(0)

        def act(self, body: dict[str, Any], patience: float) -> Any:
            heard.update({**body["filter"], "id": body["ids"], "all": body["all"], "dry_run": body.get("dry_run")})
            heard["action"] = body["action"]
            raise SystemExit(0)

    monkeypatch.setattr(cli_queue, "QueueSource", Source)
    words = shlex.split(line)
    assert words[:2] == ["postroad", "queue"]
    with pytest.raises(SystemExit) as ended:
        cli_queue.queue_command.main(words[2:])
    assert ended.value.code == 0, line
    return heard


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"to": "@example.net", "state": "held"},
        {"to": "it's $HOME `id` \\ \" ; rm -rf / #", "from": "--yes"},
        {"destination": "*.example.net", "code": "4.7.*", "older": "2h"},
        {"to": "-x", "code": "451 4.7.1", "reason": "greylisted", "older": "90"},
        {"to": "日本語@例え.jp", "older": "1.5d"},
    ],
)
def test_the_command_means_the_same(words: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from postroad.replies.catalogue import catalogue

    ids = ("0-abc", "-tail")
    asked = read_asked(words, ids, NOW, lambda: catalogue().rules)
    assert asked.wanted is not None
    heard = _parsed(command("list", asked.words, asked.ids), monkeypatch)
    again = read_asked(
        {name: heard[name] for name in FIELDS if name in heard}, heard["id"], NOW, lambda: catalogue().rules
    )
    assert again.wanted == asked.wanted
    assert set(again.wanted.ids) == set(ids)
    heard = _parsed(command("drop", asked.words, (), "--all", "--dry-run"), monkeypatch)
    assert (heard["action"], heard["dry_run"], heard["all"]) == ("drop", True, True)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[201~", "a\u202eb", "a\u200bb"])
def test_no_command_for_what_a_terminal_obeys(text: str) -> None:
    assert command("list", {"to": text}) == ""
    assert command("list", {}, [text]) == ""


def test_the_page_offers_the_command() -> None:
    async def work(desk: Desk) -> None:
        page = await desk.open("/queue?to=%40example.net&code=4*&older=2h")
        assert command_of(page) == "postroad queue list --to @example.net --code '4*' --older 2h"

    at_the_desk(work)
