"""Documents of ``postroad log explain`` as lines for a terminal, in one language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from postroad.cli.columns import cut, moment, terminal_width, width
from postroad.cli.screen import Screen, plain
from postroad.observe.printable import printable

Document = Mapping[str, Any]
Words = Mapping[str, Mapping[str, str]]

_STYLES: Final = {"failed": "bad", "refused": "bad", "deferred": "warn", "held": "warn", "delivered": "good"}


class LogScreen:
    """Writes documents to a screen; ``commands`` are the catalogue's names of verbs."""

    def __init__(self, screen: Screen, words: Words, commands: Mapping[str, str]) -> None:
        self.screen = screen
        self._words = words
        self._commands = commands
        self._told: set[tuple[str, str]] = set()
        shown = ("reason", "said", "log", "when", "actor", "do", "code", "beside")
        self._indent = max(width(words["labels"][name]) for name in shown) + 4

    def head(self, name: str, summary: Document) -> None:
        """What was read, and how it ended for how many."""
        words = self._words["head"]
        formats = ", ".join(self._words["formats"][one] for one in summary["formats"])
        self.screen.head(plain(words["what"].format(name=name, formats=formats, lines=f"{summary['lines']:,}")), "", "")
        if summary["first"]:
            self.screen.hang("", words["span"].format(first=moment(summary["first"]), last=moment(summary["last"])), 0)
        counts = summary["outcomes"]
        parts = [self._count(one, counts[one]) for one in counts if counts[one]]
        if parts:
            self.screen.hang("", " · ".join(parts), 0)
        if summary["events"] and not any(counts[one] for one in counts if one != "delivered"):
            self.screen.hang("", words["nothing_failed"], 0)

    def _count(self, outcome: str, count: int) -> str:
        return self._words["head"]["counts"].format(outcome=self._words["outcomes"][outcome], count=f"{count:,}")

    def reasons(self, reasons: Iterable[Document]) -> None:
        """Which reasons there are, at how many destinations."""
        words = self._words["reasons"]
        self.screen.add()
        for one in reasons:
            outcome = self._words["outcomes"][one["outcome"]]
            counts = {"count": f"{one['count']:,}", "destinations": f"{one['destinations']:,}"}
            text = words["one" if one["destinations"] == 1 else "line"]
            self.screen.hang("  ", text.format(outcome=outcome, reason=one["reason"]["label"], **counts), 4)

    def group(self, one: Document) -> None:
        """A destination and a reason: how often, what was said, who acts, what to do."""
        words = self._words["group"]
        self.screen.add()
        name = one["destination"] or words["no_destination"]
        count = words["times"].format(count=f"{one['count']:,}")
        outcome = self._words["outcomes"][one["outcome"]]
        self.screen.head(plain(f"{name}  {outcome} {count}"), plain(one["reason"]["label"]), _STYLES[one["outcome"]])
        lasting = {True: words["temporary"], False: words["permanent"]}.get(one["temporary"])
        reason = words["kind" if lasting else "no_kind"].format(kind=lasting, **one["reason"])
        known = (one["reason"]["id"], one["outcome"])
        self._block("reason", [] if known in self._told else [reason])
        self._said(one["example"], one["outcome"])
        self._block("code", [f"{code['code']} {code['title']}: {code['summary']}" for code in self._codes(one)])
        first, last = moment(one["first"]), moment(one["last"])
        self._block("when", [first if first == last else f"{first} – {last}"] if first else [])
        if known in self._told:
            self._block("do", [words["same"]])
        else:
            self._block("actor", [one["actor"]["label"]])
            self._block("do", [words["do"].format(**one["remedy"])])
        self._told.add(known)
        self._block("beside", list(self._beside(one)))

    def _codes(self, one: Document) -> Iterable[Document]:
        code = one["code"] or one["enhanced"]
        if code and ("code", str(code["code"])) not in self._told:
            self._told.add(("code", str(code["code"])))
            yield code

    def _said(self, example: Document, outcome: str) -> None:
        words = self._words["group"]
        command = self._commands.get(example["command"], example["command"])
        about = [
            words["client" if outcome == "refused" else "host"].format(host=example["host"]) if example["host"] else "",
            words["answers"].format(command=command) if command and example["reply"] else "",
            words["message"].format(to=example["to"]) if example["to"] else "",
        ]
        text = " ".join((example["reply"] or example["text"]).split())
        self._block(
            "said" if example["reply"] else "log", [text, words["between"].join(part for part in about if part)]
        )

    def _beside(self, one: Document) -> Iterable[str]:
        words = self._words["group"]
        if one["partial"]:
            yield words["partial"]
        if one["outcome"] in ("failed", "deferred") and one["destination"]:
            yield (
                words["delivered"].format(count=f"{one['delivered']:,}")
                if one["delivered"]
                else words["none_delivered"]
            )

    def rest(self, rest: Iterable[Document]) -> None:
        """What was not told apart."""
        every = list(rest)
        if not every:
            return
        words = self._words["rest"]
        self.screen.add()
        groups, count = sum(one["groups"] for one in every), sum(one["count"] for one in every)
        self.screen.hang("", words["head"].format(groups=f"{groups:,}", count=f"{count:,}"), 0)

    def _block(self, name: str, paragraphs: list[str]) -> None:
        self.screen.block("  " + self._words["labels"][name], [text for text in paragraphs if text], self._indent)

    def line(self, one: Document, advice: bool) -> str:
        """One event as one line; with ``advice``, who acts and what to do."""
        outcome = self._words["outcomes"][one["outcome"]]
        room = max(width(text) for text in self._words["outcomes"].values())
        text = " ".join((one["reply"] or one["text"]).split())
        parts = [moment(one["at"]), outcome + " " * (room - width(outcome)), one["to"] or "-"]
        if one["outcome"] != "delivered":
            parts.append(one["reason"]["label"])
        parts += [text, f"[{one['host']}]" if one["host"] else ""]
        if advice and one["outcome"] != "delivered":
            do = self._words["lines"]["do"].format(actor=one["actor"]["label"], remedy=one["remedy"]["label"])
            parts.insert(4, f"→ {do}")
        shown = printable("  ".join(part for part in parts if part))
        cells = terminal_width()
        return cut(shown, cells) if cells and not advice else shown
