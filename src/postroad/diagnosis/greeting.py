"""What is to be said about a greeting, about what came in its place, and about the answer to EHLO. Pure: no connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from postroad.address import parse_domain
from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.looks import looks_like
from postroad.errors import AddressSyntaxError
from postroad.replies import Reply
from postroad.smtp.reply_framing import MAX_LINES, MAX_OCTETS

_CODES: Final = re.compile(rb"(?m)^([2-5][0-9]{2})(?:[ -]|\r|\Z)")
_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}(?:[ =][!-~ ]*)?\Z")
_MASK: Final = re.compile(r"[*X]{4,}\Z")
_MASKED_KEYWORD: Final = re.compile(r"X{4,}[A-Z]?\Z")
_SIZE: Final = re.compile(r"[0-9]{0,20}\Z")
#: Words that stand where a name belongs.
_NO_NAMES: Final = frozenset(("esmtp", "smtp", "ready", "service", "welcome", "hello", "server"))
#: Names that say nothing to anybody else.
_NO_DOMAINS: Final = frozenset(("localhost", "localdomain", "local", "invalid", "lan", "home", "internal"))
#: More characters of one extension than these are not shown.
_SHOWN: Final = 60


def shown(octets: bytes, most: int = 120) -> str:
    """Octets as evidence: text as it is, the rest as ``\\xNN``."""
    text = octets[:most].decode("utf-8", "backslashreplace").rstrip("\r\n")
    return text + ("…" if len(octets) > most else "")


def in_place_of_220(head: bytes, received: int, waited: float) -> Finding:
    """The octets that came cannot be a greeting: what they are."""
    kind = looks_like(head)
    if kind:
        return not_smtp(kind, head, waited)
    seen = shown(head)
    codes = [*dict.fromkeys(_CODES.findall(head))]
    if received >= MAX_OCTETS or head.count(b"\n") >= MAX_LINES:
        return found("greeting.flood", seen, waited=waited, octets=received)
    if head.count(b"\n") != head.count(b"\r\n"):
        return found("greeting.line-ends", seen, waited=waited)
    if len(codes) == 1 and codes[0] != b"220":
        return found("greeting.code", seen, waited=waited, code=codes[0].decode("ascii"))
    if len(codes) <= 1 and received > 4096:
        return found("greeting.flood", seen, waited=waited, octets=received)
    return found("greeting.malformed", seen, waited=waited)


def not_smtp(kind: str, head: bytes, waited: float) -> Finding:
    """Another protocol's words."""
    return found("greeting.not-smtp", f"{kind}: {shown(head)}", waited=waited, protocol=kind)


def refused(reply: Reply, waited: float) -> Finding:
    """A reply that turns the whole connection away."""
    known = f"greeting.{reply.code}"
    level = Level.WARN if reply.is_transient else Level.ERROR
    name = known if known in ("greeting.421", "greeting.521", "greeting.554") else "greeting.refused"
    return found(name, str(reply), level=level, waited=waited, reply=reply, command="CONNECT", code=reply.code)


def ended(head: bytes, is_reset: bool, waited: float) -> Finding:
    """The connection ended before the greeting was whole."""
    if not head:
        return found("greeting.reset" if is_reset else "greeting.closed", waited=waited)
    kind = looks_like(head)
    return not_smtp(kind, head, waited) if kind else found("greeting.cut", shown(head), waited=waited)


def name_in(text: str) -> str:
    """The host name that a greeting or an answer to EHLO begins with, in lower case; ``""`` when it begins with none."""
    word = text.lstrip().partition(" ")[0].rstrip(".,;").lower()
    return word if _is_domain(word) and word not in _NO_NAMES else ""


def of_name(greeting: Reply) -> Iterator[Finding]:
    """How the host names itself in the greeting (RFC 5321 section 4.2: ``220 domain``)."""
    line = greeting.lines[0].strip()
    word = line.partition(" ")[0]
    if _MASK.match(word):
        yield found("greeting.masked", str(greeting))
    elif not (name := name_in(line)):
        yield found("greeting.no-name", str(greeting))
    elif not name.startswith("[") and ("." not in name or name.rpartition(".")[2] in _NO_DOMAINS):
        yield found("greeting.odd-name", name, name=name)


def of_names(greeting: Reply, hello: Reply) -> Iterator[Finding]:
    """The greeting's name against that of the answer to EHLO."""
    first, second = name_in(greeting.lines[0]), name_in(hello.lines[0])
    if not first or not second or any(of_name(greeting)):
        return
    if first != second:
        yield found("name.ehlo-differs", f"220 {first} / 250 {second}", greeting=first, ehlo=second)
    else:
        yield found("name.ok", first, name=first)


def extensions(hello: Reply) -> str:
    """The extensions of an answer to EHLO as a person reads them: ``SIZE=52428800 STARTTLS``."""
    lines = (line.strip() for line in hello.lines[1:])
    return " ".join(line[:_SHOWN].replace(" ", "=", 1).replace(" ", ",") for line in lines if line)


def of_extensions(hello: Reply, *, inside: bool) -> Iterator[Finding]:
    """What is odd about them."""
    lines = [line.strip() for line in hello.lines[1:]]
    masked = [line for line in lines if _MASKED_KEYWORD.match(line)]
    if masked:
        yield found("ehlo.mangled", " ".join(masked))
    odd = [line or "(empty line)" for line in lines if not _KEYWORD.match(line)]
    keywords = [line.partition(" ")[0].upper() for line in lines if _KEYWORD.match(line)]
    odd += [f"{one} ×{keywords.count(one)}" for one in dict.fromkeys(keywords) if keywords.count(one) > 1]
    sizes = [line for line in lines if line.upper().startswith("SIZE")]
    odd += [line for line in sizes if not _SIZE.match(line[4:].strip()) or _is_tiny(line[4:].strip())]
    if inside and "STARTTLS" in keywords:
        odd.append("STARTTLS (TLS)")
    if "BINARYMIME" in keywords and "CHUNKING" not in keywords:
        odd.append("BINARYMIME - CHUNKING")
    if odd:
        yield found("ehlo.odd", "; ".join(one[:_SHOWN] for one in odd[:8]))


def _is_tiny(size: str) -> bool:
    """Less than the 64 KiB that every host must take (RFC 5321 section 4.5.3.1.7); 0 is no limit."""
    return size.isdecimal() and 0 < int(size) < 65_536  # strict: _SIZE matched


def _is_domain(text: str) -> bool:
    try:
        parse_domain(text)
    except AddressSyntaxError:
        return False
    return True
