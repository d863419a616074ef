"""Findings in words of one language, and the whole as a document (``postroad.diagnosis/1``).

Whatever a host said goes through ``printable``: nothing of it can move a cursor, turn text around or forge a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from postroad import codes
from postroad.diagnosis.diagnosing import Diagnosis
from postroad.diagnosis.findings import Finding, Level
from postroad.diagnosis.probe import HostReport
from postroad.observe.printable import printable
from postroad.replies import Reply

Document = dict[str, Any]

#: Characters of evidence that are shown; the document and the transcript have more.
MAX_SEEN: Final = 600


@dataclass(frozen=True, slots=True)
class Told:
    """A finding in words."""

    finding: Finding
    mark: str
    """``ok``, ``warn`` …, in the language."""
    step: str
    verdict: str
    seen: str
    """The evidence, printable; ``""`` when the verdict shows it already."""
    waited: str
    """``412 ms``; ``""`` when nothing was waited for, or the verdict says it."""
    means: str = ""
    said: str = ""
    """What the catalogue says of the reply."""
    disproof: str = ""
    do: str = ""
    actor: str = ""
    actor_id: str = ""
    next: tuple[str, ...] = ()


#: Reasons of a refusal that lie with whoever connects.
_OURS: Final = frozenset(("blocked", "bad-reputation", "ptr-required", "rate-limited"))


class Teller:
    """Tells in one language."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.words: Mapping[str, Any] = codes.texts("diagnose", language)

    def told(self, one: Finding) -> Told:
        """The finding in words."""
        words = self.words["findings"][one.id]
        seen = printable(one.seen)[:MAX_SEEN]
        waited = "" if one.waited is None else span(one.waited, self.language)
        known = _Facts({name: printable(value)[:MAX_SEEN] for name, value in one.facts.items()})
        known |= {"seen": seen, "waited": waited}
        if protocol := self.words["protocols"].get(one.facts.get("protocol", "")):
            known["protocol"] = protocol
        verdict = words["verdict"]
        said, actor = ("", one.kind.actor) if one.reply is None else self._said(one, one.reply)
        return Told(
            finding=one,
            mark=self.words["levels"]["skip" if one.skipped else one.level.label],
            step=self.words["steps"][one.step],
            verdict=verdict.format_map(known),
            seen="" if "{seen}" in verdict else seen,
            waited="" if "{waited}" in verdict else waited,
            means=words.get("means", "").format_map(known),
            said=said,
            disproof=words.get("disproof", "").format_map(known),
            do=words.get("do", "").format_map(known),
            actor=self.words["actors"][actor],
            actor_id=actor,
            next=tuple(self._command(text, known) for text in one.kind.next),
        )

    def step(self, name: str) -> str:
        """A step of the probe in words."""
        return str(self.words["steps"].get(name, name))

    def _command(self, template: str, facts: Mapping[str, str]) -> str:
        """A command to paste: a stranger's text in it cannot end its quotes; the remark behind it in the language."""
        safe = _Facts({name: value.replace("'", "’").replace("\n", " ") for name, value in facts.items()})
        command, mark, remark = template.partition("   # ")
        return command.format_map(safe) + (f"{mark}{self.words['remarks'][remark]}" if mark else "")

    def _said(self, one: Finding, reply: Reply) -> tuple[str, str]:
        """What the catalogue says of a reply and its remedy, and who acts by it."""
        item = codes.explain_reply(reply, self.language, command=one.command)["items"][0]
        found = item["classification"]
        known = item.get("code")
        is_sure = found["confidence"]["id"] != "low"
        text = found["reason"]["text"] if is_sure or not known else known["summary"]
        remedy = f" → {found['remedy']['label']}" if is_sure else ""
        actor = "you" if is_sure and found["reason"]["id"] in _OURS else one.kind.actor
        return printable(f"{text}{remedy}"), actor

    # --- the document

    def document(self, diagnosis: Diagnosis, *, exit: int = 0) -> Document:
        """All of it."""
        return {
            "schema": "postroad.diagnosis/1",
            "language": self.language,
            "exit": exit,
            "target": diagnosis.target,
            "role": diagnosis.role,
            "domain": diagnosis.domain,
            "level": diagnosis.level.label,
            "counts": {level.label: diagnosis.count(level) for level in Level},
            "seconds": round(diagnosis.seconds, 3),
            "findings": [self.finding(one) for one in diagnosis.findings],
            "hosts": [self._host(one) for one in diagnosis.hosts],
        }

    def _host(self, report: HostReport) -> Document:
        endpoint = report.place.endpoint
        return {
            "host": endpoint.target.host,
            "address": endpoint.address,
            "port": endpoint.target.port,
            "implicit_tls": report.place.implicit_tls,
            "preference": report.place.preference,
            "source": report.source,
            "seconds": round(report.seconds, 3),
            "level": report.level.label,
            "findings": [self.finding(one) for one in report.findings],
            "transcript": report.transcript,
        }

    def finding(self, one: Finding) -> Document:
        """A finding as a document."""
        told = self.told(one)
        return {
            "id": one.id,
            "level": one.level.label,
            "skipped": one.skipped,
            "step": one.step,
            "verdict": told.verdict,
            "seen": one.seen,
            "waited": None if one.waited is None else round(one.waited, 3),
            "means": told.means,
            "said": told.said,
            "disproof": told.disproof,
            "do": told.do,
            "actor": {"id": told.actor_id, "label": told.actor},
            "next": list(told.next),
            "records": list(one.records),
            "reply": _reply(one),
            "facts": dict(one.facts),
        }


class _Facts(dict[str, str]):
    """A fact that is not known stands as a question mark: words must never fail."""

    def __missing__(self, key: str) -> str:
        return "?"


def span(seconds: float, language: str = "en") -> str:
    """``412 ms``, ``1.9 s``, ``60 s``."""
    if seconds < 1:
        number, unit = f"{seconds * 1000:.0f}", "ms"
    else:
        number, unit = f"{seconds:.1f}" if seconds < 10 and seconds % 1 else f"{seconds:.0f}", "s"
    return f"{number} {'ミリ秒' if unit == 'ms' else '秒'}" if language == "ja" else f"{number} {unit}"


def _reply(one: Finding) -> Document | None:
    if one.reply is None:
        return None
    status = one.reply.enhanced
    return {
        "code": one.reply.code,
        "enhanced": None if status is None else str(status),
        "text": list(one.reply.lines),
        "command": one.command,
        "reason": codes.classify(one.reply, command=one.command).reason,
    }
