"""The header section: found at whatever point the content is cut, bounded, and never the body taken for it."""

from __future__ import annotations

import itertools
import re
from email import message_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroad.message.header import HeaderTap, count_received

LIMIT = 4096


def feed(content: bytes, cuts: list[int], limit: int = LIMIT) -> HeaderTap:
    """A tap that saw ``content`` in the pieces that ``cuts`` make of it."""
    tap = HeaderTap(limit)
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        tap.feed(content[start:end])
    return tap


def plain_section(content: bytes) -> bytes:
    """The same by the simplest means: all up to the first empty line."""
    if content.startswith(b"\r\n"):
        return b""
    head, end, _ = content.partition(b"\r\n\r\n")
    return head + b"\r\n" if end else content


PIECES = st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"Received: x", b"received: y", b" fold", b"\r\n\r\n", b"To: b"])
CONTENT = st.lists(PIECES, max_size=20).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=8)


@given(CONTENT, CUTS)
@example(b"\r\nbody\r\n\r\nmore", [1])
@example(b"A: b\r\n\r\nbody", [5, 6, 7])
def test_every_split_finds_the_same_section(content: bytes, cuts: list[int]) -> None:
    tap = feed(content, cuts)
    assert tap.section == plain_section(content)
    assert tap.complete == (content.startswith(b"\r\n") or b"\r\n\r\n" in content)
    assert not tap.too_large


CLASSIC = b"Received: a\r\nSubject: b\r\n folded\r\n\r\nbody\r\n\r\nReceived: not one\r\n"


@pytest.mark.parametrize("cut", range(len(CLASSIC) + 1))
def test_one_cut_anywhere(cut: int) -> None:
    assert feed(CLASSIC, [cut]).section == b"Received: a\r\nSubject: b\r\n folded\r\n"


def test_one_octet_at_a_time() -> None:
    tap = feed(CLASSIC, list(range(len(CLASSIC))))
    assert tap.complete
    assert tap.section == b"Received: a\r\nSubject: b\r\n folded\r\n"


def test_content_of_header_alone_is_all_header() -> None:
    tap = feed(b"Subject: only\r\nTo: b\r\n", [])
    assert (tap.section, tap.complete, tap.too_large) == (b"Subject: only\r\nTo: b\r\n", False, False)


@pytest.mark.parametrize("cuts", [[], [1], [1, 2], [2]])
def test_an_empty_line_first_means_no_header(cuts: list[int]) -> None:
    tap = feed(b"\r\nReceived: in the body\r\n\r\nx", cuts)
    assert (tap.section, tap.complete) == (b"", True)


def test_no_content_at_all() -> None:
    tap = HeaderTap(LIMIT)
    assert (tap.section, tap.complete, tap.too_large) == (b"", False, False)


@given(st.integers(1, 60), st.integers(1, 60), CUTS)
def test_the_limit_counts_the_section_and_nothing_behind_it(field: int, limit: int, cuts: list[int]) -> None:
    section = b"A:" + b"x" * field + b"\r\n"
    tap = feed(section + b"\r\n" + b"body" * 50, cuts, limit)
    assert tap.too_large == (len(section) > limit)
    assert tap.complete
    assert tap.section == section[:limit]


@given(CUTS)
def test_a_header_without_end_is_kept_no_longer_than_the_limit(cuts: list[int]) -> None:
    tap = feed(b"A: b\r\n" * 60, cuts, 100)
    assert tap.too_large
    assert len(tap.section) == 100
    tap.feed(b"more")
    assert len(tap.section) == 100


def test_a_section_of_exactly_the_limit_passes() -> None:
    section = b"A: " + b"x" * 95 + b"\r\n"
    assert len(section) == 100
    assert not feed(section + b"\r\nbody", [50], 100).too_large
    assert feed(b"B" + section + b"\r\nbody", [50], 100).too_large


# --- how many hops


@pytest.mark.parametrize(
    ("section", "count"),
    [
        (b"", 0),
        (b"Received: a\r\n", 1),
        (b"RECEIVED: a\r\nreceived: b\r\nReceived: c\r\n", 3),
        (b"Received:\r\n by folded\r\n\tand folded again\r\nReceived: b\r\n", 2),
        (b"Subject: Received: x\r\n", 0),
        (b"Subject: a\r\n Received: a folded line is no field\r\n", 0),
        (b"X-Received: a\r\nReceived-SPF: pass\r\n", 0),
        (b"Received:x\r\n" * 100, 100),
    ],
)
def test_received_fields(section: bytes, count: int) -> None:
    assert count_received(section) == count


def test_received_in_the_body_is_not_counted() -> None:
    content = b"Received: a\r\nSubject: b\r\n\r\nReceived: c\r\nReceived: d\r\n\r\nReceived: e\r\n"
    for cut in range(len(content)):
        assert count_received(feed(content, [cut]).section) == 1


@given(st.lists(st.sampled_from(["Received", "received", "ReCeIvEd", "Subject", "X-Received", "Receive"]), max_size=30))
def test_the_count_is_that_of_a_real_parser(names: list[str]) -> None:
    section = "".join(f"{name}: x\r\n\tfolded Received: y\r\n" for name in names).encode()
    found = message_from_bytes(section + b"\r\n").get_all("Received") or []
    assert (
        count_received(section) == len(found) == sum(re.fullmatch("(?i)received", name) is not None for name in names)
    )
