"""Bounces in the words of people: whom a text names as not reached, and what it says about each.

There is no standard for these (RFC 3464 came in 1996 and many never followed), but few shapes: an address at the begin
of a line, or behind a label, and below it what a host said. Work is bounded: so many lines of so many characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from postroad.diagnosis.bounce_tables import Tables

MAX_LINES: Final = 1_500
MAX_LINE: Final = 1_000
MAX_NAMED: Final = 500
_MAX_REPLY_LINES: Final = 12

_ADDRESS = re.compile(
    r'(?:"[^"\n<>]{1,64}"|[A-Za-z0-9!#$%&\'*+/=?^_`{|}~.\u00a1-\u02af-]{1,64})@'
    r"([A-Za-z0-9\u00a1-\u02af](?:[A-Za-z0-9.\u00a1-\u02af_-]{0,250}[A-Za-z0-9\u00a1-\u02af])?)"
)
_FIRST = re.compile(r"[ \t>*•-]{0,40}[<\"'\[]?")
_RULE = re.compile(r"[ >]{0,3}[-=*_#|]{2,}")
#: A header that nobody writes by hand: the message that was sent has begun.
_HEADER = re.compile(
    r">?(?:Received: (?:from|by) |Return-Path: ?<|Delivered-To: |Message-ID: ?<|MIME-Version: [0-9])", re.IGNORECASE
)
_PREFIX = re.compile(r"(?:.{0,60}smtp|mailto|rfc822)[=:]", re.IGNORECASE)
_RCPT = re.compile(r"RCPT TO: ?<", re.IGNORECASE)
_CODE = re.compile(
    r"(?:(?<![0-9A-Za-z.:\[/#@=_-])(?<!port )(?<!after )(?<!than )(?<!over )|(?<=CODE :)|(?<=code:))(?P<code>[45][0-9][0-9])"
    r"(?:[ -](?![0-9]{4})|[:,] ?)[ ]{0,4}(?=#?\(?#?[245]\.[0-9]{1,3}\.[0-9]|[A-Za-z<\[\"'(-]|[^\x00-\x7f]|[45][0-9][0-9] |[0-9] [A-Z])"
)
_BEHIND = re.compile(r"\[SMTP Error Code ([45][0-9][0-9])\]")
_STATUS = re.compile(r"(?<![0-9A-Za-z.])#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9]|\.[0-9])")
_QUOTED = re.compile(  # marks before what a host said
    r"<<< |<-- |>>> (?=[45][0-9][0-9])|(?:said|replied|reason|returned|response(?: was)?|error code|error_code)[ ]{0,2}: ?['\"]?",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"(?:(?i:in (?:reply|answer) to|after(?: pipelined)?|for|sent:|sent <<<|対象:)|>>>|-->) {0,3}"
    r"(?P<verb>(?i:end of data|initial connection)|(?:RCPT|MAIL|DATA|TEXT|EHLO|HELO|STARTTLS|AUTH)\b|\.(?=\s|\Z))"
)
_VERBS: Final = {"END OF DATA": "CONTENT", "TEXT": "CONTENT", ".": "CONTENT", "INITIAL CONNECTION": "CONNECT"}
_NAME: Final = r"([A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,20})"
_HOSTS: Final = (
    re.compile(rf"\bhost:? {_NAME}\.?[ ]?[\[(]", re.IGNORECASE),
    re.compile(rf"\bhost:? {_NAME}(?:\n|\Z| (?:said|says|replied|refused|rejected)\b)", re.IGNORECASE),
    re.compile(rf"(?:\A|\n){_NAME} \[[0-9a-fA-F.:]+\] did not like"),
    re.compile(rf"while talking to {_NAME}", re.IGNORECASE),
    re.compile(rf"(?:reset by|refused by|timed out with|read error from) {_NAME}\.?(?:\n|\Z)"),  # sendmail
    re.compile(rf"(?:connect to|of server|via|by|with|\(0\)) {_NAME}\.? ?\[", re.IGNORECASE),
    re.compile(rf"Remote server \({_NAME}\)", re.IGNORECASE),
    re.compile(rf"(?:\A|\n|Connected to ){_NAME} (?:does not like|failed after|but )"),
    re.compile(rf"Giving up on {_NAME}\.(?:\n|\Z)"),
    re.compile(rf"While communicating with {_NAME}", re.IGNORECASE),
    re.compile(rf"TCP port [0-9]{{2,5}} of {_NAME}"),
    re.compile(rf"LastAttemptedServerName={_NAME}"),
    re.compile(rf"<-- 220[ -]{_NAME}"),
    re.compile(rf"(?:\A|\n)[ ]{{2,8}}{_NAME} \[[0-9a-fA-F.:]+\]:"),
    re.compile(rf"\[{_NAME}\.? [0-9a-fA-F.:]+: "),
    re.compile(rf": \[{_NAME}\], "),
    re.compile(rf"サーバー {_NAME} の"),
    re.compile(r" - (mta[A-Za-z0-9.-]{1,200})(?:\n|\Z)"),
)


_OTHERS: Final = ("message-id:", "from:", "reply-to:", "return-path:", "sender:", "please reply", "e.g.")


@dataclass
class Named:
    """A recipient that a text names, and the lines about it.

    A report may come to the same recipient a thousand times: what the lines say is found once.
    """

    address: str
    lines: list[str]
    _own: str | None = None

    @cached_property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines).strip()

    @cached_property
    def folded(self) -> str:
        """The same, for finding phrases."""
        return self.text.casefold()

    @cached_property
    def reply(self) -> Quoted | None:
        """What a host said."""
        return reply_in(self.text)

    @cached_property
    def host(self) -> str:
        """Who said it."""
        return host_in(self.text)

    @cached_property
    def command(self) -> str:
        """What was answered."""
        return command_in(self.text)

    def own(self, known: Tables) -> str:
        """Without the address, and without lines that only lead to a recipient, or say nothing of the cause."""
        if self._own is None:
            empty = (*known.following, *known.idle)
            text = self.text.replace(f"<{self.address}>", " ").replace(self.address, " ").strip(" :\n\t")
            lines = [line for line in text.split("\n") if not any(phrase in line.casefold() for phrase in empty)]
            kept = "\n".join(line for line in lines if not line.rstrip().endswith((":", "：")))
            self._own = kept.strip() if any(character.isalpha() for character in kept) else ""
        return self._own


@dataclass(frozen=True, slots=True)
class Quoted:
    """What a host said, as it is quoted."""

    code: str
    text: str


Fits = Callable[[str, re.Match[str]], bool]
Shape = Callable[[re.Match[str]], bool]


class BounceText:
    """A text, cut before the returned message."""

    def __init__(self, text: str, known: Tables) -> None:
        self._known = known
        lines = [line[:MAX_LINE] for line in text.split("\n", MAX_LINES)[:MAX_LINES]]
        self.lines = lines[: self._end(lines)]
        self.text = "\n".join(self.lines)

    def _end(self, lines: Sequence[str]) -> int:
        """Where what was sent begins; a mark in the first line is none."""
        for number, line in enumerate(lines):
            if number and (_HEADER.match(line) or self._announces(line.casefold())):
                return number
        return len(lines)

    def _announces(self, folded: str) -> bool:
        """Whether a line says that what was sent follows: by words, or between dashes."""
        if any(mark in folded for mark in self._known.returned):
            return True
        return _RULE.match(folded) is not None and any(word in folded for word in self._known.sent)

    def preamble(self, named: Sequence[Named]) -> str:
        """What stands before the first recipient, and is meant for all."""
        first = {line for one in named for line in one.lines[:1]}
        end = next((number for number, line in enumerate(self.lines) if line in first), len(self.lines))
        return "\n".join(self.lines[:end])

    def _begin(self) -> int | None:
        """The line that says that recipients follow; None when none says so."""
        for number, line in enumerate(self.lines):
            folded = line.casefold()
            if any(mark in folded for mark in self._known.following):
                return number
        return None

    # Who is named

    def named(self, surely: Iterable[str], never: frozenset[str], loosely: bool = True) -> list[Named]:
        """The recipients: those of the header if there are, else those that the shapes of the text give away.

        ``never`` are addresses that take part in another way, such as the sender's. Not ``loosely``: an address that
        merely stands somewhere is none.
        """
        surely = list(dict.fromkeys(surely))
        if surely:
            return self._split(surely, {address.casefold() for address in surely}, lambda found, _: True)
        begin = self._begin()
        shapes = (self._at_begin, self._behind_rcpt, self._behind_words, *((self._anywhere,) if loosely else ()))
        for start in (None,) if begin is None else (begin, None):
            for shape in shapes:
                if found := self._split_by(shape, never, start):
                    return found
        return []

    def _split_by(self, shape: Shape, never: frozenset[str], start: int | None) -> list[Named]:
        listed = start is not None and shape == self._at_begin  # then a postmaster may be among the recipients
        return self._split(
            [], set(), lambda address, place: self._may(address, never, listed) and shape(place), start or 0
        )

    def _may(self, address: str, never: frozenset[str], listed: bool) -> bool:
        local = address.casefold().rpartition("@")[0]
        return address.casefold() not in never and (listed or not any(word in local for word in self._known.daemons))

    def _split(self, known: list[str], only: set[str], fits: Fits, start: int = 0) -> list[Named]:
        """One for each address, with the lines from its own to the next one's."""
        found = {address.casefold(): Named(address, []) for address in known}
        current: Named | None = None
        for line in self.lines[start:]:
            for place in _ADDRESS.finditer(line):
                address = _trimmed(place[0])
                key = address.casefold()
                if only:
                    if key not in only or not (self._at_begin(place) or current is None):
                        continue
                elif not fits(address, place) or len(found) >= MAX_NAMED:
                    continue
                current = found.setdefault(key, Named(address, []))
                break
            if current is not None:
                current.lines.append(line)
        return list(found.values())

    def _at_begin(self, place: re.Match[str]) -> bool:
        """An address that begins its line, or stands behind a label."""
        before = place.string[: place.start()]
        if _FIRST.fullmatch(before):
            return True
        bare = before.rstrip(" \t<\"'[").casefold()
        return bare.endswith((":", "：")) and bare.rstrip(" :：").strip(" -*\t").endswith(self._known.labels)

    @staticmethod
    def _behind_rcpt(place: re.Match[str]) -> bool:
        return _RCPT.search(place.string[: place.start()]) is not None

    def _behind_words(self, place: re.Match[str]) -> bool:
        """Behind such as ``addressed to``."""
        before = place.string[: place.start()].rstrip(" \t<\"'[:：").casefold()
        return before.endswith(self._known.before)

    @staticmethod
    def _anywhere(place: re.Match[str]) -> bool:
        line = place.string.lstrip().casefold()
        before = place.string[: place.start()].rstrip(" <\"'").casefold()
        return not line.startswith(_OTHERS) and not before.endswith((" from", " at", "contact", "write to", "reply to"))


def _trimmed(address: str) -> str:
    return _PREFIX.sub("", address.strip(".'`"), count=1)


def addresses_in(value: str) -> list[str]:
    """The addresses of a header field."""
    return [_trimmed(found[0]) for found in _ADDRESS.finditer(value[:20_000])]


# What is said


def reply_in(text: str) -> Quoted | None:
    """The reply of a host that a text quotes: first where a mark says that it is one, else anywhere."""
    lines = text.split("\n")[:MAX_LINES]
    found = _first(lines, marked=True) or _first(lines, marked=False)
    if found is None and (behind := _BEHIND.search(text[:20_000])) is not None:
        line = text[text.rfind("\n", 0, behind.start()) + 1 : behind.start()]
        return Quoted(behind[1], line.rpartition(">:")[2].strip())
    return found


def _first(lines: Sequence[str], marked: bool) -> Quoted | None:
    for number, line in enumerate(lines):
        start = 0
        if marked:
            mark = _QUOTED.search(line)
            if mark is None:
                continue
            start = mark.end()
        found = _CODE.search(line, max(start - 1, 0)) or _CODE.match(line, start)
        if found is not None:
            return Quoted(found["code"], _whole(lines, number, found))
        if marked and not line[start:].strip() and number + 1 < len(lines):  # the reply stands in the next line
            below = lines[number + 1]
            if (found := _CODE.search(below)) is not None:
                return Quoted(found["code"], _whole(lines, number + 1, found))
    return None


def _whole(lines: Sequence[str], number: int, found: re.Match[str]) -> str:
    """The reply with the lines that belong to it: until an empty one, or one that begins something else."""
    code = found["code"]
    kept = [lines[number][found.end() :].strip()]
    for line in lines[number + 1 : number + _MAX_REPLY_LINES]:
        bare = line.strip()
        if not bare or bare.startswith(("<<<", ">>>", "<--", "-->", "---", "...", "Giving up", "I'm not going")):
            break
        if bare.startswith(code) and bare[3:4] in ("-", " "):
            bare = bare[4:].strip()
        elif _CODE.match(bare) or _FIRST_ADDRESS.match(line):
            break
        kept.append(bare)
    return "\n".join(one for one in kept if one)


_FIRST_ADDRESS = re.compile(r"[<\"]?[^\s<>@]{1,64}@[A-Za-z0-9.-]{1,250}[>\"]?(?::|\.\.\.)?(?:\s|\Z)")


def status_in(text: str) -> str:
    """The first enhanced status code; ``""`` when there is none."""
    found = _STATUS.search(text)
    return found[1] if found else ""


def command_in(text: str) -> str:
    """The verb that was answered, ``""`` when the text does not say."""
    flat = " ".join(text.split())[:4_000]
    if "refused to talk to me" in flat or "greeting failed" in flat:
        return "CONNECT"
    verb = ""
    for found in _ASKED.finditer(flat):
        verb = found["verb"].upper()
    return _VERBS.get(verb, verb)


def host_in(text: str) -> str:
    """The host that a text says it spoke with."""
    text = text[:20_000]
    flat = re.sub(r"\n[ \t]+", " ", text)
    for pattern in _HOSTS:
        found = pattern.search(text) or pattern.search(flat)
        if found is not None:
            return found[1].strip(".").lower()
    return ""


def flat(text: str, most: int = 2_000) -> str:
    """One line."""
    return " ".join(text.split())[:most]
