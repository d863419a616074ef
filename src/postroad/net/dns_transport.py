"""One question to the resolvers in turn: by UDP from a fresh port each, by TCP when the answer does not fit.

Promise: over within ``Timeouts.total`` seconds; datagrams of others (wrong id, wrong question) are passed over, and after
MAX_STRANGERS of them the question goes by TCP, where nobody can slip in an answer (RFC 5452 section 9.2, RFC 7766).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import dns.rdatatype

from postroad.net.dns_errors import DnsTemporary
from postroad.net.dns_message import (
    MAX_ANSWER,
    Answer,
    Facts,
    Garbled,
    Question,
    ServerFailure,
    Unasked,
    question,
    read_answer,
    read_facts,
)
from postroad.net.dns_servers import Server

#: Datagrams that are not the answer, before the question goes by TCP.
MAX_STRANGERS: Final = 20
#: Only a server that said nothing is asked again: the packet may have been lost.
_SILENCE: Final = "no answer in time"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: for one try at one server, and for a question in all, every server and try included."""

    attempt: float = 2.0
    total: float = 10.0
    rounds: int = 3
    """Times that every server is asked, as long as ``total`` lasts; each round waits twice as long as the one before."""


class Exchange:
    """Asks."""

    def __init__(self, timeouts: Timeouts, max_in_flight: int, *, trust_ad: bool, mix_case: bool) -> None:
        self._timeouts = timeouts
        self._room = asyncio.Semaphore(max_in_flight)
        self._trust_ad = trust_ad
        self._mix_case = mix_case

    async def ask(self, name: str, kind: dns.rdatatype.RdataType, servers: Sequence[Server]) -> Facts:
        """Raises NameNotFound, NoData, or DnsTemporary, which tells what each server did."""
        told: dict[str, str] = {}
        try:
            async with asyncio.timeout(self._timeouts.total), self._room:
                for turn in range(self._timeouts.rounds):
                    for server in [each for each in servers if str(each) not in told or told[str(each)] == _SILENCE]:
                        facts = await self._try(name, kind, server, self._timeouts.attempt * 2**turn, told)
                        if facts is not None:
                            return facts
        except TimeoutError:
            pass
        what = "; ".join(f"{server}: {words}" for server, words in told.items()) or _SILENCE
        raise DnsTemporary(
            f"no usable answer about the {kind.name} records of {name} ({what})",
            "SERVFAIL and DNSSEC speak of the domain's own servers; silence, of the resolver or the network",
        )

    async def _try(
        self, name: str, kind: dns.rdatatype.RdataType, server: Server, seconds: float, told: dict[str, str]
    ) -> Facts | None:
        for edns in (True, False):
            asked = question(name, kind, edns=edns, mix_case=self._mix_case)
            try:
                async with asyncio.timeout(seconds):
                    answer = await _converse(asked, server)
                return read_facts(answer, asked, self._trust_ad or server.is_loopback)
            except ServerFailure as fault:
                told[str(server)] = str(fault)
                if not fault.edns:
                    return None
            except Garbled as fault:
                told[str(server)] = str(fault)
                return None
            except TimeoutError:
                told[str(server)] = _SILENCE
                return None
            except (OSError, EOFError) as fault:
                told[str(server)] = _reason(fault)
                return None
        return None


async def _converse(asked: Question, server: Server) -> Answer:
    answer = await _by_udp(asked, server)
    return answer if answer is not None else await _by_tcp(asked, server)


class _Datagrams(asyncio.DatagramProtocol):
    """A connected socket: the kernel passes on only what comes from the server's address and port."""

    def __init__(self, asked: Question) -> None:
        self._asked = asked
        self._strangers = 0
        self.answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if self.answer.done():
            return
        try:
            answer = read_answer(data, self._asked)
        except Unasked:
            self._strangers += 1
            if self._strangers >= MAX_STRANGERS:
                self.answer.set_result(None)
        except Garbled:  # from a forger who knew the id, or a broken server: TCP tells
            self.answer.set_result(None)
        else:
            self.answer.set_result(answer if answer.keeps_case and not answer.truncated else None)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _by_udp(asked: Question, server: Server) -> Answer | None:
    """The answer; None when it was cut short, or TCP is safer."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Datagrams(asked), remote_addr=(server.address, server.port)
    )
    try:
        transport.sendto(asked.octets)
        return await protocol.answer
    finally:
        transport.close()


async def _by_tcp(asked: Question, server: Server) -> Answer:
    reader, writer = await asyncio.open_connection(server.address, server.port, limit=MAX_ANSWER)
    try:
        writer.write(len(asked.octets).to_bytes(2, "big") + asked.octets)
        size = int.from_bytes(await reader.readexactly(2), "big")
        if size > MAX_ANSWER:
            raise Garbled(f"an answer of more than {MAX_ANSWER} octets")
        octets = await reader.readexactly(size)
    finally:
        writer.transport.abort()
    answer = read_answer(octets, asked)
    if answer.truncated:
        raise Garbled("an answer cut short by TCP, too")
    return answer


def _reason(fault: BaseException) -> str:
    if isinstance(fault, EOFError):
        return "the connection was closed before the answer"
    return fault.strerror or type(fault).__name__ if isinstance(fault, OSError) else type(fault).__name__
