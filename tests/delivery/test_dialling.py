"""Which addresses of strangers may be dialled: every form in which something private can be written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.delivery.dialling import Dialling, carried_by
from postroad.errors import SettingsError

INNER = ["127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"]


def forms(address: str) -> list[str]:
    """Every IPv6 address that carries an IPv4 address."""
    number = int(IPv4Address(address))
    hexed = f"{number >> 16:x}:{number & 0xFFFF:x}"
    flipped = number ^ 0xFFFFFFFF
    return [
        f"::ffff:{address}",
        f"::ffff:0:{hexed}",
        f"64:ff9b::{hexed}",
        f"2002:{hexed}::1",
        f"2001:0:{hexed}::f7f7:f7f7",  # Teredo: that server, client 8.8.8.8
        f"2001:0:808:808::{flipped >> 16:x}:{flipped & 0xFFFF:x}",  # Teredo: server 8.8.8.8, that client
    ]


@pytest.mark.parametrize("form", [form for address in INNER for form in (address, *forms(address))])
def test_no_form_of_a_private_address_is_dialled(form: str) -> None:
    assert Dialling().objection(form)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1", "a loopback address"),
        ("127.255.255.254", "a loopback address"),
        ("::1", "a loopback address"),
        ("::", "the unspecified address"),
        ("0.0.0.0", "an address of this network only"),
        ("0.1.2.3", "an address of this network only"),
        ("10.1.2.3", "a private address"),
        ("172.31.255.255", "a private address"),
        ("169.254.169.254", "a link-local address"),
        ("100.127.0.1", "a carrier's shared address (RFC 6598)"),
        ("192.0.0.8", "an address for protocols (RFC 6890)"),
        ("192.0.2.5", "an address for documentation"),
        ("198.19.0.1", "an address for benchmarks"),
        ("224.0.0.1", "a multicast address"),
        ("239.255.255.255", "a multicast address"),
        ("240.0.0.1", "a private address"),
        ("255.255.255.255", "the broadcast address"),
        ("fe80::1", "a link-local address"),
        ("fe80::1%lo", "an address with a zone"),
        ("fd00:ec2::254", "a private address (unique local, RFC 4193)"),
        ("fec0::1", "a reserved address"),
        ("ff02::1", "a multicast address"),
        ("100::1", "a private address"),
        ("2001:db8::1", "an address for documentation"),
        ("3fff::1", "an address for documentation"),
        ("64:ff9b:1::a00:1", "an address of a local NAT64 (RFC 8215)"),
        ("5f00::1", "a reserved address"),
        ("4000::1", "a reserved address"),
        ("64:ff9b::7f00:1", "a form of 127.0.0.1, a loopback address"),
        ("::ffff:10.0.0.1", "a form of 10.0.0.1, a private address"),
        ("::7f00:1", "a form of 127.0.0.1, a loopback address"),
        ("2002:a9fe:a9fe::", "a form of 169.254.169.254, a link-local address"),
        ("mx.example.com", "no IP address"),
        ("127.1", "no IP address"),
        ("0x7f000001", "no IP address"),
        ("", "no IP address"),
    ],
)
def test_what_is_said_of_it(address: str, words: str) -> None:
    assert Dialling().objection(address) == words


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2a00:1450:4001::1a", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1",
                "::ffff:8.8.8.8"]
)  # fmt: skip
def test_public_addresses_are_dialled(address: str) -> None:
    assert Dialling().objection(address) == ""


def test_the_operator_lets_networks_through() -> None:
    dialling = Dialling(["127.0.0.0/8", "10.1.0.0/16", "fd00::/8", "2001:db8::1"])
    for address in ("127.0.0.1", "10.1.2.3", "fd12::1", "::ffff:127.0.0.1", "64:ff9b::a01:203", "2001:db8::1"):
        assert dialling.objection(address) == "", address
    for address in ("10.2.0.1", "::1", "fc00::1", "64:ff9b::a02:1", "2001:db8::2", "192.168.0.1"):
        assert dialling.objection(address), address


def test_a_wrapping_network_can_be_let_through_itself() -> None:
    assert Dialling(["64:ff9b::/96"]).objection("64:ff9b::a00:1") == ""


@pytest.mark.parametrize("text", ["10.0.0.0/33", "localhost", "", "10.0.0"])
def test_a_network_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="no network"):
        Dialling([text])


@given(st.integers(0, 2**128 - 1))
def test_every_ipv6_address_gets_a_judgement_and_no_private_one_passes(number: int) -> None:
    address = IPv6Address(number)
    if Dialling().objection(str(address)) == "":
        inner = list(carried_by(address))
        assert inner or address in IPV6_UNICAST
        assert all(not each.is_private and not each.is_loopback and not each.is_link_local for each in inner)


@given(st.integers(0, 2**32 - 1))
def test_every_ipv4_address_that_passes_is_public(number: int) -> None:
    address = IPv4Address(number)
    if Dialling().objection(str(address)) == "":
        assert address.is_global
        assert not address.is_multicast


@given(st.text(max_size=40))
def test_any_text_is_judged(text: str) -> None:
    assert isinstance(Dialling().objection(text), str)


class _Unicast:
    def __contains__(self, address: IPv6Address) -> bool:
        return int(address) >> 125 == 1  # 2000::/3


IPV6_UNICAST = _Unicast()
