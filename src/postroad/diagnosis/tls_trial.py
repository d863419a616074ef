"""Whether a port that says nothing speaks TLS, tried on a connection of its own: one handshake, and what is said inside.

What the host says instead of a handshake is kept: a web server that waits for a request answers with one of its pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from typing import Final

from postroad.diagnosis.watching import KEPT, Waits
from postroad.net.connecting import Endpoint, reason_of
from postroad.net.tls import TlsFacts, facts_of

_BLOCK: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    facts: TlsFacts | None = None
    """Of the handshake; None when it did not come about."""
    raw: bytes = b""
    """The first octets that came, outside of TLS."""
    said: bytes = b""
    """The first octets inside."""
    reason: str = ""
    """Why there was no handshake."""


async def try_tls(endpoint: Endpoint, context: ssl.SSLContext, waits: Waits) -> Trial:
    """Never raises for what the host does; takes at most three times ``waits.tls_trial`` seconds."""
    try:
        async with asyncio.timeout(waits.tls_trial):
            reader, writer = await asyncio.open_connection(endpoint.address, endpoint.target.port)
    except OSError as fault:
        return Trial(reason=reason_of(fault))
    try:
        return await _Handshake(reader, writer, context, endpoint.tls_name).run(waits.tls_trial)
    finally:
        writer.transport.abort()


class _Handshake:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, name: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._context = context
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name or None)
        self._raw = b""

    async def run(self, seconds: float) -> Trial:
        try:
            async with asyncio.timeout(seconds):
                while not self._shakes():
                    await self._more()
        except (OSError, EOFError) as fault:
            return Trial(raw=self._raw, reason=reason_of(fault))
        facts = facts_of(self._tls, self._context)
        said = b""
        with contextlib.suppress(OSError, EOFError):
            async with asyncio.timeout(seconds):
                while b"\n" not in said and len(said) < KEPT:
                    said += await self._decrypted()
        return Trial(facts, self._raw, said[:KEPT])

    def _shakes(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._writer.write(self._out.read())
        return True

    async def _more(self) -> None:
        octets = await self._reader.read(_BLOCK)
        if not octets:
            raise EOFError("the connection was closed")
        self._raw += octets[: KEPT - len(self._raw)]
        self._in.write(octets)

    async def _decrypted(self) -> bytes:
        while True:
            try:
                octets = self._tls.read(KEPT)
            except ssl.SSLWantReadError:
                await self._more()
                continue
            if not octets:
                raise EOFError
            return octets
