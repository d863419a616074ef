"""From a name to a connected transport: addresses by the system's resolver, in its order, a bounded number of them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

#: More addresses of one name than these are not tried in one attempt.
MAX_ADDRESSES: Final = 10


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: a host and port, or the path of a UNIX socket."""

    host: str = ""
    port: int = 0
    path: str = ""
    lmtp: bool = False

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a target."""

    target: Target
    address: str
    """An IP address, or the socket's path."""

    @property
    def tls_name(self) -> str:
        """The name that a certificate must carry."""
        return self.target.host

    def __str__(self) -> str:
        if self.target.path or self.address == self.target.host:
            return str(self.target)
        return f"{self.target.host} [{self.address}]:{self.target.port}"


async def endpoints_of(target: Target, seconds: float) -> list[Endpoint]:
    """The addresses to try, in turn; raises OSError (socket.gaierror included, TimeoutError after ``seconds``)."""
    if target.path:
        return [Endpoint(target, target.path)]
    if _is_address(target.host):
        return [Endpoint(target, target.host)]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError as fault:  # an empty label or one of more than 63 octets
        raise socket.gaierror(socket.EAI_NONAME, "no host name") from fault
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [Endpoint(target, address) for address in list(addresses)[:MAX_ADDRESSES]]


async def open_endpoint(endpoint: Endpoint, protocol: asyncio.Protocol, seconds: float, source: str = "") -> None:
    """Connect ``protocol``, from the address ``source`` when one is given; raises OSError (TimeoutError in time)."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        if endpoint.target.path:
            await loop.create_unix_connection(lambda: protocol, endpoint.address)
            return
        if source and (":" in source) != (":" in endpoint.address):
            raise OSError(f"the source address {source} is of another family")
        local = (source, 0) if source else None
        await loop.create_connection(lambda: protocol, endpoint.address, endpoint.target.port, local_addr=local)


def reason_of(fault: BaseException) -> str:
    """A fault of the system in a few words, without its number."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        if fault.reason == "WRONG_VERSION_NUMBER":
            return "the answer is no TLS (wrong version number)"
        return (fault.reason or "TLS error").replace("_", " ").lower()
    if isinstance(fault, socket.gaierror):
        return str(fault.strerror or "name not found")
    if isinstance(fault, TimeoutError) and fault.errno is None:
        return "no answer in time"
    if isinstance(fault, OSError) and fault.errno is not None:
        return os.strerror(fault.errno) if fault.errno in errno.errorcode else str(fault.strerror)
    if isinstance(fault, ConnectionResetError) and not str(fault):  # by a host, in the middle of a handshake
        return "the connection was reset"
    return str(fault) or type(fault).__name__


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
