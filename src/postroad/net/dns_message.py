"""Octets of questions and answers, by dnspython's codec, and what an answer says about the name that was asked.

Promise: whatever octets a server sends, they come out as Facts or as one of the exceptions named here; at most
MAX_RECORDS records are kept, and only those that the question's name leads to (RFC 2181 section 5.4.1, RFC 5452 section 6).
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from typing import Any, Final

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from postroad.net.dns_errors import NameNotFound, NoData

#: Octets of an answer by UDP that we say we take (the size that passes unfragmented, RFC 9715), and by TCP.
UDP_PAYLOAD: Final = 1232
MAX_ANSWER: Final = 16_384
#: Records of one set that are kept, and aliases that are followed.
MAX_RECORDS: Final = 100
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


def read_answer(octets: bytes, asked: Question) -> tuple[dns.message.Message, bool]:
    """The answer to ``asked``, and whether it was cut short (ask by TCP); raises Unasked, Garbled."""
    if len(octets) < 12:
        raise Unasked("shorter than a header")
    number, flags = int.from_bytes(octets[:2], "big"), int.from_bytes(octets[2:4], "big")
    if number != asked.id or not flags & dns.flags.QR or flags & 0x7800:
        raise Unasked("an answer to nothing that was asked")
    if len(octets) > MAX_ANSWER:
        raise Garbled(f"an answer of more than {MAX_ANSWER} octets")
    truncated = bool(flags & dns.flags.TC)
    try:
        # Of an answer that was cut short only the question is read: the rest may end anywhere.
        message = dns.message.from_wire(octets, question_only=truncated, ignore_trailing=True)
    except Exception as fault:  # whatever the codec stumbles over on hostile octets
        raise Garbled("octets that are no DNS message") from fault
    _check_question(message, asked)
    return message, truncated


def read_facts(message: dns.message.Message, asked: Question, trusted: bool) -> Facts:
    """What an answer says; raises NameNotFound, NoData, ServerFailure."""
    code = message.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        edns = code in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS)
        raise ServerFailure(_words(message, code), edns=edns)
    secure = trusted and bool(message.flags & dns.flags.AD)
    name, records, ttl = _walk(message, asked)
    text = _text(name)
    if records:
        return Facts(text, records, ttl, secure)
    denial = _denial_ttl(message)
    first = _text(asked.name)
    alias = "" if text == first else f", an alias of {text},"
    if code == dns.rcode.NXDOMAIN:
        raise NameNotFound(f"{first}{alias} does not exist (NXDOMAIN)", ttl=min(denial, ttl), secure=secure)
    if denial or not alias:
        raise NoData(f"{first}{alias} has no {asked.kind.name} record", ttl=min(denial, ttl), secure=secure)
    return Facts(text, (), ttl, secure)


def _walk(message: dns.message.Message, asked: Question) -> tuple[dns.name.Name, tuple[Any, ...], float]:
    """Follow the aliases within the answer to the records; their lowest TTL."""
    sets = {(each.name, each.rdtype): each for each in message.answer if each.rdclass == dns.rdataclass.IN}
    name, ttl = asked.name, float(_TTL_SIGN)
    for _ in range(MAX_ALIASES):
        found = sets.get((name, asked.kind))
        if found is not None:
            kept = tuple(each for each, _ in zip(found, range(MAX_RECORDS), strict=False))
            return name, kept, min(ttl, _ttl(found.ttl))
        alias = sets.get((name, dns.rdatatype.CNAME))
        if alias is None:
            return name, (), ttl
        name, ttl = alias[0].target, min(ttl, _ttl(alias.ttl))
    raise ServerFailure("a chain of aliases without end")


def _denial_ttl(message: dns.message.Message) -> float:
    """RFC 2308 section 5: the lower of the SOA's TTL and its minimum; 0 without SOA, which is not to be kept."""
    for each in message.authority:
        if each.rdtype == dns.rdatatype.SOA and each.rdclass == dns.rdataclass.IN:
            return min(_ttl(each.ttl), _ttl(each[0].minimum))
    return 0.0


def _ttl(seconds: int) -> float:
    return float(seconds) if 0 <= seconds <= _TTL_SIGN else 0.0


def _check_question(message: dns.message.Message, asked: Question) -> None:
    if len(message.question) != 1:
        # A server that cannot read the question may leave it out (RFC 1035 section 4.1.1).
        if not message.question and message.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP):
            return
        raise Unasked("an answer without our question")
    (echo,) = message.question
    if echo.name != asked.name or echo.rdtype != asked.kind or echo.rdclass != dns.rdataclass.IN:
        raise Unasked("an answer to another question")


def keeps_case(message: dns.message.Message, asked: Question) -> bool:
    """Whether the question came back letter for letter: a forger has to guess that, too (only with ``mix_case``)."""
    return all(echo.name.labels == asked.name.labels for echo in message.question)


def _words(message: dns.message.Message, code: dns.rcode.Rcode) -> str:
    """The failure in words; of the extended error (RFC 8914) only what its number says, never the server's text."""
    options = message.options if message.edns >= 0 else ()
    bogus = any(isinstance(each, dns.edns.EDEOption) and int(each.code) in _BOGUS for each in options)
    return f"{dns.rcode.to_text(code)}, DNSSEC validation fails" if bogus else dns.rcode.to_text(code)


def _text(name: dns.name.Name) -> str:
    """Printable ASCII whatever octets the name holds (``\\DDD``); lower case; ``""`` for the root."""
    return name.to_text(omit_final_dot=True).lower() if len(name.labels) > 1 else ""


def _mixed(name: str) -> str:
    bits = random.SystemRandom().getrandbits(len(name))
    return "".join(c.upper() if bits >> place & 1 else c for place, c in enumerate(name))
