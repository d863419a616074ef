"""Which addresses are this machine's own: asked of the kernel, without a list of interfaces."""

from __future__ import annotations

import socket
from functools import lru_cache


@lru_cache(maxsize=1024)
def is_local(address: str) -> bool:
    """Whether a socket here can have ``address``; an address that comes later is seen after a restart."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def answers_on(address: str, port: int, listening: frozenset[tuple[str, int]]) -> bool:
    """Whether we are who answers on ``address`` and ``port``; ``listening``: where, wildcards included."""
    if (address, port) in listening:
        return True
    wildcard = "::" if ":" in address else "0.0.0.0"
    return (wildcard, port) in listening and is_local(address)


def outgoing(version: int) -> str:
    """The address of this machine that calls to the internet by IP ``version`` begin from; ``""`` when there is no way.

    Nothing is sent: the kernel is asked for its route to an address of the documentation.
    """
    family, there = (socket.AF_INET6, "2001:db8::1") if version == 6 else (socket.AF_INET, "198.51.100.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((there, 25))
            return str(probe.getsockname()[0])
    except OSError:
        return ""
