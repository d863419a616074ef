"""Which recursive resolvers to ask: the given ones, or those of /etc/resolv.conf (read again when it changes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from postroad.clock import Clock
from postroad.errors import SettingsError

DNS_PORT: Final = 53
RESOLV_CONF: Final = Path("/etc/resolv.conf")
#: As resolv.conf(5): the first three count.
_MAX_SERVERS: Final = 3
_MAX_OCTETS: Final = 65_536
#: Seconds between looks at the file.
_LOOK_AGAIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """One recursive resolver."""

    address: str
    port: int = DNS_PORT

    @property
    def is_loopback(self) -> bool:
        """Whether nobody stands between it and us, so that its AD bit may be believed (RFC 6840 section 5.8)."""
        return ip_address(self.address).is_loopback

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port == DNS_PORT else f"{host}:{self.port}"


LOOPBACK: Final = (Server("127.0.0.1"),)


class Servers:
    """The resolvers of now. Raises SettingsError for a given one that is no IP address."""

    def __init__(self, given: Sequence[tuple[str, int]], clock: Clock, path: Path = RESOLV_CONF) -> None:
        self._given = tuple(_checked(address, port) for address, port in given)
        self._clock = clock
        self._path = path
        self._read: tuple[Server, ...] = ()
        self._stamp: tuple[int, int] | None = None
        self._look_at = 0.0

    def now(self) -> tuple[Server, ...]:
        """At least one; without a readable file, loopback."""
        if self._given:
            return self._given
        if not self._read or self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + _LOOK_AGAIN
            self._look()
        return self._read

    def _look(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp and self._read:
                return
            with self._path.open("rb") as file:
                text = file.read(_MAX_OCTETS).decode("ascii", "replace")
        except OSError:
            self._read = self._read or LOOPBACK
            return
        self._stamp = stamp
        self._read = servers_in(text) or LOOPBACK


def servers_in(text: str) -> tuple[Server, ...]:
    """The ``nameserver`` lines of a resolv.conf; what is no address is passed over."""
    found: dict[Server, None] = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.setdefault(_checked(words[1], DNS_PORT))
            except SettingsError:
                continue
    return tuple(found)[:_MAX_SERVERS]


def _checked(address: str, port: int) -> Server:
    try:
        ip_address(address)
    except ValueError:
        raise SettingsError(f"no resolver: {address[:80]!r}", "write its IP address") from None
    if not 1 <= port <= 65535:
        raise SettingsError(f"no port of a resolver: {port}", "1 to 65535")
    return Server(address, port)
