"""Replies out of octets: the same at every split, and nothing that a hostile host sends is guessed at or kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.errors import RemoteProtocolError
from postroad.replies import Reply
from postroad.smtp.reply_framing import MAX_LINE, MAX_LINES, MAX_OCTETS, MAX_WAITING, ReplyFramer, shortened


def frame(octets: bytes, *cuts: int) -> list[Reply]:
    framer, replies, start = ReplyFramer(), [], 0
    for end in (*sorted(cuts), len(octets)):
        framer.receive(octets[start:end])
        start = end
        while (reply := framer.next_reply()) is not None:
            replies.append(reply)
    return replies


STREAM = (
    b"220 host.example ESMTP\r\n"
    b"250-host.example\r\n250-SIZE 1000\r\n250-\r\n250 PIPELINING\r\n"
    b"250\r\n"
    b"452 4.5.3 too many\r\n"
    b"550-5.1.1 no\r\n550 5.1.1 such user \xe3\x81\x82\xff\r\n"
)
REPLIES = [
    Reply(220, "host.example ESMTP"),
    Reply(250, "host.example\nSIZE 1000\n\nPIPELINING"),
    Reply(250, ""),
    Reply(452, "too many", "4.5.3"),
    Reply(550, "no\nsuch user あ�", "5.1.1"),
]


def test_a_stream_of_replies() -> None:
    assert frame(STREAM) == REPLIES


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_every_split_gives_the_same_replies(cuts: list[int]) -> None:
    assert frame(STREAM, *cuts) == REPLIES


def test_octet_by_octet() -> None:
    assert frame(STREAM, *range(len(STREAM))) == REPLIES


def test_part_of_a_reply_is_not_nothing() -> None:
    framer = ReplyFramer()
    assert framer.is_empty
    framer.receive(b"2")
    assert not framer.is_empty
    framer.receive(b"50-a\r\n")
    assert framer.next_reply() is None
    assert not framer.is_empty
    framer.receive(b"250 b\r\n")
    assert framer.next_reply() == Reply(250, "a\nb")
    assert framer.is_empty


@pytest.mark.parametrize(
    "octets",
    [
        b"250-one\r\n550 two\r\n",
        b"250-one\r\n550-two\r\n",
        b"2x0 ok\r\n",
        b"25\r\n",
        b"2500 ok\r\n",
        b"250ok\r\n",
        b"250\tok\r\n",
        b"099 ok\r\n",
        b"150 wait\r\n",
        b"600 ok\r\n",
        b" 250 ok\r\n",
        b"\r\n",
        b"\n",
        b"250 ok\n",
        b"250 a\rb\r\n",
        b"250 ok\r\r\n",
        b"250 a\x00b\r\n",
        b"250-a\r\n \r\n",
        "２５０ ok\r\n".encode(),
        b"HTTP/1.1 400 Bad Request\r\n",
        b"HTTP/1.1 400",
        b"\x16\x03\x01",
    ],
)
def test_what_is_no_reply_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        frame(octets)


def test_the_longest_line_and_one_octet_more() -> None:
    line = b"250 " + b"x" * (MAX_LINE - 6) + b"\r\n"
    assert len(frame(line)) == 1
    for cuts in ((), range(len(line)), (MAX_LINE,)):
        with pytest.raises(RemoteProtocolError):
            frame(line[:4] + b"x" + line[4:], *cuts)


def test_a_line_without_end_is_refused_before_it_is_kept() -> None:
    framer = ReplyFramer()
    framer.receive(b"2" * MAX_LINE)
    with pytest.raises(RemoteProtocolError):
        framer.next_reply()


def test_a_reply_has_bounded_lines_and_octets() -> None:
    assert len(frame(b"250-x\r\n" * (MAX_LINES - 1) + b"250 x\r\n")) == 1
    with pytest.raises(RemoteProtocolError):
        frame(b"250-x\r\n" * MAX_LINES)
    long = b"250-" + b"x" * 4000 + b"\r\n"
    with pytest.raises(RemoteProtocolError):
        frame(long * (MAX_OCTETS // len(long) + 1))


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_random_octets_never_raise_anything_else(octets: bytes, cuts: list[int]) -> None:
    try:
        frame(octets, *(min(cut, len(octets)) for cut in cuts))
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize(
    "reply",
    [
        Reply(550, "no", "5.1.1"),
        Reply(550, "\n".join(["x"] * 19) + "\nend", "5.1.1"),
        Reply(250, "x" * 2000),
    ],
)
def test_a_reply_of_usual_length_is_kept_whole(reply: Reply) -> None:
    assert shortened(reply) is reply


@pytest.mark.parametrize(
    "reply", [Reply(550, "あ" * 3000, "5.1.1"), Reply(450, "x\n" * 400), Reply(451, "y\n" * 30 + "z" * 9999)]
)
def test_a_long_reply_is_kept_in_part(reply: Reply) -> None:
    kept = shortened(reply)
    assert (kept.code, kept.enhanced) == (reply.code, reply.enhanced)
    assert kept.text.endswith("\n(cut)")
    assert reply.text.startswith(kept.text.removesuffix("\n(cut)"))
    assert len(kept.text) < 2100
    assert shortened(kept) == kept or len(kept.lines) == 21


def test_a_flood_is_not_remembered_and_what_came_before_it_is_heard() -> None:
    framer = ReplyFramer()
    framer.receive(b"250 first\r\n")
    for _ in range(40):
        framer.receive(b"250-more\r\n" * 10_000)
    assert len(framer._buffer) <= MAX_WAITING
    assert framer.next_reply() == Reply(250, "first")
    with pytest.raises(RemoteProtocolError):
        framer.next_reply()


def test_a_flood_of_whole_replies_ends_in_an_error() -> None:
    framer = ReplyFramer()
    framer.receive(b"250 ok\r\n" * (MAX_WAITING // 8))
    framer.receive(b"250 one too many\r\n")
    heard = 0
    with pytest.raises(RemoteProtocolError, match="nothing asked for"):
        while framer.next_reply() is not None:
            heard += 1
    assert heard == MAX_WAITING // 8
