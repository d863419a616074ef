"""What holds for every text that may be a mailbox or a path (RFC 5321 section 4.1.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from postroad.address import Mailbox, normal_domain, parse_domain, parse_mailbox, take_path
from postroad.errors import AddressSyntaxError

ATEXT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"
PRINTABLE = "".join(chr(c) for c in range(32, 127))
LET_DIG = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#: Letters of several scripts that need no mapping and no context rules.
UTF8_LETTERS = "äöüßéñøłžαβγжщы日本語東京中国한국ไทย"
UTF8_LABEL_LETTERS = "äöüéñøłžαβγжщы日本語東京中国한국"

atoms = st.text(ATEXT, min_size=1, max_size=10)
dot_strings = st.lists(atoms, min_size=1, max_size=5).map(".".join)
#: What a quoted string may mean: any printable ASCII, in any order.
opaque = st.text(PRINTABLE, max_size=24)
local_parts = st.one_of(dot_strings, opaque, st.text(ATEXT + UTF8_LETTERS, min_size=1, max_size=12))

labels = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,10}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda label: label[2:4] != "--"
)
names = st.lists(labels, min_size=1, max_size=5).map(".".join)
utf8_names = st.lists(st.text(UTF8_LABEL_LETTERS, min_size=1, max_size=5), min_size=1, max_size=3).map(".".join)
literals = st.one_of(
    st.ip_addresses(v=4).map(lambda address: f"[{address}]"),
    st.ip_addresses(v=6).map(lambda address: f"[IPv6:{address}]"),
    st.ip_addresses(v=6).map(lambda address: f"[IPv6:{address.exploded.upper()}]"),
    st.ip_addresses(v=4).map(lambda address: f"[IPv6:::ffff:{address}]"),
    st.text("".join(chr(c) for c in (*range(33, 91), *range(94, 127))), min_size=1, max_size=20).map(
        lambda content: f"[x-y2:{content}]"
    ),
)
domains = st.one_of(names, literals, utf8_names)
mailboxes = st.builds(Mailbox, local_parts, domains)


def quoted(local_part: str, escape_all: bool) -> str:
    return '"' + "".join("\\" + c if c in '"\\' or (escape_all and c.isascii()) else c for c in local_part) + '"'


@given(mailboxes)
def test_written_and_read_again_it_is_the_same(mailbox: Mailbox) -> None:
    assume(len(str(mailbox).rpartition("@")[0].encode()) <= 64)
    assert parse_mailbox(str(mailbox)) == mailbox
    assert take_path(f"<{mailbox}> REST") == (mailbox, " REST")


@given(opaque, st.booleans(), names)
def test_a_quoted_string_means_its_characters(local_part: str, escape_all: bool, domain: str) -> None:
    written = quoted(local_part, escape_all)
    assume(len(written) <= 64)
    assert parse_mailbox(f"{written}@{domain}") == Mailbox(local_part, domain)


@given(st.lists(names, min_size=1, max_size=4), mailboxes, st.text(max_size=20))
def test_any_source_route_is_dropped(route: list[str], mailbox: Mailbox, rest: str) -> None:
    text = f"<{','.join('@' + domain for domain in route)}:{mailbox}>"
    assume(len(text.encode()) <= 256 and len(str(mailbox).rpartition("@")[0].encode()) <= 64)
    assert take_path(text + rest) == (mailbox, rest)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse_mailbox, parse_domain, take_path, normal_domain):
        try:
            read(text)
        except AddressSyntaxError:
            pass


@given(st.text('<>@."\\[]:,-aé \r\n\x00\ud800', max_size=40))
def test_any_text_of_what_matters_is_read_or_refused(text: str) -> None:
    for read in (parse_mailbox, parse_domain, take_path, normal_domain):
        try:
            read(text)
        except AddressSyntaxError:
            pass


@given(st.text('<>@."\\[]:,-a1é \r\n\x00', max_size=30))
def test_what_is_read_can_be_written(text: str) -> None:
    """Nothing that is accepted changes its meaning, or brings a control character further."""
    try:
        path, rest = take_path(text)
    except AddressSyntaxError:
        return
    assert text.endswith(rest)
    if path is None or not path.domain:
        return
    assert parse_mailbox(str(path)) == path
    assert all(c >= " " and c != "\x7f" for c in str(path))


@given(domains)
def test_the_normal_form_is_stable(domain: str) -> None:
    normal = normal_domain(domain)
    assert normal.isascii()
    assert normal == normal.lower()
    assert normal_domain(normal) == normal


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_is_a_literal(address: ipaddress.IPv4Address) -> None:
    assert parse_domain(f"[{address}]") == f"[{address}]"
    with pytest.raises(AddressSyntaxError):
        parse_domain(f"[IPv6:{address}]")


@given(st.text("0123456789.", max_size=18))
def test_an_untagged_literal_is_ipv4_or_refused(text: str) -> None:
    try:
        parse_domain(f"[{text}]")
    except AddressSyntaxError:
        return
    assert str(ipaddress.IPv4Address(text)) == text


@pytest.mark.parametrize("size", [1_000, 100_000])
@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "(" * n,
        lambda n: '"' * n,
        lambda n: "<" + "@a," * n,
        lambda n: "<" + "a." * n + "@",
        lambda n: '<"' + "\\" * n,
        lambda n: "<a@" + "a-" * n,
        lambda n: "<a@[" + "1." * n,
        lambda n: "<a@[" + "a-" * n + ":",
        lambda n: "<" + "@" * n,
    ],
)
def test_long_hostile_text_is_refused(shape: Callable[[int], str], size: int) -> None:
    """Such text has hung or overflowed other parsers; the whole run's time limit is the measure here."""
    text = shape(size)
    for read in (parse_mailbox, parse_domain, take_path):
        with pytest.raises(AddressSyntaxError):
            read(text)
