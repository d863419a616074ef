"""Content on its way out: one message for every reader, strict or lax, and the same octets at the other end."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad.errors import LocalProtocolError
from postroad.smtp.content_stuffing import ContentStuffer


def stuff(content: bytes, *cuts: int) -> bytes:
    stuffer, out, start = ContentStuffer(), b"", 0
    for end in (*sorted(min(cut, len(content)) for cut in cuts), len(content)):
        out += stuffer.write(content[start:end])
        start = end
    return out + stuffer.finish()


def strict_reader(wire: bytes) -> list[bytes]:
    """Messages by RFC 5321: ended by CRLF.CRLF, one leading dot of each line taken away."""
    messages = []
    while wire:
        if wire.startswith(b".\r\n"):
            body, wire = b"", wire[3:]
        else:
            end = wire.index(b"\r\n.\r\n")
            body, wire = wire[: end + 2], wire[end + 5 :]
        messages.append(re.sub(rb"(\A|\r\n)\.", rb"\1", body))
    return messages


def lax_reader(wire: bytes) -> int:
    """How many messages a host sees that takes any CR or LF for the end of a line."""
    return sum(line == b"." for line in re.split(rb"\r\n|\r|\n", wire))


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..\r\n", b"...\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"\r\n.", b"\r\n..\r\n.\r\n"),
        (b".\r\n.\r\n.", b"..\r\n..\r\n..\r\n.\r\n"),
        (b"a.b\r\n", b"a.b\r\n.\r\n"),
    ],
)
def test_dots(content: bytes, wire: bytes) -> None:
    assert stuff(content) == wire
    assert stuff(content, *range(len(content))) == wire


@pytest.mark.parametrize(
    "content",
    [b"a\nb\r\n", b"a\rb\r\n", b"\n", b"\r", b"a\r\r\n", b"a\n\r\n", b"a\r\n\r", b"a\x00\r\n", b"\r\n.\n.\r\n"],
)
def test_what_may_not_be_passed_on_raises_before_it_is(content: bytes) -> None:
    for cuts in ((), range(len(content))):
        with pytest.raises(LocalProtocolError):
            stuff(content, *cuts)


@settings(max_examples=1000)
@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"x", b"\r", b"\n"]), max_size=30),
    st.lists(st.integers(0, 40), max_size=6),
)
@example([b".", b"\r\n", b"\r", b"\n", b"."], [1, 2, 3])
def test_one_message_and_equal_octets_for_every_reader(parts: list[bytes], cuts: list[int]) -> None:
    content = b"".join(parts)
    bare = re.search(rb"(?<!\r)\n|\r(?!\n)", content) is not None
    try:
        wire = stuff(content, *cuts)
    except LocalProtocolError:
        assert bare
        return
    assert not bare
    expected = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert strict_reader(wire) == [expected]
    assert lax_reader(wire) == 1
