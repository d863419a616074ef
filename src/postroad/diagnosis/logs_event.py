"""What a line of a mail log says of a recipient, whoever wrote the log; and when, by whichever stamp it bears."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

MAX_LINE: Final = 8_192
"""Octets that are read of one line; syslog cuts at far fewer."""
MAX_FIELD: Final = 320
"""Characters that are kept of an address or a host."""

DELIVERED: Final = "delivered"
DEFERRED: Final = "deferred"
FAILED: Final = "failed"
HELD: Final = "held"
REFUSED: Final = "refused"
OUTCOMES: Final = (FAILED, REFUSED, DEFERRED, HELD, DELIVERED)
"""The worst first. ``refused``: the log's own server did not take the mail from a client."""

_PORT = re.compile(r":[0-9]{1,5}\Z")
_CODE = re.compile(r"[2-5][0-9][0-9](?:[ -]|\Z)")
_WORDS: Final = {
    "END-OF-MESSAGE": "CONTENT",
    "END OF DATA": "CONTENT",
    "INITIAL CONNECTION": "CONNECT",
    "END OF MESSAGE": "CONTENT",
}
_COMMANDS: Final = frozenset(
    "CONNECT HELO EHLO LHLO STARTTLS AUTH MAIL RCPT DATA BDAT CONTENT RSET VRFY EXPN NOOP QUIT ETRN".split()
)


class Event(NamedTuple):
    """One line that tells what became of one recipient. Every text in it is a stranger's."""

    outcome: str
    at: float
    """Seconds since the epoch; 0 when the line does not tell."""
    to: str
    destination: str
    """The domain of ``to``, in lower case; empty when none is known."""
    host: str = ""
    """Who said it: ``name[address]``; the client of a mail that was refused; a transport of the log's own server."""
    command: str = ""
    """The verb that was answered (CONNECT, CONTENT for moments like one); empty when the log does not tell."""
    reply: str = ""
    """The reply that was heard, its lines separated by line feeds; empty when there was none."""
    text: str = ""
    """What the log says beside a reply or instead of one."""
    status: str = ""
    """The enhanced status that the log gives."""
    message: str = ""
    """The queue id."""
    delay: str = ""
    """How long the message had been waiting, as the log writes it."""
    expired: bool = False
    """Given up because it waited too long."""


class Reader(Protocol):
    """Reads the lines of one program."""

    name: str
    marks: tuple[bytes, ...]
    """A line that has none of them tells nothing of a recipient."""

    def knows(self, line: bytes) -> bool:
        """Whether this is a line of the program, one that tells nothing included."""
        ...

    def read(self, line: str, stamps: Stamps) -> Event | None:
        """What the line tells; None when that is nothing of a recipient. Never raises."""
        ...


def domain_of(address: str) -> str:
    """The part behind the last ``@``, in lower case."""
    return address.rpartition("@")[2].lower()[:255] if "@" in address else ""


def without_port(host: str) -> str:
    """``mx.example.net[192.0.2.5]`` of ``mx.example.net[192.0.2.5]:25``."""
    return _PORT.sub("", host)[:MAX_FIELD] if host[-1:].isdigit() else host[:MAX_FIELD]


def verb(words: str) -> str:
    """The verb that words such as ``RCPT TO:<kana@example.net>``, ``end of data`` or ``pipelined DATA`` name."""
    upper = words[:80].upper().removeprefix("PIPELINED ").strip()
    for name, known in _WORDS.items():
        if upper.startswith(name):
            return known
    first = upper.partition(" ")[0].partition(":")[0]
    return first if first in _COMMANDS else ""


def is_reply(text: str) -> bool:
    """Whether a text begins as a reply does."""
    return _CODE.match(text) is not None


def reply_of(text: str) -> str:
    """A reply whose lines a log has joined by blanks, in its lines again."""
    code = text[:3]
    if f" {code}-" not in text and f" {code} " not in text:
        return text
    lines = text.replace(f" {code}-", f"\n{code}-")
    return lines.replace(f" {code} ", f"\n{code} ") if text[3:4] == "-" else lines


# ── stamps ──────────────────────────────────────────────────────────────────

_MONTHS: Final = {
    name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) ([ 0-3][0-9]) ([0-2][0-9]):([0-5][0-9]):([0-6][0-9])\Z")
_ISO = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:[.,][0-9]{1,9})?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?"
)
_YEAR = re.compile(r"([A-Z][a-z]{2} [ 0-3][0-9]) ((?:19|20)[0-9]{2}) ([0-9:]{8})")
_YEAR_FIRST = re.compile(r"((?:19|20)[0-9]{2}) ([A-Z][a-z]{2} [ 0-3][0-9] [0-9:]{8})")
_EPOCH = re.compile(r"[0-9]{10}(?:\.[0-9]{1,9})?(?= )")
_ANYWHERE = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:|[A-Z][a-z]{2} [ 0-3][0-9] [0-2][0-9]:")


class Stamps:
    """Reads the moment at the beginning of lines; the same second again costs next to nothing.

    A stamp without a zone is this machine's time. One without a year is the last such moment before ``reference``
    (seconds since the epoch: the file's last change, or now), so that December stands before January.
    """

    def __init__(self, reference: float) -> None:
        self._last = self._last_long = ""
        self._at = self._at_long = 0.0
        self.renew(reference)

    def renew(self, reference: float) -> None:
        """Time has gone on: ``reference`` is now another."""
        self._last = ""
        self._reference = datetime.fromtimestamp(reference, UTC) + timedelta(days=1)

    def read(self, line: str) -> float:
        """Seconds since the epoch; 0 when the line begins with no moment."""
        head = line[:15]
        if head == self._last:
            return self._at
        at = self._syslog(head) if head[3:4] == " " and head[9:10] == ":" else None
        if at is None:
            return self._other(line[:120])
        self._last, self._at = head, at
        return at

    def _other(self, head: str) -> float:
        found = _ISO.match(head)
        if found is None:
            if (rarer := _rarer(head)) is not None:
                return rarer
            place = _ANYWHERE.search(head)
            if place is None or not place.start():
                return 0.0
            rest = head[place.start() :]
            found = _ISO.match(rest)
            if found is None:
                return self._syslog(rest[:15]) or 0.0
        if found[0] != self._last_long:
            self._last_long, self._at_long = found[0], _moment(found[0])
        return self._at_long

    def _syslog(self, stamp: str) -> float | None:
        found = _SYSLOG.match(stamp)
        if found is None or found[1] not in _MONTHS:
            return None
        day, hour, minute, second = (int(part) for part in found.groups()[1:])
        year = self._reference.year
        for one in range(year, year - 9, -1):  # 29 February may be some years ago
            at = _here(one, _MONTHS[found[1]], day, hour, minute, second)
            if at is not None and at <= self._reference.timestamp():
                return at
        return None


def _here(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float | None:
    """The moment in this machine's zone."""
    try:
        return datetime(year, month, day, hour, minute, min(second, 59)).timestamp()  # noqa: DTZ001 (this machine's zone is meant)
    except (ValueError, OverflowError, OSError):
        return None


def _rarer(head: str) -> float | None:
    """``Nov 24 2026 10:00:01``, ``2026 Nov 24 10:00:01``, and seconds since the epoch; None for another."""
    if found := _EPOCH.match(head):
        return float(found[0])
    if found := _YEAR.match(head):
        year, stamp = found[2], f"{found[1]} {found[3]}"
    elif found := _YEAR_FIRST.match(head):
        year, stamp = found[1], found[2]
    else:
        return None
    told = _SYSLOG.match(stamp)
    if told is None or told[1] not in _MONTHS:
        return None
    day, hour, minute, second = (int(part) for part in told.groups()[1:])
    return _here(int(year), _MONTHS[told[1]], day, hour, minute, second)


def _moment(stamp: str) -> float:
    try:
        plain = stamp.replace(",", ".")
        return datetime.fromisoformat(plain[:19] + plain[19:].replace(" ", "")).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
