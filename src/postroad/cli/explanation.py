"""A document of the catalogue as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postroad.cli.columns import width
from postroad.cli.screen import Screen, columns, plain

Document = Mapping[str, Any]
Words = Mapping[str, Mapping[str, str]]

_STYLES = {"2": "good", "3": "good", "4": "warn", "5": "bad"}


class Explanation:
    """Writes documents to a screen, with the labels of one language."""

    def __init__(self, screen: Screen, words: Words) -> None:
        self.screen = screen
        self.words = words
        self.label = words["labels"]
        shown = ("means", "actor", "retry", "do", "not", "see", "reason", "remedy", "session", "queue", "sources")
        self.indent = max(width(self.label[name]) for name in shown) + 2

    def item(self, item: Document, short: bool = False) -> None:
        """One thing that was found in what the reader asked."""
        match item["kind"]:
            case "code" if "code" in item:
                self.code(item["code"], short)
            case "enhanced" if "enhanced" in item:
                self.enhanced(item["enhanced"], short)
            case "keyword":
                self.keyword(item["keyword"], short)
            case "verb":
                self.verb(item["verb"], short)
            case "reply":
                self.reply(item, short)
            case _:
                self.screen.hang("", f"{item['text'].strip()}: {item['message']}".lstrip(": "), 0)

    def code(self, code: Document, short: bool = False) -> None:
        """A reply code."""
        digit = str(code["class"]["id"])
        self._head(f"{code['code']}  {code['title']}", self.words["short_classes"][digit], _STYLES.get(digit, "faint"))
        answers = self.words["language"]["separator"].join(one["label"] for one in code["commands"])
        where = [f"{self.label['commands']} {answers}" if answers else "", code["standing"]["label"]]
        if short:
            self.screen.hang("     ", code["summary"], 5)
            return
        self._under([*where, ", ".join(code["sources"])])
        self.screen.add()
        self._block("means", [code["summary"], *code["meaning"]])
        if len(code["commands"]) > 1:
            self._block("", [f"{one['label']}: {one['meaning']}" for one in code["commands"]])
        self._block("actor", [code["actor"]["label"]])
        self._block("retry", [code["advice"]["retry"]])
        self._block("session", [code["session"]["label"]])
        self._block("queue", [code["queue"]["label"]])
        self._fix(code["fix"])
        if code["missing"]:
            self.screen.add()
            self._heading("missing")
            self._steps(code["missing"])
        self._rest(code)

    def _rest(self, code: Document) -> None:
        self.screen.add()
        self._block("not", [one["difference"] for one in code["confused"]])
        self._block("", code["notes"])
        enhanced = [one for kind in ("registered", "seen") for one in code["enhanced"][kind]]
        self._block("enhanced", [f"{one['code']} {one['title']}" for one in enhanced])
        self._block("see", [f"postroad compare {code['code']} {one['code']}" for one in code["confused"][:3]])

    def enhanced(self, one: Document, short: bool = False) -> None:
        """An enhanced status code."""
        digit = str(one["class"]["id"])
        label = self.words["short_classes"].get(digit, "")
        self._head(f"{one['code']}  {one['title']}", label, _STYLES.get(digit, "faint"))
        if short:
            self.screen.hang("     ", one["summary"], 5)
            return
        self._under([one["subject"]["label"], one["standing"]["label"], ", ".join(one["sources"])])
        self.screen.add()
        self._block("means", [one["summary"], *one["meaning"]])
        self._block("actor", [one["actor"]["label"]])
        self._block("retry", [one["retry"]["label"]])
        self._fix(one["fix"])
        self._block("basic", [f"{code['code']} {code['title']}" for code in one["basic"]])
        self._block("not", one["notes"])

    def keyword(self, one: Document, short: bool = False) -> None:
        """A keyword of the EHLO answer."""
        self._head(f"{one['keyword']}  {one['title']}", one["standing"]["label"], "faint")
        self._named(one, short)
        if not short:
            parameters = [*one["mail_parameters"], *one["rcpt_parameters"]]
            head = self.words["headings"]["parameters"]
            self.screen.block(head, [", ".join(parameters)] if parameters else [], self.indent)
            self._block("on_refusal", [one["on_refusal"]["label"]] if one["on_refusal"] else [])
            self._block("reply", [f"{code['code']} {code['title']}" for code in one["replies"]])

    def verb(self, one: Document, short: bool = False) -> None:
        """A command."""
        self._head(f"{one['verb']}  {one['title']}", one["keyword"], "faint")
        if one["syntax"] and not short:
            self.screen.hang("     ", one["syntax"], 5)
        self._named(one, short)
        if not short:
            codes = [*one["positive"], *one["negative"]]
            self._block("reply", [f"{code['code']} {code['title']}" for code in codes])

    def _named(self, one: Document, short: bool) -> None:
        if short:
            self.screen.hang("     ", one["summary"], 5)
            return
        self._under([", ".join(one["sources"])])
        self.screen.add()
        self._block("means", [one["summary"], *one["meaning"]])
        self._block("do", [one["advice"]] if one["advice"] else [])

    def reply(self, item: Document, short: bool = False) -> None:
        """A whole reply, understood by its text."""
        found = item["classification"]
        for line in item["text"].split("\n")[: 1 if short else None]:
            self.screen.hang("", line, 4)
        if item.get("command") and not short:
            label = self.words["commands"].get(item["command"], item["command"])
            self.screen.hang("     ", f"{self.label['commands']} {label}", 5)
        lasting = {True: "temporary", False: "permanent"}.get(found["temporary"], "")
        kind = f" ({self.words['sentences'][lasting]})" if lasting else ""
        if short:
            self.screen.hang("     ", f"{found['reason']['label']}{kind} · {found['remedy']['label']}", 5)
            return
        self._block("reason", [f"{found['reason']['label']}{kind}", found["reason"]["text"]])
        self._block("actor", [found["actor"]["label"]])
        self._block("remedy", [found["remedy"]["label"], found["remedy"]["text"]])
        sure = f"{found['confidence']['label']} ({self.label['rule']} {found['rule']})"
        self._block("confidence", [sure])
        self._block("", [item["mismatch"]] if item.get("mismatch") else [])
        self._block("", [item["message"]] if item.get("message") else [])
        for name in ("code", "enhanced"):
            if name in item:
                one = item[name]
                self._block(name, [f"{one['code']} {one['title']}: {one['summary']}"])

    def comparison(self, found: Document) -> None:
        """Two codes side by side."""
        a, b = found["a"], found["b"]
        label, heading = self.label, self.words["headings"]
        self.screen.hang("", found["verdict"], 0)
        if found["meant"]:
            self.screen.hang("", heading["also"] + ":", 0)
            for pair in found["meant"]:
                self.screen.hang("  ", f"postroad compare {pair['a']} {pair['b']}", 2)
        self.screen.add()
        rows = [(label["name"], a["title"], b["title"]), (label["means"], a["summary"], b["summary"])]
        rows += [(row["label"], row["a"], row["b"]) for row in found["rows"] if row["differs"]]
        self._heading("differences")
        self._side_by_side((str(a["code"]), str(b["code"])), rows)
        same = [f"{row['label']}: {row['a']}" for row in found["rows"] if not row["differs"]]
        self.screen.block(label["both"], [" · ".join(same)] if same else [], width(label["both"]) + 2)
        for name, kind in (("description", "meaning"), ("when", "when"), ("fix", "fix")):
            self.screen.add()
            self._heading(name)
            for one in (a, b):
                self.screen.block(str(one["code"]), _list(one[kind], self.words["readers"]), 5)
        if a["missing"] or b["missing"]:
            self.screen.add()
            self._heading("missing")
            for one in (a, b):
                self.screen.block(str(one["code"]), [f"{step['do']} {step['check']}" for step in one["missing"]], 5)
        self.screen.add()
        self._heading("which")
        advice = [(heading[name], a["advice"][key], b["advice"][key]) for name, key in _ADVICE]
        self._side_by_side((str(a["code"]), str(b["code"])), advice)
        self._more(found)

    def _more(self, found: Document) -> None:
        if found.get("transcript"):
            self.screen.add()
            self._heading("transcript")
            for line in found["transcript"]:
                self.screen.hang("  ", line, 5)
        self.screen.add()
        self._heading("more")
        for one in (found["a"], found["b"]):
            self.screen.add(f"  postroad explain {one['code']}")

    def _side_by_side(self, heads: tuple[str, str], rows: list[tuple[str, str, str]]) -> None:
        for line in columns(("", *heads), rows, self.screen.room):
            self.screen.add(line)

    def _head(self, left: str, right: str, style: str) -> None:
        self.screen.head(plain(left), plain(right), style)

    def _under(self, parts: list[str]) -> None:
        text = " · ".join(part for part in parts if part)
        if text:
            self.screen.hang("     ", text, 5)

    def _block(self, name: str, paragraphs: list[str]) -> None:
        self.screen.block(self.label.get(name, ""), paragraphs, self.indent)

    def _heading(self, name: str) -> None:
        self.screen.add(self.screen.style(self.words["headings"][name], "bold"))

    def _fix(self, fix: Mapping[str, list[Document]]) -> None:
        if not fix:
            return
        self.screen.add()
        self._heading("fix")
        for reader, steps in fix.items():
            self.screen.add(f"  {self.words['readers'][reader]}")
            self._steps(steps)

    def _steps(self, steps: list[Document]) -> None:
        for number, step in enumerate(steps, 1):
            self.screen.hang(f"  {number}. ", step["do"], 5)
            self.screen.hang("     ", f"{self.label['check']}: {step['check']}", 7)


_ADVICE = (("retry", "retry"), ("client_author", "next"), ("server_author", "choose"))


def _list(part: Any, readers: Mapping[str, str]) -> list[str]:
    """The lines of a list, or of steps by reader."""
    if isinstance(part, list):
        return [str(line) for line in part]
    return [f"{readers[reader]}: {step['do']}" for reader, steps in part.items() for step in steps]
