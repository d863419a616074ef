"""The client's side of AUTH: which mechanism, no endless exchange, and no secret in any transcript."""

from __future__ import annotations

import pytest

from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.replies import Reply
from postroad.smtp.client_auth import AuthExchange, usable_mechanisms, wants_other_mechanism
from postroad.smtp.client_commands import Auth
from tests.smtp.client_host import BytesHost, converse, greeted

OFFERED = {"AUTH": "LOGIN PLAIN CRAM-MD5"}


@pytest.mark.parametrize(
    ("offered", "wanted", "usable"),
    [
        ("LOGIN PLAIN", (), ["PLAIN", "LOGIN"]),
        ("plain", (), ["PLAIN"]),
        ("PLAIN LOGIN", ("login",), ["LOGIN"]),
        ("PLAIN LOGIN", ("LOGIN", "PLAIN", "login"), ["LOGIN", "PLAIN"]),
        ("PLAIN LOGIN CRAM-MD5", ("CRAM-MD5", "PLAIN"), ["PLAIN"]),
    ],
)
def test_the_choice(offered: str, wanted: tuple[str, ...], usable: list[str]) -> None:
    assert usable_mechanisms({"AUTH": offered}, wanted) == usable


@pytest.mark.parametrize(
    ("announced", "wanted"),
    [({}, ()), ({"AUTH": ""}, ()), ({"AUTH": "GSSAPI"}, ()), ({"AUTH": "PLAIN"}, ("LOGIN",)), (OFFERED, ("CRAM-MD5",))],
)
def test_no_choice(announced: dict[str, str], wanted: tuple[str, ...]) -> None:
    with pytest.raises(LocalProtocolError, match="offers no AUTH"):
        usable_mechanisms(announced, wanted)


def test_which_refusals_are_about_the_mechanism() -> None:
    asked = (334, 421, 454, 501, 504, 530, 534, 535, 538)
    assert [code for code in asked if wants_other_mechanism(Reply(code, "x"))] == [504, 534]


def test_a_host_that_never_stops_asking_is_left() -> None:
    exchange = AuthExchange(Auth("kana", "secret", "LOGIN"), OFFERED)
    assert [exchange.respond("x") for _ in range(3)] == [b"a2FuYQ==\r\n", b"c2VjcmV0\r\n", b"*\r\n"]
    with pytest.raises(RemoteProtocolError, match="goes on asking"):
        exchange.respond("x")
    engine = greeted(b"AUTH PLAIN")
    with pytest.raises(RemoteProtocolError):
        converse(engine, BytesHost({b"": b"334 more\r\n"}), Auth("kana", "secret"))
    assert engine.state.name == "CLOSED"


@pytest.mark.parametrize("secret", ["a\0b", "a\r\nQUIT", "\x7f", "\ud800", "a\x1b[0m"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_no_control_in_account_or_password(secret: str, mechanism: str) -> None:
    for command in (Auth(secret, "x", mechanism), Auth("x", secret, mechanism)):
        with pytest.raises(LocalProtocolError):
            AuthExchange(command, OFFERED)


def test_a_password_shows_nowhere() -> None:
    command = Auth("kana", "geheim", "LOGIN")
    assert "geheim" not in repr(command)
    engine = greeted(b"AUTH LOGIN")
    lines: list[tuple[str, str]] = []
    engine.transcript.listener = lambda direction, text: lines.append((direction, text))
    converse(engine, BytesHost({b"AUTH": b"334 a\r\n", b"a2": b"334 b\r\n", b"Z2": b"535 no\r\n"}), command)
    assert lines == [
        ("C", "AUTH LOGIN"),
        ("S", "334 a"),
        ("C", "(SASL response)"),
        ("S", "334 b"),
        ("C", "(SASL response)"),
        ("S", "535 no"),
    ]


@pytest.mark.parametrize(
    ("mechanism", "answers"),
    [
        ("PLAIN", {b"AUTH": b"500-5.5.2 what is AUTH PLAIN AGthbmEAZ2VoZWlt?\r\n500 5.5.2 I hear AGthbmEAZ2Vo\r\n"}),
        ("PLAIN", {b"AUTH": b"535 5.7.8 geheim is wrong\r\n"}),
        ("LOGIN", {b"AUTH": b"334 a\r\n", b"a2": b"334 b\r\n", b"Z2": b"500 what is Z2VoZWlt?\r\n"}),
    ],
)
def test_a_host_that_says_the_password_back_is_not_quoted(mechanism: str, answers: dict[bytes, bytes]) -> None:
    engine = greeted(b"AUTH PLAIN LOGIN")
    (event,) = converse(engine, BytesHost(answers), Auth("kana", "geheim", mechanism))
    for said in (engine.transcript.text(), repr(event).partition("reply=")[2]):
        assert "***" in said
        assert not any(secret in said for secret in ("geheim", "Z2Vo", "AGthbmEAZ2"))


def test_a_host_that_says_the_password_back_and_no_reply_is_not_quoted_either() -> None:
    engine = greeted(b"AUTH PLAIN")
    engine.send(Auth("kana", "geheim"))
    engine.receive(b"AUTH PLAIN AGthbmEAZ2VoZWlt\r\n")
    with pytest.raises(RemoteProtocolError, match=r"no reply line: b'AUTH PLAIN \*\*\*'"):
        engine.next_event()
