"""The tables about mail that leaves: ``[outbound]``, ``[[destination]]``, ``[retry]``, ``[reports]``, ``[journal]``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import ip_address
from pathlib import Path

from postroad.errors import SettingsError
from postroad.settings import values as v
from postroad.settings.model import (
    Address,
    Destination,
    DoubleBounces,
    Journal,
    Outbound,
    ReportLanguage,
    Reports,
    Retry,
    Terms,
    TlsPolicy,
)
from postroad.settings.tables import Faults, Table

_tls_policy: v.Reader[TlsPolicy] = v.one_of("never", "opportunistic", "require", "verify")
_report_language: v.Reader[ReportLanguage] = v.one_of("sender", "en", "ja", "both")
_double_bounces: v.Reader[DoubleBounces] = v.one_of("postmaster", "drop")


def outbound(table: Table) -> Outbound:
    """``[outbound]``."""
    usual = Outbound()
    account, file = _credentials(table)
    return Outbound(
        via=table.take("via", _elsewhere, usual.via),
        account=account,
        password_file=file,
        tls=table.take("tls", _tls_policy, usual.tls),
        resolver=table.take("resolver", v.listed(_name_server, 1), usual.resolver),
        allow_networks=table.take("allow_networks", v.listed(v.network), usual.allow_networks),
        source=table.take("source", _sources, usual.source),
        port=table.take("port", v.integer(1, 65535), usual.port),
        ipv4=table.take("ipv4", v.flag, usual.ipv4),
        ipv6=table.take("ipv6", v.flag, usual.ipv6),
        connections=table.take("connections", v.integer(1, 10_000), usual.connections),
        connections_per_site=table.take("connections_per_site", v.integer(1, 1000), usual.connections_per_site),
        rate=table.take("rate", v.integer(0, 10_000_000), usual.rate),
    )


def destination(table: Table) -> Destination:
    """One ``[[destination]]``."""
    account, file = _credentials(table)
    return Destination(
        name=table.need("name", v.domain, "", 'for example name = "example.net"'),
        via=table.take("via", _elsewhere, ""),
        account=account,
        password_file=file,
        terms=terms(table),
    )


def terms(table: Table) -> Terms:
    """What a domain's own table may say differently."""
    return Terms(
        tls=table.take("tls", _tls_policy, None),
        schedule=table.take("schedule", v.listed(v.duration(1), 1), None),
        expire=table.take("expire", v.duration(60), None),
        connections=table.take("connections", v.integer(1, 1000), None),
        rate=table.take("rate", v.integer(0, 10_000_000), None),
    )


def retry(table: Table) -> Retry:
    """``[retry]``."""
    usual = Retry()
    return Retry(
        schedule=table.take("schedule", v.listed(v.duration(1), 1), usual.schedule),
        expire=table.take("expire", v.duration(60), usual.expire),
        delay_notice=table.take("delay_notice", _delay_notice, usual.delay_notice),
    )


def reports(table: Table) -> Reports:
    """``[reports]``."""
    usual = Reports()
    return Reports(
        language=table.take("language", _report_language, usual.language),
        double_bounces=table.take("double_bounces", _double_bounces, usual.double_bounces),
        postmaster=table.take("postmaster", v.mailbox, usual.postmaster),
    )


def journal(table: Table) -> Journal:
    """``[journal]``."""
    usual = Journal()
    return Journal(
        keep=table.take("keep", v.duration(0), usual.keep),
        size=table.take("size", v.size(), usual.size),
    )


def check_outgoing(
    found: Outbound, destinations: tuple[Destination, ...], ours: Collection[str], faults: Faults
) -> None:
    """Note what one key alone cannot show; ``ours`` are the names of ``[[domain]]``."""
    _check_login("outbound", found.via, found.account, found.tls, faults)
    for index, one in enumerate(destinations):
        _check_login(f"destination.{index}", one.via or found.via, one.account, one.terms.tls or found.tls, faults)
        if one.name and one.name in ours:
            hint = "say there how its mail is delivered"
            faults.add(f"destination.{index}.name", f"destination.name: {one.name} is a [[domain]] of ours", hint)
    if not (found.ipv4 or found.ipv6):
        faults.add("outbound.ipv6", "outbound: neither IPv4 nor IPv6 is left to call by", "leave one of them on")
    if found.via != "mx" and not any(one.via == "mx" for one in destinations):
        for key in ("resolver", "port", "allow_networks"):
            if f"outbound.{key}" in faults.places:
                faults.warn(f"outbound.{key}", f"outbound.{key} is of no use: no mail goes by MX records")


def _check_login(table: str, via: str, account: str, tls: TlsPolicy, faults: Faults) -> None:
    key = f"{table.partition('.')[0]}.account"
    if account and not via.startswith(("smtp:", "smtps:")):
        faults.add(f"{table}.account", f"{key}: a login needs a host of your own", 'via = "smtp:HOST:587"')
    elif account and tls == "never" and via.startswith("smtp:"):
        faults.warn(f"{table}.account", f'{key}: with tls = "never" the password goes to a host on this machine only')


def _credentials(table: Table) -> tuple[str, Path | None]:
    account = table.take("account", v.word, "")
    file = table.take("password_file", v.absolute_path, None)
    if account and "password_file" not in table:
        table.faults.add(table.key_path("account"), "account: password_file is missing", "a file with one line")
    if "account" not in table and "password_file" in table:
        table.faults.add(table.key_path("password_file"), "password_file: account is missing")
    return account, file


def _elsewhere(value: object) -> str:
    """A route for domains that are not ours: never into our own mailboxes."""
    written = v.deliver(value)
    if written.startswith("maildir:"):
        raise SettingsError("mail for others does not go into a maildir here", 'write "mx", "smtp:HOST:PORT" or "hold"')
    return written


def _delay_notice(value: object) -> float | None:
    """A duration, or ``false``."""
    return None if value is False else v.duration(60)(value)


def _name_server(value: object) -> Address:
    """``HOST:PORT`` or an address alone, then port 53."""
    written = v.text(value)
    try:
        return str(ip_address(written)), 53
    except ValueError:
        host, port = v.host_port(written)
    try:
        return str(ip_address(host)), port
    except ValueError as fault:
        raise SettingsError(f"{host!r}: a name server is named by its address", '"127.0.0.1" or "[::1]:53"') from fault


def _sources(value: object) -> tuple[str, ...]:
    """One address, or one of each family."""
    written = [value] if isinstance(value, str) else value
    read: Callable[[object], tuple[str, ...]] = v.listed(_address, 1)
    found = read(written)
    if len({":" in one for one in found}) < len(found):
        raise SettingsError("more than one address of a family", "one IPv4 and one IPv6 address at most")
    return found


def _address(value: object) -> str:
    written = v.text(value)
    try:
        return str(ip_address(written))
    except ValueError as fault:
        raise SettingsError(f"{written[:80]!r} is no IP address") from fault
