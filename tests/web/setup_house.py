"""A host to look at from inside: its facts, the name servers that know of it, and a desk that looks."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from postroad.admin import Admin
from postroad.admin.setup import Check, Facts, Report, SetupDesk
from postroad.clock import SystemClock
from postroad.net.resolver import Timeouts
from tests.dns_stub import DnsStub, Zone

#: Public, and nobody's here: it is never called.
ADDRESS = "9.9.9.9"
NAME = "mail.example.org"
DOMAIN = "example.org"
PATIENT = Timeouts(attempt=5.0, total=15.0, rounds=2)


def good_zone() -> Zone:
    """All that the world expects."""
    return {
        NAME: {"A": [ADDRESS], "TXT": ['"v=spf1 a -all"']},
        "9.9.9.9.in-addr.arpa": {"PTR": [f"{NAME}."]},
        DOMAIN: {"MX": [f"10 {NAME}."], "TXT": ['"v=spf1 mx -all"']},
        f"_dmarc.{DOMAIN}": {"TXT": [f'"v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@{DOMAIN}"']},
    }


def facts(**changes: Any) -> Facts:
    """Of a host with one domain and no listener."""
    return replace(Facts(hostname=NAME, domains=(DOMAIN,), resolver=(("127.0.0.1", 9),)), **changes)


def desk(
    admin: Admin,
    found: Facts,
    *,
    addresses: tuple[str, ...] = (ADDRESS,),
    trust: Callable[[], ssl.SSLContext] | None = None,
) -> SetupDesk:
    """A desk that believes calls to begin from ``addresses``."""

    def outgoing(version: int) -> str:
        return next((one for one in addresses if (":" in one) == (version == 6)), "")

    more = {} if trust is None else {"trust": trust}
    return SetupDesk(lambda: found, admin.journal, SystemClock(), outgoing=outgoing, timeouts=PATIENT, **more)


async def look(
    admin: Admin, zone: Zone | DnsStub, found: Facts | None = None, targets: tuple[str, ...] = (), **options: Any
) -> Report:
    """One run, to its end."""
    stub = zone if isinstance(zone, DnsStub) else DnsStub(zone)
    async with stub:
        found = found or facts()
        looking = desk(admin, replace(found, resolver=(stub.address,)), **options)
        looking.begin(targets)
        await looking.wait(60)
    return looking.report()


def row(report: Report, slug: str) -> Check:
    """The only row of this name."""
    (found,) = [one for one in report.checks if one.slug == slug]
    return found
