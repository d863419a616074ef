"""STARTTLS on a running connection: the same protocol object, a transport over TLS."""

from __future__ import annotations

import asyncio
from ssl import SSLContext


async def upgrade(
    transport: asyncio.Transport, protocol: asyncio.Protocol, context: SSLContext | None, seconds: float
) -> asyncio.Transport:
    """The transport over TLS, once the handshake is done; raises OSError (TLS faults, time-outs and resets are).

    The caller has stopped reading. Octets inside TLS may reach ``protocol`` before the caller hears of the end.
    """
    if context is None:
        raise ConnectionError("no certificate")
    upgraded = await asyncio.get_running_loop().start_tls(
        transport, protocol, context, server_side=True, ssl_handshake_timeout=seconds
    )
    if upgraded is None:
        raise ConnectionError("the connection was lost in the handshake")
    return upgraded
