"""Encodings, words of header fields and broken lines come back as they were."""

from __future__ import annotations

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from postroad.message.report_octets import base64, cleansed, header_text, quoted_printable, text_part
from postroad.message.report_wrapping import width, wrap


@given(st.binary(max_size=400))
def test_quoted_printable_comes_back(octets: bytes) -> None:
    encoded = quoted_printable(octets)
    check_lines(encoded, 76)
    assert (
        email.message_from_bytes(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded).get_payload(
            decode=True
        )
        == octets
    )


def check_lines(octets: bytes, limit: int) -> None:
    for line in octets.split(b"\r\n"):
        assert len(line) <= limit
        assert all(32 <= octet < 127 or octet == 9 for octet in line)


@given(st.binary(max_size=400))
def test_base64_comes_back(octets: bytes) -> None:
    check_lines(base64(octets), 76)
    assert (
        email.message_from_bytes(b"Content-Transfer-Encoding: base64\r\n\r\n" + base64(octets)).get_payload(decode=True)
        == octets
    )


@given(st.text(max_size=300))
def test_a_subject_comes_back_cleansed(text: str) -> None:
    wanted = " ".join(cleansed(text, 200).split(" "))
    line = header_text("Subject", cleansed(text, 200))
    assert line.endswith("\r\n")
    for one in line.removesuffix("\r\n").split("\r\n"):
        assert len(one) <= 998
        assert one.isascii()
        assert one.isprintable()
    message = email.message_from_string(line + "\r\n", policy=email.policy.default)
    assert str(message["subject"]).split() == wanted.split()


@given(st.text(max_size=300))
def test_a_text_comes_back(text: str) -> None:
    charset, encoding, octets = text_part(text)
    head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    found = email.message_from_bytes(head.encode() + octets).get_payload(decode=True)
    assert found == text.replace("\n", "\r\n").encode("utf-8", "replace")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), max_size=300), st.integers(10, 80))
def test_wrapping_loses_nothing_but_blanks(text: str, room: int) -> None:
    wrapped = wrap(text, "> ", room=room)
    assert all(line.startswith("> ") or line == ">" for line in wrapped.split("\n"))
    joined = "".join(line[2:] for line in wrapped.split("\n"))
    assert joined.replace(" ", "") == text.replace(" ", "")


def test_japanese_lines_break_where_they_may() -> None:
    text = "メールサーバーからの応答です。「こんにちは」と、書いてあります。" * 5
    lines = wrap(text, room=30).split("\n")
    assert len(lines) > 5
    for line in lines:
        assert line[0] not in "、。」ー"
        assert line[-1] not in "「"
        assert width(line) <= 32
    assert "メール\n" not in wrap("あ" * 13 + "メールボックス", room=30)
