"""Command lines: what an argument holds never makes a second command, and what may not be said raises first."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError
from postroad.smtp.client_auth import AuthExchange
from postroad.smtp.client_commands import Auth, Mail, Rcpt, auth_line, hello_line, mail_line, rcpt_line
from postroad.smtp.extensions.dsn import ENVID
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.parameters import Given, Parameter
from postroad.smtp.states import Verb

BOB = Mailbox("bob", "example.com")


def test_lines() -> None:
    assert hello_line(Verb.EHLO, "[192.0.2.1]") == b"EHLO [192.0.2.1]\r\n"
    assert mail_line(Mail(None)) == b"MAIL FROM:<>\r\n"
    assert mail_line(Mail(BOB, Given({SIZE: 10, UTF8: True}))) == b"MAIL FROM:<bob@example.com> SIZE=10 SMTPUTF8\r\n"
    assert mail_line(Mail(BOB, Given({ENVID: "a+b c"}))) == b"MAIL FROM:<bob@example.com> ENVID=a+2Bb+20c\r\n"
    assert rcpt_line(Rcpt(Mailbox("a b", "example.com"))) == b'RCPT TO:<"a b"@example.com>\r\n'
    assert rcpt_line(Rcpt(Mailbox("あ", "例え.jp"))) == "RCPT TO:<あ@例え.jp>\r\n".encode()
    assert auth_line("PLAIN", "") == b"AUTH PLAIN =\r\n"


@pytest.mark.parametrize(
    "path",
    [
        Mailbox("a\r\nRSET", "example.com"),
        Mailbox("a\nb", "example.com"),
        Mailbox("a\x00", "example.com"),
        Mailbox("a\x7f", "example.com"),
        Mailbox("a\x85b", "example.com"),
        Mailbox("a\u2028b", "example.com"),
        Mailbox("a", "example.com> SIZE=1"),
        Mailbox("a", "b>\r\nDATA"),
        Mailbox("a", "b c"),
        Mailbox("a", ""),
        Mailbox("", ""),
        Mailbox("a@b>", ""),
        Mailbox("a" * 65, "example.com"),
        Mailbox("\ud800", "example.com"),
    ],
)
def test_a_path_that_is_none_is_refused(path: Mailbox) -> None:
    for line in (lambda: mail_line(Mail(path)), lambda: rcpt_line(Rcpt(path))):
        with pytest.raises(LocalProtocolError):
            line()


@pytest.mark.parametrize("name", ["", "a b", "a\r\nMAIL", "ho\x00st", "-", "[1.2.3]", "[127.0.0.1]\r\n", "あ\x85"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        hello_line(Verb.EHLO, name)


def test_a_parameter_that_is_none_is_refused() -> None:
    for text in ("1 2", "1\r\nRSET", "", "a=b", "\x7f", "é"):
        wild = Parameter(keyword="SIZE", command=Verb.MAIL, parse=str, encode=str)
        with pytest.raises(LocalProtocolError):
            mail_line(Mail(None, Given({wild: text})))


def exactly_one(line: bytes) -> None:
    assert line.endswith(b"\r\n")
    assert re.search(rb"[\x00-\x1f\x7f]", line[:-2]) is None


anything = st.text(st.characters(exclude_categories=()), max_size=40) | st.text(
    st.sampled_from('\r\n\x00 <>@.a:"\\=\u2028'), max_size=20
)


@settings(max_examples=1000)
@given(anything, anything)
def test_any_text_makes_one_command_or_none(one: str, other: str) -> None:
    wild = Parameter(keyword="SIZE", command=Verb.MAIL, parse=str, encode=str)
    for make in (
        lambda: hello_line(Verb.EHLO, one),
        lambda: mail_line(Mail(Mailbox(one, other))),
        lambda: rcpt_line(Rcpt(Mailbox(one, other))),
        lambda: mail_line(Mail(None, Given({wild: one}))),
        lambda: auth_line(one, other),
        lambda: AuthExchange(Auth(one, other), {"AUTH": "PLAIN"}).line,
        lambda: AuthExchange(Auth(one, other), {"AUTH": "LOGIN"}).respond(""),
    ):
        try:
            line = make()
        except LocalProtocolError:
            continue
        exactly_one(line)
