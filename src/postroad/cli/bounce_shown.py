"""Bounces for a terminal: one in full, or many as a table with counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from postroad.cli.columns import moment, table, width
from postroad.cli.screen import Screen
from postroad.diagnosis.bounce_document import BounceExplainer

Document = Mapping[str, Any]
Words = Mapping[str, Mapping[str, str]]

_LABELS: Final = (
    "to",
    "outcome",
    "reply",
    "said",
    "reason",
    "hard",
    "do",
    "who",
    "host",
    "at",
    "sure",
    "original",
    "family",
)
_STYLES: Final = {"failed": "bad", "delayed": "warn", "delivered": "good", "relayed": "good", "expanded": "good"}
#: Characters of a text that no reply is, such as a whole letter in another language.
_MAX_SAID: Final = 400


class BounceScreen:
    """Writes documents to a screen, with the words of one language."""

    def __init__(self, screen: Screen, words: Words) -> None:
        self.screen = screen
        self.words = words
        self._label = words["labels"]
        self._indent = max(width(self._label[name]) for name in _LABELS) + 2

    def message(self, one: Document, name: str = "") -> None:
        """One message, all of it."""
        style = {"bounce": "bold", "feedback": "bad", "vacation": "good"}.get(one["kind"], "faint")
        self.screen.head(f"{name}: {one['label']}" if name else one["label"], one["family"], style)
        self.screen.hang("", one["summary"], 0)
        self._about(one)
        for recipient in one["recipients"]:
            self.screen.add()
            self._recipient(recipient)
        if one["feedback"]:
            self.screen.add()
            self._feedback(one["feedback"])
        if one["advice"]:
            self._block("do", one["advice"])
        self._block("defects", *one["defects"])

    def _about(self, one: Document) -> None:
        original = one["original"]
        about = " · ".join(text for text in (original["subject"], original["message_id"]) if text)
        self._block("original", about)
        if one["kind"] != "bounce":
            self._block("sender", one["from"])
        self._block("reporter", one["reporter"])

    def _recipient(self, one: Document) -> None:
        told, action = one["explanation"], one["action"]
        self.screen.head(f"{self._label['to']}  {one['address']}", action["label"], _STYLES.get(action["id"], "faint"))
        self._block("final", one["final"])
        reply = one["reply"]
        stage = self.words["remarks"]["stage"].format(command=told["command"]) if told["command"] else ""
        if reply:
            text = " ".join(str(reply["text"]).split())
            self._block("reply", f"{reply['code']} {text}", stage)
        else:
            self._block("said", one["said"][:_MAX_SAID])
        self._block("reason", told["title"], told["text"], told["expired"])
        self._block("hard", told["hardness"])
        self._block("do", f"{told['actor']['label']}: {told['remedy']['text']}")
        self._block("host", one["host"])
        self._block("at", moment(one["at"]) if one["at"] else "")
        sure = self.words["remarks"]["rule"].format(confidence=told["confidence"]["label"], rule=told["rule"])
        self._block("sure", sure)

    def _feedback(self, one: Document) -> None:
        self._block("type", one["label"])
        self._block("to", *one["recipients"])
        self._block("source", one["source"])
        self._block("reporter", one["reporter"])
        self._block("at", moment(one["at"]) if one["at"] else "")

    def _block(self, name: str, *paragraphs: str) -> None:
        self.screen.block(self._label[name], [text for text in paragraphs if text], self._indent)


class Table:
    """Many messages: rows up to a limit, and counts of all."""

    def __init__(self, explainer: BounceExplainer, limit: int) -> None:
        self._words = explainer.words
        self._limit = limit
        self._rows: list[tuple[str, ...]] = []
        self._left_out = 0
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._hard: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._titles: dict[str, str] = {}

    @property
    def files(self) -> int:
        """How many messages there were."""
        return sum(self._kinds.values())

    @property
    def bounces(self) -> int:
        """How many of them say something of mail that was sent."""
        return sum(count for kind, count in self._kinds.items() if kind != "other")

    def take(self, one: Document) -> None:
        """One message."""
        self._kinds[one["kind"]] += 1
        for recipient in one["recipients"]:
            self._titles[recipient["cause"]] = recipient["explanation"]["title"]
            self._reasons[recipient["reason"], recipient["cause"]] += 1
            self._hard[recipient["cause"]] += recipient["hard"]
        for row in self._rows_of(one):
            if len(self._rows) < self._limit:
                self._rows.append(row)
            else:
                self._left_out += 1

    def _rows_of(self, one: Document) -> Iterator[tuple[str, ...]]:
        name, label = one.get("file", "-"), one["label"]
        words = self._words["summary"]
        if not one["recipients"]:
            about = one["feedback"]["label"] if one["feedback"] else ""
            yield name, "", about or label, "", one["from"]
        for recipient in one["recipients"]:
            bad = words["hard"] if recipient["hard"] else "" if recipient["reason"] == "delivered" else words["soft"]
            yield name, recipient["address"], recipient["explanation"]["title"], bad, recipient["host"]

    def text(self) -> str:
        """The rows, the reasons, and the sums."""
        words = self._words["summary"]
        heads = [words[f"heads_{name}"] for name in ("file", "to", "reason", "address", "host")]
        parts = [table(heads, self._rows)] if self._rows else []
        if self._left_out:
            parts.append(f"… +{self._left_out}")
        if self._reasons:
            counted = [
                (self._titles[cause], reason, str(count), str(self._hard[cause] or ""))
                for (reason, cause), count in self._reasons.most_common()
            ]
            parts += ["", table((words["reasons"], "", words["count"], words["of_them_hard"]), counted)]
        kinds = self._kinds
        total = words["total"].format(
            files=self.files,
            bounces=kinds["bounce"],
            recipients=sum(self._reasons.values()),
            feedback=kinds["feedback"],
            vacation=kinds["vacation"],
            other=kinds["other"],
        )
        return "\n".join([*parts, "", total])
