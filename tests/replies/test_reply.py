"""The reply as a value (RFC 5321 sections 4.2 and 4.5.3.1.5, RFC 2034 section 4, RFC 3463 section 2)."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from postroad.replies import EnhancedStatus, Reply, ReplySyntaxError, Severity

#: RFC 5321 section 4.2: Reply-line of a server, octet by octet; textstring is HT and printable ASCII.
LINE = re.compile(rb"[2-5][0-9]{2}[ -][\t -~]*\r\n\Z")


def lines_of(octets: bytes) -> list[bytes]:
    assert octets.endswith(b"\r\n")
    return octets[:-2].split(b"\r\n")


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Reply(250, "Ok", "2.0.0"), b"250 2.0.0 Ok\r\n"),
        (Reply(220, "mx.example.net ESMTP"), b"220 mx.example.net ESMTP\r\n"),
        (Reply(250, "mx.example.net\nSIZE 1000\nHELP"), b"250-mx.example.net\r\n250-SIZE 1000\r\n250 HELP\r\n"),
        (Reply(550, "No\nsuch\nuser", "5.1.1"), b"550-5.1.1 No\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n"),
        (Reply(334, ""), b"334 \r\n"),  # RFC 4954 section 4: the space stays
        (Reply(455, "Not just now", EnhancedStatus(4, 5, 4)), b"455 4.5.4 Not just now\r\n"),
        (Reply(599, "x"), b"599 x\r\n"),
    ],
)
def test_a_reply_is_written(reply: Reply, octets: bytes) -> None:
    assert reply.to_bytes() == octets
    assert reply.to_bytes() is reply.to_bytes()  # made once


@pytest.mark.parametrize("code", [-1, 0, 99, 100, 199, 600, 999, 2500])
def test_there_is_no_such_code(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        Reply(code, "x")


@pytest.mark.parametrize(
    ("code", "status"), [(250, "5.0.0"), (550, "4.1.1"), (421, "2.0.0"), (354, "2.0.0"), (354, "5.0.0")]
)
def test_the_enhanced_status_is_of_the_class_of_the_code(code: int, status: str) -> None:
    with pytest.raises(ValueError):
        Reply(code, "x", status)


@pytest.mark.parametrize(
    "status",
    [
        "",
        "5",
        "5.1",
        "5.1.1.1",
        "5.1.",
        ".1.1",
        "5.1.1000",
        "5.1000.1",
        "05.1.1",
        "5.01.1",
        "5.1.01",
        "3.1.1",
        "1.1.1",
        "6.0.0",
        " 5.1.1",
        "5.1.1 ",
        "5.1.1\n",
        "5.1.x",
        "5.-1.1",
        "5.1.\u0661",
        "5.1.1_0",
    ],
)
def test_there_is_no_such_status(status: str) -> None:
    with pytest.raises(ReplySyntaxError):
        EnhancedStatus.parse(status)
    with pytest.raises(ValueError):
        Reply(550, "x", status)


@pytest.mark.parametrize("numbers", [(3, 0, 0), (5, -1, 0), (5, 0, 1000), (0, 0, 0)])
def test_there_are_no_such_numbers(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError):
        EnhancedStatus(*numbers)


@given(st.sampled_from([2, 4, 5]), st.integers(0, 999), st.integers(0, 999))
def test_a_status_is_its_three_numbers(severity: int, subject: int, detail: int) -> None:
    status = EnhancedStatus(severity, subject, detail)
    assert EnhancedStatus.parse(str(status)) == status == (severity, subject, detail)
    assert (status.severity, status.subject, status.detail) == (severity, subject, detail)
    assert eval(repr(status)) == status


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("octets", "code", "enhanced", "text"),
    [
        (b"250 2.1.0 Ok\r\n", 250, (2, 1, 0), "Ok"),
        (b"250 2.1.0 Ok", 250, (2, 1, 0), "Ok"),
        (b"250 Ok\r\n", 250, None, "Ok"),
        (b"250\r\n", 250, None, ""),  # RFC 5321 section 4.2: a client accepts a code alone
        (b"250 \r\n", 250, None, ""),
        (b"250 2.0.0\r\n", 250, (2, 0, 0), ""),
        (b"250-\r\n250\r\n", 250, None, "\n"),
        (b"250-mx\r\n250-SIZE 1\r\n250 HELP\r\n", 250, None, "mx\nSIZE 1\nHELP"),
        (b"550-5.1.1 No\r\n550 5.1.1 user\r\n", 550, (5, 1, 1), "No\nuser"),
        (b"550-5.1.1 No\r\n550 user\r\n", 550, (5, 1, 1), "No\nuser"),  # on the first line only: sloppy, but clear
        (b"550-No\r\n550 5.1.1 user\r\n", 550, None, "No\n5.1.1 user"),
        (b"550 4.7.1 Greylisted\r\n", 550, None, "4.7.1 Greylisted"),  # contradicts the code, so it says nothing
        (b"550 5.1.1000 x\r\n", 550, None, "5.1.1000 x"),
        (b"550 5.1.1. x\r\n", 550, None, "5.1.1. x"),
        (b"354 5.0.0 go\r\n", 354, None, "5.0.0 go"),
        (b"334 \r\n", 334, None, ""),
        (b"250 \xff\xfe\r\n", 250, None, "\ufffd\ufffd"),
        (b"250 caf\xc3\xa9\r\n", 250, None, "café"),
        (b"250 a\x00b\r\n", 250, None, "a\x00b"),
        (b"599 x\r\n", 599, None, "x"),
    ],
)
def test_a_reply_is_read(octets: bytes, code: int, enhanced: tuple[int, int, int] | None, text: str) -> None:
    reply = Reply.parse(octets)
    assert (reply.code, reply.enhanced, reply.text) == (code, enhanced, text)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\r\n",
        b"2",
        b"25\r\n",
        b"2500 x\r\n",
        b"250x\r\n",
        b"250_x\r\n",
        b" 250 x\r\n",
        b"hello\r\n",
        b"150 x\r\n",
        b"600 x\r\n",
        b"050 x\r\n",
        b"2\xb23 x\r\n",
        b"\xd9\xa2\xd9\xa5\xd9\xa0 x\r\n",
        b"-25 x\r\n",
        b"+25 x\r\n",
        b"250-x\r\n",  # never ends
        b"250-x\r\n250-y\r\n",
        b"250-x\r\n251 y\r\n",
        b"250 x\r\n250 y\r\n",
        b"250 x\r\n550 y\r\n",
        b"250-x\r\n\r\n250 y\r\n",
        b"250-x\r\nhello\r\n250 y\r\n",
        b"250-x\r\n250y\r\n",
    ],
)
def test_what_is_no_reply_is_refused(octets: bytes) -> None:
    with pytest.raises(ReplySyntaxError):
        Reply.parse(octets)


def test_a_reply_is_read_from_its_lines() -> None:
    assert Reply.parse([b"250-mx", b"250 HELP"]) == Reply(250, "mx\nHELP")
    assert Reply.parse(iter([b"250 2.0.0 Ok"])) == Reply(250, "Ok", "2.0.0")
    with pytest.raises(ReplySyntaxError):
        Reply.parse([])


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    try:
        reply = Reply.parse(octets)
    except ReplySyntaxError:
        return
    assert 200 <= reply.code <= 599


@given(st.lists(st.binary(max_size=20), max_size=4), st.sampled_from([b"250", b"455", b"550", b"25", b""]))
def test_any_lines_are_read_or_refused(lines: list[bytes], code: bytes) -> None:
    octets = b"\r\n".join(code + line for line in lines)
    try:
        reply = Reply.parse(octets)
    except ReplySyntaxError:
        return
    assert reply.code == int(code)


# ---------------------------------------------------------------- there and back

words = st.text("".join(chr(c) for c in range(33, 127)), min_size=1, max_size=12)
#: One line that needs no cutting and does not itself begin like a status.
plain_lines = (
    st.lists(words, min_size=1, max_size=12)
    .map(" ".join)
    .filter(lambda line: re.match(r"[245]\.[0-9]+\.[0-9]+(?: |\Z)", line) is None)
)
codes = st.integers(200, 599)


@st.composite
def statuses(draw: st.DrawFn, code: int) -> EnhancedStatus | None:
    if code // 100 == 3 or not draw(st.booleans()):
        return None
    return EnhancedStatus(code // 100, draw(st.integers(0, 999)), draw(st.integers(0, 999)))


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    code = draw(codes)
    return Reply(code, "\n".join(draw(st.lists(plain_lines, min_size=1, max_size=5))), draw(statuses(code)))


@given(replies())
def test_written_and_read_again_it_is_the_same(reply: Reply) -> None:
    again = Reply.parse(reply.to_bytes())
    assert again == reply
    assert hash(again) == hash(reply)
    assert again.lines == reply.lines
    assert again.to_bytes() == reply.to_bytes()


@given(codes, st.text(), st.booleans())
@example(250, "x" * 2000, True)
@example(250, ("x" * 500 + " ") * 4, True)
@example(550, " " * 3000, False)
@example(550, "a\r\n250 2.0.0 injected", False)
@example(550, "\r" * 600, True)
@example(550, "a\x0bb\x0cc\x1cd\x85e\u2028f", False)
def test_whatever_the_text_the_wire_is_sound(code: int, text: str, with_status: bool) -> None:
    status = EnhancedStatus(code // 100, 999, 999) if with_status and code // 100 != 3 else None
    octets = Reply(code, text, status).to_bytes()
    lines = lines_of(octets)
    for index, line in enumerate(lines):
        assert len(line) + 2 <= 512
        assert LINE.match(line + b"\r\n")
        assert line[:3] == str(code).encode()
        assert line[3:4] == (b" " if index == len(lines) - 1 else b"-")
        if status is not None:
            assert line[4:].startswith(str(status).encode())  # on every line (RFC 2034 section 4)
    read = Reply.parse(octets)
    assert read.code == code
    if status is not None:
        assert read.enhanced == status


@settings(max_examples=30)
@given(st.lists(words, min_size=100, max_size=200))
def test_a_long_line_is_cut_at_spaces_and_loses_no_word(parts: list[str]) -> None:
    text = " ".join(parts)
    assume(len(text) > 512)
    reply = Reply.parse(Reply(451, text, "4.3.0").to_bytes())
    assert len(reply.lines) > 1
    assert " ".join(reply.lines).split() == parts


@given(st.integers(1, 3000), codes)
def test_a_line_without_spaces_is_cut_and_loses_nothing(size: int, code: int) -> None:
    reply = Reply.parse(Reply(code, "x" * size).to_bytes())
    assert "".join(reply.lines) == "x" * size


@given(st.text())
def test_hostile_text_makes_one_reply_only(text: str) -> None:
    """What a peer put into an address can never end our reply and begin another."""
    octets = Reply(550, text, "5.1.1").to_bytes()
    reply = Reply.parse(octets)  # raises unless all lines are of one reply
    assert reply.code == 550
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")


# ---------------------------------------------------------------- a value


def test_a_reply_is_immutable() -> None:
    reply = Reply(250, "Ok", "2.0.0")
    reply.to_bytes()
    for name, value in (("code", 550), ("text", "x"), ("enhanced", None), ("_octets", b""), ("anything", 1)):
        with pytest.raises(AttributeError):
            setattr(reply, name, value)
    assert reply == Reply(250, "Ok", "2.0.0")
    assert reply.to_bytes() == b"250 2.0.0 Ok\r\n"


def test_nothing_of_a_reply_can_be_taken_away() -> None:
    reply = Reply(250, "Ok", "2.0.0")
    for name in ("code", "text", "enhanced"):
        with pytest.raises(AttributeError):
            delattr(reply, name)


def test_replies_are_equal_by_value() -> None:
    assert Reply(250, "Ok", "2.0.0") == Reply(250, "Ok", EnhancedStatus(2, 0, 0))
    assert len({Reply(250, "Ok"), Reply(250, "Ok"), Reply(250, "Ok", "2.0.0"), Reply(251, "Ok"), Reply(250, "ok")}) == 4
    assert Reply(250, "Ok") != "250 Ok"
    assert Reply(250, "Ok") != (250, "Ok", None)


def test_octets_made_do_not_count_in_equality() -> None:
    written = Reply(250, "Ok")
    written.to_bytes()
    assert written == Reply(250, "Ok")
    assert hash(written) == hash(Reply(250, "Ok"))


@pytest.mark.parametrize(
    ("code", "severity", "positive", "transient", "permanent"),
    [
        (200, Severity.COMPLETION, True, False, False),
        (299, Severity.COMPLETION, True, False, False),
        (354, Severity.INTERMEDIATE, True, False, False),
        (400, Severity.TRANSIENT, False, True, False),
        (455, Severity.TRANSIENT, False, True, False),
        (499, Severity.TRANSIENT, False, True, False),
        (500, Severity.PERMANENT, False, False, True),
        (599, Severity.PERMANENT, False, False, True),
    ],
)
def test_the_first_digit_says_what_to_do(
    code: int, severity: Severity, positive: bool, transient: bool, permanent: bool
) -> None:
    reply = Reply(code, "x")
    assert reply.severity is severity
    assert (reply.is_positive, reply.is_transient, reply.is_permanent) == (positive, transient, permanent)


@given(replies())
def test_its_repr_makes_it_again(reply: Reply) -> None:
    assert eval(repr(reply)) == reply


def test_as_a_string_it_is_one_line() -> None:
    assert str(Reply(550, "No\nuser", "5.1.1")) == "550 5.1.1 No / user"
    assert str(Reply(334, "")) == "334"


@pytest.mark.parametrize("reply", [Reply(250, "Ok"), Reply(455, "Not\njust now", "4.5.4")])
def test_a_reply_can_be_copied_and_sent_to_another_process(reply: Reply) -> None:
    """`dataclasses.asdict` of an attempt copies its replies deeply; worker processes pickle them."""
    assert copy.copy(reply) == reply
    assert copy.deepcopy(reply) == reply
    assert pickle.loads(pickle.dumps(reply)) == reply
