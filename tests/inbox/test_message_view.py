"""The bounded reader: ordinary mail is shown as it was meant, hostile mail is shown as well as it can be."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.errors import NotFound
from postroad.inbox.message_view import attachment, framed_html, safe_type, summarize, view
from postroad.message.header_text import decode_base64, decode_value, split_value
from postroad.message.mime import MAX_DEPTH, MAX_PARTS, scan

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


ORDINARY = crlf(
    """Return-Path: <me@example.com>
From: =?utf-8?q?Ren=C3=A9?= <me@example.com>
To: kana@example.net
Subject: =?iso-2022-jp?B?GyRCPCk7biRCJE4bKEI=?= Welcome
Date: Mon, 23 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe, see https://example.com/confirm?x=3D1&y=3D2.
--inner
Content-Type: text/html; charset=utf-8

<p>Gr\u00fc\u00dfe <img src="cid:pic@x"> <a href="https://example.com/a?b=1&amp;c=2">go</a></p>
--inner--
--outer
Content-Type: image/png; name="dot.png"
Content-Disposition: attachment; filename*=utf-8''p%C3%BCnkt.png
Content-ID: <pic@x>
Content-Transfer-Encoding: base64

PIXEL
--outer--
epilogue
""".replace("PIXEL", base64.b64encode(PIXEL).decode())
)


def test_an_ordinary_mail_is_shown_as_it_was_meant() -> None:
    seen = view(ORDINARY)
    assert seen.summary.from_ == "René <me@example.com>"
    assert seen.summary.subject.endswith("Welcome")
    assert dict(seen.headers)["Return-Path"] == "<me@example.com>"
    assert seen.text == "Grüße, see https://example.com/confirm?x=1&y=2."
    assert seen.html is not None and seen.html.startswith("<p>Grüße <img")
    (picture,) = seen.attachments
    assert (picture.number, picture.name, picture.content_type, picture.size) == (
        2,
        "pünkt.png",
        "image/png",
        len(PIXEL),
    )
    assert attachment(ORDINARY, 2) == ("pünkt.png", "image/png", PIXEL)
    assert seen.links == ("https://example.com/a?b=1&c=2", "https://example.com/confirm?x=1&y=2")
    assert seen.defects == ()


def test_pictures_of_the_mail_are_put_into_its_html() -> None:
    html = framed_html(ORDINARY)
    assert html is not None
    assert "cid:" not in html
    assert f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}" in html


def test_elements_that_connect_before_the_policy_is_asked_are_renamed() -> None:
    html = framed_html(
        b"Content-Type: text/html\r\n\r\n<LINK rel=preconnect><iFrame src=x><frameset><p>link iframe</p>"
    )
    assert html == "<basefont rel=preconnect><x-iFrame src=x><x-frameset><p>link iframe</p>"


def test_a_mail_without_any_structure_is_its_text() -> None:
    seen = view(b"just words\r\nand more\r\n")
    assert seen.text == "just words\nand more\n"
    assert seen.headers == ()
    assert seen.defects == ("the header section does not end as it should",)
    assert view(b"").text == ""
    assert view(b"Subject: only a header").summary.subject == "only a header"
    assert view(b"Subject: x\r\n\r\nbody").text == "body"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"=?utf-8?B?44GT44KT?= =?utf-8?B?44Gr44Gh44Gv?=", "こんにちは"),
        (b"=?utf-8?B?44GT44I=?= =?utf-8?B?k+OBq+OBoeOBrw==?=", "こんにちは"),  # a character split in two words
        (b"=?utf-8?q?a_b?= c =?utf-8?q?d?=", "a b c d"),
        (b"=?iso-8859-1?Q?caf=E9?=", "café"),
        (b"=?nosuch?Q?x=E9?=", "xé"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?B?****?=", ""),
        (b"=?punycode?Q?aaa-bbb?=", "aaa-bbb"),
        (b"plain\r\n folded\r\n\tonce more", "plain folded once more"),
        ("ümlaut".encode(), "ümlaut"),
        (b"caf\xe9 au lait", "café au lait"),
        (b"=?utf-8?q?a=0Ab=0D=0AX-Evil:_1?=", "a b X-Evil: 1"),
    ],
)
def test_header_values(raw: bytes, shown: str) -> None:
    assert decode_value(raw) == shown


@pytest.mark.parametrize(
    ("raw", "value", "parameters"),
    [
        ("text/plain; charset=utf-8", "text/plain", {"charset": "utf-8"}),
        ('TEXT/HTML ; Charset="UTF-8" ; x="a\\"b;c"', "text/html", {"charset": "UTF-8", "x": 'a"b;c'}),
        ("a/b; filename*0=part1; filename*1=part2.txt", "a/b", {"filename": "part1part2.txt"}),
        ("a/b; filename*0*=utf-8'de'%C3%A4; filename*1=b", "a/b", {"filename": "äb"}),
        ("a/b; filename*=utf-8''%ZZ%C3", "a/b", {"filename": "%ZZ\ufffd"}),
        ('a/b; name="=?utf-8?q?=C3=A4?="', "a/b", {"name": "ä"}),
        ('a/b; name="never closed; x=1', "a/b", {"name": "never closed; x=1"}),
        ("a/b;;;=;x", "a/b", {}),
    ],
)
def test_parameters(raw: str, value: str, parameters: dict[str, str]) -> None:
    assert split_value(raw) == (value, parameters)


def test_base64_with_rubbish_in_it() -> None:
    assert decode_base64(b"aGVs\r\n bG8=!!") == b"hello"
    assert decode_base64(b"aGVsbG8") == b"hello"
    assert decode_base64(b"aGVsb") == b"hel"
    assert decode_base64(b"====") == b""


def nested(depth: int) -> bytes:
    levels = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(depth))
    return (levels + "Content-Type: text/plain\r\n\r\nthe bottom\r\n").encode()


def test_nesting_deeper_than_the_bound_is_shown_as_text() -> None:
    seen = view(nested(1_000))
    assert seen.text is not None and seen.text.startswith("--b50")
    assert any("nested deeper" in each for each in seen.defects)
    assert view(nested(MAX_DEPTH - 1)).text == "the bottom\n"


def test_more_parts_than_the_bound() -> None:
    body = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 10_000 + b"--b--\r\n"
    found = scan(body)
    assert len(found.parts) == MAX_PARTS
    assert any("more than 1000 parts" in each for each in found.defects)


HOSTILE = {
    "parentheses": b"From: " + b"(" * 1_000 + b"\r\n\r\n",
    "quotes": b"From: " + b'"' * 32_000 + b"\r\nContent-Type: a/b" + b';x="' * 8_000 + b"\r\n\r\n",
    "a huge header": b"Subject: " + b"x" * 500_000 + b"\r\n\r\nbody",
    "many fields": b"X: y\r\n" * 50_000 + b"\r\nbody",
    "no end of header": b"Subject: x\r\n" + b" folded\r\n" * 50_000,
    "encoded words": b"Subject: " + b"=?utf-8?q?" * 10_000 + b"\r\n\r\n",
    "half words": b"Subject: " + b"=?" * 50_000 + b"\r\n\r\n",
    "delimiter lines": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"\n--" * 300_000,
    "boundary like its end": b"Content-Type: multipart/x; boundary=b--\r\n\r\n--b--\r\n\r\na\r\n--b----\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\nwhere is it",
    "empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\n----\r\n',
    "no part": b"Content-Type: multipart/mixed; boundary=b\r\n\r\nthere is no delimiter",
    "same boundary inside": b"Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\nx",
    "many parameters": b"Content-Type: multipart/mixed" + b";a=b" * 20_000 + b"; boundary=b\r\n\r\nx",
    "NUL and bare CR": b"Subject: a\x00b\rc\r\n\r\n\x00\r\x1b[2J",
    "8-bit everywhere": bytes(range(128, 256)) * 100,
    "charset bomb": b"Content-Type: text/plain; charset=idna\r\n\r\n" + b"xn--" * 50_000,
    "bad quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * 100_000,
    "bad base64": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 100_000 + b"A",
    "part headers without end": b"Content-Type: multipart/x; boundary=b\r\n\r\n"
    + (b"--b\r\n" + b"X: y\r\n" * 500) * 900,
    "spaces": b"Subject: " + b" " * 90_000 + b"\r\n \r\n" * 3 + b"\r\n" + b" " * 90_000,
    "links": b"Content-Type: text/html\r\n\r\n" + b'<a href="http://a/' * 20_000,
    "cids": b"Content-Type: text/html\r\n\r\n" + b"cid:" * 50_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_shown_and_never_raises(name: str) -> None:
    message = HOSTILE[name]
    seen = view(message)
    assert seen.text is not None or seen.html is not None or seen.attachments
    framed_html(message)
    summarize(message[: 100 * 1024])
    for part in seen.attachments:
        attachment(message, part.number)


def test_a_part_that_does_not_exist() -> None:
    with pytest.raises(NotFound, match="no part 1"):
        attachment(b"x", 1)
    with pytest.raises(NotFound):
        attachment(b"x", -1)


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "text/css"])
def test_nothing_active_is_given_out_under_its_own_type(kind: str) -> None:
    assert safe_type(kind) == "application/octet-stream"
    assert safe_type("application/pdf") == "application/pdf"


def test_a_picture_named_often_is_put_in_only_while_there_is_room() -> None:
    picture = base64.b64encode(b"\x89PNG" + b"x" * 1_000_000)
    message = (
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        + b"<img src='cid:p'>" * 10_000
        + b"\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <p>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + picture
        + b"\r\n--b--\r\n"
    )
    html = framed_html(message)
    assert html is not None
    assert html.count("data:image/png") == 4
    assert len(html) < 8_000_000


BLOCKS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"--b",
        b"--b--",
        b"--c",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b" ",
        b"\t",
        b":",
        b"Content-Type: multipart/x; boundary=c\r\n\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"X: y\r\n",
        b"=?utf-8?q?",
        b"Content-Type: text/html\r\n\r\n",
        b"cid:x",
        b"\x00",
        b"\xff",
        b"=",
        b"Content-Disposition: attachment;",
        b'filename="',
    ]
)


@settings(max_examples=400)
@given(st.lists(BLOCKS, max_size=40).map(b"".join))
def test_any_sequence_of_pieces_is_shown(message: bytes) -> None:
    seen = view(message)
    assert seen.text is not None or seen.html is not None or seen.attachments
    found = scan(message)
    assert found.parts
    ends = [0]
    for part in found.parts:
        assert ends[-1] <= part.start <= part.end <= len(message)
        ends.append(part.end)


@given(st.binary(max_size=300))
def test_any_octets_are_shown(message: bytes) -> None:
    view(message)
    decode_value(message)
    split_value(message.decode("latin-1"))
