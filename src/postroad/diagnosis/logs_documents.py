"""A digest of logs as documents in one language: groups, single lines, the whole. Keys are never translated.

Texts of hosts go into them as they were heard; who shows them makes them harmless (``observe.printable``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from postroad.diagnosis.logs_digest import Digest, Told
from postroad.diagnosis.logs_event import DEFERRED, DELIVERED, FAILED, OUTCOMES, REFUSED, Event
from postroad.diagnosis.logs_groups import MAX_KEPT, Group, Rest, Total
from postroad.replies.catalogue import Catalogue
from postroad.replies.classify import Classification, numbers
from postroad.replies.documents import Documents

Document = dict[str, Any]

MAX_TEXT: Final = MAX_KEPT
"""Characters of a reply or text that a document has."""

_REMEMBERED: Final = 4_096


class Describing:
    """Makes the documents of one language."""

    def __init__(self, catalogue: Catalogue, language: str) -> None:
        """``language`` is a tag of the catalogue, else English is used."""
        self.documents = Documents(catalogue, language)
        self.language = self.documents.language
        self._catalogue = catalogue
        self._say = catalogue.vocabulary(self.language)
        self._refused_do = catalogue.texts("logs", self.language)["group"]["refused_do"]
        self._meanings: dict[tuple[Classification, str], Document] = {}

    def whole(self, digest: Digest, limit: int) -> Document:
        """Everything in one document (``postroad.log.explanation/1``)."""
        summary = self.summary(digest, limit) | {"schema": "postroad.log.explanation/1"}
        return summary | {"groups": list(self.groups(digest, limit))}

    def groups(self, digest: Digest, limit: int) -> Iterator[Document]:
        """The greatest groups, deliveries apart (``postroad.log.group/1``)."""
        delivered = digest.groups.delivered()
        for group in digest.groups.top(limit, without=DELIVERED)[0]:
            yield self.group(group, delivered.get(group.destination, 0))

    def group(self, group: Group, delivered: int) -> Document:
        """One group; ``delivered`` is how many deliveries the same destination took."""
        event = group.example
        return {
            "schema": "postroad.log.group/1",
            "destination": group.destination,
            "outcome": group.outcome,
            "count": group.count,
            "partial": group.partial,
            "first": moment(group.first),
            "last": moment(group.last),
            "delivered": delivered,
            **self.meaning(group.found, event),
            "example": {
                "at": moment(event.at),
                "message": event.message,
                "to": event.to,
                "host": event.host,
                "command": event.command,
                "reply": event.reply[:MAX_TEXT],
                "text": event.text[:MAX_TEXT],
            },
            **self._codes(event),
        }

    def line(self, told: Told) -> Document:
        """One line of the log with its fields (``postroad.log.line/1``)."""
        event = told.event
        code, status = numbers(event.reply) if event.reply else ("", "")
        return {
            "schema": "postroad.log.line/1",
            "format": told.format,
            "at": moment(event.at),
            "message": event.message,
            "outcome": event.outcome,
            "to": event.to,
            "destination": event.destination,
            "host": event.host,
            "command": event.command,
            "code": int(code) if code else None,
            "status": status or event.status,
            "reply": event.reply[:MAX_TEXT],
            "text": event.text[:MAX_TEXT],
            "delay": event.delay,
            "expired": event.expired,
            **self.meaning(told.found, event),
        }

    def summary(self, digest: Digest, limit: int) -> Document:
        """What was read, and what is in no group of the ``limit`` greatest (``postroad.log.summary/1``)."""
        counts = digest.groups.outcomes()
        first, last = digest.groups.span()
        return {
            "schema": "postroad.log.summary/1",
            "language": self.language,
            "formats": list(digest.formats),
            "lines": digest.lines,
            "octets": digest.octets,
            "events": digest.events,
            "first": moment(first),
            "last": moment(last),
            "outcomes": {name: counts.get(name, 0) for name in OUTCOMES},
            "destinations": digest.groups.destinations(),
            "reasons": [self._total(one) for one in digest.groups.reasons(without=DELIVERED)],
            "rest": [self._rest(one) for one in digest.groups.top(limit, without=DELIVERED)[1]],
        }

    def _total(self, total: Total) -> Document:
        return {
            "outcome": total.outcome,
            "reason": self.documents.term("reasons", total.reason),
            "count": total.count,
            "destinations": total.destinations,
        }

    def _rest(self, rest: Rest) -> Document:
        return {
            "outcome": rest.outcome,
            "reason": self.documents.term("reasons", rest.reason),
            "count": rest.count,
            "groups": rest.groups,
            "first": moment(rest.first),
            "last": moment(rest.last),
        }

    def meaning(self, found: Classification, event: Event) -> Document:
        """Reason, who acts, what to do, and how sure that is."""
        key = (found, event.outcome)
        if key not in self._meanings:
            if len(self._meanings) >= _REMEMBERED:
                self._meanings.clear()
            self._meanings[key] = self._meaning(found, event.outcome)
        return self._meanings[key]

    def _meaning(self, found: Classification, outcome: str) -> Document:
        actor, remedy = found.actor, self.documents.term("remedies", found.remedy)
        if outcome == REFUSED:  # what helps is said to who was refused; this log's reader refused
            actor, remedy = "sender", self.documents.term("remedies", "none") | {"text": self._refused_do}
        return {
            "reason": self.documents.term("reasons", found.reason),
            "temporary": {DEFERRED: True, FAILED: False}.get(outcome, found.temporary),
            "actor": {"id": actor, "label": self._say["actors"][actor]},
            "remedy": remedy,
            "confidence": {"id": found.confidence, "label": self._say["confidence"][found.confidence]},
            "rule": found.rule,
        }

    def _codes(self, event: Event) -> Document:
        """What the catalogue says of the code and of the enhanced status, in a sentence each."""
        code, status = numbers(event.reply) if event.reply else ("", "")
        status = status or event.status
        told: Document = {"code": None, "enhanced": None}
        if code and int(code) in self._catalogue.codes:
            words = self._catalogue.code_words(int(code), self.language)
            told["code"] = {"code": int(code), "title": words.title, "summary": words.summary}
        name = f"X{status[1:]}"
        if status[1:] and name in self._catalogue.enhanced:
            said = self._catalogue.enhanced_words(name, self.language)
            told["enhanced"] = {"code": status, "title": said.title, "summary": said.summary}
        return told


def moment(at: float) -> str | None:
    """A time as RFC 3339 in UTC; None for 0."""
    if not at:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
