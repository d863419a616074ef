"""Sockets that listen: bound before privileges are dropped, taken from the service manager when it gives them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from ipaddress import ip_address

from postroad.errors import SettingsError

_BACKLOG = 2048
_FIRST_PASSED_FD = 3
_HINT = "write an address of this machine and a port, 127.0.0.1:1025"


class AddressTaken(SettingsError):
    """Another process listens there already."""


class NoSuchAddress(SettingsError):
    """This machine has no such address (or no IPv6)."""


def shown(host: str, port: int) -> str:
    """``host:port``, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A socket that listens on an address (no name is looked up but ``localhost``'s); port 0 lets the system choose.

    Raises AddressTaken, NoSuchAddress or SettingsError with the cause and the cure.
    """
    address = "127.0.0.1" if host.lower() == "localhost" else host
    try:  # bind() itself would ask the resolver for a name, and take "" for every address
        family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    except ValueError as fault:
        raise SettingsError(f"cannot listen on {shown(host, port)}: {host!r} is no IP address", _HINT) from fault
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as fault:
        raise NoSuchAddress(f"cannot listen on {shown(host, port)}: {os.strerror(fault.errno or 0)}") from fault
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except (OSError, OverflowError) as fault:
        bound.close()
        raise _refused(host, port, fault) from fault
    return bound


def _refused(host: str, port: int, fault: OSError | OverflowError) -> SettingsError:
    number = fault.errno if isinstance(fault, OSError) else errno.EINVAL
    where = shown(host, port)
    if number == errno.EADDRINUSE:
        return AddressTaken(f"port {port} on {host} is taken", "stop what listens there, or choose another port")
    if number == errno.EADDRNOTAVAIL:
        return NoSuchAddress(f"cannot listen on {where}: this machine has no such address")
    if number in (errno.EACCES, errno.EPERM):
        return SettingsError(
            f"cannot listen on {where}: not permitted", "ports below 1024 need root or systemd's sockets"
        )
    return SettingsError(f"cannot listen on {where}: {fault}", _HINT)


def passed_sockets(environment: Mapping[str, str], pid: int) -> dict[str, list[socket.socket]]:
    """The sockets that systemd has opened for us, by their name (sd_listen_fds(3)); none when they are not for ``pid``.

    Raises SettingsError for a descriptor that is no socket.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(pid) or not count.isascii() or not count.isdecimal():
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for index in range(int(count)):
        name = names[index] if index < len(names) else "unknown"
        try:
            passed = socket.socket(fileno=_FIRST_PASSED_FD + index)
        except OSError as fault:
            message = f"LISTEN_FDS={count}, but descriptor {_FIRST_PASSED_FD + index} is no socket: {fault.strerror}"
            raise SettingsError(message, "let systemd pass stream sockets only (ListenStream=)") from fault
        passed.setblocking(False)
        os.set_inheritable(passed.fileno(), False)
        found.setdefault(name, []).append(passed)
    return found
