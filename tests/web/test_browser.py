"""The pages in a real browser: they work, they fit, new mail appears, and hostile mail gets nothing done.

POSTROAD_SHOTS=FOLDER keeps a picture of every page that is looked at.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from postroad.inbox.chaos import read_rule
from tests.web.browser import SHOTS, Visit, Window
from tests.web.house import House

ORDER = """\
From: =?utf-8?q?Postroad_B=C3=BCro?= <office@example.com>
To: =?utf-8?B?5bGx55Sw6Iqx5a2Q?= <kana@example.net>
Subject: =?utf-8?B?44GU5rOo5paH?= 4711 is on its way
Content-Type: multipart/mixed; boundary=o

--o
Content-Type: multipart/alternative; boundary=i

--i
Content-Type: text/plain; charset=utf-8

Hello Kana, follow your order: https://shop.example.com/track/4711?lang=ja
--i
Content-Type: text/html; charset=utf-8

<h1>On its way</h1><p>Hello <b>Kana</b></p><img alt="dot" src="cid:dot@x"><a href="https://shop.example.com/t">t</a>
--i--
--o
Content-Type: image/png; name="dot.png"
Content-Disposition: attachment; filename="dot.png"
Content-ID: <dot@x>
Content-Transfer-Encoding: base64

iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
--o--
""".replace("\n", "\r\n").encode()

SAID = """\
S: 220 dev.example ESMTP Postroad
C: EHLO laptop.example.com
S: 250-dev.example
S: 250 SMTPUTF8
C: MAIL FROM:<me@example.com> RET=HDRS
S: 455 4.5.4 Server unable to accommodate parameters just now, try again later
C: RCPT TO:<bob@example.com>
S: 503 5.5.1 Bad sequence of commands
-- the client hung up"""


def test_from_the_list_to_the_html_of_a_mail(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        await visiting.house.put(subject="another")
        await visiting.house.put(ORDER)
        visiting.house.session("s1")
        async with visiting.page() as page:
            await page.goto(visiting.base + "/inbox")
            await expect(page).to_have_title("Inbox · Postroad")
            await expect(page.locator(".mail li")).to_have_count(2)
            await page.locator(".mail .subject", has_text="4711 is on its way").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("ご注文 4711 is on its way")
            await expect(page.locator("pre.body")).to_contain_text("Hello Kana, follow")
            await page.get_by_role("link", name="HTML").click()
            frame = page.frame_locator("iframe")
            await expect(frame.get_by_role("heading")).to_have_text("On its way")
            await expect(frame.locator("img")).to_have_js_property("naturalWidth", 1)
            links = page.get_by_role("link", name="https://shop.example.com/")
            assert [await link.get_attribute("href") for link in await links.all()] == [
                "https://shop.example.com/t",
                "https://shop.example.com/track/4711?lang=ja",
            ]
            await page.get_by_role("link", name="Headers").click()
            await expect(page.locator("table.fields")).to_contain_text("Postroad Büro")
            await page.get_by_role("link", name="SMTP", exact=True).click()
            await expect(page.locator("ol.talk")).to_contain_text("EHLO client.example")
            await page.get_by_role("link", name="Session 127.0.0.1").click()
            await expect(page).to_have_title("Session s1 · Postroad")
            await page.go_back()
            async with page.expect_download() as download:
                await page.get_by_role("link", name="dot.png").click()
            assert (await download.value).suggested_filename == "dot.png"

    window.visit(work)


def test_with_the_keyboard_and_without_script(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        await visiting.house.put(subject="Press return")
        async with visiting.page(java_script_enabled=False) as page:
            await page.goto(visiting.base + "/inbox")
            await page.keyboard.press("Tab")
            assert "skip" in str(await page.locator(":focus").get_attribute("class"))
            await page.keyboard.press("Enter")
            await page.locator(".mail a").first.focus()
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/inbox/*")
            await expect(page.get_by_role("heading", level=1)).to_have_text("Press return")
            await page.goto(visiting.base + "/chaos")
            await page.get_by_label("Matches").fill("*@example.com")
            await page.get_by_label("Times").fill("2")
            await page.get_by_role("button", name="Add rule").click()
            await expect(page.locator("table.rows")).to_contain_text("455 4.5.4")
            await page.get_by_role("button", name="Remove").click()
            await expect(page.locator("main")).to_contain_text("There is no rule.")
            await page.goto(visiting.base + "/conditions")
            await page.get_by_role("combobox", name="Parameter").fill("smtputf8")
            await page.locator("select[name=minutes]").select_option("10")
            await page.get_by_role("button", name="Refuse for now").click()
            await expect(page.locator("table.rows")).to_contain_text("SMTPUTF8")
            await page.get_by_role("combobox", name="Parameter").fill("SMTPUTF")
            await page.get_by_role("button", name="Refuse for now").click()
            await expect(page.locator("main")).to_contain_text("did you mean `SMTPUTF8`?")
            await page.goto(visiting.base + "/inbox")
            await page.locator("main").get_by_text("Clear inbox").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("Delete every message?")
            await page.get_by_role("button", name="Delete", exact=True).click()
            await expect(page.locator("main")).to_contain_text("Waiting for the first mail")
        assert [each.rule.reply for each in visiting.house.chaos.list()] == []  # type: ignore[union-attr]
        assert set(visiting.house.conditions.unavailable()) == {"SMTPUTF8"}

    window.visit(work)


def test_new_mail_appears_by_itself(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        async with visiting.page() as page:
            await page.goto(visiting.base + "/inbox")
            await page.get_by_text("Waiting for the first mail").wait_for()
            await visiting.house.put(subject="the first")
            await page.locator(".mail li").first.wait_for()
            await page.locator(".mail a").first.focus()
            await visiting.house.put(subject="the second")
            await page.locator(".mail li").nth(1).wait_for()
            await expect(page.locator(".mail li").first).to_contain_text("the second")
            await expect(page.locator("#live-news")).to_have_text("New mail: the second")
            await expect(page.locator(":focus")).to_contain_text("the first")
            await expect(page.locator("#count")).to_have_text("2 messages · newest 500 are kept")

    window.visit(work)


HOSTILE = """\
<html><head><base href="{canary}/base/"><meta http-equiv="refresh" content="0;url={canary}/refresh">
<link rel="stylesheet" href="{canary}/style.css"><link rel="dns-prefetch" href="{canary}"><link rel="preconnect" href="{canary}">
<link rel="prefetch" href="{canary}/prefetch"><link rel="icon" href="{canary}/icon">
<style>@import "{canary}/import.css"; @font-face {{ font-family: x; src: url({canary}/font) }} body {{ background: url({canary}/back); font-family: x }}</style>
<script>parent.document.title = "owned"; alert(1); fetch("{canary}/fetch")</script><script src="{canary}/script.js"></script></head>
<body onload="alert(2)" background="{canary}/body"><p id="here">hostile but shown</p>
<p style="background: url('{canary}/styled'); list-style-image: url({canary}/list); cursor: url({canary}/cursor), auto">styled</p>
<p style="background-image: image-set(url({canary}/set) 1x, '{canary}/set2' 2x); content: url({canary}/content)">set</p>
<style>p::after {{ content: url({canary}/after) }} p {{ border-image: image-set('{canary}/border' 1x) }}</style>
<input type="image" src="{canary}/input"><svg width="9" height="9"><use href="{canary}/use.svg#x"/><image href="{canary}/svg"/></svg>
<object data="{canary}/object2"></object><embed src="{canary}/embed2"><iframe src="{canary}/iframe2"></iframe><video poster="{canary}/poster2"></video>
<img src="{canary}/img" onerror="alert(3)"><img src=x onerror="alert(4)" srcset="{canary}/srcset 1x"><svg onload="alert(5)"><image href="{canary}/svg"/></svg>
<iframe src="{canary}/frame"></iframe><iframe srcdoc="<script>alert(6)</script>"></iframe><object data="{canary}/object"></object>
<embed src="{canary}/embed"><video src="{canary}/video" autoplay poster="{canary}/poster"></video><audio src="{canary}/audio" autoplay></audio>
<form action="{canary}/form" method="post"><input name="a" value="b" autofocus onfocus="alert(7)"><button id="send">send</button></form>
<a id="js" href="javascript:alert(8)">js</a> <a id="out" href="{canary}/out" ping="{canary}/ping" target="_top">out</a>
<a id="new" href="{canary}/new" target="_blank">new</a><details open ontoggle="alert(9)">x</details></body></html>
"""


def test_hostile_html_runs_nothing_and_loads_nothing(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        reached: list[str] = []  # connections
        loaded: list[bytes] = []  # requests

        async def on_reach(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.append("connected")
            loaded.append(await reader.readline())
            writer.close()

        canary = await asyncio.start_server(on_reach, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{canary.sockets[0].getsockname()[1]}"
        body = HOSTILE.format(canary=address).replace("\n", "\r\n")
        message_id = await visiting.house.put(f"Subject: x\r\nContent-Type: text/html\r\n\r\n{body}".encode())
        for script in (True, False):
            async with visiting.page(java_script_enabled=script) as page:
                await page.goto(f"{visiting.base}/inbox/{message_id}/html")
                frame = page.frame_locator("iframe")
                await frame.locator("#here").wait_for()
                await page.wait_for_timeout(200)
                assert reached == []
                for link in ("#js", "#new", "#send", "#out"):
                    await frame.locator(link).click(force=True)
                await page.wait_for_timeout(200)
                assert page.url == f"{visiting.base}/inbox/{message_id}/html"
                assert await page.title() == "x · Postroad"
                assert await frame.locator("#here").inner_text() == "hostile but shown"
                assert len(page.context.pages) == 1
                reached.clear()  # a click may open a connection, but nothing goes over it
                await page.goto(f"{visiting.base}/inbox/{message_id}/frame")
                await page.locator("#here").wait_for()
                await page.wait_for_timeout(200)
                assert reached == []
        canary.close()
        assert set(loaded) <= {b""}

    window.visit(work)


def test_hostile_words_stay_words(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        words = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202e'
        message_id = await visiting.house.put(
            f"Subject: {words}\r\nFrom: {words}\r\nX: {words}\r\n\r\n{words}".encode(), hello=words, peer=words
        )
        visiting.house.session(
            "s1", hello=words, refusals=(f"550 {words}",), transcript=f"C: EHLO {words}\nS: 550 {words}"
        )
        assert visiting.house.chaos is not None
        visiting.house.chaos.add(read_rule({"to": words, "reply": 550, "text": words}))
        visiting.house.conditions.set("SIZE", words)
        async with visiting.page() as page:
            for path in paths(message_id, "s1"):
                await page.goto(visiting.base + path)
                assert await page.locator("[onerror], img:not([src^='/static/'])").count() == 0
                assert await page.evaluate(
                    """[...document.scripts].every(e => e.type === "application/json" || (e.src.startsWith(origin) && !e.textContent))"""
                )
                if "html" not in path and path != "/":
                    assert "alert(1)" in await page.locator("main").inner_text()

    window.visit(work)


def paths(message_id: str, session_id: str) -> list[str]:
    views = [f"/inbox/{message_id}/{view}" for view in ("html", "text", "headers", "source", "session")]
    return ["/", "/inbox", *views, "/sessions", f"/sessions/{session_id}", "/chaos", "/conditions"]


async def furnish(house: House) -> list[str]:
    """Mail, sessions, rules and conditions of every kind; gives the paths of all pages."""
    long = "A rather long subject line that certainly will not fit into the column that it has been given here"
    for number, subject in enumerate(
        ("Welcome", long, "", "x" * 300, "\u202etxt.exe invoice", "ご注文ありがとうございます" * 5)
    ):
        to = (
            ("kana@example.net", "bob@example.org", "third@example.org") if number % 2 else (f"{'u' * 60}@example.net",)
        )
        await house.put(subject=subject, to=to, sender="" if number == 2 else "noreply@shop.example.com")
    message_id = await house.put(ORDER)
    house.session("s0")
    house.session("s1", messages=(message_id,))
    refused = ("455 4.5.4 Server unable to accommodate parameters just now, try again later", "503 5.5.1 Bad sequence")
    house.session("s2", refusals=refused, transcript=SAID, hello="h" * 200)
    if house.chaos is not None:
        house.chaos.add(read_rule({"to": "*@example.org", "reply": 451, "times": 2, "delay": 1.5}))
        house.chaos.add(
            read_rule({"to": "192.0.2.*", "at": "connect", "reply": 554, "probability": 0.3, "disconnect": True})
        )
    house.conditions.set("SMTPUTF8", "the next hop was replaced and we do not know yet what it can do", 600)
    house.conditions.set("BODY=BINARYMIME")
    house.conditions.count("SIZE", "452 4.3.1 Insufficient system storage")
    return [*paths(message_id, "s2"), "/inbox?to=nobody", "/nothing"]


@pytest.mark.parametrize("dev", [True, False])
def test_every_page_fits_from_360_to_1280(window: Window, dev: bool) -> None:
    async def work(visiting: Visit) -> None:
        async with visiting.page() as page:
            await look(page, visiting.base, "/", "empty" if dev else "quiet")
            for path in await furnish(visiting.house):
                if dev or path != "/chaos":
                    await look(page, visiting.base, path, "" if dev else "production")

    window.visit(work, dev=dev)


async def look(page: Page, base: str, path: str, tag: str) -> None:
    await page.goto(base + path, wait_until="load")
    for width in (1280, 768, 360):
        await page.set_viewport_size({"width": width, "height": 800})
        too_wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide == 0, f"{path} is {too_wide} px wider than {width}"
        clipped = await page.evaluate(
            """[...document.querySelectorAll("main h1, main dd, main td > div, button, .paste div")]
               .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflow == "visible" && e.clientWidth)
               .map(e => e.outerHTML.slice(0, 120))"""
        )
        assert clipped == [], f"{path} at {width}"
        small = await page.evaluate(
            """[...document.querySelectorAll("header a, nav a, main button, main select, main input:not([type=hidden])")]
               .filter(e => e.getBoundingClientRect().height && e.getBoundingClientRect().height < 18)
               .map(e => e.outerHTML.slice(0, 120))"""
        )
        assert small == [], f"{path} at {width}"
        for scheme in ("light", "dark") if SHOTS else ():
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            name = f"{tag}{path.replace('/', '-').replace('?', '-')[:40]}-{width}-{scheme}.png"
            await page.screenshot(path=str(Path(SHOTS) / name), full_page=True)


def test_texts_can_be_read_in_both_themes(window: Window) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for every text that is shown on a plain ground."""
    contrast = """() => {
      const rgb = text => text.match(/[0-9.]+/g).slice(0, 4).map(Number);
      const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
                           return 0.2126 * r + 0.7152 * g + 0.0722 * b };
      const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                            if (c.length < 4 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
      const poor = [];
      for (const e of document.querySelectorAll("body *")) {
        const text = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!text || !e.getClientRects().length || e.closest(".aside, .skip")) continue;
        const a = light(rgb(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) poor.push([ratio.toFixed(2), e.outerHTML.slice(0, 100)]);
      }
      return poor;
    }"""

    async def work(visiting: Visit) -> None:
        async with visiting.page() as page:
            for path in await furnish(visiting.house):
                await page.goto(visiting.base + path)
                for scheme in ("light", "dark"):
                    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    assert await page.evaluate(contrast) == [], f"{path} {scheme}"

    window.visit(work)
