"""The dialogue as it happens: every line with its direction, the command it answers, and what we make of it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from postroad.envelope import Step

_REPLY: Final = re.compile(r"([2-5][0-9]{2})([ -]|\Z)")


@dataclass(frozen=True, slots=True)
class Heard:
    """One line of the dialogue. All text is as it went over the wire, secrets blanked; a host's is a stranger's."""

    direction: str
    """``C`` we, ``S`` the host, ``*`` a remark, ``!`` a change of plan after a refusal (``step``)."""
    text: str
    seconds: float
    """Since ``send`` was called."""
    tls: bool = False
    """Said inside TLS."""
    command: str = ""
    """Of a host's line: which command it answers (``CONNECT``, ``EHLO``, …, ``CONTENT``)."""
    reply: str = ""
    """With the last line of a reply: all of it, its lines separated by line feeds."""
    step: Step | None = None
    what: str = ""
    """Of the content, and of a remark of ``send``: its name in ``send.toml``; ``text`` is it in English."""
    facts: Mapping[str, str | int] = field(default_factory=dict)
    """The particulars."""


DialogueListener = Callable[[Heard], None]


class Dialogue:
    """Pairs the lines of one connection after the other with the commands that they answer, and passes them on."""

    def __init__(self, listener: DialogueListener, since: Callable[[], float], octets: int) -> None:
        """``since`` gives the seconds since the beginning; ``octets``: how large the content is."""
        self._listener = listener
        self._since = since
        self._octets = octets
        self._begin()

    def _begin(self) -> None:
        """A new connection: nothing of an earlier one holds, such as one whose TLS did not come about."""
        self._due: deque[str] = deque(("CONNECT",))
        self._last = "CONNECT"
        self._lines: list[str] = []
        self.tls = False

    def hear(self, direction: str, text: str) -> None:
        """A line, as ``ClientOptions.listener`` gets it; several are separated by line feeds."""
        for line in text.split("\n"):
            self._hear(direction, line)

    def change(self, step: Step) -> None:
        """What we do about a refusal."""
        self._listener(Heard("!", step.action, self._since(), self.tls, step.command, step=step))

    def _hear(self, direction: str, line: str) -> None:
        match direction:
            case "C":
                self._due.append(_verb(line))
                self._pass("C", line)
            case "S":
                self._answered(line)
            case _:
                if line.startswith("connecting to "):
                    self._begin()
                elif line.startswith("TLSv"):
                    self.tls = True
                if line.startswith("content"):
                    self._due.append("CONTENT")
                    facts = {"octets": self._octets}
                    self._listener(Heard("C", line, self._since(), self.tls, what="content", facts=facts))
                else:
                    self._pass("*", line)

    def _answered(self, line: str) -> None:
        command = self._due[0] if self._due else self._last
        self._lines.append(line)
        found = _REPLY.match(line)
        reply = ""
        if found is None or found[2] != "-":
            reply, self._lines = "\n".join(self._lines), []
            self._last = self._due.popleft() if self._due else self._last
        self._listener(Heard("S", line, self._since(), self.tls, command, reply))

    def _pass(self, direction: str, text: str) -> None:
        self._listener(Heard(direction, text, self._since(), self.tls))


def _verb(line: str) -> str:
    """The command of a line; a SASL response belongs to AUTH, a chunk to the content."""
    word = line.partition(" ")[0].upper()
    if word.startswith("(") or word == "*":
        return "AUTH"
    return "CONTENT" if word == "BDAT" else word
