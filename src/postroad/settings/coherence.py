"""What one key alone cannot show: settings that contradict each other, and those that are allowed but hardly meant."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from postroad.settings.model import Address, Dev, Limits, Settings, Web
from postroad.settings.outgoing import check_outgoing
from postroad.settings.tables import Faults

#: sun_path of sockaddr_un holds 108 octets on Linux, 104 on BSD, a NUL included.
_MAX_SOCKET_PATH = 103


def check_coherence(settings: Settings, faults: Faults) -> None:
    """Note every contradiction as a fault and every doubt as a warning."""
    _check_state(settings, faults)
    _check_roles(settings, faults)
    _check_addresses(settings, faults)
    _check_names(settings, faults)
    _check_accounts(settings, faults)
    _check_limits(settings.limits, faults)
    check_outgoing(settings.outbound, settings.destinations, [one.name for one in settings.domains], faults)
    if settings.dev is not None:
        _check_dev(settings, settings.dev, faults)


def is_loopback(host: str) -> bool:
    """True for an address or name that only this machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_state(settings: Settings, faults: Faults) -> None:
    octets = len(bytes(settings.control_socket))
    if octets > _MAX_SOCKET_PATH:
        faults.add("state", f"state: the path is {octets - _MAX_SOCKET_PATH} octets too long for a socket in it")
    if settings.hostname == "localhost" and settings.dev is None:
        faults.warn("hostname", 'other hosts cannot tell one "localhost" from another: set hostname')


def _check_roles(settings: Settings, faults: Faults) -> None:
    if not any(key in faults.places for key in ("mx", "submission", "submissions", "dev")):
        faults.add("", "nothing to listen on", "add a table: [mx], [submission], [submissions] or [dev]")
    if settings.submissions is not None and settings.tls is None:
        faults.add("submissions", "[submissions] speaks TLS from the first octet: [tls] is missing")
    if settings.mx is not None and not settings.domains and settings.dev is None:
        faults.warn("mx", "[mx] is on but no [[domain]] is set: all mail is refused")
    if settings.web is not None and settings.dev is None:
        _check_web(settings, settings.web, faults)


def _check_web(settings: Settings, web: Web, faults: Faults) -> None:
    """Somebody can sign in where the network can reach the page, and no password crosses it in clear unmentioned."""
    signs_in = any(account.role is not None for account in settings.accounts)
    table = settings.people if settings.accounts or settings.user else "user"
    far = [shown((host, port)) for host, port in web.listen if not is_loopback(host)]
    if far and not signs_in:
        faults.add(
            "web.listen",
            f"web.listen: {far[0]}: the network can reach this page, and nobody can sign in",
            f'give somebody a role: role = "operator" (or "viewer") in a [[{table}]], or listen on 127.0.0.1',
        )
    elif far and not web.public_url.lower().startswith("https:"):
        faults.warn(
            "web.listen",
            f"web.listen: {far[0]}: passwords cross the network in clear, unless a proxy with TLS stands before the page"
            " and public_url says https",
        )
    elif not signs_in:
        faults.warn("web", f"nobody can sign in to [web]: no [[{table}]] has a role")


def shown(address: Address) -> str:
    """``host:port``, an IPv6 address in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _all_addresses(settings: Settings) -> Iterator[tuple[str, Address]]:
    for role, listener in settings.listeners:
        yield from ((role, address) for address in listener.listen)
    if settings.web is not None:
        yield from (("web", address) for address in settings.web.listen)


def _check_addresses(settings: Settings, faults: Faults) -> None:
    seen: dict[Address, str] = {}
    for role, address in _all_addresses(settings):
        if address[1] and address in seen:
            first = seen[address]
            also = "twice" if first == role else f"in [{first}] too"
            faults.add(f"{role}.listen", f"{role}.listen: {shown(address)} is listed {also}")
        seen.setdefault(address, role)


def _check_names(settings: Settings, faults: Faults) -> None:
    for table, names in (
        ("domain", [domain.name for domain in settings.domains]),
        ("destination", [one.name for one in settings.destinations]),
        (settings.people, [account.name for account in settings.accounts]),
    ):
        for index, name in enumerate(names):
            first = names.index(name)
            if name and first < index:
                faults.add(
                    f"{table}.{index}.name",
                    f"{table}.name: {name!r} is already set at {faults.place(f'{table}.{first}')}",
                )


def _check_accounts(settings: Settings, faults: Faults) -> None:
    if settings.dev is not None:
        return
    offering = [role for role, listener in settings.listeners if listener.auth]
    if settings.web is None:
        for index, account in enumerate(settings.accounts):
            if account.role is not None:
                faults.warn(f"{settings.people}.{index}.role", f"{account.name!r} has a role, and there is no [web]")
    if settings.accounts and not offering and not any(account.role for account in settings.accounts):
        faults.warn(f"{settings.people}.0", "no listener offers AUTH: the accounts are of no use")
    for role in offering:
        listener = getattr(settings, role)
        if not settings.accounts and not listener.trusted_networks:
            faults.warn(role, f"[{role}] has neither a [[user]] nor trusted_networks: nobody can send")
        elif settings.tls is None and settings.accounts:
            faults.warn(role, f"[{role}] without [tls]: only clients on this machine can authenticate")


def _check_limits(limits: Limits, faults: Faults) -> None:
    if limits.recipients < 100:
        faults.warn("limits.recipients", "RFC 5321 section 4.5.3.1.8 asks for at least 100 recipients")
    if limits.message_size < 65536:
        faults.warn("limits.message_size", "RFC 5321 section 4.5.3.1.7 asks for at least 64 KiB")
    if limits.received < 100:
        faults.warn("limits.received", "RFC 5321 section 6.3 asks for at least 100 Received fields")
    if limits.command_timeout < 300:
        faults.warn("limits.command_timeout", "RFC 5321 section 4.5.3.2.7 asks for at least 5 minutes")
    if limits.header_size > limits.message_size:
        faults.warn("limits.header_size", "header_size is larger than message_size: it limits nothing")


def _check_dev(settings: Settings, dev: Dev, faults: Faults) -> None:
    for table, present in (("domain", settings.domains), (settings.people, settings.accounts)):
        if present:
            faults.add(
                f"{table}.0",
                f"[[{table}]] beside [dev]: dev mode catches every mail and takes any password",
                "remove one",
            )
    for key in ("outbound", "destination", "retry", "reports", "journal", "user"):
        if key in faults.places:
            faults.add(key, f"{key} beside [dev]: nothing leaves the machine in dev mode", "remove one")
    if dev.open_to_network:
        return
    for role, (host, port) in _all_addresses(settings):
        if not is_loopback(host):
            faults.add(
                f"{role}.listen",
                f"dev mode on {shown((host, port))} would show every mail to the network",
                "add --open-to-network if that is what you want, or listen on 127.0.0.1",
            )
