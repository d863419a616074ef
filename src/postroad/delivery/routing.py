"""Which way a destination's mail goes: ``mx``, ``smtp:``, ``lmtp:``, ``maildir:`` or ``hold``, as the settings write it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from postroad.address import normal_domain
from postroad.errors import SettingsError
from postroad.net.use_tls import UseTls

#: Why a recipient is held; whoever accepts mail for a destination without a route writes the same words.
NO_ROUTE: Final = "no route"
ROUTE_IS_HOLD: Final = "the route is hold"

_HOST_PORT: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9._-]{0,254})))(?::([0-9]{1,5}))?\Z"
)
_PLACEHOLDER: Final = re.compile(r"\{(?:user|domain)\}")
_FORMS: Final = "mx, smtp:HOST:PORT, lmtp:HOST:PORT, lmtp:/socket, maildir:/path/{domain}/{user} or hold"


@dataclass(frozen=True, slots=True)
class Maildir:
    """Into a Maildir; ``template`` is an absolute path with ``{domain}`` and ``{user}``."""

    template: str

    def __str__(self) -> str:
        return f"maildir:{self.template}"


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to a smarthost."""

    account: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Smtp:
    """To one host by SMTP or LMTP; ``path`` is a UNIX socket in place of host and port."""

    host: str
    port: int
    lmtp: bool = False
    path: str = ""
    implicit_tls: bool = False
    """TLS from the first octet (``smtps:``, RFC 8314)."""
    tls: UseTls = UseTls.OPPORTUNISTIC
    login: Login | None = None

    def __str__(self) -> str:
        scheme = "lmtp" if self.lmtp else "smtps" if self.implicit_tls else "smtp"
        if self.path:
            return f"{scheme}:{self.path}"
        return f"{scheme}:[{self.host}]:{self.port}" if ":" in self.host else f"{scheme}:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mx:
    """To the hosts that the destination's MX records name (RFC 5321 section 5.1)."""

    tls: UseTls = UseTls.OPPORTUNISTIC

    def __str__(self) -> str:
        return "mx"


@dataclass(frozen=True, slots=True)
class Hold:
    """Nowhere for now; ``reason`` is what people read."""

    reason: str = ROUTE_IS_HOLD

    def __str__(self) -> str:
        return "hold"


Route = Maildir | Smtp | Mx | Hold


def parse_route(text: str) -> Route:
    """Read a route as the settings write it; raises SettingsError."""
    if text == "hold":
        return Hold()
    if text == "mx":
        return Mx()
    scheme, _, rest = text.partition(":")
    match scheme:
        case "maildir":
            return _maildir(rest)
        case "smtp" | "smtps" | "lmtp":
            return _smtp(rest, scheme)
        case _:
            raise SettingsError(f"no route: {text[:80]!r}", f"write {_FORMS}")


class Routes:
    """Destination -> route; ``default`` is for every other destination (None: they are held for want of a route)."""

    __slots__ = ("_by_destination", "_default")

    def __init__(self, by_destination: Mapping[str, Route], default: Route | None = None) -> None:
        self._by_destination = {normal_domain(name): route for name, route in by_destination.items()}
        self._default: Route = default if default is not None else Hold(NO_ROUTE)

    @classmethod
    def parse(cls, by_destination: Mapping[str, str], default: str = "") -> Routes:
        """From the settings' own text; raises SettingsError."""
        routes = {name: parse_route(text) for name, text in by_destination.items()}
        return cls(routes, parse_route(default) if default else None)

    def of(self, destination: str) -> Route:
        """The route of a destination (lower-case A-labels, or an address literal)."""
        return self._by_destination.get(destination, self._default)

    @property
    def default(self) -> Route:
        """The route of every destination that is not named."""
        return self._default

    def __iter__(self) -> Iterator[tuple[str, Route]]:
        return iter(self._by_destination.items())


def _maildir(template: str) -> Maildir:
    if not template.startswith("/"):
        raise SettingsError(f"the path of a maildir must begin with /: {template[:80]!r}", f"write {_FORMS}")
    if "\x00" in template or any(part in (".", "..") for part in template.split("/")):
        raise SettingsError(f"the path of a maildir must be plain: {template[:80]!r}", "without . and .. in it")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)) is not None:
        raise SettingsError(f"unknown placeholder in {template[:80]!r}", "{domain} and {user} are known")
    if not template.strip("/"):
        raise SettingsError("the path of a maildir must name a directory")
    return Maildir(template.rstrip("/"))


def _smtp(text: str, scheme: str) -> Smtp:
    lmtp, implicit = scheme == "lmtp", scheme == "smtps"
    if text.startswith("/"):
        if not lmtp:
            raise SettingsError("SMTP goes to a HOST:PORT; a socket's path is for lmtp:", f"write {_FORMS}")
        return Smtp("", 0, lmtp=True, path=text)
    found = _HOST_PORT.match(text)
    if found is None:
        raise SettingsError(f"no HOST:PORT: {text[:80]!r}", f"{scheme}:192.0.2.1:25, an IPv6 address in brackets")
    if found[3] is None and lmtp:
        raise SettingsError(f"lmtp: needs a port: {text[:80]!r}", "LMTP never runs on port 25 (RFC 2033 section 5)")
    port = int(found[3] or ("465" if implicit else "25"))  # strict: _HOST_PORT matched the digits
    if not 1 <= port <= 65535:
        raise SettingsError(f"no port: {port}", "1 to 65535")
    if lmtp and port == 25:
        raise SettingsError("LMTP must not run on port 25 (RFC 2033 section 5)")
    return Smtp(found[1] or found[2], port, lmtp, implicit_tls=implicit)
