"""Settings become what delivery takes: routes with their TLS and logins, and who is told where mail for others goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from postroad.delivery.routing import Hold, Login, Maildir, Mx, Route, Routes, Smtp, parse_route
from postroad.net.use_tls import UseTls
from postroad.settings import Settings, TlsPolicy

#: A password file -> what is in it.
Passwords = Mapping[Path, str]

_USE: Final[Mapping[TlsPolicy, UseTls]] = {
    "never": UseTls.NEVER,
    "opportunistic": UseTls.OPPORTUNISTIC,
    "require": UseTls.REQUIRED,
    "verify": UseTls.VERIFIED,
}


def routes(settings: Settings, passwords: Passwords) -> Routes:
    """Where each domain's mail goes; in dev mode nothing leaves, whatever is asked."""
    if settings.dev is not None:
        return Routes({})
    outbound = settings.outbound
    default = _route(outbound.via, outbound.tls, outbound.account, passwords.get(outbound.password_file or Path()))
    named: dict[str, Route] = {}
    for domain in settings.domains:
        named[domain.name] = _route(domain.deliver, domain.terms.tls or outbound.tls)
    for one in settings.destinations:
        tls = one.terms.tls or outbound.tls
        if one.via or one.account:
            via, password = one.via or outbound.via, passwords.get(one.password_file or Path())
            named[one.name] = _route(via, tls, one.account, password)
        else:
            named[one.name] = _with_tls(default, tls)
    return Routes(named, default)


def holds(found: Routes) -> Callable[[str], str]:
    """Domain -> why its mail would be held, ``""``: it goes."""

    def reason(domain: str) -> str:
        route = found.of(domain)
        return route.reason if isinstance(route, Hold) else ""

    return reason


def ways(settings: Settings, found: Routes) -> Routes:
    """The routes that mail can take at all: where nobody may relay, what comes is for our domains."""
    listeners = [one for _, one in settings.listeners]
    may_relay = any(one.trusted_networks or (one.auth and settings.accounts) for one in listeners)
    return found if may_relay else Routes({one.name: found.of(one.name) for one in settings.domains})


def _route(text: str, tls: TlsPolicy, account: str = "", password: str | None = None) -> Route:
    route = _with_tls(parse_route(text), tls)
    if account and password is not None and isinstance(route, Smtp):
        return replace(route, login=Login(account, password))
    return route


def _with_tls(route: Route, tls: TlsPolicy) -> Route:
    match route:
        case Smtp() | Mx():
            return replace(route, tls=_USE[tls])
        case Maildir() | Hold():
            return route
