"""Octets of questions and answers, by dnspython's codec, and what an answer says about the name that was asked.

Promise: whatever octets a server sends, they come out as Facts or as one of the exceptions named here; at most
MAX_RECORDS records are kept, and only those that the question's name leads to (RFC 2181 section 5.4.1, RFC 5452 section 6).
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire

from postroad.net.dns_errors import NameNotFound, NoData

#: Octets of an answer by UDP that we say we take (the size that passes unfragmented, RFC 9715), and by TCP.
UDP_PAYLOAD: Final = 1232
MAX_ANSWER: Final = 16_384
#: Records of one set that are kept, and aliases that are followed.
MAX_RECORDS: Final = 100
#: Records of a section that are read at all: all of a set, its signatures and the aliases before it.
MAX_READ: Final = 150
MAX_ALIASES: Final = 8
#: RFC 2181 section 8: a TTL with its highest bit set is to be read as 0.
_TTL_SIGN: Final = 0x7FFFFFFF
#: Extended errors (RFC 8914) that speak of DNSSEC.
_BOGUS: Final = frozenset({1, 2, 6, 7, 8, 9, 10, 11, 12})


class Garbled(Exception):
    """These octets are no answer to the question: a forger's, or a broken server's."""


class Unasked(Garbled):
    """An answer to another question (id, name, type or class): to be ignored, the right one may still come."""


class ServerFailure(Exception):
    """The server answered that it cannot answer; ``edns`` when it may be able to without EDNS (RFC 6891 section 7)."""

    def __init__(self, words: str, *, edns: bool = False) -> None:
        super().__init__(words)
        self.edns = edns


@dataclass(frozen=True, slots=True)
class Facts:
    """The records of a name; none: the answer ends in an alias, ``name``, that must be asked about itself."""

    name: str
    records: tuple[Any, ...]
    """Records of dnspython of the type asked for."""
    ttl: float
    secure: bool


@dataclass(frozen=True, slots=True)
class _Record:
    owner: bytes
    """The name in lower case, on the wire's form: what names are compared by."""
    kind: int
    ttl: int
    data: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that answers our question, as far as it matters."""

    rcode: int
    """The whole RCODE, the upper bits of EDNS included."""
    authentic: bool = False
    """AD."""
    keeps_case: bool = True
    """The question came back letter for letter: a forger has to guess that, too (only with ``mix_case``)."""
    truncated: bool = False
    records: tuple[_Record, ...] = ()
    denials: tuple[_Record, ...] = ()
    """SOA records."""
    extended: frozenset[int] = frozenset()
    """Extended errors by number (RFC 8914)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question as sent."""

    name: dns.name.Name
    kind: dns.rdatatype.RdataType
    id: int
    octets: bytes


def question(name: str, kind: dns.rdatatype.RdataType, *, edns: bool = True, mix_case: bool = False) -> Question:
    """Make a question with a random id (RFC 5452 section 4.5), RD and AD set (RFC 6840 section 5.7)."""
    asked = dns.name.from_text(_mixed(name) if mix_case else name)
    number = secrets.randbelow(65536)
    message = dns.message.make_query(
        asked,
        kind,
        use_edns=0 if edns else False,
        payload=UDP_PAYLOAD if edns else None,
        id=number,
        flags=dns.flags.RD | dns.flags.AD,
    )
    return Question(asked, kind, number, message.to_wire())


def read_answer(octets: bytes, asked: Question) -> Answer:
    """The answer to ``asked``; of one that was cut short only the question is read. Raises Unasked, Garbled."""
    if len(octets) < 12:
        raise Unasked("shorter than a header")
    number, flags = int.from_bytes(octets[:2], "big"), int.from_bytes(octets[2:4], "big")
    if number != asked.id or not flags & dns.flags.QR or flags & 0x7800:
        raise Unasked("an answer to nothing that was asked")
    if len(octets) > MAX_ANSWER:
        raise Garbled(f"an answer of more than {MAX_ANSWER} octets")
    counts = [int.from_bytes(octets[place : place + 2], "big") for place in (4, 6, 8, 10)]
    parser = dns.wire.Parser(octets, 12)
    try:
        keeps_case = _check_question(parser, counts[0], flags & 0xF, asked)
        if flags & dns.flags.TC:
            return Answer(flags & 0xF, truncated=True)
        return _sections(parser, counts[1:], flags, asked, keeps_case)
    except Garbled:
        raise
    except Exception as fault:  # whatever the codec stumbles over in hostile octets
        raise Garbled("octets that are no DNS message") from fault


def _check_question(parser: dns.wire.Parser, count: int, code: int, asked: Question) -> bool:
    """Whether the question came back letter for letter."""
    if count == 0 and code in (dns.rcode.FORMERR, dns.rcode.NOTIMP):
        return True  # a server that cannot read the question may leave it out
    if count != 1:
        raise Unasked("an answer without our question")
    name = parser.get_name(decompress=True)
    kind, among = parser.get_struct("!HH")
    if name != asked.name or kind != asked.kind or among != dns.rdataclass.IN:
        raise Unasked("an answer to another question")
    return name.labels == asked.name.labels


def _sections(parser: dns.wire.Parser, counts: Sequence[int], flags: int, asked: Question, keeps_case: bool) -> Answer:
    """What of the sections may matter, read record by record, since dnspython's own reading of a whole message takes
    seconds for names of many labels."""
    answers, authority, additional = counts
    records = tuple(_records(parser, min(answers, MAX_READ), (asked.kind, dns.rdatatype.CNAME)))
    if answers > MAX_READ:
        return Answer(flags & 0xF, bool(flags & dns.flags.AD), keeps_case, records=records)
    denials = tuple(_records(parser, min(authority, MAX_READ), (dns.rdatatype.SOA,)))
    options = tuple(_records(parser, min(additional, MAX_READ), (dns.rdatatype.OPT,))) if authority <= MAX_READ else ()
    code, extended = flags & 0xF, frozenset[int]()
    for each in options[:1]:
        code |= each.ttl >> 24 << 4  # RFC 6891 section 6.1.3
        extended = frozenset(int(one.code) for one in each.data.options if isinstance(one, dns.edns.EDEOption))
    return Answer(code, bool(flags & dns.flags.AD), keeps_case, records=records, denials=denials, extended=extended)


def _records(parser: dns.wire.Parser, count: int, kinds: Sequence[int]) -> Iterator[_Record]:
    """The next ``count`` records; those of other types are passed over unread."""
    for _ in range(count):
        owner = parser.get_name(decompress=True)
        kind, among, ttl, size = parser.get_struct("!HHIH")
        wanted = kind in kinds and (among == dns.rdataclass.IN or kind == dns.rdatatype.OPT)
        if not wanted:
            parser.get_bytes(size)
            continue
        with parser.restrict_to(size):
            data = dns.rdata.from_wire_parser(dns.rdataclass.IN, dns.rdatatype.RdataType.make(kind), parser)
        yield _Record(owner.to_digestable(), kind, ttl, data)


def read_facts(answer: Answer, asked: Question, trusted: bool) -> Facts:
    """What an answer says; raises NameNotFound, NoData, ServerFailure."""
    if answer.rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        edns = answer.rcode in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS)
        raise ServerFailure(_words(answer), edns=edns)
    secure = trusted and answer.authentic
    name, records, ttl = _walk(answer.records, asked)
    text = _text(name)
    if records:
        return Facts(text, records, ttl, secure)
    denial = _denial_ttl(answer.denials)
    first = _text(asked.name)
    alias = "" if text == first else f", an alias of {text},"
    if answer.rcode == dns.rcode.NXDOMAIN:
        raise NameNotFound(f"{first}{alias} does not exist (NXDOMAIN)", ttl=min(denial, ttl), secure=secure)
    if answer.denials or not alias:
        words = f"{first}{alias} has no {asked.kind.name} record"
        raise NoData(words, ttl=min(denial, ttl), secure=secure)
    return Facts(text, (), ttl, secure)


def _walk(found: Sequence[_Record], asked: Question) -> tuple[dns.name.Name, tuple[Any, ...], float]:
    """Follow the aliases within the answer to the records; their lowest TTL."""
    sets: dict[tuple[bytes, int], list[_Record]] = {}
    for each in found:
        sets.setdefault((each.owner, each.kind), []).append(each)
    name, ttl = asked.name, float(_TTL_SIGN)
    for _ in range(MAX_ALIASES):
        owner = name.to_digestable()
        if records := sets.get((owner, asked.kind), [])[:MAX_RECORDS]:
            return name, tuple(each.data for each in records), min(ttl, *(_ttl(each.ttl) for each in records))
        alias = sets.get((owner, dns.rdatatype.CNAME))
        if alias is None:
            return name, (), ttl
        name, ttl = alias[0].data.target, min(ttl, _ttl(alias[0].ttl))
    raise ServerFailure("a chain of aliases without end")


def _denial_ttl(denials: Sequence[_Record]) -> float:
    """RFC 2308 section 5: the lower of the SOA's TTL and its minimum; 0 without SOA, which is not to be kept."""
    return min((min(_ttl(each.ttl), _ttl(each.data.minimum)) for each in denials), default=0.0)


def _ttl(seconds: int) -> float:
    return float(seconds) if 0 <= seconds <= _TTL_SIGN else 0.0


def _words(answer: Answer) -> str:
    """The failure in words; of the extended error (RFC 8914) only what its number says, never the server's text."""
    code = dns.rcode.to_text(dns.rcode.Rcode.make(answer.rcode))
    return f"{code}, DNSSEC validation fails" if answer.extended & _BOGUS else code


def _text(name: dns.name.Name) -> str:
    """Printable ASCII whatever octets the name holds (``\\DDD``); lower case; ``""`` for the root."""
    return name.to_text(omit_final_dot=True).lower() if len(name.labels) > 1 else ""


def _mixed(name: str) -> str:
    bits = random.SystemRandom().getrandbits(len(name))
    return "".join(c.upper() if bits >> place & 1 else c for place, c in enumerate(name))
