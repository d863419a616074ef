"""A name server for tests: in this process, on loopback, UDP and TCP at one port, with a zone that a test writes as a dict.

    async with DnsStub({"example.test": {"MX": ["10 mx.example.test."]}, "mx.example.test": {"A": ["192.0.2.1"]}}) as stub:
        resolver = Resolver([stub.address])

A name that is not in the zone does not exist (NXDOMAIN), a type that it lacks is NODATA; aliases are followed. How a name is
answered wrongly or slowly stands in ``stub.faults``; what was asked is in ``stub.asked``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

#: name (lower case, no final dot; ``""`` is the root) -> record type -> records as in a zone file (names end in a dot).
Zone = dict[str, dict[str, list[str]]]


@dataclass
class Fault:
    """How one name is answered, unlike it should be."""

    rcode: str = ""
    """``SERVFAIL``, ``REFUSED``, …: this instead of an answer."""
    delay: float = 0.0
    silent: bool = False
    silent_times: int = 0
    """So many questions are not answered, the next ones are."""
    truncate: bool = False
    """By UDP only TC comes; TCP has the whole."""
    silent_tcp: bool = False
    close_tcp: bool = False
    wrong_id: bool = False
    """Instead of the right answer by UDP."""
    wrong_question: bool = False
    forged_first: int = 0
    """So many datagrams with other ids and lies come before the right one."""
    lower_case: bool = False
    """The question comes back in lower case."""
    no_edns: bool = False
    """FORMERR for a question with EDNS."""
    raw: bytes | None = None
    """These octets behind the id, in place of everything."""
    alter: Callable[[dns.message.Message], None] | None = None
    """Changes the answer before it goes."""


@dataclass
class Asked:
    """One question as it came."""

    name: str
    kind: str
    tcp: bool
    port: int
    id: int
    edns: bool
    text: str
    """The name in the case it came in."""


@dataclass
class DnsStub:
    """See the module."""

    zone: Zone
    faults: dict[str, Fault] = field(default_factory=dict)
    ttl: int = 300
    negative_ttl: int | None = 60
    """The SOA's minimum; None: denials have no SOA."""
    secure: bool = False
    """Sets AD."""
    chase: bool = True
    """Follow aliases as a recursive resolver does; else the answer ends at the first."""
    asked: list[Asked] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._tcp, "127.0.0.1", 0)
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=self.address)
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._udp.close()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def count(self, name: str, kind: str = "") -> int:
        """How many questions came about a name."""
        return sum(1 for each in self.asked if each.name == name and kind in ("", each.kind))

    # --- answers

    def answer(self, query: dns.message.Message, fault: Fault) -> dns.message.Message:
        """What the zone says."""
        (question,) = query.question
        reply = dns.message.make_response(query, recursion_available=True)
        if fault.rcode or (fault.no_edns and query.edns >= 0):
            reply.set_rcode(dns.rcode.from_text(fault.rcode or "FORMERR"))
            return reply
        if self.secure:
            reply.flags |= dns.flags.AD
        name = question.name
        for _ in range(20):
            records = self.zone.get(_plain(name))
            if records is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
                break
            kind = dns.rdatatype.to_text(question.rdtype)
            if found := records.get(kind):
                reply.answer.append(dns.rrset.from_text_list(name, self.ttl, "IN", kind, found))
                return reply
            if not (alias := records.get("CNAME")):
                break
            reply.answer.append(dns.rrset.from_text_list(name, self.ttl, "IN", "CNAME", alias))
            name = dns.name.from_text(alias[0])
            if not self.chase:
                return reply
        if self.negative_ttl is not None:
            soa = f"ns.test. hostmaster.test. 1 3600 600 86400 {self.negative_ttl}"
            reply.authority.append(dns.rrset.from_text_list("test.", 3600, "IN", "SOA", [soa]))
        return reply

    async def handle(self, octets: bytes, send: Callable[[bytes], None], *, tcp: bool, port: int) -> bool:
        """Answer one question; False: the connection is to be closed."""
        query = dns.message.from_wire(octets)
        (question,) = query.question
        name = _plain(question.name)
        kind = dns.rdatatype.to_text(question.rdtype)
        text = question.name.to_text(omit_final_dot=True)
        self.asked.append(Asked(name, kind, tcp, port, query.id, query.edns >= 0, text))
        fault = self.faults.get(name, Fault())
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.silent_times > 0:
            fault.silent_times -= 1
            return True
        if fault.silent or (tcp and fault.silent_tcp):
            return True
        if tcp and fault.close_tcp:
            return False
        for each in self._octets(query, fault, tcp):
            send(each)
        return True

    def _octets(self, query: dns.message.Message, fault: Fault, tcp: bool) -> Sequence[bytes]:
        right = self.answer(query, fault)
        if fault.alter is not None:
            fault.alter(right)
        if fault.lower_case:
            right.question = [dns.rrset.RRset(n.name.canonicalize(), n.rdclass, n.rdtype) for n in right.question]
        if fault.raw is not None:
            return [query.id.to_bytes(2, "big") + fault.raw]
        if tcp:
            return [right.to_wire(max_size=65535)]
        try:
            wire = right.to_wire()
        except dns.exception.TooBig:
            fault = replace(fault, truncate=True)
        if fault.truncate:
            right.answer.clear()
            right.flags |= dns.flags.TC
            wire = right.to_wire()
        lies = [((query.id + 1 + n) % 65536).to_bytes(2, "big") + wire[2:] for n in range(fault.forged_first)]
        if fault.wrong_id:
            return [*lies, (query.id ^ 1).to_bytes(2, "big") + wire[2:]]
        if fault.wrong_question:
            right.question = [
                dns.rrset.RRset(dns.name.from_text("other.test."), n.rdclass, n.rdtype) for n in right.question
            ]
            wire = right.to_wire()
        return [*lies, wire]

    # --- transport

    def spawn(self, octets: bytes, send: Callable[[bytes], None], port: int) -> None:
        """Answer a datagram."""

        async def run() -> None:
            await self.handle(octets, send, tcp=False, port=port)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        port = writer.get_extra_info("peername")[1]
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                octets = await reader.readexactly(size)
                send = lambda each: writer.write(len(each).to_bytes(2, "big") + each)  # noqa: E731
                if not await self.handle(octets, send, tcp=True, port=port):
                    return
        except (EOFError, OSError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, stub: DnsStub) -> None:
        self._stub = stub

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's and older asyncio's are none by class

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._stub.spawn(data, lambda octets: self._transport.sendto(octets, addr), addr[1])


def mail_zone(sites: Mapping[str, Mapping[str, str]]) -> Zone:
    """``{"example.test": {"10 mx1.example.test": "192.0.2.1"}}`` as a zone: preference and host -> its address."""
    zone: Zone = {}
    for domain, hosts in sites.items():
        zone.setdefault(domain, {})["MX"] = [f"{host}." for host in hosts]
        for host, address in hosts.items():
            kind = "AAAA" if ":" in address else "A"
            zone.setdefault(host.partition(" ")[2], {}).setdefault(kind, []).append(address)
    return zone


def _plain(name: dns.name.Name) -> str:
    return name.canonicalize().to_text(omit_final_dot=True) if len(name.labels) > 1 else ""
