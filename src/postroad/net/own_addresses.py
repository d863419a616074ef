"""Is this one of our own listening addresses? What mail routing needs to see that a mail host is this server itself."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address


def own_addresses(listening: Iterable[tuple[str, int]], port: int = 25) -> Callable[[str], bool]:
    """A judge of addresses, from the (host, port) that our listeners are bound to; those on other ports do not count.

    Behind a wildcard (``0.0.0.0``, ``::``) every address of the machine is ours: the kernel says which, by a bind.
    """
    bound = {ip_address(host.partition("%")[0]) for host, listens_on in listening if listens_on == port}
    wild = {each.version for each in bound if each.is_unspecified}
    if IPv6Address("::") in bound:
        wild.add(4)  # a dual-stack socket, if not by our setting then perhaps by the machine's

    def is_own(address: str) -> bool:
        asked = ip_address(address)
        return asked in bound or (asked.version in wild and _is_of_this_machine(asked))

    return is_own


def _is_of_this_machine(address: IPv4Address | IPv6Address) -> bool:
    if address.is_multicast or address.is_unspecified:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
