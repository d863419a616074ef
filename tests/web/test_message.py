"""The page of one message over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from postroad.envelope import MessageId, Outcome, Step
from postroad.replies import EnhancedStatus, Reply
from postroad.web.door.people import Role
from postroad.web.texts import LANGUAGES, Texts
from tests.web.house import Everybody
from tests.web.queue_house import GREYLISTED, NO_RET, TAKEN, UNKNOWN, QueueHouse

TALK = """S: 220 mx.example.net ESMTP
C: EHLO relay.example
S: 250-mx.example.net
S: 250-PIPELINING
S: 250 DSN
C: MAIL FROM:<me@example.com>
S: 250 2.1.0 Ok
C: RCPT TO:<kana@example.net>
S: 451 4.7.1 Greylisting in action, please come back later"""
SCRIPT = "<img src=x onerror=alert(1)>"
Work = Callable[[QueueHouse, httpx.AsyncClient], Awaitable[None]]


def in_queue(work: Work, **options: Any) -> None:
    """Run ``work`` before a queue; options go to the house."""

    async def inside() -> None:
        house = QueueHouse(**{"dev": False, **options})
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8025") as client:
            await work(house, client)

    asyncio.run(inside())


async def page(client: httpx.AsyncClient, message_id: str, lang: str = "en", status: int = 200, **query: Any) -> str:
    answer = await client.get(f"/message/{message_id}", params={"lang": lang, **query})
    assert answer.status_code == status
    return answer.text


def heading(html: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert found is not None
    return unescape(re.sub(r"<[^>]+>", "", found[1]))


# ── the sentence ────────────────────────────────────────────────────────────


def test_a_message_that_waits_says_when_it_is_tried_and_when_its_sender_hears() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        await house.tried(waiting, transcript=TALK)
        assert heading(await page(client, waiting)).startswith(
            "Waiting; next try in 11 min; if it still fails, the sender will be told on "
        )
        said = heading(await page(client, waiting, "ja"))
        assert said.startswith("再試行待ち。次の試行は 11 分後。")
        assert "送信者へ通知します" in said

    in_queue(work)


def test_a_report_has_no_sender_who_could_be_told() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net", sender="")
        await house.tried(waiting)
        said = heading(await page(client, waiting))
        assert "tried until" in said
        assert "told" not in said

    in_queue(work)


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ((Outcome.FAILED, Outcome.DEFERRED, Outcome.DEFERRED), "1 of 3 failed; the sender was told; 2 of 3 waiting"),
        ((Outcome.DELIVERED, Outcome.DEFERRED, Outcome.DEFERRED), "Delivered to 1 of 3; 2 of 3 waiting"),
    ],
)
def test_recipients_that_stand_apart_are_counted(outcomes: tuple[Outcome, ...], said: str) -> None:
    replies = {Outcome.FAILED: UNKNOWN, Outcome.DEFERRED: GREYLISTED, Outcome.DELIVERED: TAKEN}

    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        mixed = await house.put("a@example.net", "b@example.net", "c@example.net")
        for number, outcome in enumerate(outcomes):
            await house.tried(mixed, replies[outcome], outcome, numbers=[number])
        assert heading(await page(client, mixed)).startswith(said)

    in_queue(work)


def test_what_is_delivered_is_told_from_the_journal() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        done = await house.put("a@example.net", "b@example.net", "c@example.net")
        await house.tried(done, TAKEN, Outcome.DELIVERED, transcript=TALK)
        html = await page(client, done)
        assert heading(html).startswith("Delivered to all 3")
        assert "action" not in re.findall(r'name="(\w+)"', html)
        assert "/inbox/" not in html.partition('<main id="content"')[2]

    in_queue(work)


def test_what_is_held_says_why_and_can_be_released() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        held = await house.put("a@example.net", hold="held by the operator: wait for Kana")
        html = await page(client, held)
        assert heading(html) == "On hold: held by the operator: wait for Kana"
        assert 'name="action" value="release"' in html
        assert 'name="action" value="retry"' not in html
        lost = await house.put("a@example.net", hold="no route")
        assert "no route leads to example.net" in heading(await page(client, lost))

    in_queue(work)


def test_what_an_operator_gave_up_says_so() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        given_up = await house.put("a@example.net", "b@example.net")
        await house.spool.hold(given_up, "held by the operator: wait", [1])
        await house.runner.give_up(given_up, [0], "given up by the operator: no answer")
        html = await page(client, given_up)
        assert "1 of 2 given up by an operator; the sender was told; 1 of 2 on hold" in heading(html)
        assert "An operator gave it up" in html
        assert "An operator held it" in html
        assert "The sender was told of the failure" in html
        assert "held by the operator: wait" in html

    in_queue(work)


# ── the timeline ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        (
            "en",
            ("Greylisted", "The server refuses the first attempt", "What is 451?", "451 or 450?", "GRL-01", "Who acts"),
        ),
        ("ja", ("グレイリスティング", "451 とは", "451 と 450 の違い", "GRL-01", "対応者")),
    ],
)
def test_every_reply_is_explained_where_it_was_said(lang: str, words: tuple[str, ...]) -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        await house.tried(waiting, transcript=TALK)
        html = await page(client, waiting, lang)
        talk = html.partition('<ol class="talk">')[2].partition("</ol>")[0]
        assert talk.count("<details") == 4  # greeting, EHLO of three lines, MAIL, RCPT
        assert talk.count("<details open") == 1
        assert all(word in talk for word in words), [word for word in words if word not in talk]
        assert f'href="/{lang}/codes/451"' in talk
        assert f'href="/{lang}/compare/450-vs-451"' in talk
        assert 'id="try-1"' in html

    in_queue(work)


def test_the_same_reply_again_is_folded_away() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        for _ in range(5):
            await house.tried(waiting, transcript=TALK)
            house.clock.now += 1_800
        html = await page(client, waiting)
        assert "tries 1–4: the same reply" in unescape(html)
        assert "×4" in html
        assert all(f'id="try-{number}"' in html for number in range(1, 6))
        assert html.count('class="talk"') == 1
        again = await page(client, waiting, **{"try": 2})
        assert again.count('class="talk"') == 2
        assert re.search(r'<details class="same" id="same-5" open', again)

    in_queue(work)


def test_silence_again_is_the_same_outcome() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        for _ in range(3):
            await house.tried(waiting, None, note="connection refused", stage="CONNECT", transcript="-- refused")
            house.clock.now += 1_800
        assert "tries 1–2: the same outcome" in unescape(await page(client, waiting))
        assert "試行 1–2：同じ結果" in await page(client, waiting, "ja")

    in_queue(work)


def test_a_delivery_into_a_mailbox_has_no_dialogue() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        done = await house.put("kana@example.net")
        await house.tried(done, None, Outcome.DELIVERED, route="maildir:/var/mail", host="", stage="")
        html = await page(client, done)
        assert heading(html).startswith("Delivered")
        assert "What was said" not in html

    in_queue(work)


def test_the_ladder_is_told_in_sentences() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net", mail="RET=HDRS")
        await house.tried(waiting, steps=(Step("omit", "MAIL", NO_RET, ("RET",)),))
        html = await page(client, waiting)
        assert (
            'left out RET, since MAIL was answered with <code lang="en" translate="no">455 4.5.4 RET temporarily unavailable</code>'
            in html
        )
        assert "RET を外しました" in await page(client, waiting, "ja")

    in_queue(work)


def test_the_delay_that_was_told_is_an_event() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        await house.tried(waiting, delay_told=True)
        assert "The sender was told of the delay" in await page(client, waiting)

    in_queue(work)


def test_how_it_came_in_is_shown_on_demand() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        assert "inbound=true" in await page(client, waiting)
        assert 'id="inbound"' in await page(client, waiting, inbound="true")

    in_queue(work)


def test_others_that_wait_with_the_same_reply_are_a_link_to_the_queue() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        await house.tried(waiting, transcript=TALK)
        for _ in range(3):
            await house.tried(await house.put("li@example.net"))
        html = await page(client, waiting)
        assert "All 4 waiting for example.net with this reply" in html
        (href, *_) = re.findall(r'href="(/queue\?[^"]+)"', html)
        assert unquote(unescape(href)) == "/queue?destination=example.net&code=451+4.7.1"

    in_queue(work)


# ── much, and hostile ───────────────────────────────────────────────────────


def test_what_strangers_wrote_stays_text() -> None:
    nasty = Reply(450, f"{SCRIPT} \u202eevil\u2066" + "A" * 100_000, EnhancedStatus(4, 2, 0))

    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put(f'"{SCRIPT}"@example.net', f"\u202e{'x' * 300}@example.net", sender=SCRIPT)
        said = f"-- {SCRIPT}\nS: 220 {SCRIPT}\nC: MAIL {SCRIPT}\nS: 250-{SCRIPT}\nS: 250 x\nS: {SCRIPT}\nS: {nasty}"
        await house.tried(waiting, nasty, host=f"\u202e{SCRIPT}", transcript=said)
        await house.spool.hold(waiting, f"{SCRIPT}\u202e", [0])
        for lang in LANGUAGES:
            html = await page(client, waiting, lang, inbound="true")
            assert "<img src=x" not in html
            assert not set("\u202e\u2066") & set(html)
            assert len(html) < 120_000

    in_queue(work)


def test_ten_thousand_recipients_are_grouped_and_bounded() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        many = await house.put(*(f"user{number}@example.net" for number in range(10_000)))
        await house.tried(many)
        html = await page(client, many)
        assert heading(html).startswith("All 10,000 waiting")
        assert "and 9,992 more" in html
        assert len(html) < 60_000
        last = await page(client, many, addresses=9_500)
        assert "user9999@example.net" in last
        assert "addresses=10000" not in last

    in_queue(work)


def test_many_destinations_are_pages() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        many = await house.put(*(f"kana@d{number}.example" for number in range(50)))
        html = await page(client, many)
        assert html.count('<div class="who">') == 20
        assert "recipients=20" in html
        assert "kana@d49.example" in await page(client, many, recipients=40)

    in_queue(work)


def test_two_thousand_tries_are_pages() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        for number in range(2_000):
            await house.tried(waiting, Reply(450, "a" * (number % 7)), transcript=TALK)
            house.clock.now += 700.0
        html = await page(client, waiting)
        assert html.count('<li class="try"') == 50
        assert html.count('class="talk"') == 16
        assert "before=1951" in html
        assert 'id="try-3"' in await page(client, waiting, **{"try": 3})
        assert "Accepted" in await page(client, waiting, before=20)
        assert len(html) < 150_000

    in_queue(work)


# ── finding it ──────────────────────────────────────────────────────────────


def test_a_part_of_an_id_leads_to_the_whole() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        for address in (f"/message/{waiting[-8:]}", f"/message?id={waiting[-8:]}", f"/message?id=%20{waiting}%20"):
            answer = await client.get(address)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/message/{waiting}")

    in_queue(work)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_part_of_several_shows_which(lang: str) -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        ids: list[MessageId] = [await house.put("kana@example.net") for _ in range(3)]
        html = await page(client, ids[0][:4], lang, 300)
        assert Texts(lang)("message.find.several") in html
        assert all(f'href="/message/{one}"' in html for one in ids)

    in_queue(work)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("part", ["zzz", SCRIPT, "x" * 500, "%00", "\u202e"])
def test_no_message_is_a_page_with_a_way_on(lang: str, part: str) -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        answer = await client.get("/message", params={"id": part, "lang": lang})
        assert answer.status_code == 404
        assert Texts(lang)("message.find.none") in answer.text
        assert "<img" not in answer.text.partition("<main")[2]
        assert "\u202e" not in answer.text

    in_queue(work)


def test_the_form_alone_is_a_page() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        answer = await client.get("/message")
        assert answer.status_code == 200
        assert '<input name="id"' in answer.text

    in_queue(work)


@pytest.mark.parametrize("query", ["before=x", "try=-1", "recipients=1e9", "inbound=perhaps", "colour=blue"])
def test_questions_that_make_no_sense_are_refused(query: str) -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        assert (await client.get(f"/message/{waiting}?{query}")).status_code == 400

    in_queue(work)


@pytest.mark.parametrize("query", ["before=0", "before=99999", "try=99999", "recipients=99999", "addresses=99999"])
def test_places_that_are_none_are_pages_all_the_same(query: str) -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        await house.tried(waiting)
        assert (await client.get(f"/message/{waiting}?{query}")).status_code == 200

    in_queue(work)


# ── acting ──────────────────────────────────────────────────────────────────


def test_buttons_name_the_message_and_carry_a_token() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net", "li@example.com")
        await house.tried(waiting, numbers=[0])
        html = await page(client, waiting)
        form = html.partition('<form class="acts"')[2].partition("</form>")[0]
        assert f'name="id" value="{waiting}"' in form
        assert 'name="token"' in form
        assert re.findall(r'name="action" value="(\w+)"', form) == ["retry", "hold", "bounce", "drop"]
        assert f'name="row" value="{waiting}:1"' in html

    in_queue(work)


def test_where_nobody_can_be_told_nothing_offers_it() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net")
        assert 'value="bounce"' not in await page(client, waiting)

    in_queue(work, runner=False)


def test_a_button_leads_to_the_question_and_the_answer_does_it() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net", "li@example.com")
        html = await page(client, waiting)
        fields = re.findall(
            r'<input type="hidden" name="(\w+)" value="([^"]*)"', html.partition('<form class="acts"')[2]
        )
        just_one = [*fields[:1], ("scope", "ticked"), ("row", f"{waiting}:1"), ("action", "hold")]
        asked = await _send(client, "/queue/actions", just_one)
        sure = asked.partition('action="/queue/actions/sure"')[2].partition("</form>")[0]
        await _send(client, "/queue/actions/sure", re.findall(r'name="(\w+)" value="([^"]*)"', sure))
        assert "1 of 2 on hold: an operator has held it" in heading(await page(client, waiting))

    in_queue(work)


async def _send(client: httpx.AsyncClient, path: str, fields: list[tuple[str, str]]) -> str:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post(path, content=str(httpx.QueryParams(fields)), headers=headers)
    assert answer.status_code in (200, 303)
    return answer.text


def test_who_only_looks_sees_neither_content_nor_buttons() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        waiting = await house.put("kana@example.net", "li@example.com")
        await house.tried(waiting, numbers=[0], transcript=TALK)
        html = await page(client, waiting)
        assert 'class="talk"' in html
        assert 'name="action"' not in html
        assert f"/inbox/{waiting}" not in html

    in_queue(work, control=False, dev=False, entry=Everybody(Role.VIEWER))
