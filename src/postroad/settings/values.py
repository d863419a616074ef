"""Readers of single values: each takes what TOML gave and returns what we mean, or raises SettingsError with a hint."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from postroad.address import normal_domain, parse_domain, parse_mailbox
from postroad.delivery.routing import parse_route
from postroad.errors import AddressSyntaxError, SettingsError
from postroad.settings.model import Address, Network

T = TypeVar("T")
Reader = Callable[[object], T]

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(ms|s|m|h|d|w)\Z")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = re.compile(r"([0-9]{1,12}) ?(B|KiB|MiB|GiB|TiB|KB|kB|MB|GB|TB)\Z")
_OCTETS: Final = {
    "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    "KB": 10**3, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/\s]+)):([0-9]{1,5})\Z")
_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}\Z"
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class SeveralFaults(SettingsError):
    """More than one thing is wrong with one value."""

    def __init__(self, faults: list[SettingsError]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


def kind(value: object) -> str:
    """The TOML word for a value's type."""
    names: dict[type, str] = {bool: "true/false", int: "a number", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), "a table" if isinstance(value, dict) else "a date")


def text(value: object) -> str:
    """Text of one line without control characters."""
    if not isinstance(value, str):
        raise SettingsError(f"must be text in quotes, not {kind(value)}")
    if not value.isprintable():
        raise SettingsError("holds control characters")
    return value


def word(value: object) -> str:
    """Text that is not empty."""
    found = text(value)
    if not found.strip():
        raise SettingsError("must not be empty")
    return found


def flag(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise SettingsError(f"must be true or false, not {kind(value)}")
    return value


def integer(minimum: int, maximum: int = 2**53) -> Reader[int]:
    """A whole number within bounds."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise SettingsError(f"must be a whole number, not {kind(value)}")
        if not minimum <= value <= maximum:
            raise SettingsError(f"{value} is not between {minimum} and {maximum}")
        return value

    return read


def number(minimum: float, maximum: float) -> Reader[float]:
    """A number within bounds."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SettingsError(f"must be a number, not {kind(value)}")
        if not minimum <= value <= maximum:
            raise SettingsError(f"{value} is not between {minimum:g} and {maximum:g}")
        return float(value)

    return read


def one_of(*choices: T) -> Reader[T]:
    """One of a few words or numbers."""

    def read(value: object) -> T:
        for choice in choices:
            if value == choice and type(value) is type(choice):
                return choice
        allowed = ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)
        raise SettingsError(f"{value!r} is not one of {allowed}")

    return read


def listed(read_one: Reader[T], minimum: int = 0) -> Reader[tuple[T, ...]]:
    """A list; single text is named as the likely slip."""

    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            hint = f'write it as a list: ["{value}"]' if isinstance(value, str) else ""
            raise SettingsError(f"must be a list, not {kind(value)}", hint)
        if len(value) < minimum:
            raise SettingsError("the list must not be empty")
        return _each(value, read_one)

    return read


def _each(values: list[object], read_one: Reader[T]) -> tuple[T, ...]:
    found: list[T] = []
    faults: list[SettingsError] = []
    for one in values:
        try:
            found.append(read_one(one))
        except SettingsError as fault:
            faults.append(fault)
    if faults:
        raise SeveralFaults(faults) if len(faults) > 1 else faults[0]
    return tuple(found)


def duration(minimum: float = 0.0, maximum: float = 10 * 365 * 86400.0) -> Reader[float]:
    """Seconds, from a number or from ``"90s"``, ``"10m"``, ``"4h"``, ``"5d"``."""

    def read(value: object) -> float:
        if isinstance(value, str):
            found = _DURATION.match(value)
            if found is None:
                raise SettingsError(f"{value[:40]!r} is no duration", 'write seconds (300) or "90s", "10m", "4h", "5d"')
            seconds = float(found[1]) * _SECONDS[found[2]]
        else:
            seconds = number(0, maximum)(value)
        if not minimum <= seconds <= maximum:
            raise SettingsError(f"{seconds:g} seconds is not between {minimum:g} and {maximum:g}")
        return seconds

    return read


def size(minimum: int = 0) -> Reader[int]:
    """Octets, from a number or from ``"64KiB"``, ``"25MiB"``, ``"10MB"``."""

    def read(value: object) -> int:
        if not isinstance(value, str):
            return integer(minimum)(value)
        found = _SIZE.match(value)
        if found is None:
            raise SettingsError(f"{value[:40]!r} is no size", 'write octets (26214400) or "256KiB", "25MiB", "1GiB"')
        return integer(minimum)(int(found[1]) * _OCTETS[found[2]])

    return read


def host_port(value: object) -> Address:
    """``HOST:PORT``, ``[IPV6]:PORT``; port 0 lets the system choose."""
    written = text(value)
    found = _HOST_PORT.match(written)
    if found is None:
        raise SettingsError(f"{written[:80]!r} is no HOST:PORT", _host_port_hint(written))
    host, port = found[1] or found[2], int(found[3])
    if port > 65535:
        raise SettingsError(f"port {port} does not exist; the highest is 65535")
    if found[1] is not None or not re.search(r"[^0-9.]", host):
        try:
            host = str(ip_address(host))
        except ValueError as fault:
            raise SettingsError(f"{host!r} is no IP address") from fault
    return host, port


def _host_port_hint(written: str) -> str:
    if re.fullmatch(r":?[0-9]{1,5}", written):
        port = written.lstrip(":")
        return f'name the addresses too: ["0.0.0.0:{port}", "[::]:{port}"] for all, "127.0.0.1:{port}" for this machine'
    if written.count(":") > 1 and not written.startswith("["):
        return "an IPv6 address stands in brackets: [::1]:25"
    return 'for example "192.0.2.1:25" or "[2001:db8::1]:25"'


def network(value: object) -> Network:
    """A network (``10.0.0.0/8``) or one address; never the whole world."""
    written = text(value)
    try:
        found: Network = ip_network(written)
    except ValueError as fault:
        try:
            hint = f"did you mean {ip_network(written, strict=False)}?"
        except ValueError:
            hint = 'for example "10.0.0.0/8" or "2001:db8::/32"'
        raise SettingsError(f"{written[:80]!r} is no network", hint) from fault
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        found = IPv4Network((int(found.network_address) & 0xFFFFFFFF, found.prefixlen - 96))
    return found


def trusted_network(value: object) -> Network:
    """A network whose machines may relay: refused when so wide that it holds strangers."""
    found = network(value)
    widest = 8 if isinstance(found, IPv4Network) else 16
    if found.prefixlen < widest and not found.is_private:
        raise SettingsError(
            f"{found} is the open internet: this server would relay for everybody",
            "list the networks of your own machines",
        )
    return found


def domain(value: object) -> str:
    """A domain or an address literal, as lower-case A-labels."""
    try:
        return normal_domain(parse_domain(word(value)))
    except AddressSyntaxError as fault:
        raise SettingsError(fault.message, fault.hint or "no trailing dot, no @, no port") from fault


def mailbox(value: object) -> str:
    """``local@domain`` with the domain as A-labels."""
    try:
        found = parse_mailbox(word(value))
    except AddressSyntaxError as fault:
        raise SettingsError(fault.message, fault.hint) from fault
    return str(type(found)(found.local_part, found.destination))


def sender_pattern(value: object) -> str:
    """``local@domain`` or ``@domain``, in lower case."""
    written = word(value)
    return "@" + domain(written[1:]) if written.startswith("@") else mailbox(written).lower()


def password_hash(value: object) -> str:
    """An Argon2id hash as ``postroad user hash`` prints it."""
    written = text(value)
    found = _ARGON2ID.match(written)
    hint = "make one with: postroad user hash"
    if found is None:
        raise SettingsError("is no Argon2id hash ($argon2id$v=19$m=…,t=…,p=…$…$…)", hint)
    memory, passes, lanes = (int(found[group]) for group in (1, 2, 3))
    if not (8 * lanes <= memory <= 1048576 and 1 <= passes <= 100 and 1 <= lanes <= 64):
        raise SettingsError(f"m={memory},t={passes},p={lanes} is out of bounds (at most 1 GiB and 100 passes)", hint)
    return written


def absolute_path(value: object) -> Path:
    """An absolute path."""
    found = Path(word(value))
    if not found.is_absolute():
        raise SettingsError(f"{str(found)!r} must begin with /")
    return found


def url(value: object) -> str:
    """``https://host[:port]``, without path."""
    written = word(value).rstrip("/")
    try:
        parts = urlsplit(written)
        ok = parts.scheme in ("http", "https") and parts.hostname is not None and (parts.port or 1) > 0
    except ValueError:
        ok = False
    if not ok or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise SettingsError(f"{written[:80]!r} is no address of a site", 'for example "https://mail.example.com"')
    return written


def help_url(value: object) -> str:
    """``https://host/path/{code}``; without ``{code}``, ``/codes/{code}`` is added. ASCII: it goes on the wire."""
    written = word(value).rstrip("/")
    link = written if "{code}" in written else f"{written}/codes/{{code}}"
    try:
        parts = urlsplit(link.replace("{code}", "455"))
        ok = parts.scheme in ("http", "https") and parts.hostname is not None and (parts.port or 1) > 0
    except ValueError:
        ok = False
    if not ok or not re.fullmatch(r"[!-~]{1,200}", link) or "@" in parts.netloc:
        raise SettingsError(
            f"{written[:80]!r} is no address of a page", 'for example "https://mail.example.com/codes/{code}"'
        )
    return link


def deliver(value: object) -> str:
    """A route of ``[[domain]] deliver``, judged by delivery itself; kept as it is written."""
    written = word(value)
    parse_route(written)
    return written
