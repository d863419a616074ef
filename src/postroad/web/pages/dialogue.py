"""A transcript as an exchange: requests, whole replies, each with the command it answers, and remarks. Pure.

Sources: RFC 5321 section 4.2.1 (replies of several lines), RFC 2920 (replies come in the order of the commands).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from postroad.replies.reply import Reply, ReplySyntaxError

#: Turns of a dialogue on a page.
MAX_TURNS: Final = 400
#: Lines of one reply that are shown, and characters of one line.
MAX_LINES: Final = 40
MAX_LINE: Final = 1_000

_CODE: Final = re.compile(r"[2-5][0-9]{2}(?:[ -]|\Z)")
_VERB: Final = re.compile(r"[A-Za-z]{1,12}\Z")
#: What our client notes in place of the content, which it does not keep.
_CONTENT: Final = ("content, then the final dot", "no recipient was accepted: a lone dot", "content: ")


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that was said, or a remark."""

    side: str
    """``C``, ``S``, or ``""`` for a remark."""
    lines: tuple[str, ...]
    """As said; of a reply all its lines, as far as they are shown."""
    reply: Reply | None = None
    """Of the server; None where its lines are no reply."""
    command: str = ""
    """The verb that a reply answers: ``CONNECT``, ``EHLO``, ``CONTENT``, …; ``""``: none is known."""
    answers: str = ""
    """The request that a reply answers, when others stand between them (RFC 2920)."""
    left_out: int = 0
    """Lines of a reply beyond those shown."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """All that is shown of a transcript."""

    turns: tuple[Turn, ...]
    left_out: int
    """Lines behind them that are not shown."""


def read_dialogue(transcript: str) -> Dialogue:
    """A transcript (``C: ``, ``S: ``, ``-- ``) as turns; whatever it holds, the work is linear and what is shown bounded."""
    lines = transcript.split("\n")
    reader = _Reader()
    for index, line in enumerate(lines):
        if len(reader.turns) >= MAX_TURNS:
            return Dialogue(tuple(reader.turns), len(lines) - index)
        reader.take(line.rstrip("\r"))
    reader.end_reply()
    return Dialogue(tuple(reader.turns), 0)


class _Reader:
    """Takes lines one by one."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._heard: list[str] = []
        self._unheard = 0
        self._pending: list[tuple[str, str, int]] = []  # verb, request, index of its turn
        self._answered = 0
        self._is_new = True

    def take(self, line: str) -> None:
        mark, text = line[:3], line[3:]
        if mark == "S: ":
            self._server(text)
            return
        self.end_reply()
        if mark == "C: ":
            self._client(text)
        elif line.strip():
            self._remark(line.removeprefix("-- "))

    def _client(self, text: str) -> None:
        verb = text.partition(" ")[0].upper()
        if _VERB.match(verb) is not None:
            self._pending.append((verb, text, len(self.turns)))
        else:  # "(SASL response)", or what is no command: it is answered all the same
            self._pending.append(("AUTH" if "SASL" in text else "", text, len(self.turns)))
        self.turns.append(Turn("C", (_short(text),)))

    def _remark(self, text: str) -> None:
        if text.startswith(_CONTENT):
            self._pending.append(("CONTENT", text, len(self.turns)))
        elif text.startswith("SASL response"):
            self._pending.append(("AUTH", text, len(self.turns)))
        elif "[" in text and text.rstrip("0123456789").endswith("]:"):  # the next host: its greeting comes first
            self._is_new, self._answered = True, len(self._pending)
        self.turns.append(Turn("", (_short(text),)))

    def _server(self, text: str) -> None:
        if self._heard and not self._goes_on(text):
            self.end_reply()
        if len(self._heard) < MAX_LINES:
            self._heard.append(text)
        else:
            self._unheard += 1
            self._heard[-1] = text  # the last line says whether it goes on
        if _CODE.match(text) is None or text[3:4] != "-":
            self.end_reply()

    def _goes_on(self, text: str) -> bool:
        return text[:3] == self._heard[-1][:3]

    def end_reply(self) -> None:
        """What was heard so far is all of it."""
        if not self._heard:
            return
        lines, left_out = tuple(map(_short, self._heard)), self._unheard
        self._heard, self._unheard = [], 0
        reply = _reply(lines)
        command, answers = ("", "") if reply is None else self._answers()
        self.turns.append(Turn("S", lines, reply, command, _short(answers), left_out))

    def _answers(self) -> tuple[str, str]:
        """The command that the next reply answers, and its request where that is not the turn before."""
        is_new, self._is_new = self._is_new, False
        if self._answered >= len(self._pending):
            return ("CONNECT" if is_new else "", "")
        verb, request, index = self._pending[self._answered]
        self._answered += 1
        return verb, "" if index == len(self.turns) - 1 else request


def _reply(lines: Iterable[str]) -> Reply | None:
    octets = [line.encode("utf-8", "replace") for line in lines]
    for index, line in enumerate(octets):  # cut short, or broken off: what is there is read
        octets[index] = line[:3] + (b" " if index == len(octets) - 1 else b"-") + line[4:]
    try:
        return Reply.parse(octets)
    except ReplySyntaxError:
        return None


def _short(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}…"
