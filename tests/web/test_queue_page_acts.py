"""Acts from the page of the queue: exactly who was shown is touched, once somebody has said yes, and nobody else."""

from __future__ import annotations

import html

import httpx
import pytest

from postroad.envelope import Outcome
from tests.web.queue_house import DAY, GREYLISTED, HOUR, TAKEN
from tests.web.queue_pages import Desk, at_the_desk, command_of, rows


async def _three(desk: Desk) -> list[str]:
    """Three messages: with one, two and one recipient; none is due."""
    house = desk.house
    names = [
        await house.put("kana@example.net", ago=DAY),
        await house.put("bob@example.net", "eve@example.org", ago=2 * HOUR),
        await house.put("held@example.org", hold="no route"),
    ]
    for name in names[:2]:
        await house.tried(name, GREYLISTED)
    return names


async def _done(desk: Desk, asked: httpx.Response, **more: str) -> str:
    """Say yes; the page that follows."""
    assert asked.status_code == 200, asked.text
    answer = await desk.sure(asked.text, **more)
    assert answer.status_code == 303, answer.text
    return await desk.open(answer.headers["location"])


def test_only_the_ticked_recipient_is_tried() -> None:
    async def work(desk: Desk) -> None:
        _, two, _ = await _three(desk)
        page = await desk.open("/queue?to=example")
        assert rows(page)[1:3] == [f"{two}:0", f"{two}:1"]
        asked = await desk.ask(page, "retry", "ticked", [f"{two}:1"])
        assert "Try 1 recipient now?" in asked.text
        assert "eve@example.org" in asked.text
        assert "bob@" not in asked.text
        assert command_of(asked.text) == f"postroad queue retry --to eve@example.org --dry-run {two}"
        assert await desk.due() == set()
        after = await _done(desk, asked)
        assert 'role="status"' in after
        assert "1 recipient is tried now." in after
        assert 'id="result"' in after
        assert await desk.due() == {"eve@example.org"}
        assert desk.house.runner.probed == 1

    at_the_desk(work)


def test_what_the_command_cannot_say_is_told() -> None:
    async def work(desk: Desk) -> None:
        many = await desk.house.put("a@x.example", "a@x.example.org", "b@x.example", "c@x.example")
        page = await desk.open()
        asked = await desk.ask(page, "hold", "ticked", [f"{many}:0"])
        assert command_of(asked.text) == f"postroad queue hold --dry-run {many}"
        assert "it would touch other recipients" in asked.text
        asked = await desk.ask(page, "hold", "page")
        assert command_of(asked.text) == f"postroad queue hold --dry-run {many}"
        assert "it would touch other recipients" not in asked.text

    at_the_desk(work)


def test_all_on_the_page_and_no_more() -> None:
    async def work(desk: Desk) -> None:
        for number in range(60):
            await desk.house.put(f"u{number}@example.net")
        page = await desk.open()
        asked = await desk.ask(page, "hold", "page")
        assert "Hold 50 recipients?" in asked.text
        await _done(desk, asked, note="")
        states = await desk.states()
        assert [states[f"u{number}@example.net"] for number in range(60)] == ["held"] * 50 + ["queued"] * 10

    at_the_desk(work)


def test_all_that_match_and_what_came_later_is_left_alone() -> None:
    async def work(desk: Desk) -> None:
        house = desk.house
        await _three(desk)
        page = await desk.open("/queue?destination=example.org")
        asked = await desk.ask(page, "drop", "filter")
        assert "Drop 2 recipients and tell nobody?" in asked.text
        assert "This cannot be undone." in asked.text
        assert "for 1 destination" in asked.text
        assert command_of(asked.text) == "postroad queue drop --destination example.org --dry-run"
        house.clock.now += 60
        await house.put("later@example.org", ago=30)
        after = await _done(desk, asked)
        assert "2 recipients are dropped" in after
        assert set(await desk.states()) == {
            "kana@example.net",
            "bob@example.net",
            "eve@example.org",
            "later@example.org",
        }
        states = await desk.states()
        assert states["eve@example.org"] == "failed"
        assert states["later@example.org"] == "queued"

    at_the_desk(work)


def test_ages_are_those_of_the_page_that_was_agreed_to() -> None:
    async def work(desk: Desk) -> None:
        await desk.house.put("old@example.net", ago=3 * HOUR)
        await desk.house.put("young@example.net", ago=HOUR)
        asked = await desk.ask(await desk.open("/queue?older=2h"), "hold", "filter")
        desk.house.clock.now += 2 * HOUR
        await _done(desk, asked)
        assert await desk.states() == {"old@example.net": "held", "young@example.net": "queued"}

    at_the_desk(work)


def test_more_than_was_agreed_to_is_asked_again() -> None:
    async def work(desk: Desk) -> None:
        house = desk.house
        (first, *_) = await _three(desk)
        asked = await desk.ask(await desk.open("/queue?state=held"), "release", "filter")
        assert "Release 1 recipient?" in asked.text
        await house.admin.queue_actions.act("hold", (await _filter(desk, first)))
        answer = await desk.sure(asked.text)
        assert answer.status_code == 409
        assert "You agreed to 1, but 2 match now." in answer.text
        assert (await desk.states())["held@example.org"] == "held"
        assert "2 recipients are released" in await _done(desk, httpx.Response(200, text=answer.text))
        assert set((await desk.states()).values()) == {"queued"}

    at_the_desk(work)


async def _filter(desk: Desk, message_id: str):  # type: ignore[no-untyped-def]
    from postroad.admin.queue_filter import picked
    from postroad.envelope import MessageId

    return picked([(MessageId(message_id), 0)])


def test_a_bounce_tells_and_carries_the_note() -> None:
    async def work(desk: Desk) -> None:
        first, *_ = await _three(desk)
        asked = await desk.ask(await desk.open(), "bounce", "ticked", [f"{first}:0"])
        assert "Give up 1 recipient and tell the sender?" in asked.text
        assert 'name="note"' in asked.text
        after = await _done(desk, asked, note="moved\naway")
        assert "1 recipient is given up" in after
        assert desk.house.runner.asked == [(first, [0], "given up by the operator: moved away")]

    at_the_desk(work)


def test_where_nobody_is_told_nothing_is_bounced() -> None:
    async def work(desk: Desk) -> None:
        await _three(desk)
        page = await desk.open()
        assert 'value="bounce"' not in page
        assert "Nobody is told anything in development mode" in page
        assert "開発モードでは" in await desk.open("/queue?lang=ja")
        answer = await desk.ask(page, "bounce", "filter")
        assert answer.status_code == 400

    at_the_desk(work, runner=False)


def test_nothing_ticked_changes_nothing() -> None:
    async def work(desk: Desk) -> None:
        await _three(desk)
        answer = await desk.ask(await desk.open("/queue?to=example"), "drop", "ticked")
        assert answer.headers["location"] == "/queue?to=example&done=none"
        assert "No row was ticked" in await desk.open(answer.headers["location"])
        assert "failed" not in (await desk.states()).values()

    at_the_desk(work)


def test_what_went_meanwhile_is_said() -> None:
    async def work(desk: Desk) -> None:
        first, *_ = await _three(desk)
        page = await desk.open()
        asked = await desk.ask(page, "hold", "ticked", [f"{first}:0"])
        await desk.house.tried(first, TAKEN, Outcome.DELIVERED)
        assert "Nothing matched any longer" in await _done(desk, asked)
        again = await desk.ask(page, "hold", "ticked", [f"{first}:0"])
        assert "Nothing would be affected" in again.text
        assert '<form class="sure"' not in again.text
        assert not command_of(again.text)
        released = await desk.ask(page, "release", "ticked", rows(page)[:1])
        assert "Only mail that is on hold can be released." in released.text

    at_the_desk(work)


def test_everything_says_so_in_a_terminal() -> None:
    async def work(desk: Desk) -> None:
        await _three(desk)
        asked = await desk.ask(await desk.open(), "retry", "filter")
        assert command_of(asked.text) == "postroad queue retry --all --dry-run"
        assert "Try 3 recipients now?" in asked.text

    at_the_desk(work)


def test_forms_of_others_are_refused() -> None:
    async def work(desk: Desk) -> None:
        first, *_ = await _three(desk)
        fields = [("action", "drop"), ("scope", "ticked"), ("row", f"{first}:0"), ("at_most", "9"), ("as_of", "1")]
        for path in ("/queue/actions", "/queue/actions/sure"):
            assert (await desk.send(path, fields)).status_code == 403
            assert (await desk.send(path, [*fields, ("token", "0" * 80)])).status_code == 403
            assert (await desk.client.get(path)).headers["location"] == "/queue"
        assert "failed" not in (await desk.states()).values()

    at_the_desk(work)


@pytest.mark.parametrize(
    "change",
    [
        {"action": "burn"},
        {"scope": "world"},
        {"row": "../../x"},
        {"row": "0-a:-1"},
        {"at_most": ""},
        {"at_most": "-1"},
        {"as_of": "soon"},
        {"as_of": "1e9"},
        {"scope": "filter", "code": "abc"},
    ],
)
def test_forms_that_are_bent_change_nothing(change: dict[str, str]) -> None:
    async def work(desk: Desk) -> None:
        first, *_ = await _three(desk)
        asked = await desk.ask(await desk.open(), "drop", "ticked", [f"{first}:0"])
        form = asked.text[asked.text.index('<form class="sure"') :]
        from tests.web.queue_pages import hidden

        fields = [(name, value) for name, value in hidden(form[: form.index("</form>")]) if name not in change]
        answer = await desk.send("/queue/actions/sure", [*fields, *change.items()])
        assert answer.status_code == 400, html.unescape(answer.text)
        assert "failed" not in (await desk.states()).values()

    at_the_desk(work)


def test_results_are_told_safely() -> None:
    async def work(desk: Desk) -> None:
        assert "12 recipients are tried now. 2 more are being tried" in await desk.open(
            "/queue?done=retry&changed=12&busy=2"
        )
        assert "今すぐ再試行します" in await desk.open("/queue?done=retry&changed=1&lang=ja")
        assert 'id="result"' not in await desk.open("/queue?done=%3Cscript%3E&changed=1")
        await desk.open("/queue?done=retry&changed=many", 400)

    at_the_desk(work)
