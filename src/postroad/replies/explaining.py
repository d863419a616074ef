"""Answers a reader who pastes something: each reply in it with its reason, who acts, and what to do.

One document (``postroad.explanation/1``) that terminal, page and API show alike.
"""

from __future__ import annotations

import re
from typing import Final

from postroad.replies.catalogue import Catalogue
from postroad.replies.classify import Classification, classify, numbers
from postroad.replies.documents import Document, Documents
from postroad.replies.reply import Reply
from postroad.replies.understanding import Names, Reading, understand, understand_words

_CODES: Final = re.compile(r"[1-5][0-9][0-9]\Z")


def names_of(catalogue: Catalogue) -> Names:
    """What can be asked for by name."""
    parameters = {
        parameter.rstrip("="): keyword
        for keyword, facts in catalogue.keywords.items()
        for parameter in (*facts.mail_parameters, *facts.rcpt_parameters)
    }
    return Names(frozenset(catalogue.keywords), frozenset(catalogue.verbs), parameters)


class Explainer:
    """Explains texts in one language."""

    def __init__(self, catalogue: Catalogue, language: str) -> None:
        """Reads nothing before it is asked."""
        self._catalogue = catalogue
        self.documents = Documents(catalogue, language)
        self._say = catalogue.vocabulary(self.documents.language)

    def explain(self, text: str, *, command: str = "", provider: str = "") -> Document:
        """Explain a text; ``command`` is the verb it answers and ``provider`` who said it, when known."""
        return self._explained(understand(text, names_of(self._catalogue)), command, provider)

    def explain_words(self, words: list[str], *, command: str = "", provider: str = "") -> Document:
        """Explain the arguments of a command line."""
        if all(map(_CODES.match, words)):  # no keywords are needed
            readings = tuple(Reading("code", word, word) for word in words)
        else:
            readings = understand_words(words, names_of(self._catalogue))
        return self._explained(readings, command, provider)

    def explain_reply(self, reply: Reply, *, command: str = "", provider: str = "") -> Document:
        """Explain one reply that was heard, as one item, however little its text says."""
        text = str(reply)
        item: Document = {"kind": "reply", "text": text}
        item |= self._reply(Reading("reply", text, text), command, provider)
        return {"schema": "postroad.explanation/1", "language": self.documents.language, "items": [item]}

    def _explained(self, readings: tuple[Reading, ...], command: str, provider: str) -> Document:
        return {
            "schema": "postroad.explanation/1",
            "language": self.documents.language,
            "items": [self._item(reading, command, provider) for reading in readings],
        }

    def _item(self, reading: Reading, command: str, provider: str) -> Document:
        item: Document = {"kind": reading.kind, "text": reading.text}
        match reading.kind:
            case "code":
                return item | self._code(int(reading.name))  # strict: Names and understand match three digits
            case "enhanced":
                return item | self._enhanced(reading.name)
            case "keyword":
                return item | {"keyword": self.documents.keyword(reading.name)}
            case "verb":
                return item | {"verb": self.documents.verb(reading.name)}
            case "reply":
                return item | self._reply(reading, command or reading.command, provider)
        return item | {"message": self._say["sentences"]["not_found"]}

    def _code(self, code: int) -> Document:
        if code in self._catalogue.codes:
            return {"code": self.documents.code(code)}
        return {"message": self._first_digit(code)}

    def _enhanced(self, name: str) -> Document:
        if f"X{name[1:]}" in self._catalogue.enhanced:
            return {"enhanced": self.documents.enhanced(name)}
        return {"message": self._say["sentences"]["not_found"]}

    def _first_digit(self, code: int) -> str:
        digit = str(code // 100)
        return self._say["sentences"]["first_digit"].format(**{"code": code, "class": self._say["classes"][digit]})

    def _reply(self, reading: Reading, command: str, provider: str) -> Document:
        code, status = numbers(reading.text)
        found = classify(reading.text, command=command, provider=provider, rules=self._catalogue.rules)
        lasting = None if code and code[0] in "23" else found.temporary
        classification = self._classification(found) | {"temporary": lasting}
        said: Document = {"command": command, "provider": provider, "classification": classification}
        if code:
            number = int(code)  # strict: _NUMBERS matched three digits
            known = number in self._catalogue.codes
            said |= (
                {"code": self.documents.code(number, providers=False)}
                if known
                else {"message": self._first_digit(number)}
            )
        if status and f"X{status[1:]}" in self._catalogue.enhanced:
            said["enhanced"] = self.documents.enhanced(status)
        if found.mismatch and code and status:
            said["mismatch"] = self._mismatch(code, status)
        return said

    def _mismatch(self, code: str, status: str) -> str:
        classes, enhanced = self._say["short_classes"], self._say["enhanced_classes"]
        kinds = {"class": classes[code[0]], "enhanced_class": enhanced[status[0]]}
        return self._say["sentences"]["mismatch"].format(code=code, enhanced=status, **kinds)

    def _classification(self, found: Classification) -> Document:
        return {
            "reason": self.documents.term("reasons", found.reason),
            "actor": {"id": found.actor, "label": self._say["actors"][found.actor]},
            "remedy": self.documents.term("remedies", found.remedy),
            "confidence": {"id": found.confidence, "label": self._say["confidence"][found.confidence]},
            "rule": found.rule,
        }
