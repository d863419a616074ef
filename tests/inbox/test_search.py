"""One search box: what its words mean, where they are found, and that a search ends."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.errors import PostroadError
from postroad.inbox import inbox as inbox_module
from postroad.inbox.inbox import Inbox
from postroad.inbox.search import MAX_WORDS, Filter, fits_content, read_query
from postroad.spool.memory import MemorySpool
from tests.inbox.test_inbox import Post, run

ATTACHED = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee there\r\n"
    b'--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="Rechnung.pdf"\r\n\r\nx\r\n--b--\r\n'
)


def found(*queries: str, **options: Any) -> list[list[int]]:
    """Which of a few messages each query finds, by number."""

    async def work(post: Post) -> list[list[int]]:
        await post.put(to="kana@example.net", subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?= from 4711", body=b"your order\r\n")
        await post.put(to="bob@example.org", subject="other", body=b"it is =?no?= on its\r\nway, Kana\r\n")
        await post.put(to="bob@example.org", sender="shop@example.com", subject="file", body=b"nothing")
        spool = post.spool
        await put_raw(post, spool, b"Subject: pdf\r\n" + ATTACHED)
        await put_raw(
            post, spool, b"Subject: web\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>W&ouml;rld</b> =A</p>\r\n"
        )
        rows = []
        for query in queries:
            page = await post.inbox.list(read_query(query, Filter(**options)))
            rows.append(sorted(post.ids.index(item.message.id) for item in page.items))
        return rows

    rows: list[list[int]] = run(work)
    return rows


async def put_raw(post: Post, spool: MemorySpool, octets: bytes) -> None:
    await post.put()  # its id, then the content that is wanted
    entry = spool._entries[post.ids[-1]]  # type: ignore[index]
    entry.content = octets
    post.inbox._summaries.clear()


def test_what_words_find() -> None:
    assert found("order", "GRÜSSE 4711", "kana", '"on its way"', "file", "absent", "shop@") == [
        [0], [0], [0, 1, 3, 4], [1], [2], [], [2],
    ]  # fmt: skip


def test_what_operators_find() -> None:
    assert found("to:bob", "from:shop to:BOB", 'subject:"from 4711"', "to:bob kana", "rechnung", "has:attachment") == [
        [1, 2], [2], [0], [1], [3], [3],
    ]  # fmt: skip
    assert found("wörld", "<b>", "after:1970-01-01", "after:2020-01-01", "before:2020-01-01", "before:1970-01-01") == [
        [4], [], [0, 1, 2, 3, 4], [], [0, 1, 2, 3, 4], [],
    ]  # fmt: skip


def test_who_may_not_read_the_mail_finds_it_by_its_envelope_only() -> None:
    assert found("order", "4711", "shop", "bob", envelope_only=True) == [[], [], [2], [1, 2]]


def test_the_box_is_read() -> None:
    day = datetime(2026, 11, 24).astimezone().timestamp()
    assert read_query("") == Filter()
    assert read_query(' a  "b  c" A a ') == Filter(words=("a", "b c", "A"))
    assert read_query("To:x FROM:y Subject:z has:attachment") == Filter("x", "y", "z", attachment=True)
    assert read_query("before:2026-11-24 after:2026-11-24T01:00") == Filter(until=day, since=day + 3600)
    assert read_query("https://example.com/x re: to:") == Filter(words=("https://example.com/x", "re:", "to:"))
    assert read_query("b", Filter(to="x", words=("a",))) == Filter("x", words=("a", "b"))
    assert read_query('"open') == Filter(words=("open",))


@pytest.mark.parametrize(
    "text",
    ["to:a to:b", "has:soul", "has:a", "before:yesterday", "after:2026-13-01", "after:0001-01-01", "before:2026-1-1",
     " ".join(f"w{n}" for n in range(MAX_WORDS + 1))],
)  # fmt: skip
def test_what_makes_no_sense_is_said(text: str) -> None:
    with pytest.raises(PostroadError) as fault:
        read_query(text)
    assert fault.value.hint


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_query(text)
    except PostroadError as fault:
        assert fault.message


@given(st.binary(max_size=500), st.lists(st.text(min_size=1, max_size=5), max_size=3), st.booleans())
def test_any_octets_can_be_searched(octets: bytes, words: list[str], attachment: bool) -> None:
    assert fits_content(octets, words, attachment) in (True, False)


def test_a_search_by_text_ends_in_time_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(post: Post) -> None:
        for _ in range(6):
            await post.put(body=b"needle in it\r\n")
        monkeypatch.setattr(inbox_module, "SEARCH_SECONDS", -1.0)
        before, seen, looks = 0, [], 0
        while True:
            page = await post.inbox.list(read_query("needle"), before=before)
            seen += [item.message.id for item in page.items]
            looks += 1
            if page.before is None:
                break
            before = page.before
        assert (seen, looks) == (post.ids[::-1], 7)

    run(work)


def test_waiting_for_words() -> None:
    async def work(post: Post) -> None:
        waiting = asyncio.create_task(post.inbox.wait(read_query("needle"), 0, 60))
        await post.put(body=b"hay\r\n")
        wanted = await post.put(body=b"a needle\r\n")
        item = await waiting
        assert item is not None and item.message.id == wanted

    run(work)


def test_clearing_what_words_find() -> None:
    async def work(post: Post) -> None:
        kept = await post.put(body=b"hay\r\n")
        await post.put(body=b"needle\r\n")
        inbox: Inbox = post.inbox
        assert await inbox.clear(read_query("needle")) == 1
        assert [item.message.id for item in (await inbox.list()).items] == [kept]

    run(work)
