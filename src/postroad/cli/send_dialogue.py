"""The dialogue of ``postroad send`` on a terminal, line by line as it happens, and what came of it.

A host's text is a stranger's: it goes through ``printable`` before it goes anywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from postroad.cli.columns import width
from postroad.cli.outcome import say
from postroad.cli.screen import Screen, wrapped
from postroad.observe.printable import printable
from postroad.replies.reply import Reply, ReplySyntaxError
from postroad.sending import Explanation, Heard, SendError, SendOutcome, SendResult, Sent

#: Cells after which the time stands.
_TIME_AT: Final = 66
_INDENT: Final = 7
_CONNECTING: Final = "connecting to "
#: Remarks that the next line says better.
_SILENT: Final = ("TLS",)

#: What is drawn with, and what stands for it where the encoding lacks it.
_PLAIN: Final = {ord("└"): "`-", ord("→"): "->", ord("·"): "|"}

_WISHES: Final = (SendOutcome.DELIVERED, SendOutcome.STOPPED)


class _Transaction:
    """What was refused in the transaction that is under way, so that what only follows from it is not explained anew."""

    def __init__(self) -> None:
        self._mail_refused = False
        self._taken = 0

    def hear(self, command: str, refused: bool) -> bool:
        """Take an answer; whether it is a refusal that an earlier one of the same group of commands made sure of."""
        match command:
            case "MAIL":
                self._mail_refused, self._taken = refused, 0
            case "RCPT":
                self._taken += not refused
                return refused and self._mail_refused
            case "DATA" | "CONTENT":
                return refused and not self._taken
        return False


class Printer:
    """Writes what is heard; ``out`` is where its width and colours come from."""

    def __init__(self, out: Screen, words: Mapping[str, Any], language: str) -> None:
        self._out = out
        self._words = words
        self._language = language
        self._transaction = _Transaction()
        self._draws = _can_say("".join(map(chr, _PLAIN)))

    # --- as it happens

    def hear(self, heard: Heard) -> None:
        """One line of the dialogue."""
        match heard.direction:
            case "C":
                text = self._words["remarks"][heard.what].format(**heard.facts) if heard.what else printable(heard.text)
                self._line(f"  {'~' if heard.tls else '-'}> {text}")
            case "S":
                self._host(heard)
            case "!":
                self._under(f"→ {self._step(heard)}")
            case _:
                self._remark(heard)

    def _host(self, heard: Heard) -> None:
        refused = heard.text[:1] in ("4", "5")
        mark = f" <{'~' if heard.tls else '-'}{'*' if refused else ' '} "
        timed = heard.command in ("CONNECT", "CONTENT")
        text = mark + printable(heard.text)
        self._line(
            text, heard.seconds if timed else None, "bad" if heard.text[:1] == "5" else "warn" if refused else ""
        )
        follows = bool(heard.reply) and self._transaction.hear(heard.command, refused)
        if follows:
            self._under(self._words["screen"]["follows"])
        elif refused and heard.reply:
            self._explain(heard)

    def _explain(self, heard: Heard) -> None:
        reply = read_reply(heard.reply)
        if reply is None:
            return
        from postroad import codes

        item = codes.explain_reply(reply, self._language, command=heard.command)["items"][0]
        found = item["classification"]
        say_ = self._words["screen"]
        if heard.command == "CONNECT":
            self._under(say_["instead"].format(code=reply.code))
        lasting = say_["temporary"] if found["temporary"] else say_["permanent"]
        known = item.get("code")
        what = known["summary"] if known and found["confidence"]["id"] == "low" else found["reason"]["text"]
        self._under(f"{lasting}: {what}")
        self._under(f"→ {found['remedy']['label']} · {say_['actor'].format(actor=found['actor']['label'])}")

    def _step(self, heard: Heard) -> str:
        step = heard.step
        parameters = "" if step is None else ", ".join(step.parameters)
        return str(self._words["steps"].get(heard.text, heard.text)).format(parameters=printable(parameters))

    def _remark(self, heard: Heard) -> None:
        say_ = self._words["screen"]
        if heard.what:
            facts = {name: printable(str(value)) for name, value in heard.facts.items()}
            self._note(str(self._words["remarks"][heard.what]).format(**facts), heard.seconds)
        elif heard.text.startswith(_CONNECTING):
            self._note(say_["connecting"].format(host=printable(heard.text.removeprefix(_CONNECTING))), heard.seconds)
        elif heard.text not in _SILENT:
            self._note(self._words["heard"].get(heard.text, printable(heard.text)), heard.seconds)

    def _note(self, text: str, seconds: float) -> None:
        self._line(f" === {text}", seconds)

    def _under(self, text: str) -> None:
        room = max(self._out.room - _INDENT, 24) if self._out.room else 0
        first = " " * (_INDENT - 2) + "└ "
        for line in wrapped(printable(text.replace("`", "")), room):
            self._write(self._out.style(first + line, "faint"))
            first = " " * _INDENT

    def _line(self, text: str, seconds: float | None = None, style: str = "") -> None:
        time = "" if seconds is None else f"{seconds:.3f}s"
        gap = " " * max(_TIME_AT - width(text), 2) if time else ""
        self._write((self._out.style(text, style) if style else text) + gap + time)

    def _write(self, text: str) -> None:
        try:
            print(text if self._draws else text.translate(_PLAIN), flush=True)
        except OSError as fault:  # the mail is sent all the same
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
            if not isinstance(fault, BrokenPipeError):  # else who read us has seen enough
                say("warning", f"the dialogue cannot be shown any more: {fault.strerror}")

    # --- at the end

    def ended(self, result: SendResult) -> None:
        """What came of everybody."""
        if not any(one.outcome is SendOutcome.STOPPED for one in result.recipients):
            self._count(result)
        for one in result.recipients:
            if one.outcome not in _WISHES:
                self._refused(one)

    def _count(self, result: SendResult) -> None:
        say_ = self._words["screen"]
        done = sum(one.accepted for one in result.recipients)
        text = say_["accepted"].format(done=done, of=len(result.recipients))
        if result.dropped_parameters:
            joined = ", ".join(map(printable, result.dropped_parameters))
            text += say_["dropped"].format(names=joined)
        self._note(text, result.seconds)

    def _refused(self, one: Sent) -> None:
        said = one.explanation(self._language)
        outcome = self._words["outcomes"][one.outcome.value]
        self._line(f" !   {printable(one.address)}: {outcome}", None, "warn" if one.temporary else "bad")
        if one.reply is not None:
            self._under(f"{one.reply}{f' ({one.stage})' if one.stage else ''}")
        if one.uncertain:
            self._under(self._words["screen"]["uncertain"])
        elif one.fault and one.reply is None:
            self._under(one.fault)
        self._under(f"{said.title}: {said.summary}")
        for step in said.steps or ((said.remedy,) if said.remedy else ()):
            self._under(f"{self._words['screen']['check'] if said.steps else '→'} {step}")


def report_refused(result: SendResult, language: str) -> None:
    """Who was refused, on standard error, where nobody looks at the dialogue."""
    for one in result.refused:
        said = one.explanation(language)
        say("error", f"{one.address}: {one.fault if one.reply is None else one.reply}", f"{said.title}: {said.summary}")


def _can_say(text: str) -> bool:
    """Whether the terminal's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def report_fault(fault: SendError, words: Mapping[str, Any], language: str) -> None:
    """No outcome for anybody: what was seen, how long we waited, and what to check, on standard error."""
    said: Explanation = fault.explanation(language)
    waited = words["screen"]["waited"].format(seconds=f"{fault.seconds:.1f}")
    say("error", f"{said.title}: {fault.message} ({waited})")
    lines = [said.summary, *(f"{words['screen']['check']}: {step}" for step in said.steps)]
    for line in lines:
        print(f"  {printable(line.replace('`', ''))}", file=sys.stderr)


def read_reply(text: str) -> Reply | None:
    """A reply as it was shown, None for what is none."""
    try:
        return Reply.parse([line.encode("utf-8") for line in text.split("\n")])
    except ReplySyntaxError:
        return None
