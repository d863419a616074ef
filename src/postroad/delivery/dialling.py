"""Which addresses may be dialled for names and literals that strangers choose: public ones, and what the operator allows.

An address that carries an IPv4 address (mapped, compatible, translated, NAT64, 6to4, Teredo) is judged by what it carries
too: the DNS of a stranger must not lead us to our own loopback, to a private network or to a cloud's metadata service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from postroad.errors import SettingsError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: What ipaddress calls global, or only private, and a postmaster calls by its name; the first that fits.
_NAMED: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ip_network(text), words)
    for text, words in (
        ("0.0.0.0/8", "an address of this network only"),
        ("100.64.0.0/10", "a carrier's shared address (RFC 6598)"),
        ("192.0.0.0/24", "an address for protocols (RFC 6890)"),
        ("192.0.2.0/24", "an address for documentation"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("192.88.99.0/24", "the former address of 6to4 relays (RFC 7526)"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("255.255.255.255/32", "the broadcast address"),
        ("2001:db8::/32", "an address for documentation"),
        ("3fff::/20", "an address for documentation"),
        ("64:ff9b:1::/48", "an address of a local NAT64 (RFC 8215)"),
        ("fc00::/7", "a private address (unique local, RFC 4193)"),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")  # RFC 2765
_COMPATIBLE: Final = IPv6Network("::/96")  # RFC 4291 section 2.5.5.1
_UNICAST: Final = IPv6Network("2000::/3")  # all that IANA has given out (RFC 4291 section 2.4)


class Dialling:
    """Judges addresses; ``allow_networks`` (CIDR texts) are dialled whatever they are. Raises SettingsError."""

    __slots__ = ("_allowed",)

    def __init__(self, allow_networks: Iterable[str] = ()) -> None:
        self._allowed = tuple(map(_network, allow_networks))

    def objection(self, address: str) -> str:
        """Why ``address`` is not dialled, in a few words (``"a loopback address"``); ``""`` when it may be."""
        try:
            outer = ip_address(address)
        except ValueError:
            return "no IP address"
        if isinstance(outer, IPv6Address) and outer.scope_id is not None:
            return "an address with a zone"
        if self._is_allowed(outer):
            return ""
        carried = list(carried_by(outer))
        for inner in carried:
            if not self._is_allowed(inner) and (words := _what_it_is(inner)):
                return f"a form of {inner}, {words}"
        return "" if carried else _what_it_is(outer)

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed if network.version == address.version)


def carried_by(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to; none for a plain one."""
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo  # its server, and its client
    elif address in _NAT64 or address in _TRANSLATED or address in _COMPATIBLE:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _what_it_is(address: Address) -> str:
    for network, words in _NAMED:
        if address.version == network.version and address in network:
            return words
    if address.is_loopback:
        return "a loopback address"
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_private:
        return "a private address"
    outside = isinstance(address, IPv6Address) and address not in _UNICAST
    return "a reserved address" if address.is_reserved or outside or not address.is_global else ""


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise SettingsError(f"no network: {text[:80]!r}", "write 10.0.0.0/8 or fd00::/8") from None
