"""What goes back of a message, and in which language its sender is written to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from postroad.delivery.notify import FULL_LIMIT
from postroad.envelope import (
    Origin,
    Result,
)
from postroad.errors import NotFound
from tests.delivery.told import CONTENT, SUBMITTED, Post, failed, late
from tests.message.reports import HEADER

# What goes back

BIG = HEADER + b"\r\n" + b"0123456789abcde\r\n" * (FULL_LIMIT // 16)
EIGHT = HEADER + b"\r\n" + "こんにちは\r\n".encode()
STRANGER = Origin(listener="mx")


@pytest.mark.parametrize(
    ("parameters", "origin", "content", "result", "kind", "words"),
    [
        ("RET=FULL", STRANGER, CONTENT, failed(), "message/rfc822", "Your message is attached."),
        ("RET=HDRS", SUBMITTED, CONTENT, failed(), "text/rfc822-headers", "The header of your message is attached."),
        ("", SUBMITTED, CONTENT, failed(), "message/rfc822", "Your message is attached."),
        ("", STRANGER, CONTENT, failed(), "text/rfc822-headers", "The header of your message is attached."),
        ("RET=FULL", STRANGER, CONTENT, late(), "text/rfc822-headers", "The header of your message is attached."),
        ("RET=FULL", STRANGER, BIG, failed(), "text/rfc822-headers", "too large to come back (53 KiB)"),
        ("RET=HDRS", STRANGER, BIG, failed(), "text/rfc822-headers", "The header of your message is attached."),
        (
            "RET=FULL",
            STRANGER,
            HEADER * 400 + b"\r\nx",
            failed(),
            "text/rfc822-headers",
            "only its beginning is attached",
        ),
    ],
)
def test_ret_is_honoured(
    parameters: str, origin: Origin, content: bytes, result: Result, kind: str, words: str
) -> None:
    """RFC 3461 sections 4.3 and 6.2."""
    found = Post(parameters=parameters, origin=origin, content=content).report(result)
    assert found.returned is not None
    assert found.returned.get_content_type() == kind
    assert words in " ".join(found.text.split())
    if kind == "message/rfc822":
        assert content in found.octets
    assert len(found.octets) < 150_000


def test_content_of_eight_bits_is_sent_back_in_seven() -> None:
    found = Post(parameters="RET=FULL BODY=8BITMIME", content=EIGHT).report(failed())
    assert found.returned is not None
    assert found.returned.get_content_type() == "message/rfc822"
    (message,) = found.returned.iter_parts()  # type: ignore[attr-defined]
    assert message["subject"] == "Meeting on Friday"
    assert message.get_content().rstrip() == "こんにちは"


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b"Subject: caf\xe9\r\n\r\nplain\r\n",
        HEADER + b"Content-Type: multipart/signed; boundary=x\r\nMIME-Version: 1.0\r\n\r\n--x\r\n\r\n\xe9\r\n--x--\r\n",
    ],
)
def test_what_cannot_be_made_seven_bits_stays_at_home(content: bytes) -> None:
    found = Post(parameters="RET=FULL", content=content).report(failed())
    assert found.returned is not None
    assert found.returned.get_content_type() == "text/rfc822-headers"
    assert "cannot be sent back safely" in " ".join(found.text.split())


def test_no_more_is_read_than_goes_back() -> None:
    post = Post(parameters="RET=HDRS", content=HEADER + b"\r\n" + b"x" * 50_000_000)
    assert len(post.report(failed()).octets) < 20_000


def test_a_message_that_cannot_be_read_is_reported_all_the_same() -> None:
    async def gone() -> AsyncIterator[bytes]:
        for name in ("no content",):
            raise NotFound(name)
        yield b""

    post = Post()
    post._read = gone  # type: ignore[method-assign]
    found = post.report(failed())
    assert found.returned is None
    assert "could not be read any more" in found.text


# Languages


@pytest.mark.parametrize(
    ("setting", "header", "spoken"),
    [
        ("sender", b"Content-Language: ja\r\n", "ja"),
        ("sender", b"Content-Language: en-GB\r\n", "en"),
        ("sender", b"Accept-Language: de, ja;q=0.5, en;q=0.4\r\n", "ja"),
        ("sender", b"", "en, ja"),
        ("both", b"Content-Language: ja\r\n", "en, ja"),
        ("ja", b"Content-Language: en\r\n", "ja"),
        ("en", b"Content-Language: ja\r\n", "en"),
    ],
)
def test_the_language_of_the_sender(setting: str, header: bytes, spoken: str) -> None:
    found = Post(content=header + CONTENT, languages=setting).report(failed())
    assert next(found.message.iter_parts())["content-language"] == spoken
