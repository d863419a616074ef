"""Who a client is: the address by which it is counted, and the networks to which it belongs.

An IPv6 site gets a /64 at least, so its 2^64 addresses count as one client; an IPv4 address in IPv6 clothes is itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


@lru_cache(maxsize=4096)
def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address of a peer, without zone, IPv4-mapped IPv6 as IPv4; None for what is no address (a socket's path)."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def client_of(host: str) -> str:
    """The key by which a peer is counted: its IPv4 address, the /64 of its IPv6 address, else the text itself."""
    found = address_of(host)
    if found is None:
        return host
    if isinstance(found, IPv4Address):
        return str(found)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"


class Networks:
    """A set of networks that answers quickly whether an address is in one of them."""

    __slots__ = ("_four", "_six")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        known = tuple(networks)
        self._four = tuple((int(n.network_address), int(n.netmask)) for n in known if isinstance(n, IPv4Network))
        self._six = tuple((int(n.network_address), int(n.netmask)) for n in known if isinstance(n, IPv6Network))

    def __contains__(self, host: object) -> bool:
        found = address_of(host) if isinstance(host, str) else None
        if found is None:
            return False
        number = int(found)
        known = self._four if isinstance(found, IPv4Address) else self._six
        return any(number & mask == network for network, mask in known)

    def __bool__(self) -> bool:
        return bool(self._four or self._six)
