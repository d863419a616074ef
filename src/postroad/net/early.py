"""Whether a peer has spoken before it was greeted."""

from __future__ import annotations

import asyncio
import fcntl
import termios

_ZERO = b"\0\0\0\0"


def has_input(transport: asyncio.BaseTransport) -> bool:
    """True when octets wait in the connection's receive buffer: one system call, nothing is taken out."""
    connected = transport.get_extra_info("socket")
    if connected is None:
        return False
    try:
        return fcntl.ioctl(connected.fileno(), termios.FIONREAD, _ZERO) != _ZERO
    except (OSError, ValueError):  # the connection is gone already; its loss will be told
        return False
