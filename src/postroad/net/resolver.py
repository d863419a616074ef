"""Questions to the DNS: MX, address, PTR and TXT records by way of the system's (or the given) recursive resolvers.

Promise: every question ends within ``total_timeout`` seconds in an answer or in one of the DnsError below, whatever
octets come back; a name that is no host name is never asked; answers are cached as long as their TTL says, within
bounds, and the same question is under way only once. RFC 1035, 2181, 2308 (negative answers), 5452 (forgery), 6891.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import dns.rdatatype

from postroad.clock import Clock, SystemClock
from postroad.net.dns_cache import Cache, Entry
from postroad.net.dns_errors import BadName, DnsError, DnsTemporary, NameNotFound, NoData
from postroad.net.dns_message import MAX_ALIASES, Facts
from postroad.net.dns_names import is_host_name, is_never_asked
from postroad.net.dns_servers import Server, Servers
from postroad.net.dns_transport import Exchange, Timeouts

__all__ = [
    "AddressAnswer",
    "BadName",
    "DnsError",
    "DnsTemporary",
    "MxAnswer",
    "MxRecord",
    "NameNotFound",
    "NoData",
    "Resolver",
    "Timeouts",
    "TxtAnswer",
]

#: Seconds: how long an answer, a denial and a failure are believed at most. A denial without SOA is not kept at all
#: (RFC 2308 section 5), a failure at most five minutes (section 7.1).
MAX_TTL: Final = 86_400.0
MAX_NEGATIVE_TTL: Final = 3_600.0
FAILURE_TTL: Final = 5.0

#: IP version -> record type.
_TYPES: Final = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}


@dataclass(frozen=True, slots=True)
class MxRecord:
    """One mail exchanger as published (RFC 1035 section 3.3.9)."""

    preference: int
    """0 to 65535; the lowest is tried first."""
    host: str
    """Lower-case A-labels without the final dot; ``""`` is the root, the null MX (RFC 7505). May be no host name."""


@dataclass(frozen=True, slots=True)
class MxAnswer:
    """The MX records of a name, in the order of the answer."""

    name: str
    """What the name is an alias of, or the name itself."""
    records: tuple[MxRecord, ...]
    secure: bool = False
    """Validated by DNSSEC, by the word of a resolver that is trusted to say so (on loopback, or named as such)."""


@dataclass(frozen=True, slots=True)
class AddressAnswer:
    """The addresses of a name, in the order of the versions asked for; at least one."""

    name: str
    addresses: tuple[str, ...]
    secure: bool = False
    note: str = ""
    """What went wrong for one of the versions, when the other gave addresses."""


@dataclass(frozen=True, slots=True)
class TxtAnswer:
    """The TXT records of a name, in the order of the answer."""

    name: str
    records: tuple[bytes, ...]
    """Each with its strings joined, as SPF, DKIM and DMARC read them (RFC 7208 section 3.3); a stranger's octets."""
    secure: bool = False


class Resolver:
    """A stub resolver for one event loop.

    ``servers`` are (IP address, port) pairs; none: those of /etc/resolv.conf, read again when it changes, or loopback.
    ``trust_ad``: believe the AD bit of every server (default: of those on loopback only). ``mix_case``: questions in
    random case, against forgers (a server that does not keep the case is asked again by TCP).
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]] = (),
        clock: Clock | None = None,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 (frozen)
        cache_size: int = 10_000,
        max_in_flight: int = 256,
        trust_ad: bool = False,
        mix_case: bool = False,
    ) -> None:
        self._clock = clock or SystemClock()
        self._servers = Servers(servers, self._clock)
        self._exchange = Exchange(timeouts, max_in_flight, trust_ad=trust_ad, mix_case=mix_case)
        self._cache = Cache(cache_size, self._clock)
        self._under_way: dict[tuple[str, int], asyncio.Task[Facts]] = {}

    @property
    def servers(self) -> tuple[Server, ...]:
        """Who is asked now, in turn."""
        return self._servers.now()

    async def mx(self, name: str) -> MxAnswer:
        """The MX records of ``name``; raises NameNotFound, NoData (none: try its addresses), DnsTemporary, BadName."""
        facts = await self._facts(name, dns.rdatatype.MX)
        records = tuple(MxRecord(each.preference, _text(each.exchange)) for each in facts.records)
        return MxAnswer(facts.name, records, facts.secure)

    async def addresses(self, name: str, families: Sequence[int] = (6, 4)) -> AddressAnswer:
        """The addresses of ``name``, of the IP versions in ``families``; raises like ``mx``.

        One version's failure does not spoil the other's answer; without any address a failure outweighs a denial.
        """
        kinds = [_TYPES[version] for version in families]
        if len(kinds) == 1 or all(self._cache.get(name.lower(), kind) for kind in kinds):
            found = [await _caught(self._facts(name, kind)) for kind in kinds]  # no task for what is known
        else:
            found = await asyncio.gather(*(_caught(self._facts(name, kind)) for kind in kinds))
        answers = [each for each in found if isinstance(each, Facts)]
        faults = [each for each in found if isinstance(each, DnsError)]
        if not answers:
            raise min(faults, key=_weight)
        addresses = tuple(dict.fromkeys(str(each.address) for facts in answers for each in facts.records))
        note = "; ".join(str(fault) for fault in faults if isinstance(fault, DnsTemporary))
        return AddressAnswer(answers[0].name, addresses, all(facts.secure for facts in answers), note)

    async def ptr(self, address: str) -> tuple[str, ...]:
        """The host names that ``address`` points back to; what is no host name is left out; raises like ``mx``."""
        reverse = (IPv6Address(address) if ":" in address else IPv4Address(address)).reverse_pointer
        facts = await self._facts(reverse, dns.rdatatype.PTR)
        names = dict.fromkeys(_text(each.target) for each in facts.records)
        return tuple(name for name in names if is_host_name(name))

    async def txt(self, name: str) -> TxtAnswer:
        """The TXT records of ``name``; raises like ``mx``."""
        facts = await self._facts(name, dns.rdatatype.TXT)
        return TxtAnswer(facts.name, tuple(b"".join(each.strings) for each in facts.records), facts.secure)

    async def close(self) -> None:
        """Give up what is under way: whoever waits gets DnsTemporary."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one question

    async def _facts(self, name: str, kind: dns.rdatatype.RdataType) -> Facts:
        name = name.lower()
        if not is_host_name(name):
            raise BadName(f"{name[:80]!a} is no host name", "letters, digits and hyphens, labels of 1 to 63 octets")
        if is_never_asked(name):
            raise NameNotFound(f"{name} does not exist: the name is reserved (RFC 6761, RFC 7686)")
        known = self._cache.get(name, kind)
        if known is not None:
            return known.take()
        return await self._once(name, kind)

    async def _once(self, name: str, kind: dns.rdatatype.RdataType) -> Facts:
        key = (name, int(kind))
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._look_up(name, kind))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._settled(key, done))
        try:
            return await asyncio.shield(task)  # one who goes away does not take the others' answer with him
        except DnsError as fault:
            raise fault.again() from None
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and not (caller and caller.cancelling()):
                raise DnsTemporary(f"the look-up of {name} was given up: the resolver is closing") from None
            raise

    def _settled(self, key: tuple[str, int], task: asyncio.Task[Facts]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even when everybody who waited has gone

    async def _look_up(self, name: str, kind: dns.rdatatype.RdataType) -> Facts:
        try:
            facts = await self._follow(name, kind)
        except NameNotFound as fault:
            self._cache.put(name, None, Entry(fault, min(fault.ttl, MAX_NEGATIVE_TTL)))
            raise
        except NoData as fault:
            self._cache.put(name, kind, Entry(fault, min(fault.ttl, MAX_NEGATIVE_TTL)))
            raise
        except DnsTemporary as fault:
            self._cache.put(name, kind, Entry(fault, FAILURE_TTL))
            raise
        self._cache.put(name, kind, Entry(facts, min(facts.ttl, MAX_TTL)))
        return facts

    async def _follow(self, name: str, kind: dns.rdatatype.RdataType) -> Facts:
        """Ask, and ask again about the end of an alias chain that the answer left open."""
        asked, secure, ttl = name, True, MAX_TTL
        for _ in range(MAX_ALIASES):
            facts = await self._exchange.ask(asked, kind, self._servers.now())
            secure, ttl = secure and facts.secure, min(ttl, facts.ttl)
            if facts.records:
                return replace(facts, secure=secure, ttl=ttl)
            asked = facts.name
            if not is_host_name(asked):
                raise NoData(f"{name} is an alias of what is no host name", ttl=ttl)
        raise DnsTemporary(f"{name} is an alias of an alias, more than {MAX_ALIASES} times over: a loop")


async def _caught(work: Awaitable[Facts]) -> Facts | DnsError:
    try:
        return await work
    except DnsError as fault:
        return fault


def _text(name: Any) -> str:
    """A name of an answer: odd octets come out as ``\\DDD``, so that the text is printable ASCII."""
    return str(name.to_text(omit_final_dot=True)).lower() if len(name.labels) > 1 else ""


def _weight(fault: DnsError) -> int:
    """A failure says that we do not know; no data, that the name exists; both outweigh a denial of the name."""
    order = (DnsTemporary, BadName, NoData, NameNotFound)
    return next(place for place, kind in enumerate(order) if isinstance(fault, kind))
