"""One event is one line, whatever a peer put into it, and nothing of it moves a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.observe import log

HOSTILE = [
    'x\r\n{"event":"forged"}',
    "a\x00b\x07\x1b[31mred\x1b]0;title\x07",
    "\x7f\x80\x85\x9b31m",
    "line\u2028separator\u2029paragraph",
    "bidi \u202e\u202d\u2066\u2069\u200e\u200f\u061c",
    "zero\u200bwidth\ufeff\u00ad",
    "\ud800 lone \udfff",
    "\U000e0001\U000e007f tags",
    'quote " backslash \\ equals =',
    "<img src=x onerror=alert(1)>",
]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("postroad")
    before = (root.handlers[:], root.level, own.level, logging.raiseExceptions)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])
    logging.raiseExceptions = before[3]
    logging.captureWarnings(False)


def written(format: log.Format, level: log.Level = "info") -> io.StringIO:
    stream = io.StringIO()
    log.configure(format, level, stream)
    return stream


@pytest.mark.parametrize("text", HOSTILE)
def test_json_keeps_every_character_and_shows_none_that_harms(text: str) -> None:
    stream = written("json")
    log.get_logger("test").info("refused", hello=text, nested={"k": [text]})
    line = stream.getvalue()
    assert line.endswith("\n") and line[:-1].isprintable()
    found = json.loads(line)
    assert found["hello"] == text
    assert found["nested"] == {"k": [text]}
    assert (found["event"], found["level"], found["logger"]) == ("refused", "info", "postroad.test")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_lines_show_none_that_harms(text: str) -> None:
    stream = written("text")
    log.get_logger("test").warning("refused", hello=text)
    line = stream.getvalue()
    assert line.count("\n") == 1 and line[:-1].isprintable()
    assert " warning refused hello=" in line


@given(st.text())
def test_any_text_is_one_line(text: str) -> None:
    for format in ("json", "text"):
        stream = written(format)  # type: ignore[arg-type]
        log.get_logger("test").info("said", text=text)
        logging.getLogger("uvicorn").error("said %s", text)
        assert len(stream.getvalue().split("\n")) == 3


def test_text_is_readable() -> None:
    stream = written("text")
    log.get_logger("test").info("listening", address="127.0.0.1:25", port=25, tls=None, why="two words", none="")
    assert stream.getvalue().partition(" ")[2] == (
        'info    listening address=127.0.0.1:25 port=25 tls=null why="two words" none=""\n'
    )


def test_values_are_cut() -> None:
    stream = written("json")
    log.get_logger("test").info("long", text="x" * 5000, octets=b"y" * 5000, number=10**5000, many=list(range(5000)))
    found = json.loads(stream.getvalue())
    assert len(found["text"]) == len(found["octets"]) + 0 == 1000
    assert found["text"].endswith("…")
    assert len(found["number"]) == 1000 and len(found["many"]) == 50


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (1, 1), (1.5, 1.5), (float("nan"), "nan"), (b"\xff\x00", "\\xff\x00"), ((1, 2), [1, 2])],
)
def test_values_of_other_types(value: object, expected: object) -> None:
    stream = written("json")
    log.get_logger("test").info("value", value=value)
    assert json.loads(stream.getvalue())["value"] == expected


def test_fields_cannot_take_the_place_of_ours() -> None:
    stream = written("json")
    log.get_logger("test").info("real", at="never", level="none", name="n", msg="m", args="a", message="x")
    found = json.loads(stream.getvalue())
    assert found["event"] == "real" and found["level"] == "info"
    assert (found["at_"], found["level_"], found["name"], found["msg"]) == ("never", "none", "n", "m")


@pytest.mark.parametrize("format", ["json", "text"])
def test_an_exception_comes_with_its_traceback(format: log.Format) -> None:
    stream = written(format)
    try:
        raise ValueError("peer said \x1b[31m\nforged line")
    except ValueError:
        log.get_logger("test").exception("stage failed", incident="i7")
    text = stream.getvalue()
    assert "\x1b" not in text and "ValueError: peer said" in text
    if format == "json":
        assert json.loads(text)["exception"].endswith("forged line")
    else:
        assert all(line.startswith("    ") for line in text.rstrip("\n").split("\n")[1:])


def test_of_a_long_traceback_the_end_is_kept() -> None:
    stream = written("json")
    try:
        raise ValueError("x" * 20_000 + " the end")
    except ValueError:
        log.get_logger("test").exception("failed")
    found = json.loads(stream.getvalue())["exception"]
    assert len(found) == log.MAX_TRACEBACK and found.endswith("the end")


def test_levels() -> None:
    stream = written("json", "warning")
    logger = log.get_logger("test")
    logger.info("quiet")
    logger.warning("loud")
    logging.getLogger("somebody.else").info("quiet")
    logging.getLogger("somebody.else").warning("loud %d", 2)
    assert [json.loads(line)["event"] for line in stream.getvalue().split("\n") if line] == ["loud", "loud 2"]


def test_bound_fields_stay() -> None:
    stream = written("json")
    log.get_logger("test").bind(session="s1").info("hello", name="kana")
    assert json.loads(stream.getvalue())["session"] == "s1"


def test_the_format_follows_the_stream() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    log.configure("auto", "info", terminal)
    log.get_logger("test").info("seen")
    log.configure("auto", "info", file)
    log.get_logger("test").info("kept")
    assert " seen" in terminal.getvalue() and "kept" not in terminal.getvalue()
    assert json.loads(file.getvalue())["event"] == "kept"


def test_a_library_user_sees_standard_records(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="postroad"):
        log.get_logger("test").info("queued", id="m1")
    (record,) = caplog.records
    assert record.getMessage() == "queued"
    assert record.fields == {"id": "m1"}  # type: ignore[attr-defined]


def test_a_closed_stream_is_no_fault() -> None:
    stream = written("json")
    logger = log.get_logger("test")
    stream.close()
    logger.info("nobody hears")
