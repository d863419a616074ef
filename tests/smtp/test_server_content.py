"""Content through the server engine: unharmed, ended only where it ends, in blocks, at the cost of its length."""

from __future__ import annotations

import re
import sys
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.smtp.events import ContentBlock, ContentEnded, SenderGiven
from tests.dialogues.runner import EngineServer
from tests.dialogues.shadow import split_replies
from tests.smtp.sessions import ENVELOPE, HELLO, in_content, pieces, server

#: What other servers have taken for the end of content (SMTP smuggling, 2023).
TERMINATORS = [
    b"\n.\n",
    b"\n.\r",
    b"\n.\r\n",
    b"\r.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\n\x00.\x00\r\n",
    b"\x00.\x00",
]


# ---------------------------------------------------------------- content

lines = st.lists(
    st.one_of(
        st.sampled_from([b"", b".", b"..", b". ", b".x", b"x.", b"QUIT"]),
        st.binary(max_size=30).map(lambda line: re.sub(rb"[\0\r\n]", b"", line)),
    ),
    max_size=12,
)
messages = lines.map(lambda parts: b"".join(line + b"\r\n" for line in parts))


def dot_stuff(content: bytes) -> bytes:
    """RFC 5321 section 4.5.2, the client's side."""
    return re.sub(rb"^\.", b"..", content, flags=re.MULTILINE)


@given(messages, st.lists(st.integers(0, 1000), max_size=8))
def test_content_comes_out_as_it_went_in(content: bytes, cuts: list[int]) -> None:
    made = in_content()
    for piece in pieces(dot_stuff(content) + b".\r\n", cuts):
        made.send(piece)
    assert made.accepted == [content]
    assert made.said.endswith(b"354 " + made.said.rpartition(b"354 ")[2])
    assert split_replies(made.said)[-1].startswith(b"250 2.0.0 ")


@given(messages, st.lists(st.integers(0, 1000), max_size=5), st.lists(st.integers(0, 2000), max_size=8))
def test_content_in_chunks_comes_out_as_it_went_in(content: bytes, borders: list[int], cuts: list[int]) -> None:
    made = server()
    made.send(HELLO + ENVELOPE)
    parts = pieces(content, borders)
    wire = b"".join(b"BDAT %d\r\n" % len(part) + part for part in parts) + b"BDAT 0 LAST\r\n"
    for piece in pieces(wire, cuts):
        made.send(piece)
    assert made.accepted == [content]


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5), st.lists(st.integers(0, 2000), max_size=8))
def test_binary_content_comes_out_as_it_went_in(parts: list[bytes], cuts: list[int]) -> None:
    made = server()
    made.send(HELLO + ENVELOPE.replace(b"kana@example.org>", b"kana@example.org> BODY=BINARYMIME"))
    wire = b"".join(b"BDAT %d\r\n" % len(part) + part for part in parts[:-1])
    wire += b"BDAT %d LAST\r\n" % len(parts[-1]) + parts[-1]
    for piece in pieces(wire, cuts):
        made.send(piece)
    assert made.accepted == [b"".join(parts)]


def judge(wire: bytes) -> tuple[bytes | None, bool, bytes]:
    """What RFC 5321 says about octets behind a 354: the content or None, whether it may be accepted, what is left."""
    framed = b"\r\n" + wire
    end = framed.find(b"\r\n.\r\n")
    if end < 0:
        return None, False, b""
    content = framed[2 : end + 2] if end else b""
    sound = b"\0" not in content and content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    return re.sub(rb"(^|\r\n)\.", rb"\1", content), sound, framed[end + 5 :]


small_octets = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"x", b"\0"]), max_size=14).map(b"".join)


@given(small_octets, st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=500)
def test_content_ends_where_the_rfc_says(wire: bytes, cuts: list[int]) -> None:
    content, sound, rest = judge(wire)
    made = in_content()
    before = len(made.said)
    for piece in pieces(wire, cuts):
        made.send(piece)
    said = made.said[before:]
    if content is None:
        assert said == b""
        assert made.accepted == []
        return
    replies = split_replies(said)
    if sound:
        assert replies[0].startswith(b"250 2.0.0 ")
        assert made.accepted == [content]
    else:
        assert replies[0].startswith(b"550 5.5.2 ")
        assert made.accepted == []
    assert len(replies) == 1 + rest.count(b"\n")  # what is left is command lines, all of them bad


@pytest.mark.parametrize("normalize", [False, True], ids=["refuse", "normalize"])
@pytest.mark.parametrize("terminator", TERMINATORS, ids=lambda octets: octets.hex())
def test_no_second_message_is_smuggled_in(terminator: bytes, normalize: bool) -> None:
    """Each false end of content, cut at every place: never a second envelope, never a second message."""
    smuggled = b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nsmuggled"
    wire = b"a" + terminator + smuggled + b"\r\n.\r\nNOOP\r\n"
    for place in range(len(wire) + 1):
        made = in_content(normalize=normalize)
        before = len(made.said)
        for piece in (wire[:place], wire[place:]):
            made.send(piece)
        replies = split_replies(made.said[before:])
        assert len(replies) == 2
        assert replies[1].startswith(b"250 2.0.0 ")  # the NOOP, exactly once
        assert sum(isinstance(event, SenderGiven) for event in made.events) == 1
        if normalize:
            assert len(made.accepted) <= 1
        else:
            assert replies[0].startswith(b"550 5.5.2 ")
            assert made.accepted == []
        for content in made.accepted:
            assert b"\0" not in content
            assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


@given(small_octets, st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=300)
def test_normalized_content_is_sound(wire: bytes, cuts: list[int]) -> None:
    made = in_content(normalize=True)
    for piece in pieces(wire + b"\r\n.\r\n", cuts):
        made.send(piece)
    for content in made.accepted:
        assert b"\0" not in content
        assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


# ---------------------------------------------------------------- memory

MEGABYTES = 20
SEGMENT = 65536
JUNK = b"x" * SEGMENT


def feed(made: EngineServer, segment: bytes, total: int) -> tuple[int, int]:
    """Send ``total`` octets, dropping each block as a driver does; gives the peak of memory and the octets seen."""
    seen = 0
    sent = 0
    made.events.clear()
    tracemalloc.start()
    try:
        while sent < total and not made.closed:
            made.send(segment[: total - sent])
            sent += len(segment)
            blocks = [event.octets for event in made.events if isinstance(event, ContentBlock)]
            seen += sum(map(len, blocks))
            assert all(len(block) <= SEGMENT + 16 for block in blocks)
            made.events.clear()
            made._content.clear()
            del blocks
        return tracemalloc.get_traced_memory()[1], seen
    finally:
        tracemalloc.stop()


BEGINNINGS = {
    "a command": [],
    "a command with a verb": [HELLO, b"MAIL FROM:<"],
    "a SASL response": [HELLO, b"AUTH PLAIN\r\n"],
    "an initial response": [HELLO, b"AUTH PLAIN "],
    "a line of content": [HELLO, ENVELOPE, b"DATA\r\n"],
    "a chunk": [HELLO, ENVELOPE, b"BDAT 999999999\r\n"],
    "a chunk out of order": [HELLO, b"BDAT 999999999\r\n"],
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_junk_without_end_is_not_kept(beginning: str) -> None:
    """20 MB without a newline: never more than a few blocks in memory, in any state."""
    made = server(size_limit=0)
    for segment in BEGINNINGS[beginning]:
        made.send(segment)
    peak, _ = feed(made, JUNK, MEGABYTES << 20)
    assert peak < 1 << 20


@pytest.mark.parametrize("octet", [b"\0", b"\r", b" ", b"\xff", b"."])
@pytest.mark.parametrize("beginning", ["a command", "a line of content", "a chunk"])
def test_junk_of_other_octets_is_not_kept(beginning: str, octet: bytes) -> None:
    made = server(size_limit=0)
    for segment in BEGINNINGS[beginning]:
        made.send(segment)
    peak, _ = feed(made, octet * SEGMENT, 4 << 20)
    assert peak < 1 << 20


def test_a_large_message_flows_through() -> None:
    """All octets come out, and no more than a few blocks of them are held at any time."""
    made = in_content(size_limit=0)
    segment = (b"y" * 78 + b"\r\n") * 800
    total = MEGABYTES << 20
    total -= total % len(segment)
    peak, seen = feed(made, segment, total)
    assert peak < 1 << 20
    made.send(b".\r\n")
    seen += sum(len(event.octets) for event in made.events if isinstance(event, ContentBlock))
    ended = [event for event in made.events if isinstance(event, ContentEnded)]
    assert seen == total
    assert [event.size for event in ended] == [total]


def test_a_large_chunk_flows_through() -> None:
    made = server(size_limit=0)
    segment = (b"y" * 78 + b"\r\n") * 800
    total = MEGABYTES << 20
    total -= total % len(segment)
    made.send(HELLO + ENVELOPE + b"BDAT %d LAST\r\n" % total)
    peak, seen = feed(made, segment, total - 1)
    assert peak < 1 << 20
    made.send(segment[-1:])
    seen += sum(len(event.octets) for event in made.events if isinstance(event, ContentBlock))
    assert seen == total
    assert made.said.endswith(split_replies(made.said)[-1])
    assert split_replies(made.said)[-1].startswith(b"250 2.0.0 ")


@pytest.mark.parametrize("fault", [b"\n", b"\0", b"x" * 70_000])
def test_refused_content_is_drained_without_being_kept(fault: bytes) -> None:
    made = in_content(size_limit=0)
    made.send(b"a" + fault)
    peak, _ = feed(made, (b"y" * 78 + b"\r\n") * 800, 4 << 20)
    assert peak < 1 << 20
    assert made.send(b"\r\n.\r\nNOOP\r\n")[:3] == b"550"
    assert made.accepted == []


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=8))
@settings(max_examples=30)
def test_a_block_is_given_out_as_soon_as_it_is_there(sizes: list[int]) -> None:
    """The engine keeps back only what may be the beginning of the end."""
    made = in_content(size_limit=0)
    sent = 0
    for size in sizes:
        made.send(b"z" * size)
        sent += size
        assert sum(len(event.octets) for event in made.events if isinstance(event, ContentBlock)) >= sent - 5


# ---------------------------------------------------------------- work


def calls(work: Callable[[], object]) -> int:
    """How many functions are called: a measure of work that no busy machine can disturb."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def octet_by_octet(made: EngineServer, data: bytes) -> Callable[[], None]:
    def work() -> None:
        for index in range(len(data)):
            made.engine.receive(data[index : index + 1])
            made.engine.next_event()

    return work


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_octet_by_octet_the_work_grows_with_the_input(beginning: str) -> None:
    counts = []
    for size in (1000, 2000, 4000):
        made = server(size_limit=0)
        for segment in BEGINNINGS[beginning]:
            made.send(segment)
        counts.append(calls(octet_by_octet(made, b"x" * size)))
    assert counts[2] - counts[1] <= 2.2 * (counts[1] - counts[0])


@pytest.mark.parametrize("octets", [40_000, 400_000])
@pytest.mark.parametrize(
    "line", [b"y" * 78 + b"\r\n", b"\r\n", b"..\r\n", b"x\r\n"], ids=["text", "empty", "dots", "short"]
)
def test_content_is_not_read_line_by_line(line: bytes, octets: int) -> None:
    """A segment costs the same few calls, whether it holds few lines or many."""

    def cost(count: int) -> int:
        made = in_content(size_limit=0)
        return calls(lambda: made.send(line * count))

    assert cost(octets // len(line)) <= cost(10) + 100
