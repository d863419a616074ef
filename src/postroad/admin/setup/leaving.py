"""Whether mail can leave by port 25, which many networks block: by what was delivered, else by hosts the operator names.

No stranger is called unasked. One that is named hears a connection and QUIT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postroad.admin.journal import JournalDesk, LogQuery
from postroad.admin.setup.checks import Check, Facts, Level, check
from postroad.delivery.dialling import Dialling
from postroad.diagnosis.ptr import Dns
from postroad.diagnosis.targets import TargetError, read_target
from postroad.envelope import Outcome
from postroad.net.dns_errors import DnsError, NameNotFound, NoData
from postroad.observe.printable import printable

#: Seconds that deliveries count as evidence.
RECENT: Final = 3600.0
#: Names that the form may hold.
MAX_TARGETS: Final = 4
_MAX_CALLS: Final = 8
_LINES: Final = 300
_CONNECT: Final = 8.0
_GREETING: Final = 10.0
_GREETING_OCTETS: Final = 512


@dataclass(frozen=True, slots=True)
class Called:
    """What came of one call."""

    place: str
    greeted: bool
    said: str
    blocked: bool = False
    """Nothing came back at all, as when packets are dropped on the way."""


def read_targets(text: str) -> tuple[str, ...]:
    """Names in a form, parted by spaces or commas; raises TargetError."""
    words = text.replace(",", " ").split()
    if len(words) > MAX_TARGETS:
        raise TargetError(f"{len(words)} hosts are too many", f"at most {MAX_TARGETS}")
    return tuple(read_target(word).host for word in words)


async def look_at_leaving(dns: Dns, facts: Facts, journal: JournalDesk, now: float, targets: Sequence[str]) -> Check:
    """See the module."""
    if not facts.sends_itself and not targets:
        return check("port25", Level.SKIP, "port25.relay", via=facts.via)
    hosts = await _delivered(facts, journal, now)
    evidence = [("delivered-to", one) for one in hosts[:10]]
    called = await _call(dns, facts, targets) if targets else []
    evidence += [("called", f"{one.place}: {one.said}") for one in called]
    port = facts.port
    good = [one for one in called if one.greeted]
    if hosts:
        return check("port25", Level.OK, "port25.delivered", evidence=evidence, count=len(hosts), port=port)
    if good:
        return check("port25", Level.OK, "port25.greeted", evidence=evidence, count=len(good), port=port)
    if not called:
        return check("port25", Level.UNKNOWN, "port25.untried", evidence=evidence, port=port)
    if len(called) > 1 and all(one.blocked for one in called):
        return check("port25", Level.FAIL, "port25.blocked", evidence=evidence, count=len(called), port=port)
    return check("port25", Level.UNKNOWN, "port25.inconclusive", evidence=evidence, port=port)


async def _delivered(facts: Facts, journal: JournalDesk, now: float) -> list[str]:
    """Hosts that took a message lately, each once, newest last."""
    page = await journal.page(LogQuery(since=now - RECENT, limit=_LINES))
    ending = f":{facts.port}"
    taken = [
        entry.attempt.host
        for entry in page.entries
        if entry.attempt.host.endswith(ending)
        and any(result.outcome is Outcome.DELIVERED for result in entry.attempt.results)
    ]
    return list(dict.fromkeys(taken))


async def _call(dns: Dns, facts: Facts, targets: Sequence[str]) -> list[Called]:
    dialling = Dialling(facts.allow_networks)
    found = await asyncio.gather(*(_places(dns, one) for one in targets[:MAX_TARGETS]))
    calls, told = [], []
    for host, addresses, fault in found:
        told += [Called(host, False, fault)] if fault else []
        for address in addresses:
            words = dialling.objection(address)
            told += [Called(f"{host} [{address}]", False, words)] if words else []
            calls += [] if words else [_one(host, address, facts.port)]
    answers = await asyncio.gather(*calls[:_MAX_CALLS])
    for rest in calls[_MAX_CALLS:]:
        rest.close()
    return [*told, *answers]


async def _places(dns: Dns, name: str) -> tuple[str, tuple[str, ...], str]:
    """A mail host of a name, its addresses (two at most), or why there are none."""
    host = name
    if ":" in name or name.replace(".", "").isdigit():
        return name, (name,), ""
    try:
        records = sorted((await dns.mx(name)).records, key=lambda one: one.preference)
        host = next((one.host for one in records if one.host), name)
    except (NoData, NameNotFound):
        pass
    except DnsError as fault:
        return name, (), str(fault)
    try:
        return host, (await dns.addresses(host, (4, 6))).addresses[:2], ""
    except DnsError as fault:
        return host, (), str(fault)


async def _one(host: str, address: str, port: int) -> Called:
    place = f"{host} [{address}]:{port}"
    try:
        async with asyncio.timeout(_CONNECT):
            reader, writer = await asyncio.open_connection(address, port, limit=_GREETING_OCTETS * 2)
    except TimeoutError:
        return Called(place, False, f"no answer in {_CONNECT:.0f} s", blocked=True)
    except OSError as fault:
        return Called(place, False, fault.strerror or str(fault))
    try:
        async with asyncio.timeout(_GREETING):
            line = await reader.read(_GREETING_OCTETS)
            writer.write(b"QUIT\r\n")
            await writer.drain()
    except TimeoutError:
        return Called(place, False, f"connected, no greeting in {_GREETING:.0f} s")
    except OSError as fault:
        return Called(place, False, fault.strerror or str(fault))
    finally:
        writer.transport.abort() if writer.transport.is_closing() else writer.close()
    text = printable(line.decode("ascii", "replace").split("\n")[0].strip())[:200]
    return Called(place, line.startswith(b"220"), text or "closed without a word")
