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


@pytest.mark.parametrize(
    "field",
    [
        b'multipart/mixed; name="; boundary=x',  # some read a boundary here, some the rest of a name
        b"multipart/mixed; boundary=x; boundary=y",
        b"multipart/mixed; boundary*0=x; boundary*1=y",
        b'multipart/mixed; boundary="x',
        b"multipart/mixed",
    ],
)
def test_what_two_readers_could_read_differently_is_a_fault(field: bytes) -> None:
    assert read_part_header(b"Content-Type: " + field + b"\r\n").fault


@pytest.mark.parametrize(
    "rest",
    [
        b";boundary=a" * 450 + b'""' * 2500,
        b'; boundary=a;x="' + b'\\"' * 4900,
        b';boundary="' * 900,
        b";boundary=" + b" " * 9000,
    ],
    ids=["many", "escapes", "unclosed", "spaces"],
)
def test_a_hostile_field_is_read_in_one_go(rest: bytes) -> None:
    """A message of 25 MiB has 2,500 such fields; at the square of their length that is a quarter of an hour."""
    for _ in range(1000):
        read_part_header(b"Content-Type: multipart/mixed" + rest + b"\r\n")


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
