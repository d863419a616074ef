"""/explain takes what people have at hand: a reply, a mail that came back, an excerpt of a log."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.web.house import House

InHouse = Callable[..., None]

BOUNCE = """From: MAILER-DAEMON@mx.example.net
To: me@example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I could not deliver it.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; kana@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <img src=x onerror=alert(1)> User unknown

--b--
"""
LOG = """Nov 24 10:00:01 mx postfix/smtp[101]: 4XyZ: to=<kana@example.net>, relay=mx.example.net[192.0.2.10]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=4.7.1, status=deferred (host mx.example.net[192.0.2.10] said: 451 4.7.1 Greylisting in action, please come back later (in reply to RCPT TO command))
Nov 24 10:00:02 mx postfix/smtp[102]: 4XyA: to=<bob@example.org>, relay=mx.example.org[192.0.2.20]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.20] said: 550 5.1.1 <script>alert(1)</script> User unknown (in reply to RCPT TO command))
"""


async def pasted(client: httpx.AsyncClient, language: str, text: str) -> str:
    answer = await client.post(f"/{language}/explain", data={"q": text})
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            (
                "taken for a mail that came back",
                "kana@example.net",
                "The server has no mailbox for this address",
                "Who acts",
            ),
        ),
        ("ja", ("kana@example.net", "対応者", "恒久的")),
    ],
)
def test_a_mail_that_came_back(in_house: InHouse, language: str, words: tuple[str, ...]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        page = await pasted(client, language, BOUNCE)
        for word in words:
            assert word in page, word
        assert "<img src=x" not in page
        assert f'href="/{language}/codes/550"' in page
        assert "multipart/report" in page  # what was pasted stands in the form

    in_house(work)


@pytest.mark.parametrize(
    ("language", "words"), [("en", ("Greylist", "example.org")), ("ja", ("example.org", "対応者"))]
)
def test_lines_of_a_log(in_house: InHouse, language: str, words: tuple[str, ...]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        page = await pasted(client, language, LOG)
        for word in ("example.net", "Postfix", *words):
            assert word in page, word
        assert "<script>alert" not in page

    in_house(work)


def test_replies_and_transcripts_are_explained_one_by_one(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        page = await pasted(client, "en", "S: 220 mx.example.net ESMTP\nC: EHLO x\nS: 455 4.5.4 not now\n")
        assert 'href="/en/codes/455"' in page
        assert "taken for" not in page

    in_house(work)


def test_odd_pastes_do_no_harm(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        odd = (
            "\x00\x01\x02",
            "From: a\nTo: b\nSubject: c\n\nno bounce",
            "Content-Type: multipart/report\n" * 50,
            "\u202e" * 99,
        )
        for text in odd:
            await pasted(client, "en", text)
        answer = await client.post("/en/explain", data={"q": "x" * 70_000})
        assert answer.status_code == 413

    in_house(work)


def test_a_page_of_the_server_behind_a_language(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        answer = await client.get("/ja/inbox?to=kana%40example.net")
        assert (answer.status_code, answer.headers["location"]) == (302, "/inbox?to=kana%40example.net&lang=ja")
        page = await client.get(answer.headers["location"])
        assert page.headers["content-language"] == "ja"
        assert "lang=ja" in page.headers["set-cookie"]
        assert (await client.get("/inbox")).headers["content-language"] == "ja"
        assert (await client.get("/ja/nothing")).status_code == 404

    in_house(work)
