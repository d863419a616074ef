"""Lines of Exim's main log, by chapter 53 of its specification: ``=>``, ``->``, ``>>``, ``**``, ``==`` and refusals.

All of ``log_selector``'s additions may stand between; older and newer message ids; its own stamp or syslog's.
"""

from __future__ import annotations

import re
from typing import Final

from postroad.diagnosis.logs_event import (
    DEFERRED,
    DELIVERED,
    FAILED,
    MAX_FIELD,
    REFUSED,
    Event,
    Stamps,
    domain_of,
    is_reply,
    verb,
)

_FLAGS: Final = {"=>": DELIVERED, "->": DELIVERED, ">>": DELIVERED, "**": FAILED, "==": DEFERRED}
_ID = r"(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"
_FLAG = re.compile(rf"(?:\A|[ ])({_ID}) (=>|->|>>|\*\*|==) ")
_KNOWN = re.compile(rb"(?:\A|\]: )[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]")
_MARKED = re.compile(
    rb" (?:[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}) | H=|exim|"
    rb"Start queue run|End queue run|rejected "
)
_HOST = re.compile(r"(?:\A| )H=(\S{1,300}) (?:\([^ )]{0,300}\) )?\[([0-9A-Fa-f.:]{2,45})\]")
_BARE = re.compile(r"\[([0-9A-Fa-f.:]{2,45})\]")
_IN_TEXT = re.compile(r"host (\S{1,300}) \[([0-9A-Fa-f.:]{2,45})\]: ")
_TRANSPORT = re.compile(r" T=([^ :]{1,100})")
_CONFIRMED = re.compile(r' C="((?:[^"\\]|\\.){0,1000})')
_DEFER = re.compile(r" defer \(-?[0-9]{1,5}\):? ?")
_REPLY = re.compile(r"(?:\A|: )([2-5][0-9][0-9](?:[ -]|\Z))")
_REJECTED = re.compile(
    r" ?(?:temporarily )?rejected (?:after |by [a-z ]{1,30} |during )?(MAIL|RCPT|DATA|EHLO|HELO|VRFY|EXPN|ETRN|AUTH|connection)\b"
)
_FIELDS: Final = (" R=", " F=<", " P=<", " T=", ": ")
_AFTER: Final = "SMTP error from remote mail server after "
_STAGES: Final = {"DATA": "CONTENT", "connection": "CONNECT"}
_MOMENTS: Final = (
    ("in response to ", ""),
    ("timeout after ", ""),
    ("onnection refused", "CONNECT"),
    ("onnection timed out", "CONNECT"),
    ("TLS session", "STARTTLS"),
)


class EximReader:
    """See ``Reader``."""

    name: str = "exim"
    marks: tuple[bytes, ...] = (b"> ", b" ** ", b" == ", b"rejected ")

    def knows(self, line: bytes) -> bool:
        """By its stamp, with a blank between date and time, and an id or a field; or by its name in syslog."""
        head = line[:160]
        if b" exim[" in head or b" exim4[" in head:
            return True
        return _KNOWN.search(head) is not None and _MARKED.search(head) is not None

    def read(self, line: str, stamps: Stamps) -> Event | None:
        """See ``Reader``."""
        found = _FLAG.search(line[:200])
        if found is None:
            return _refusal(line, stamps) if "rejected " in line else None
        to, rest = _address(line[found.end() :])
        outcome = _FLAGS[found[2]]
        host = _host(rest)
        if outcome is DELIVERED:
            confirmed = _CONFIRMED.search(rest)
            reply = _lines(confirmed[1]) if confirmed and is_reply(confirmed[1]) else ""
            if not host and (transport := _TRANSPORT.search(rest)):
                host = transport[1]
            return Event(outcome, stamps.read(line), to, domain_of(to), host, "", reply, message=found[1])
        text = _text(rest, outcome)
        named = _IN_TEXT.search(text)
        host = f"{named[1]}[{named[2]}]" if named else host
        command, reply = _said(text)
        at = stamps.read(line)
        return Event(outcome, at, to, domain_of(to), host, command, reply, "" if reply else text, message=found[1])


def _address(rest: str) -> tuple[str, str]:
    """The final address, and what follows: ``kana <kana@example.net> R=…``, ``kana@example.net R=…``."""
    if rest.startswith('"') and (quoted := rest.find('"@')) > 0:
        end = rest.find(" ", quoted)
        end = len(rest) if end < 0 else end
        return rest[:end].rstrip(":")[:MAX_FIELD], rest[end:]
    ends = [place for place in (rest.find(mark) for mark in _FIELDS) if place >= 0]
    end = min(ends, default=len(rest))
    words = rest[:end]
    first, _, more = words.partition(" <")
    if more and ("@" not in first or first[:1] in "|/:"):
        first = more.partition(">")[0]
    return first.partition(" ")[0][:MAX_FIELD], rest[end:]


def _host(text: str) -> str:
    found = _HOST.search(text)
    return f"{found[1]}[{found[2]}]" if found else ""


def _text(rest: str, outcome: str) -> str:
    """What Exim says of a failure, without the fields in front of it."""
    if outcome is DEFERRED and (defer := _DEFER.search(rest)):
        text = rest[defer.end() :]
        field = _HOST.match(f" {text}")  # "defer (-44) H=mx [192.0.2.5]: …"
        return text.partition("]")[2].partition(": ")[2] if field else text
    return rest.partition(": ")[2] or rest.strip()


def _said(text: str) -> tuple[str, str]:
    """Verb and reply in a text."""
    place = text.find(_AFTER)
    if place >= 0:
        after = text[place + len(_AFTER) :]
        found = _REPLY.search(after)
        return verb(after), _lines(after[found.start(1) :]) if found else ""
    for words, command in _MOMENTS:
        if words in text:
            return command or verb(text.partition(words)[2]), ""
    return "", ""


def _lines(reply: str) -> str:
    """A reply as it was heard: Exim writes its line feeds as ``\\n``."""
    return reply.replace("\\\\n", "\n").replace("\\n", "\n")


def _refusal(line: str, stamps: Stamps) -> Event | None:
    """``H=mx.example (helo) [192.0.2.9] F=<…> rejected RCPT <…>: text``"""
    found = _REJECTED.search(line[:2_000])
    if found is None:
        return None
    rest = line[found.end() :]
    to = ""
    if rest.startswith(" <"):
        to, _, rest = rest[2:].partition(">")
    text = rest.partition(": ")[2]
    host = _host(line[: found.start()])
    if not host and (bare := _BARE.search(rest)):
        host = f"[{bare[1]}]"
    stage = _STAGES.get(found[1], found[1])
    return Event(REFUSED, stamps.read(line), to[:MAX_FIELD], domain_of(to), host, stage, "", text)
