"""What strangers write, in mail and in replies, gets nothing done in the browser of who reads it; and no other site does."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.async_api import expect

from tests.web.acceptance.eyes import Eyes, Record, sign_in
from tests.web.acceptance.flow import BIDI, HTML, SCRIPT, Flow
from tests.web.acceptance.pages import Tour

#: Every form that changes something: path and fields, filled from the flow.
ACTS = {
    "/queue/actions/sure": {
        "action": "drop",
        "scope": "filter",
        "to": "kana@later.example",
        "at_most": "99",
        "as_of": "9999999999",
    },
    "/queue/actions": {"action": "drop", "scope": "filter", "to": "kana@later.example"},
    "/conditions/set": {"parameter": "SIZE", "minutes": "10"},
    "/conditions/clear": {"parameter": "SIZE"},
    "/setup/check": {"domain": "ours.example"},
    "/settings/tokens/remove": {"name": "kept"},
    "/destinations/diagnose": {"destination": "later.example"},
    "/destinations/resume": {"destination": "later.example"},
    "/diagnose": {"address": "kana@later.example"},
    "/inbox/clear": {"to": "ours.example"},
    "/inbox/delete": {"id": "KANA"},
    "/inbox/KANA/delete": {},
    "/sign-out": {},
}


class _Site(http.server.BaseHTTPRequestHandler):
    """Another site: it writes down who comes, and its pages send forms to us."""

    visits: list[str]
    page: str

    def do_GET(self) -> None:
        self.visits.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.page.encode())

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def elsewhere(page: str = "") -> Iterator[tuple[str, list[str]]]:
    """Another site: its address, and who came."""
    visits: list[str] = []
    site = type("Site", (_Site,), {"visits": visits, "page": page})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", visits
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_html_of_a_mail_does_nothing(eyes: Eyes) -> None:
    flow, record = eyes.flow, Record()
    with elsewhere() as (trap, visits):
        flow.by_smtplib("trap@ours.example", HTML.replace("TRAP", trap).replace("\n", "\r\n").encode())
        id = flow.accepted("trap@ours.example")

        async def work() -> None:
            async with eyes.page(record=record) as page:
                popups: list[Any] = []
                page.context.on("page", lambda one: popups.append(one))
                for view in ("", "/html", "/text", "/headers", "/source"):
                    await page.goto(f"/inbox/{id}{view}")
                    await page.wait_for_load_state("networkidle")
                    assert await page.evaluate("window.pwned") is None, view
                await page.goto(f"/inbox/{id}/html")
                here, frame = page.url, page.frame_locator("iframe")
                await expect(frame.locator("h1")).to_have_text("Dear customer")
                for one in ("#js", "a[ping]", "button", "svg a"):
                    if await frame.locator(one).count():
                        await frame.locator(one).first.click(timeout=2_000, force=True, no_wait_after=True)
                await asyncio.sleep(0.5)
                assert page.url == here
                assert await page.evaluate("window.pwned") is None
                assert [one for one in popups if not one.is_closed()] == []
                await page.goto(f"/inbox/{id}/frame")  # without our frame around it
                await page.wait_for_load_state("networkidle")

        eyes.look(work)
        assert visits == []
    assert record.strangers(eyes.base) == []
    assert record.dialogs == []


def test_what_peers_say_is_only_text(eyes: Eyes) -> None:
    """In the text of a reply, a subject, a name: seen to the letter wherever it is shown, and never run."""
    ids = eyes.flow.ids
    shown = {
        f"/message/{ids['kana@no.example']}": SCRIPT,
        f"/message/{ids['gone@words.example']}": "<script>window.pwned=1</script>",
        f"/message/{ids['bidi@words.example']}": SCRIPT,
        "/queue?to=bidi@words.example": None,
        "/destinations/no.example": SCRIPT,
        "/destinations/words.example": SCRIPT,
        f"/inbox/{ids['html@ours.example']}": SCRIPT,
        "/inbox": SCRIPT,
        "/": None,
        "/sessions": None,
    }
    record = Record()

    async def work() -> None:
        async with eyes.page(record=record) as page:
            for path, text in shown.items():
                await page.goto(path)
                if text is not None:
                    await expect(page.locator("main")).to_contain_text(text)
                assert await page.evaluate("window.pwned") is None, path
                assert (
                    await page.locator("main [onerror], main [onload], main script:not([src]), main img[src=x]").count()
                    == 0
                ), path
                raw = "() => /[\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\u001b]/.test(document.documentElement.outerHTML)"
                assert not await page.evaluate(raw), f"{path} has control characters"
            await page.goto(f"/message/{ids['bidi@words.example']}")
            await expect(page.locator("main")).to_contain_text("U+202E")
            assert BIDI not in await page.content()

    eyes.look(work)
    assert record.console == []
    assert record.dialogs == []


def test_no_page_of_the_tour_was_taken_over(tour: Tour) -> None:
    assert tour.faults(lambda one: one.record.dialogs) == ""
    assert tour.faults(lambda one: [url for url in one.record.requests if url.endswith("/x")]) == ""


def _state(flow: Flow) -> Any:
    """All that a form could change."""
    rows = flow.server.get("/queue", limit=500)["recipients"]
    kept = flow.server.get("/inbox", limit=500)["messages"]
    conditions = flow.server.get("/conditions")
    return sorted((one["id"], one["number"], one["state"], one["attempts"]) for one in rows), len(kept), conditions


@pytest.mark.parametrize("site", ["other port", "other name", "null"])
def test_another_site_changes_nothing(eyes: Eyes, site: str) -> None:
    """Its forms arrive with the operator's cookie at best, and are refused all the same."""
    flow = eyes.flow
    kana = flow.ids["kana@ours.example"]
    forms = "".join(
        f'<form method="post" action="{eyes.base}{path.replace("KANA", kana)}">'
        + "".join(f'<input name="{name}" value="{value.replace("KANA", kana)}">' for name, value in fields.items())
        + "</form>"
        for path, fields in ACTS.items()
    )
    before = _state(flow)
    with elsewhere(f"<!doctype html><title>evil</title>{forms}") as (url, _):
        url = url.replace("127.0.0.1", "evil.localhost") if site == "other name" else url

        async def work() -> None:
            async with eyes.page() as page:
                await sign_in_anew(page)
                for number, path in enumerate(ACTS):
                    await page.goto("about:blank" if site == "null" else url)
                    if site == "null":
                        await page.goto(f"data:text/html,<!doctype html>{forms.replace('#', '%23')}")
                    async with page.expect_navigation() as going:
                        await page.evaluate(f"document.forms[{number}].submit()")
                    answer = await going.value
                    assert answer is not None
                    assert answer.status == 403, (path, answer.status)
                await page.goto("/queue")
                await expect(page.locator("form.person")).to_be_visible()  # still signed in

        async def sign_in_anew(page: Any) -> None:
            await page.context.clear_cookies()
            await sign_in(page, "operator")

        eyes.look(work)
    assert _state(flow) == before


def test_a_script_of_another_site_reads_and_writes_nothing(eyes: Eyes) -> None:
    flow = eyes.flow
    before = _state(flow)
    body = '{"action": "drop", "filter": {"to": "kana@later.example"}}'
    script = f"""async () => {{ const told = [];
      for (const [path, asked] of [["/queue", {{}}], ["/api/v1/queue", {{}}], ["/api/v1/queue/actions", {{method: "POST", body: '{body}'}}],
          ["/api/v1/queue/actions", {{method: "POST", body: '{body}', headers: {{"content-type": "application/json"}}}}]])
        for (const mode of ["cors", "no-cors"]) {{
          try {{ const answer = await fetch("{eyes.base}" + path, {{...asked, mode, credentials: "include"}}); told.push(answer.type + (await answer.text())); }}
          catch {{ told.push(""); }} }}
      return told; }}"""
    with elsewhere("<!doctype html><title>evil</title>") as (url, _):

        async def work() -> None:
            async with eyes.page() as page:
                await page.goto(url)
                told = await page.evaluate(script)
                assert set(told) <= {"", "opaque"}, told

        eyes.look(work)
    assert _state(flow) == before


def test_nobody_frames_our_pages(eyes: Eyes) -> None:
    with elsewhere(f'<!doctype html><iframe src="{eyes.base}/queue"></iframe>') as (url, _):

        async def work() -> None:
            async with eyes.page() as page:
                await page.goto(url)
                await page.wait_for_load_state("networkidle")
                assert "queue-rows" not in await page.frames[-1].content()

        eyes.look(work)


def test_a_name_that_is_not_ours_is_turned_away(eyes: Eyes) -> None:
    """DNS rebinding: a foreign name that leads to this address."""
    host, port = eyes.flow.server.web

    async def work() -> None:
        browser = await eyes.browser.browser_type.launch(
            executable_path=EXECUTABLE, args=["--no-sandbox", f"--host-resolver-rules=MAP rebind.example {host}"]
        )
        page = await browser.new_page()
        answer = await page.goto(f"http://rebind.example:{port}/sign-in")
        assert answer is not None
        assert answer.status == 421
        assert await page.locator("form").count() == 0
        await browser.close()

    eyes.look(work)


EXECUTABLE = "/usr/bin/chromium"


def test_cookies_tell_no_script_and_no_other_site(eyes: Eyes) -> None:
    async def work() -> None:
        async with eyes.context("operator") as context:
            page = await context.new_page()
            await page.goto("/?lang=ja")
            cookies = {one["name"]: one for one in await context.cookies()}
            assert set(cookies) == {"postroad_session", "lang"}
            for one in cookies.values():
                assert one["httpOnly"], one
                assert one["sameSite"] in ("Lax", "Strict"), one
                assert one["path"] == "/"
            assert await page.evaluate("document.cookie") == ""

    eyes.look(work)


def test_who_may_only_look_has_nothing_to_press(eyes: Eyes) -> None:
    flow = eyes.flow
    id = flow.ids["kana@later.example"]
    looks = [
        "/",
        "/queue",
        "/queue?by=destination",
        f"/message/{id}",
        "/destinations/later.example",
        "/inbox",
        "/sessions",
    ]
    looks += ["/conditions", "/setup", "/settings"]
    before = _state(flow)

    async def work() -> None:
        async with eyes.page("viewer") as page:
            for path in looks:
                answer = await page.goto(path)
                assert answer is not None
                assert answer.status == 200, path
                acts = await page.locator("main form[method=post]").evaluate_all("all => all.map(one => one.action)")
                assert acts == [], path
            token = await page.locator("form.person input[name=token]").get_attribute("value")
            for path, fields in ACTS.items():
                if path != "/sign-out":
                    where = path.replace("KANA", flow.ids["kana@ours.example"])
                    form = {
                        "token": token or "",
                        **{key: text.replace("KANA", flow.ids["kana@ours.example"]) for key, text in fields.items()},
                    }
                    refused = await page.request.post(where, form=form, headers={"origin": eyes.base})
                    assert refused.status == 403, (path, refused.status)
            for path in (
                f"/inbox/{flow.ids['kana@ours.example']}",
                f"/inbox/{flow.ids['kana@ours.example']}/raw",
                "/diagnose",
            ):
                answer = await page.goto(path)
                assert answer is not None
                assert answer.status == 403, path

    eyes.look(work)
    assert _state(flow) == before
