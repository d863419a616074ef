"""A diagnosis on a terminal: a block for the domain, one for each address, and under each fault what it means and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from postroad.cli.columns import width
from postroad.cli.screen import Screen
from postroad.diagnosis.findings import Finding, Level
from postroad.observe.printable import printable, printable_lines

if TYPE_CHECKING:
    from postroad.diagnosis.diagnosing import Diagnosis
    from postroad.diagnosis.probe import HostReport
    from postroad.diagnosis.telling import Teller, Told

_STYLES: Final = {Level.OK: "good", Level.INFO: "faint", Level.WARN: "warn", Level.ERROR: "bad"}
_LABELS: Final = ("seen", "waited", "means", "said", "disproof", "do", "who", "next", "record")


class Report:
    """Writes to a screen."""

    def __init__(self, out: Screen, teller: Teller, *, quiet: bool = False) -> None:
        self._out = out
        self._teller = teller
        self._words = teller.words["screen"]
        self._quiet = quiet
        marks = teller.words["levels"].values()
        self._mark = max(map(width, marks)) + 2
        self._step = max(map(width, (teller.words["steps"][name] for name in _STEPS))) + 2
        self._label = max(width(self._words[name]) for name in _LABELS if name != "waited") + 2
        self._explained: set[tuple[str, str]] = set()

    def write(self, found: Diagnosis, *, transcript: bool = False) -> None:
        """All of it."""
        before = [one for one in found.findings if self._shows(one)]
        if found.domain:
            self._out.head(self._words["domain"].format(domain=printable(found.domain)), "", "faint")
        elif before:
            self._out.head(printable(found.target), "", "faint")
        for one in before:
            self._finding(one)
        for number, host in enumerate(found.hosts):
            if number or before or found.domain:
                self._out.add()
            self._host(host)
        if transcript and found.transcript:
            self._out.add()
            for line in printable_lines(found.transcript).split("\n"):
                self._out.add(line)
        self._end(found)

    def _host(self, host: HostReport) -> None:
        endpoint = host.place.endpoint
        target, address = endpoint.target, endpoint.address
        shown = f"[{address}]" if ":" in address else address
        title = f"{shown}:{target.port}" if address == target.host else f"{target.host} → {shown}:{target.port}"
        notes = [self._words["from"].format(source=host.source)] if host.source else []
        if host.place.preference is not None:
            notes.insert(0, self._words["preference"].format(preference=host.place.preference))
        if notes:
            title += f" ({', '.join(notes)})"
        self._out.head(printable(title), f"{host.seconds:.1f}s", "faint")
        for one in host.findings:
            if self._shows(one):
                self._finding(one)

    def _shows(self, one: Finding) -> bool:
        return not self._quiet or one.level >= Level.WARN

    def _finding(self, one: Finding) -> None:
        told = self._teller.told(one)
        mark = self._out.style(told.mark, _STYLES[one.level]) + " " * (self._mark - width(told.mark))
        step = told.step + " " * (self._step - width(told.step))
        indent = 1 + self._mark + self._step
        self._out.hang(f" {mark}{step}", told.verdict, indent)
        if one.level >= Level.WARN or one.records:
            self._details(told, indent)

    def _details(self, told: Told, indent: int) -> None:
        one = told.finding
        waited = f"({self._words['waited'].format(waited=told.waited)})" if told.waited else ""
        self._part("seen", " ".join(part for part in (told.seen, waited) if part), indent)
        self._part("said", told.said, indent)
        if (key := (one.id, told.verdict)) not in self._explained:
            self._explained.add(key)
            self._part("means", told.means, indent)
            self._part("disproof", told.disproof, indent)
            self._part("do", told.do, indent)
            if one.level >= Level.WARN:
                self._part("who", told.actor, indent)
                self._parts("next", told.next, indent)
        self._parts("record", one.records, indent)

    def _part(self, label: str, text: str, indent: int) -> None:
        if text:
            self._parts(label, (text,), indent)

    def _parts(self, label: str, texts: tuple[str, ...], indent: int) -> None:
        name = self._words[label]
        margin = " " * indent + self._out.style(name, "bold") + " " * (self._label - width(name))
        for text in texts:
            if label in ("next", "record"):  # to be pasted: never broken
                self._out.add(margin + printable(text))
            else:
                self._out.hang(margin, text, indent + self._label)
            margin = " " * (indent + self._label)

    def _end(self, found: Diagnosis) -> None:
        counts = {}
        for name, level in (("warning", Level.WARN), ("error", Level.ERROR)):
            number = found.count(level)
            counts[f"{name}s"] = self._words[name if number == 1 else f"{name}s"].format(count=number)
        if not found.hosts:
            self._out.add(self._words["nothing"])
        self._out.add(f"{self._words['counted'].format(**counts)} {self._words['evidence']}")


#: Steps that findings stand under.
_STEPS: Final = (
    *("name", "connect", "greeting", "ehlo", "starttls", "cert", "auth", "mail", "rcpt", "relay", "quit"),
    *("mx", "spf", "dkim", "dmarc"),
)
