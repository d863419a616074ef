"""The Received field: our clock, the registered keywords, and a stranger's name that never breaks out of its place."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroad.message import trace

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATE = "Tue, 24 Nov 2026 05:31:46 +0000"


# --- the date


@given(st.integers(0, 4_102_444_800))
@example(0)
@example(951_782_399)  # 2000-02-28 23:59:59
@example(951_868_799)  # 2000-02-29 23:59:59
@example(1_709_164_800)  # 2024-02-29
@example(4_102_444_800)  # 2100-01-01
def test_the_date_is_that_of_the_standard_library(seconds: int) -> None:
    moment = EPOCH + timedelta(seconds=seconds)
    written = trace.date_time(seconds)
    # format_datetime pads the day, RFC 5322 leaves it to the writer
    assert re.sub(r", (\d) ", r", 0\1 ", written) == format_datetime(moment)
    assert parsedate_to_datetime(written) == moment


def test_every_day_of_two_centuries() -> None:
    for day in range(0, 73_050):
        moment = EPOCH + timedelta(days=day)
        expected = f"{moment:%a}, {moment.day} {moment:%b} {moment.year} 00:00:00 +0000"
        assert trace.date_time(day * 86_400) == expected


def test_fractions_are_cut() -> None:
    assert trace.date_time(1_795_498_306.999) == trace.date_time(1_795_498_306) == DATE


# --- the keyword (RFC 3848, RFC 6531 section 4.3)

KEYWORDS = [
    # esmtp, utf8, tls, authenticated
    (False, False, False, False, "SMTP"),
    (True, False, False, False, "ESMTP"),
    (True, False, True, False, "ESMTPS"),
    (True, False, False, True, "ESMTPA"),
    (True, False, True, True, "ESMTPSA"),
    (True, True, False, False, "UTF8SMTP"),
    (True, True, True, False, "UTF8SMTPS"),
    (True, True, False, True, "UTF8SMTPA"),
    (True, True, True, True, "UTF8SMTPSA"),
]


@pytest.mark.parametrize(("esmtp", "utf8", "tls", "authenticated", "keyword"), KEYWORDS)
def test_the_registered_keywords(esmtp: bool, utf8: bool, tls: bool, authenticated: bool, keyword: str) -> None:
    assert trace.protocol(esmtp=esmtp, utf8=utf8, tls=tls, authenticated=authenticated) == keyword


# --- the from clause


@pytest.mark.parametrize(
    ("hello", "address", "clause"),
    [
        ("mail.example.org", "192.0.2.1", "mail.example.org ([192.0.2.1])"),
        ("[192.0.2.9]", "192.0.2.1", "[192.0.2.9] ([192.0.2.1])"),
        ("[IPv6:2001:db8::9]", "2001:db8::1", "[IPv6:2001:db8::9] ([IPv6:2001:db8::1])"),
        ("mail.example.org", "2001:db8::1", "mail.example.org ([IPv6:2001:db8::1])"),
        ("", "192.0.2.1", "[192.0.2.1]"),
        ("my_laptop", "192.0.2.1", "[192.0.2.1] (helo=my_laptop)"),
        ("a b", "192.0.2.1", "[192.0.2.1] (helo=a?b)"),
        ("x) by evil.example (", "192.0.2.1", "[192.0.2.1] (helo=x??by?evil.example??)"),
        ("日本.example", "192.0.2.1", "[192.0.2.1] (helo=??.example)"),
    ],
)
def test_the_client(hello: str, address: str, clause: str) -> None:
    assert trace.client(hello, address) == clause


# --- the whole field


def field(**changes: str) -> bytes:
    parts = {
        "source": trace.client("mail.example.org", "192.0.2.1"),
        "host": "mx.example.net",
        "with_protocol": "ESMTP",
        "message_id": "0-abc",
        "tls": "",
        "only_recipient": "",
        "date": DATE,
    }
    return trace.received(**(parts | changes))


def test_a_plain_one() -> None:
    assert field() == (
        b"Received: from mail.example.org ([192.0.2.1])\r\n"
        b" by mx.example.net (Postroad) with ESMTP id 0-abc;\r\n"
        b" Tue, 24 Nov 2026 05:31:46 +0000\r\n"
    )


def test_a_full_one() -> None:
    assert field(tls="TLSv1.3 TLS_AES_256_GCM_SHA384", only_recipient="bob@example.net", with_protocol="ESMTPSA") == (
        b"Received: from mail.example.org ([192.0.2.1])\r\n"
        b" (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
        b" by mx.example.net (Postroad) with ESMTPSA id 0-abc\r\n"
        b" for <bob@example.net>;\r\n"
        b" Tue, 24 Nov 2026 05:31:46 +0000\r\n"
    )


def test_an_address_that_would_need_utf8_or_folding_is_left_out() -> None:
    assert b" for " not in field(only_recipient="花@example.net")
    assert b" for " not in field(only_recipient="x" * 256)
    assert b" for <" in field(only_recipient='"a;b <c>"@example.net')


def unfolded(octets: bytes) -> str:
    """The one field there is, as a strict reader sees it."""
    assert octets.endswith(b"\r\n")
    lines = octets.removesuffix(b"\r\n").split(b"\r\n")
    assert lines[0].startswith(b"Received: ")
    assert all(line.startswith(b" ") and line.strip() for line in lines[1:])
    assert all(len(line) <= 998 for line in lines)
    assert not re.search(rb"[^ -~]", b"".join(lines))
    parsed = message_from_bytes(octets + b"Subject: own\r\n\r\nbody", policy=policy.default)
    assert parsed.keys() == ["Received", "Subject"]
    assert not parsed.defects
    return b"".join(lines).decode()


HOSTILE = [
    "x\r\nBcc: evil@example.org",
    "x\nBcc: evil@example.org",
    "x\r\n\r\nbody",
    "\0\x1b[2J",
    "a (comment",
    "a) comment",
    "\\) by other.example with ESMTP id 1; Mon, 1 Jan 2001 00:00:00 +0000",
    "[x:(]",
    "[x:)]",
    "[x:;]",
    '[x:"]',
    "localhost from mail.example by mx.example",
    "a" * 5000,
    ".".join(["label" * 12] * 20),
    "=?utf-8?q?hello?=",
    "é" * 300,
    "\u2028\u202e",
    "-",
    "a..b",
    "[",
    "[]",
    "%s{0}",
]


@given(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=400)), st.sampled_from(["192.0.2.1", "2001:db8::1"]))
def test_a_hostile_name_stays_in_its_place(hello: str, address: str) -> None:
    line = unfolded(field(source=trace.client(hello, address)))
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    source, by, rest = line.removeprefix("Received: from ").rpartition(" by mx.example.net (Postroad) with ")
    assert by
    assert rest == f"ESMTP id 0-abc; {DATE}"
    if source.endswith(f" ({literal})"):
        assert source == f"{hello} ({literal})"  # a name that is one
    elif hello:
        assert re.fullmatch(rf"{re.escape(literal)} \(helo=[A-Za-z0-9._:@+=\[\]?-]{{1,255}}\)", source)
    else:
        assert source == literal


@given(st.text(max_size=300))
def test_a_hostile_recipient_or_cipher_adds_no_field(text: str) -> None:
    """Both come checked (the address grammar, our own TLS); should one not, no octet above ASCII leaves."""
    if text.isprintable():
        assert field(only_recipient=text).isascii()
        assert field(tls=f"TLSv1.3 {text}").isascii()
