"""The server speaks from the catalogue: every reply it can send is explained there, HELP answers from it, refusals link to it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import postroad
from postroad.errors import SettingsError
from postroad.replies import Reply
from postroad.replies.catalogue import catalogue
from postroad.service.help_topics import help_topic
from postroad.settings import values
from postroad.smtp import refusals
from postroad.smtp.extensions import HELP
from postroad.smtp.parameters import Conditions, ExtensionSet
from postroad.smtp.server import ServerConfig, ServerEngine

SOURCE = Path(postroad.__file__).parent
KNOWN = catalogue()


def replies_made() -> Iterator[tuple[str, int, str | None]]:
    """Every ``Reply(code, …, enhanced)`` with a literal code, in the whole source."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reply"):
                continue
            literals = [
                one.value for one in [*node.args, *(k.value for k in node.keywords)] if isinstance(one, ast.Constant)
            ]
            codes = [value for value in literals if isinstance(value, int)]
            statuses = [v for v in literals if isinstance(v, str) and re.fullmatch(r"[245]\.[0-9]+\.[0-9]+", v)]
            for code in codes[:1]:
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", code, statuses[0] if statuses else None


MADE = list(replies_made())


def test_the_source_was_read() -> None:
    assert {220, 221, 250, 354, 421, 451, 452, 455, 500, 501, 503, 550, 554, 555} <= {code for _, code, _ in MADE}


@pytest.mark.parametrize(("where", "code", "status"), MADE, ids=[f"{where}-{code}" for where, code, _ in MADE])
def test_every_reply_we_send_is_explained(where: str, code: int, status: str | None) -> None:
    assert code in KNOWN.codes
    if status is not None:
        assert f"X{status[1:]}" in KNOWN.enhanced
        for language in ("en", "ja"):
            assert KNOWN.enhanced_words(f"X{status[1:]}", language).title


def session(config: ServerConfig, *lines: str) -> list[str]:
    engine = ServerEngine(config, Conditions(free_octets=1 << 30, size_limit=1 << 20, unavailable={}))
    engine.greet()
    engine.receive("".join(f"{line}\r\n" for line in lines).encode())
    while engine.awaiting is None and engine.next_event().__class__.__name__ != "NeedData":
        pass
    return engine.data_to_send().decode().split("\r\n")[1:-1]


def config(**more: object) -> ServerConfig:
    return ServerConfig(hostname="mx.example.net", extensions=ExtensionSet((HELP,)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("topic", ["455", "4.7.1", "SIZE", "MAIL", "rcpt to", "NOTIFY"])
def test_help_answers_from_the_catalogue(topic: str) -> None:
    said = session(config(explain=help_topic), f"HELP {topic}")
    assert said[0].startswith("214-2.0.0 ")
    assert said[-1].startswith("214 2.0.0 ")
    assert all(line.isascii() and len(line) <= 510 and "?" not in line for line in said)


def test_help_on_a_code_says_its_title_and_the_next_step() -> None:
    words = KNOWN.code_words(455, "en")
    said = "\n".join(session(config(explain=help_topic), "HELP 455"))
    assert words.title in said
    assert words.summary in said
    assert words.next.replace("`", "") in said


@pytest.mark.parametrize("topic", ["nonsense", "499999", "x" * 400, "550 5.1.1 no such user", "4.7.1 ; rm"])
def test_help_on_nothing_known_is_504(topic: str) -> None:
    assert session(config(explain=help_topic), f"HELP {topic}") == ["504 5.5.4 No help on this topic"]


def test_every_code_can_be_asked_for() -> None:
    for code in KNOWN.codes:
        said = help_topic(str(code))
        assert said is not None
        assert said.isascii()
        assert Reply(214, said, "2.0.0").to_bytes().count(b"\r\n") == len(said.split("\n"))


def test_refusals_carry_a_link_when_there_is_a_page() -> None:
    url = values.help_url("https://mail.example.com/")
    assert session(config(help_url=url), "BOGUS", "NOOP") == [
        "500 5.5.2 Command unrecognized, see https://mail.example.com/codes/500",
        "250 2.0.0 Ok",
    ]


def test_the_link_may_say_where_the_code_goes() -> None:
    url = values.help_url("https://example.com/smtp/{code}.html")
    assert (
        refusals.with_link(Reply(455, "Not now", "4.5.4"), url).text == "Not now, see https://example.com/smtp/455.html"
    )


def test_a_long_refusal_gets_the_link_in_a_line_of_its_own() -> None:
    url = values.help_url("https://mail.example.com")
    linked = refusals.with_link(Reply(550, "x" * 470, "5.7.1"), url)
    assert linked.lines == ("x" * 470, "see https://mail.example.com/codes/550")
    assert all(len(line) <= 512 for line in linked.to_bytes().split(b"\r\n"))


def test_no_link_without_a_page() -> None:
    assert session(config(), "BOGUS") == ["500 5.5.2 Command unrecognized"]


@pytest.mark.parametrize(
    "wrong",
    [
        "mail.example.com",
        "ftp://example.com",
        "https://",
        "https://u:p@example.com",
        "https://example.com/a b",
        "https://example.com/ü",
        "https://example.com/" + "x" * 300,
    ],
)
def test_a_link_that_cannot_be_one_is_a_fault_of_the_settings(wrong: str) -> None:
    with pytest.raises(SettingsError):
        values.help_url(wrong)
