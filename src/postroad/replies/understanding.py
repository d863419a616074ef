"""Finds what can be explained in whatever a reader pastes: a number, a keyword, a reply, a log line, a transcript.

Text from a peer is hostile: what is read is bounded, no expression backtracks, and nothing is ever run or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

MAX_TEXT: Final = 65_536
"""Characters that are read of a text; the rest is left."""
MAX_LINE: Final = 2_048
MAX_REPLY_LINES: Final = 20
"""Lines that are kept of one reply."""
MAX_FOUND: Final = 100
"""Things that are explained of one text: each takes far more room than it took in the text."""

_CODE = re.compile(r"[1-5][0-9][0-9]\Z")
_ENHANCED = re.compile(r"[245Xx]\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_MARK = re.compile(r"[ \t]{0,80}(?:(?P<server>S:|<<<|<--|<-|<~\*|<~|<\*\*|<)|(?P<client>C:|>>>|-->|->|~>|>))[ \t]")
_REPLY = re.compile(r"(?P<code>[2-5][0-9][0-9])(?P<more>[ -])(?P<text>.*)\Z")
_IN_LINE = re.compile(
    r"(?<![0-9.:\[/-])(?P<code>[2-5][0-9][0-9])[ -]"
    r"(?=#?[245]\.[0-9]{1,3}\.[0-9]{1,3}\b|(?<![#=][2-5][0-9][0-9][ -])[A-Za-z<])"  # size=550 nrcpt=1 is no reply
)
_STATUS = re.compile(r"(?<![0-9.])(?P<status>[245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9]|\.[0-9])")
_IN_REPLY_TO = re.compile(  # Postfix as a client, Exim, Postfix as a server
    r"(?:in reply to|error from remote mail server after(?: pipelined)?|: reject:|refused to) "
    r"(?P<command>end of DATA|END-OF-MESSAGE|initial connection|talk to me|[A-Za-z]{4,8})",
    re.IGNORECASE,
)

_ALIASES: Final = {
    **{"MAIL FROM": "MAIL", "RCPT TO": "RCPT", ".": "CONTENT", "END OF DATA": "CONTENT"},
    **{"END-OF-MESSAGE": "CONTENT", "INITIAL CONNECTION": "CONNECT", "TALK TO ME": "CONNECT"},
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that can be explained, as it was found."""

    kind: str
    """``code``, ``enhanced``, ``keyword``, ``verb``, ``reply``, or ``nothing``."""
    text: str
    name: str = ""
    """The code, status, keyword or verb."""
    command: str = ""
    """For a reply: the verb it answers, when the text tells."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the catalogue knows by name."""

    keywords: frozenset[str]
    verbs: frozenset[str]
    parameters: dict[str, str]
    """Parameter keyword -> EHLO keyword that brings it."""

    def read(self, word: str) -> Reading | None:
        """The keyword, verb, parameter, code or status that ``word`` is; None for anything else."""
        bare = word.strip().rstrip(":").lstrip("#")
        if _CODE.match(bare):
            return Reading("code", word, bare)
        if _ENHANCED.match(bare):
            return Reading("enhanced", word, bare.upper())
        upper = " ".join(bare.upper().split())
        upper = _ALIASES.get(upper, upper)
        if upper in self.verbs:
            return Reading("verb", word, upper)
        if upper in self.keywords:
            return Reading("keyword", word, upper)
        parameter = upper.partition("=")[0] if " " not in upper else ""  # "size=550 nrcpt=1" is a line of a log
        return Reading("keyword", word, self.parameters[parameter]) if parameter in self.parameters else None


def understand(text: str, names: Names) -> tuple[Reading, ...]:
    """All that can be explained in ``text``, in its order; one ``nothing`` when there is nothing."""
    text = text[:MAX_TEXT]
    whole = names.read(text) if len(text) <= 80 else None
    if whole is not None:
        return (whole,)
    found = tuple(islice(_lines(text, names), MAX_FOUND))
    return found or (Reading("nothing", text[:MAX_LINE]),)


def understand_words(words: list[str], names: Names) -> tuple[Reading, ...]:
    """As ``understand``, for the arguments of a command line: names each on their own, anything else as one text."""
    each = [names.read(word) for word in words]
    kinds = [one.kind for one in each if one is not None]
    is_reply = kinds[:2] == ["code", "enhanced"] and len(words) == 2
    if len(kinds) == len(words) and not is_reply:
        return tuple(one for one in each if one is not None)
    return understand(" ".join(words), names)


def _lines(text: str, names: Names) -> Iterator[Reading]:
    command = "CONNECT" if _is_session(text, names) else ""
    begun: list[str] = []  # the lines of a reply whose last is still to come
    for raw in re.split(r"\r\n|\n|\r", text):
        line = raw[:MAX_LINE].rstrip()
        mark = _MARK.match(line)
        said = line[mark.end() :] if mark else line
        if not said.strip():
            continue
        verb = "" if mark and mark["server"] else _verb(said, names)
        if verb:
            command, begun = verb, []
            continue
        if mark and mark["client"]:
            command = "CONTENT" if said.strip() == "." else command
            continue
        reply = _REPLY.match(said.lstrip())
        if reply and reply["more"] == "-":
            begun = [*begun, said.strip()][:MAX_REPLY_LINES]
            continue
        if begun and not reply and (cut_off := _reading("\n".join(begun), command)):  # its last line never came
            yield cut_off
        found = _reading("\n".join([*begun, said.strip()] if reply else [said.strip()]), command)
        command = "CONTENT" if command in ("DATA", "BDAT") and found and found.name == "354" else command
        begun = []
        if found:
            yield found
        else:
            command = _asked(said) or command  # Exim's bounces have the reply in the next line
    if begun and (found := _reading("\n".join(begun), command)):
        yield found


def _is_session(text: str, names: Names) -> bool:
    """True when the text has client's lines too, so that a first reply before any is a greeting."""
    lines = text.split("\n")[:200]
    return any(_verb(line[mark.end() :] if (mark := _MARK.match(line)) else line, names) for line in lines)


def _verb(line: str, names: Names) -> str:
    """The verb with which a client's line begins; empty when it is no command."""
    word, _, rest = line.strip().partition(" ")
    verb = word.upper()
    if verb not in names.verbs or not word.isascii():
        return ""
    needs: dict[str, Callable[[str], bool]] = {
        "MAIL": lambda text: text.upper().startswith("FROM:"),
        "RCPT": lambda text: text.upper().startswith("TO:"),
    }
    return verb if verb not in needs or needs[verb](rest.lstrip()) else ""


def _asked(line: str) -> str:
    """The verb that a log line or a bounce names as answered; empty when it names none."""
    asked = _IN_REPLY_TO.search(line)
    word = asked["command"].upper() if asked else ""
    return _ALIASES.get(word, word)


def _reading(line: str, command: str) -> Reading | None:
    """The reply in a line: at its start, or anywhere in a log line; else an enhanced status with its text.

    ``line`` is several lines when it is a whole reply.
    """
    reply = _REPLY.match(line.partition("\n")[0]) or _IN_LINE.search(line)
    status = _STATUS.search(line)
    command = _asked(line) or command
    if reply:
        text = line[reply.start() :]
        return Reading("reply", text, reply["code"], command)
    if status:
        return Reading("reply", line[status.start() :], status["status"], command)
    bare = line.strip()
    return Reading("code", bare, bare) if _CODE.match(bare) else None
