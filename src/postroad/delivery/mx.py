"""From a destination to the hosts that take its mail, as RFC 5321 section 5.1 says: MX, implicit MX, literals.

Promise: what comes out is addresses that may be dialled, in the order to dial them, and nobody looks them up again, so
that a name cannot change under us. Bounded whatever the DNS says. Why a destination has no way is said in words and as
a reply: null MX (RFC 7505), no such domain, mail that would come back to us, hosts with private addresses, a DNS fault.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from itertools import chain, zip_longest
from typing import Final, Protocol

from postroad.delivery.dialling import Dialling
from postroad.errors import PostroadError
from postroad.net.connecting import Endpoint, Target
from postroad.net.dns_errors import BadName, DnsError, DnsTemporary, NameNotFound, NoData
from postroad.net.dns_names import is_host_name
from postroad.net.resolver import AddressAnswer, MxAnswer, MxRecord
from postroad.replies import Reply
from postroad.smtp import undeliverable

SMTP_PORT: Final = 25
#: Bounds of one site: exchanges looked up, addresses of one exchange, addresses in all.
MAX_EXCHANGES: Final = 10
MAX_OF_ONE: Final = 4
MAX_ADDRESSES: Final = 20
_MAX_KEY: Final = 200
_MAX_NOTE: Final = 600
_ALLOW: Final = (
    "if mail is meant to go there, name the network in allow_networks of [outbound], or give the domain a route"
)


class Dns(Protocol):
    """What of ``net.resolver.Resolver`` is needed."""

    async def mx(self, name: str) -> MxAnswer:
        """The MX records."""
        ...

    async def addresses(self, name: str, families: Sequence[int] = ...) -> AddressAnswer:
        """The addresses."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """A host that takes the mail of a destination."""

    host: str
    """Its name (lower-case A-labels), which a certificate must carry; of an address literal the bare address."""
    port: int
    addresses: tuple[str, ...]
    """What to dial, in turn; at least one."""
    preference: int = 0

    @property
    def endpoints(self) -> list[Endpoint]:
        """What to connect to, in turn; nothing is looked up again."""
        return [Endpoint(Target(self.host, self.port), address) for address in self.addresses]


@dataclass(frozen=True, slots=True)
class Site:
    """All hosts of a destination, in the order to try them."""

    key: str
    """What concurrency and back-off go by: the same for all destinations with the same set of mail hosts."""
    exchanges: tuple[Exchange, ...]
    """At least one."""
    secure: bool = False
    """MX and addresses were validated by DNSSEC."""
    notes: tuple[str, ...] = ()
    """Which hosts were left out, and why."""

    def in_turn(self, rng: random.Random) -> list[Exchange]:
        """The hosts as one message tries them: by preference, equals in random order (RFC 5321 section 5.1)."""
        return sorted(rng.sample(self.exchanges, len(self.exchanges)), key=lambda exchange: exchange.preference)


class Unroutable(PostroadError):
    """There is no way to the destination, for now or for good."""

    def __init__(self, reply: Reply, note: str, hint: str = "") -> None:
        super().__init__(note, hint)
        self.reply = reply
        self.note = note

    @property
    def permanent(self) -> bool:
        """False: the DNS may say something else later."""
        return self.reply.is_permanent


@dataclass(slots=True)
class _Found:
    """What the look-up of the exchanges came to."""

    exchanges: list[Exchange] = field(default_factory=list)
    faults: list[DnsError] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    other_family: list[str] = field(default_factory=list)
    own: list[tuple[int, str]] = field(default_factory=list)
    """Preference, and what we were recognised by."""
    secure: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.forbidden, *self.other_family, *map(str, self.faults))


class MxRouting:
    """Finds sites. One for the process; it keeps nothing but what the resolver keeps.

    ``hostname`` is our own name, and ``is_own`` says of an IP address whether we answer on it on ``port``: both are
    what a mail host is recognised by as ourselves. ``families`` are the IP versions that are dialled, in order.
    """

    def __init__(
        self,
        resolver: Dns,
        hostname: str,
        is_own: Callable[[str], bool] = lambda _: False,
        dialling: Dialling | None = None,
        *,
        port: int = SMTP_PORT,
        families: Sequence[int] = (6, 4),
        rng: random.Random | None = None,
    ) -> None:
        self._resolver = resolver
        self._hostname = hostname.lower().removesuffix(".")
        self._is_own = is_own
        self._dialling = dialling or Dialling()
        self._port = port
        self._families = tuple(families)
        self._rng = rng or random.Random()

    async def site_of(self, destination: str) -> Site:
        """The site of a destination (``Mailbox.destination``: lower-case A-labels or ``[literal]``).

        Raises Unroutable and nothing else.
        """
        if destination.startswith("["):
            return self._literal(destination)
        records, secure, notes = await self._records(destination)
        kept = self._without_us(records, destination)
        found = await self._look_up(kept[:MAX_EXCHANGES])
        exchanges = self._cut_at_us(found, destination)
        if not exchanges:
            raise _unusable(destination, found, notes)
        site = tuple(_bounded(exchanges))
        return Site(_key([each.host for each in kept], self._port), site, secure and found.secure, notes + found.notes)

    # --- the hosts by name

    async def _records(self, destination: str) -> tuple[list[MxRecord], bool, tuple[str, ...]]:
        """The usable MX records, equals in random order; whether they are validated; which are left out."""
        try:
            answer = await self._resolver.mx(destination)
        except NoData as fault:
            return [MxRecord(0, destination)], fault.secure, ()  # the implicit MX
        except NameNotFound as fault:
            raise Unroutable(undeliverable.NO_SUCH_DOMAIN, _note(str(fault))) from None
        except BadName as fault:
            raise Unroutable(undeliverable.NO_DOMAIN_NAME, _note(_hinted(fault, destination))) from None
        except DnsError as fault:
            raise Unroutable(undeliverable.DNS_FAILED, _note(str(fault)), fault.hint) from None
        if all(record.host == "" for record in answer.records):
            words = f"{destination} publishes a null MX: it says itself that it takes no mail (RFC 7505)"
            raise Unroutable(undeliverable.NULL_MX, words)
        good = [record for record in answer.records if is_host_name(record.host)]
        bad = [record.host for record in answer.records if not is_host_name(record.host)]
        notes = tuple(f"{host[:80] or '.'} in an MX record is no host name" for host in bad[:MAX_EXCHANGES])
        if not good:
            raise Unroutable(undeliverable.NO_MAIL_HOST, _note(f"{destination}: {'; '.join(notes)}"))
        self._rng.shuffle(good)
        return sorted(good, key=lambda record: record.preference), answer.secure, notes

    def _without_us(self, records: list[MxRecord], destination: str) -> list[MxRecord]:
        """RFC 5321 section 5.1: at our own preference the list ends, so that mail does not go round in a circle."""
        ours = min((each.preference for each in records if each.host == self._hostname), default=None)
        if ours is None:
            return _each_host_once(records)
        kept = _each_host_once([each for each in records if each.preference < ours])
        if not kept:
            raise self._loop(destination, f"{self._hostname}, our own name")
        return kept

    def _loop(self, destination: str, what: str) -> Unroutable:
        words = f"the best mail host of {destination} is {what}: it should be a local domain here, or its MX is wrong"
        return Unroutable(
            undeliverable.LOOPS_BACK, _note(words), "give it a [[domain]] of its own, or mend its MX records"
        )

    # --- their addresses

    async def _look_up(self, records: Sequence[MxRecord]) -> _Found:
        """All at once; in the order of the records."""
        if len(records) == 1:
            answers = [await self._addresses(records[0].host)]
        else:
            answers = await asyncio.gather(*(self._addresses(record.host) for record in records))
        found = _Found()
        for record, answer in zip(records, answers, strict=True):
            if isinstance(answer, AddressAnswer):
                self._take(found, record, answer)
            elif isinstance(answer, NoData) and await self._has_other_family(record.host):
                versions = " and ".join(f"IPv{version}" for version in self._families)
                found.other_family.append(f"{record.host} has no {versions} address, and no other is dialled from here")
            else:
                found.faults.append(answer)
        return found

    async def _addresses(self, host: str) -> AddressAnswer | DnsError:
        try:
            return await self._resolver.addresses(host, self._families)
        except DnsError as fault:
            return fault

    def _take(self, found: _Found, record: MxRecord, answer: AddressAnswer) -> None:
        mine = next((each for each in answer.addresses if self._is_us(each)), None)
        if mine is not None:
            found.own.append((record.preference, f"{record.host} [{mine}], this server itself"))
            return
        objections = {each: self._dialling.objection(each) for each in answer.addresses}
        good = [each for each in answer.addresses if not objections[each]]
        bad = [f"{record.host} [{each}] is {words}" for each, words in objections.items() if words]
        found.forbidden.extend(bad[:MAX_OF_ONE])
        if good:
            found.secure = found.secure and answer.secure
            found.exchanges.append(Exchange(record.host, self._port, self._ordered(good), record.preference))

    def _is_us(self, address: str) -> bool:
        """Loopback and the like in somebody's DNS are no names of ours: they are addresses that are not dialled."""
        what = ip_address(address)
        return not (what.is_loopback or what.is_unspecified or what.is_multicast) and self._is_own(address)

    async def _has_other_family(self, host: str) -> bool:
        others = [version for version in (6, 4) if version not in self._families]
        if not others:
            return False
        try:
            await self._resolver.addresses(host, others)
        except DnsError:
            return False
        return True

    def _ordered(self, addresses: list[str]) -> tuple[str, ...]:
        """Versions in turn, so that one that does not work here costs one try; random within each."""
        self._rng.shuffle(addresses)
        by_version = [
            [each for each in addresses if (6 if ":" in each else 4) == version] for version in self._families
        ]
        mixed = chain.from_iterable(zip_longest(*by_version))
        return tuple(each for each in mixed if each is not None)[:MAX_OF_ONE]

    def _cut_at_us(self, found: _Found, destination: str) -> list[Exchange]:
        if not found.own:
            return found.exchanges
        ours, what = min(found.own)
        kept = [each for each in found.exchanges if each.preference < ours]
        if not kept and not any(isinstance(fault, DnsTemporary) for fault in found.faults):
            raise self._loop(destination, what)
        return kept

    # --- literals

    def _literal(self, destination: str) -> Site:
        """RFC 5321 section 4.1.3: the address itself is the host."""
        text = destination[1:-1]
        try:
            tagged = text[:5].lower() == "ipv6:"
            address = str(IPv6Address(text[5:]) if tagged else IPv4Address(text))
        except AddressValueError:
            raise Unroutable(undeliverable.NO_DOMAIN_NAME, f"{destination[:80]!a} is no address literal") from None
        if self._is_us(address):
            raise self._loop(destination, "this server itself")
        if words := self._dialling.objection(address):
            raise Unroutable(undeliverable.HOSTS_NOT_DIALLED, f"{address} is {words}", _ALLOW)
        if (6 if tagged else 4) not in self._families:
            raise Unroutable(undeliverable.NO_COMMON_FAMILY, f"{address}: this IP version is not dialled from here")
        return Site(_key([address], self._port), (Exchange(address, self._port, (address,)),))


def _each_host_once(records: Sequence[MxRecord]) -> list[MxRecord]:
    """At its best preference."""
    first: dict[str, MxRecord] = {}
    for each in records:
        first.setdefault(each.host, each)
    return list(first.values())


def _unusable(destination: str, found: _Found, notes: tuple[str, ...]) -> Unroutable:
    """There are hosts, and none can be reached: the kindest of the reasons decides, the note has them all."""
    note = _note(f"{destination}: {'; '.join((*found.notes, *notes))}")
    if any(isinstance(fault, DnsTemporary) for fault in found.faults):
        return Unroutable(undeliverable.DNS_FAILED, note)
    if found.other_family:
        return Unroutable(undeliverable.NO_COMMON_FAMILY, note)
    if found.forbidden:
        return Unroutable(undeliverable.HOSTS_NOT_DIALLED, note, _ALLOW)
    return Unroutable(undeliverable.NO_MAIL_HOST, note)


def _bounded(exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    left = MAX_ADDRESSES
    for each in exchanges:
        if left > 0:
            yield replace(each, addresses=each.addresses[:left])
            left -= len(each.addresses)


def _key(hosts: Sequence[str], port: int) -> str:
    """The set of hosts, whatever their order and preference; long ones end in a digest."""
    text = ",".join(sorted(set(hosts)))
    if port != SMTP_PORT:
        text = f"{text}:{port}"
    if len(text) <= _MAX_KEY:
        return text
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()[:32]
    return f"{text[: _MAX_KEY - 33]}~{digest}"


def _hinted(fault: BadName, destination: str) -> str:
    try:
        IPv4Address(destination)
    except AddressValueError:
        return str(fault)
    return f"{destination} is no domain name; mail to an address is written user@[{destination}]"


def _note(text: str) -> str:
    return text if len(text) <= _MAX_NOTE else text[: _MAX_NOTE - 1] + "…"
