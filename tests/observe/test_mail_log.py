"""A line for each accepted message, the same whichever way it is written, and never a forged one."""

from __future__ import annotations

import io
import json
import logging

import pytest

from postroad.envelope import Draft, MessageId, NewRecipient, Origin
from postroad.observe.log import configure
from postroad.observe.mail_log import log_accepted


@pytest.fixture
def stream() -> io.StringIO:
    before = logging.getLogger().handlers[:]
    stream = io.StringIO()
    configure("json", "info", stream)
    yield stream
    logging.getLogger().handlers[:] = before
    logging.getLogger("postroad").setLevel(logging.NOTSET)


def draft(number: int, hello: str = "client.example", recipients: int = 1) -> Draft:
    origin = Origin("s1", "mx", "192.0.2.1:1234", hello, "", "TLSv1.3 X")
    to = tuple(NewRecipient(f"r{index}@example.net", "example.net") for index in range(recipients))
    return Draft(MessageId(f"0-{number}"), "kana@example.org", to, 0.0, origin=origin)


def test_a_batch_is_a_line_each(stream: io.StringIO) -> None:
    log_accepted([draft(1), draft(2, recipients=30)])
    first, second = (json.loads(line) for line in stream.getvalue().split("\n")[:-1])
    assert first["event"] == "accepted"
    assert (first["message"], first["from"], first["to"]) == ("0-1", "kana@example.org", ["r0@example.net"])
    assert (second["recipients"], len(second["to"])) == (30, 20)
    assert first["tls"] == "TLSv1.3 X" and "account" not in first


@pytest.mark.parametrize("hello", ["a\u2028b", "a\x7fb", "bücher", "\udc80", "\x1b[2J", 'x","event":"forged'])
def test_a_strangers_text_forges_nothing(stream: io.StringIO, hello: str) -> None:
    log_accepted([draft(1, hello)])
    text = stream.getvalue()
    assert text.count("\n") == 1 and all(c == "\n" or c.isprintable() for c in text)
    found = json.loads(text)
    assert (found["event"], found["hello"]) == ("accepted", hello)


def test_both_ways_say_the_same(stream: io.StringIO) -> None:
    log_accepted([draft(1)])
    quick = json.loads(stream.getvalue())
    stream.truncate(0)
    stream.seek(0)
    log_accepted([draft(1), draft(2, "bücher")])
    careful = json.loads(stream.getvalue().split("\n")[0])
    assert {**quick, "at": ""} == {**careful, "at": ""}


def test_nothing_is_written_when_nobody_listens(stream: io.StringIO) -> None:
    logging.getLogger("postroad").setLevel(logging.WARNING)
    log_accepted([draft(1)])
    assert stream.getvalue() == ""
