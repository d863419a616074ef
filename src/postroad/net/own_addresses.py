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
