"""The name we greet with when nobody gave one: this machine's, when it is whole, else the address we speak from."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from postroad.address import normal_domain, parse_domain
from postroad.errors import AddressSyntaxError


def own_name(target: str) -> str:
    """For EHLO to ``target``, an IP address or ``""`` (RFC 5321 section 4.1.4); no name is looked up, nothing is sent."""
    name = socket.gethostname()
    if _is_whole(name):
        return normal_domain(name)
    return _literal_of(target or "127.0.0.1") or "localhost"


def _is_whole(name: str) -> bool:
    labels = name.lower().split(".")
    try:
        parse_domain(name)
    except AddressSyntaxError:
        return False
    return len(labels) > 1 and labels[-1] not in ("localdomain", "local", "arpa") and not labels[-1].isdecimal()


def _literal_of(target: str) -> str:
    try:
        version = ip_address(target).version
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            own = ip_address(probe.getsockname()[0].partition("%")[0])
    except (OSError, ValueError):
        return ""
    return f"[{own}]" if own.version == 4 else f"[IPv6:{own}]"
