"""Headers of parts as people and programs write them, and with another encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.message.part_header import read_part_header, split_fields, with_encoding


@pytest.mark.parametrize(
    ("field", "kind", "boundary"),
    [
        (b"Content-Type: Multipart/Mixed; charset=x; BOUNDARY=abc", "multipart/mixed", b"abc"),
        (b'Content-Type: multipart/mixed;\r\n boundary="a b\\"c"', "multipart/mixed", b'a b"c'),
        (b'Content-Type: (x) multipart/mixed (y); name="; boundary=no"; boundary=yes (z)', "multipart/mixed", b"yes"),
        (b'Content-Type: multipart/mixed; boundary = "trailing  "', "multipart/mixed", b"trailing"),
        (b"Content-Type:text/plain", "text/plain", b""),
        (b"Content-Type: text/plain; boundary=x", "text/plain", b""),
    ],
)
def test_content_types_as_people_write_them(field: bytes, kind: str, boundary: bytes) -> None:
    header = read_part_header(field + b"\r\n")
    assert (header.kind, header.boundary, header.fault) == (kind, boundary, "")


@given(st.binary(max_size=300))
def test_fields_put_together_are_the_section(section: bytes) -> None:
    assert b"".join(octets for _, octets in split_fields(section)) == section
    read_part_header(section)
    read_part_header(b"Content-Type: " + section)


def test_the_encoding_takes_the_place_of_the_old_one() -> None:
    section = b"A: 1\r\ncontent-transfer-encoding:\r\n 8bit\r\nB: 2\r\n"
    assert with_encoding(section, "7bit") == b"A: 1\r\nContent-Transfer-Encoding: 7bit\r\nB: 2\r\n"
    assert with_encoding(b"A: 1", "7bit") == b"A: 1\r\nContent-Transfer-Encoding: 7bit\r\n"
    assert with_encoding(b"", "7bit", [b"B: 2\r\n"]) == b"Content-Transfer-Encoding: 7bit\r\nB: 2\r\n"
