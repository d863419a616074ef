"""What is said of a code, a name or a pair, as one document in one language.

The terminal, the page, the Markdown and the JSON show the same document, so that none can say less than another. Keys
are never translated; ``schema`` names the form, and a field is only ever added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from postroad.replies.catalogue import Catalogue
from postroad.replies.comparison import Comparison, Difference, compare
from postroad.replies.entries import READERS, CodeFacts, CommandFacts, EnhancedFacts, Step

Document = dict[str, Any]


class Documents:
    """Writes documents from a catalogue in one language; unknown names raise KeyError."""

    def __init__(self, catalogue: Catalogue, language: str) -> None:
        """``language`` is a tag; what the catalogue lacks in it is said in English."""
        self.catalogue = catalogue
        self.language = language if language in catalogue.languages else "en"
        self._say = catalogue.vocabulary(self.language)
        self._separator = self._say["language"]["separator"]

    # Codes

    def code(self, code: int, *, providers: bool = True) -> Document:
        """All that is known of a reply code (``postroad.code/1``), on demand without the replies of providers."""
        facts = self.catalogue.code(code)
        words = self.catalogue.code_words(code, self.language)
        return {
            "schema": "postroad.code/1",
            "language": self.catalogue.code_language(code, self.language),
            "code": code,
            "name": facts.name,
            "title": words.title,
            "summary": words.summary,
            "class": {"id": facts.severity, "label": self._say["classes"][str(facts.severity)]},
            "category": {"id": facts.category, "label": self._say["categories"][str(facts.category)]},
            **self._semantics(facts),
            "dotless": facts.dotless,
            "commands": [self._command(verb, one, words.commands[verb]) for verb, one in facts.commands.items()],
            "meaning": list(words.meaning),
            "when": list(words.when),
            "fix": {reader: _steps(words.fix[reader]) for reader in READERS if reader in words.fix},
            "missing": _steps(words.missing),
            "advice": {"retry": words.retry, "choose": words.choose, "next": words.next},
            "notes": list(words.notes),
            "enhanced": {
                "registered": self._enhanced_named(facts.enhanced_registered),
                "seen": self._enhanced_named(facts.enhanced_seen),
            },
            "providers": list(self._provider_replies(lambda one: one.code == code)) if providers else [],
            "confused": [
                one | {"difference": words.confused[str(one["code"])]} for one in self._titled(words.confused)
            ],
            "related": self._titled(facts.related),
            "history": [{"source": one.source, "event": self._say["events"][one.event]} for one in facts.history],
            "sources": list(facts.sources),
        }

    def short(self, code: int) -> Document:
        """A code in a list: number, title, summary, class."""
        facts, words = self.catalogue.code(code), self.catalogue.code_words(code, self.language)
        return {
            "code": code,
            "title": words.title,
            "summary": words.summary,
            "class": {"id": facts.severity, "label": self._say["short_classes"][str(facts.severity)]},
            "standing": self._named("standings", facts.standing),
            "commands": list(facts.commands),
            "dotless": facts.dotless,
        }

    def _semantics(self, facts: CodeFacts) -> Document:
        retry = self._named("retries", facts.retry)
        if facts.retry_else is not None:
            retry["else"] = self._named("retries", facts.retry_else)
        return {
            "standing": self._named("standings", facts.standing),
            "actor": self._named("actors", facts.actor),
            "retry": retry,
            "session": self._named("sessions", facts.session),
            "queue": self._named("queues", facts.queue),
        }

    def _command(self, verb: str, facts: CommandFacts, meaning: str) -> Document:
        said: Document = {"command": verb, "label": self.command_label(verb), "meaning": meaning}
        kinds = {
            "retry": "retries",
            "retry_else": "retries",
            "actor": "actors",
            "session": "sessions",
            "queue": "queues",
        }
        for field, kind in kinds.items():
            value = getattr(facts, field)
            if value is not None:
                said[field] = self._named(kind, value)
        return said

    def command_label(self, verb: str) -> str:
        """How a command is called in a sentence: the verb itself, or the words for a moment such as connecting."""
        return self._say["commands"].get(verb, verb)

    def _named(self, kind: str, name: str) -> Document:
        return {"id": name, "label": self._say[kind][name]}

    def _title(self, code: int) -> str:
        return self.catalogue.code_words(code, self.language).title if code in self.catalogue.codes else ""

    def _titled(self, codes: Iterable[str]) -> list[Document]:
        return [{"code": code, "title": self._title(code)} for code in map(int, codes)]  # strict: our own data

    def _enhanced_named(self, codes: Iterable[str]) -> list[Document]:
        return [{"code": code, "title": self._enhanced_title(code)} for code in codes]

    def _enhanced_title(self, code: str) -> str:
        """The title of ``4.7.1``; empty for one that is not registered."""
        try:
            return self.catalogue.enhanced_words(f"X{code[1:]}", self.language).title
        except KeyError:
            return ""

    def _provider_replies(self, wanted: Any) -> Iterable[Document]:
        for slug, provider in self.catalogue.providers.items():
            for one in filter(wanted, provider.replies):
                numbers = [str(one.code) if one.code else "", one.enhanced or ""]
                yield {
                    "provider": provider.name,
                    "reply": " ".join(part for part in (*numbers, one.text) if part),
                    "meaning": self.catalogue.provider_words(slug, one.id, self.language),
                    "reason": self.term("reasons", one.reason),
                    "remedy": self.term("remedies", one.remedy),
                    "source": one.source,
                    "checked": one.checked,
                }

    def term(self, kind: str, name: str) -> Document:
        """A reason or a remedy: its name and what is said of it."""
        words = self.catalogue.term_words(kind, name, self.language)
        return {"id": name, "label": words.title, "text": words.summary or words.advice}

    # Enhanced status codes

    def enhanced(self, code: str) -> Document:
        """All that is known of an enhanced status code, ``4.7.1`` or ``X.7.1`` (``postroad.enhanced/1``)."""
        name = f"X.{code.split('.', 1)[1]}"
        facts, words = self.catalogue.enhanced[name], self.catalogue.enhanced_words(name, self.language)
        severity = "" if code.startswith("X") else code[0]
        return {
            "schema": "postroad.enhanced/1",
            "language": self.catalogue.language_of("enhanced", name, self.language),
            "code": code,
            "registered": name,
            "name": facts.name,
            "title": words.title,
            "summary": words.summary,
            "class": {"id": severity, "label": self._say["enhanced_classes"].get(severity, "")},
            "subject": {"id": name.split(".")[1], "label": self._say["subjects"][name.split(".")[1]]},
            "classes": [{"id": one, "label": self._say["enhanced_classes"][one]} for one in facts.classes],
            "standing": self._named("standings", facts.standing),
            "actor": self._named("actors", facts.actor),
            "retry": self._named("retries", _retry_of(facts, severity)),
            "meaning": list(words.meaning),
            "fix": {reader: _steps(words.fix[reader]) for reader in READERS if reader in words.fix},
            "notes": list(words.notes),
            "basic": self._titled(one for one in facts.basic if not severity or one.startswith(severity)),
            "providers": list(self._provider_replies(lambda one: one.enhanced == code)) if severity else [],
            "related": [
                {"code": one, "title": self.catalogue.enhanced_words(one, self.language).title}
                for one in facts.related
                if one in self.catalogue.enhanced
            ],
            "sources": list(facts.sources),
        }

    # Keywords and commands

    def keyword(self, name: str) -> Document:
        """An EHLO keyword with its parameters (``postroad.keyword/1``)."""
        facts, words = self.catalogue.keywords[name], self.catalogue.term_words("keywords", name, self.language)
        return {
            "schema": "postroad.keyword/1",
            "language": self.catalogue.language_of("keywords", name, self.language),
            "keyword": name,
            "title": words.title,
            "summary": words.summary,
            "meaning": list(words.meaning),
            "advice": words.advice,
            "standing": self._named("standings", facts.standing),
            "announced": facts.announced,
            "ehlo_parameters": facts.ehlo_parameters,
            "verbs": list(facts.verbs),
            "mail_parameters": list(facts.mail_parameters),
            "rcpt_parameters": list(facts.rcpt_parameters),
            "on_refusal": self._named("on_refusal", facts.on_refusal) if facts.on_refusal else None,
            "replies": self._titled(facts.replies),
            "sources": list(facts.sources),
        }

    def verb(self, name: str) -> Document:
        """A command with the replies it may get (``postroad.verb/1``)."""
        facts, words = self.catalogue.verbs[name], self.catalogue.term_words("verbs", name, self.language)
        return {
            "schema": "postroad.verb/1",
            "language": self.catalogue.language_of("verbs", name, self.language),
            "verb": name,
            "title": words.title,
            "summary": words.summary,
            "meaning": list(words.meaning),
            "advice": words.advice,
            "syntax": facts.syntax,
            "keyword": facts.keyword,
            "positive": self._titled(facts.positive),
            "negative": self._titled(facts.negative),
            "sources": list(facts.sources),
        }

    # Pairs

    def comparison(self, a: int, b: int) -> Document:
        """Two codes side by side, the smaller first (``postroad.comparison/1``)."""
        found = compare(self.catalogue.code(a), self.catalogue.code(b), _Facts(self.catalogue))
        return {
            "schema": "postroad.comparison/1",
            "language": self.language,
            "a": self.code(found.a.code),
            "b": self.code(found.b.code),
            "together": list(found.together),
            "verdict": self._verdict(found),
            "meant": [self._pair(*pair) for pair in found.meant],
            "rows": [self._row(row) for row in found.rows],
            "curated": (found.a.code, found.b.code) in self.catalogue.curated_pairs,
        }

    def _pair(self, a: int, b: int) -> Document:
        return {"a": a, "b": b, "title_a": self._title(a), "title_b": self._title(b)}

    def _verdict(self, found: Comparison) -> str:
        say = self._say["sentences"]
        if found.together:
            return say["together"].format(commands=self._commands(found.together))
        for facts in (found.a, found.b):
            if not facts.commands:
                return say["no_command"].format(code=facts.code)
        return say["apart"].format(
            a=found.a.code,
            b=found.b.code,
            commands_a=self._commands(found.a.commands),
            commands_b=self._commands(found.b.commands),
        )

    def _commands(self, verbs: Iterable[str]) -> str:
        return self._separator.join(self.command_label(verb) for verb in verbs)

    def _row(self, row: Difference) -> Document:
        return {
            "field": row.field,
            "label": self._say["labels"][row.field],
            "a": self._values(row.field, row.a),
            "b": self._values(row.field, row.b),
            "differs": row.differs,
        }

    def _values(self, field: str, values: tuple[str, ...]) -> str:
        kinds = {
            "class": "classes",
            "category": "categories",
            "standing": "standings",
            "actor": "actors",
            "retry": "retries",
            "session": "sessions",
            "queue": "queues",
            "commands": "commands",
        }
        known: Mapping[str, str] = self._say[kinds[field]] if field in kinds else {}
        said = [known.get(value, value) for value in values]
        return " / ".join(said) if field == "retry" else self._separator.join(said) or self._say["labels"]["nothing"]


class _Facts(Mapping[int, CodeFacts]):
    """The facts of a code when asked, so that a comparison reads four files and not all of them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __getitem__(self, code: int) -> CodeFacts:
        return self._catalogue.code(code)

    def __iter__(self) -> Any:
        return iter(self._catalogue.codes)

    def __len__(self) -> int:
        return len(self._catalogue.codes)


def _steps(steps: Iterable[Step]) -> list[Document]:
    return [{"do": one.do, "check": one.check} for one in steps]


def _retry_of(facts: EnhancedFacts, severity: str) -> str:
    """What the class digit in hand says outweighs what is usual for the code (RFC 3463 section 2)."""
    if severity == "2":
        return "none"
    if severity == "4" and facts.retry in ("never", "none"):
        return "later"
    if severity == "5" and facts.retry == "later":
        return "never"
    return facts.retry
