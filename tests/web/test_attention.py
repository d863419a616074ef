"""What needs the operator: found in the queue, in what was heard, in the machine; bounded, in order, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from postroad.admin.attention import KINDS, MOST, SEVERITIES, Attention, Need
from postroad.admin.health import Health
from postroad.envelope import Outcome
from postroad.replies import EnhancedStatus, Reply
from postroad.web.pages import needs
from postroad.web.pages.wording import Wording
from tests.web.queue_house import DAY, GREYLISTED, HOUR, RATE_LIMITED, UNKNOWN, QueueHouse

HOSTILE = "<img src=x onerror=alert(1)>\u202e.example"
REFUSED = Reply(550, "Message refused", EnhancedStatus(5, 7, 1))


def looked(furnish: Callable[[QueueHouse], Awaitable[None]], **options: Any) -> Attention:
    async def inside() -> Attention:
        house = QueueHouse(**options)
        await furnish(house)
        return await house.admin.attention.now()

    return asyncio.run(inside())


async def _tried_before(house: QueueHouse, ago: float, *to: str, **attempt: Any) -> None:
    message = await house.put(*to, ago=ago + 60)
    now, house.clock.now = house.clock.now, house.clock.now - ago
    await house.tried(message, due=ago + DAY, **attempt)
    house.clock.now = now


def kinds(found: Attention) -> list[tuple[str, str, str]]:
    return [(one.kind, one.severity, one.subject) for one in found.needs]


def test_an_empty_house_needs_nobody() -> None:
    async def nothing(house: QueueHouse) -> None:
        pass

    found = looked(nothing)
    assert (found.needs, found.more) == ((), 0)


def test_a_destination_that_only_greylists_for_now_is_left_alone() -> None:
    async def furnish(house: QueueHouse) -> None:
        await _tried_before(house, 600, "kana@example.net")

    assert looked(furnish).needs == ()


def test_destinations_that_take_nothing_are_told_with_reply_and_since() -> None:
    async def furnish(house: QueueHouse) -> None:
        for number in range(2):
            await _tried_before(house, 5 * HOUR, f"u{number}@slow.example", reply=GREYLISTED)
        await _tried_before(house, HOUR, "a@busy.example", reply=RATE_LIMITED)
        await _tried_before(house, HOUR, "a@dead.example", reply=None, note="connection refused")
        for number in range(3):
            await _tried_before(house, HOUR, f"u{number}@refuses.example", reply=REFUSED, outcome=Outcome.FAILED)
            await _tried_before(house, HOUR, f"u{number}@typos.example", reply=UNKNOWN, outcome=Outcome.FAILED)

    found = looked(furnish)
    assert kinds(found) == [
        ("defers", "urgent", "slow.example"),
        ("unreachable", "soon", "dead.example"),
        ("refuses", "soon", "refuses.example"),
        ("defers", "soon", "busy.example"),
        ("refuses", "note", "typos.example"),
    ]
    slow = found.needs[0]
    assert (slow.count, slow.reply, slow.href) == (2, GREYLISTED, "/destinations/slow.example")
    assert slow.since is not None
    assert found.at - slow.since == pytest.approx(5 * HOUR + 60)
    assert found.needs[1].note == "connection refused"


def test_a_destination_that_took_something_since_is_well_again() -> None:
    async def furnish(house: QueueHouse) -> None:
        await _tried_before(house, 2 * HOUR, "a@example.net")
        await _tried_before(house, HOUR, "b@example.net", reply=Reply(250, "ok"), outcome=Outcome.DELIVERED)

    assert looked(furnish).needs == ()


def test_mail_that_waits_for_long_is_held_or_will_be_given_up() -> None:
    async def furnish(house: QueueHouse) -> None:
        await house.put("old@example.com", ago=4.5 * DAY)
        await house.put("new@example.com", ago=60)
        await house.put("a@example.org", "b@example.org", hold="by the policy")

    found = looked(furnish)
    assert kinds(found) == [("expiring", "urgent", ""), ("held", "soon", ""), ("oldest", "soon", "example.com")]
    expiring, held, oldest = found.needs
    assert (expiring.count, held.count, oldest.count) == (1, 2, 1)
    assert held.note == "by the policy"
    assert expiring.href.startswith("/queue?state=queued&older=")


@pytest.mark.parametrize(
    ("health", "wanted"),
    [
        (Health(), []),
        (Health(100 << 30, 200 << 30, None), []),
        (Health(1 << 30, 200 << 30, None), [("storage", "soon")]),
        (Health(1 << 20, 200 << 30, None), [("storage", "urgent")]),
        (Health(certificate_ends=22 * DAY), []),
        (Health(certificate_ends=20 * DAY), [("certificate", "soon")]),
        (Health(certificate_ends=DAY), [("certificate", "urgent")]),
        (Health(certificate_ends=-1.0), [("certificate_ended", "urgent")]),
    ],
)
def test_storage_and_certificate(health: Health, wanted: list[tuple[str, str]]) -> None:
    async def furnish(house: QueueHouse) -> None:
        ends = health.certificate_ends
        moment = None if ends is None else house.clock.now + ends
        house.admin.health._measure = lambda: Health(health.free_octets, health.disk_octets, moment)

    assert [(one.kind, one.severity) for one in looked(furnish).needs] == wanted


def test_needs_are_bounded_and_the_rest_is_counted() -> None:
    async def furnish(house: QueueHouse) -> None:
        for number in range(MOST + 5):
            await _tried_before(house, HOUR, f"a@d{number}.example")

    found = looked(furnish)
    assert (len(found.needs), found.more) == (MOST, 5)


def test_what_was_found_is_kept_for_a_moment() -> None:
    async def work() -> None:
        house = QueueHouse()
        desk = house.admin.attention
        assert (await desk.now()).needs == ()
        await house.admin.conditions_set("SIZE", "the disk moves")
        assert (await desk.now()).needs == ()
        house.clock.now += 3
        assert [one.kind for one in (await desk.now()).needs] == ["condition"]

    asyncio.run(work())


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_and_no_markup_of_a_peer(language: str, kind: str) -> None:
    say = Wording(language, lambda: 1_800_000_000.0)
    for count in (0, 1, 5_000):
        need = Need(
            kind, SEVERITIES[0], "/", HOSTILE, count, 1.8e9, 1.8e9, Reply(550, "no <b>" + "x" * 400), octets=1 << 20
        )
        sentence, words = needs.sentence(need, say), needs.words(need, say)
        assert "<img" not in sentence
        assert "\u202e" not in sentence + words
        assert "{" not in sentence + words
        assert "550 no <b>" in words
        assert len(needs.told(need, say)) <= 160
        assert needs.action(need, say)


@pytest.mark.parametrize(("language", "word"), [("en", "recipients wait"), ("ja", "待機中")])
def test_the_api_tells_them_in_words(language: str, word: str) -> None:
    async def work() -> None:
        house = QueueHouse()
        for number in range(2):
            await _tried_before(house, HOUR, f"u{number}@example.net")
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8025") as client:
            answer = await client.get("/api/v1/attention", params={"lang": language})
            assert (await client.get("/api/v1/attention", params={"what": "1"})).status_code == 400
        shape = answer.json()
        (need,) = shape["needs"]
        assert (shape["schema"], shape["more"]) == ("postroad.attention/1", 0)
        assert (need["kind"], need["severity"], need["subject"], need["count"]) == ("defers", "soon", "example.net", 2)
        assert need["reply"]["code"] == 451
        assert word in need["words"]

    asyncio.run(work())
