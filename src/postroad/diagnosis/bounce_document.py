"""A bounce explained, as one document in one language (``postroad.bounce/1``): terminal, API and JSON show the same.

Keys are never translated; a field is only ever added. Texts of the mail are a stranger's: they stand in ``reply.text``,
``said``, ``subject`` and addresses, bounded, as they came; who shows them makes them harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from postroad.diagnosis.bounce_facts import GOOD, Bounce, Feedback, Said
from postroad.diagnosis.bounce_verdict import Verdict, judge
from postroad.diagnosis.bounces import read_bounce
from postroad.replies.catalogue import Catalogue, catalogue
from postroad.replies.documents import Documents

SCHEMA: Final = "postroad.bounce/1"
Document = dict[str, Any]
Words = Mapping[str, Mapping[str, str]]

#: Characters of a field of the returned message that are kept.
_MAX_FIELD: Final = 500
_FEEDBACK: Final = ("abuse", "fraud", "virus", "not-spam", "auth-failure")


def explain_bounce(octets: bytes, language: str = "en", *, known: Catalogue | None = None) -> Document:
    """What a mail that came back says, and what to do (``postroad.bounce/1``).

    ``octets`` is the mail as it was received; any octets are read, and none raise. ``language`` is a tag; what the
    catalogue lacks in it is said in English. Sources: RFC 3464, RFC 3461, RFC 5965, RFC 8098.
    """
    return BounceExplainer(known or catalogue(), language).document(read_bounce(octets))


class BounceExplainer:
    """Writes documents in one language."""

    def __init__(self, known: Catalogue, language: str) -> None:
        """Reads nothing before it is asked."""
        self._documents = Documents(known, language)
        self.language = self._documents.language
        self._vocabulary = known.vocabulary(self.language)
        self.words: Words = known.texts("bounces", self.language)

    def document(self, bounce: Bounce) -> Document:
        """All that is known of it."""
        return {
            "schema": SCHEMA,
            "language": self.language,
            "kind": bounce.kind,
            "form": bounce.form,
            "label": self.words["kinds"][bounce.kind],
            "summary": self.words["forms"][bounce.form],
            "family": bounce.family,
            "reporter": bounce.reporter,
            "at": bounce.at or None,
            "from": bounce.sender,
            "subject": bounce.subject,
            "original": self._original(bounce.returned),
            "recipients": [self._recipient(said) for said in bounce.recipients],
            "feedback": self._feedback(bounce.feedback) if bounce.feedback is not None else None,
            "advice": self._advice(bounce),
            "defects": list(bounce.defects),
        }

    @staticmethod
    def _original(returned: Mapping[str, str]) -> Document:
        names = {"message_id": "message-id", "from": "from", "to": "to", "subject": "subject", "date": "date"}
        return {key: returned.get(name, "")[:_MAX_FIELD] for key, name in names.items()}

    def _recipient(self, said: Said) -> Document:
        verdict = judge(said)
        return {
            "address": said.address,
            "final": said.final,
            "action": {"id": said.action, "label": self.words["actions"][said.action]},
            "reason": verdict.reason,
            "cause": verdict.cause,
            "hard": verdict.hard,
            "temporary": verdict.temporary,
            "expired": said.expired,
            "status": said.status,
            "reply": {"code": int(said.code), "text": said.text} if said.code else None,
            "said": "" if said.code else said.text or said.context,
            "host": said.host,
            "command": said.command,
            "at": said.at or None,
            "explanation": self._explanation(said, verdict),
            "evidence": said.evidence,
        }

    def _explanation(self, said: Said, verdict: Verdict) -> Document:
        remedy = self._documents.term("remedies", verdict.remedy)
        remarks = self.words["remarks"]
        if said.action == "delayed":
            remedy |= {"text": remarks["late_do"]}
        elif said.action in GOOD:
            remedy |= {"text": remarks["good_do"]}
        reason = self._documents.term("reasons", verdict.cause)
        hardness = "late" if said.action == "delayed" else "hard" if verdict.hard else "soft"
        return {
            "title": reason["label"],
            "text": reason["text"],
            "hardness": "" if said.action in GOOD else self.words["hardness"][hardness],
            "expired": remarks["expired"] if said.expired else "",
            "command": self._documents.command_label(said.command) if said.command else "",
            "actor": {"id": verdict.actor, "label": self._vocabulary["actors"][verdict.actor]},
            "remedy": remedy,
            "confidence": {"id": verdict.confidence, "label": self._vocabulary["confidence"][verdict.confidence]},
            "rule": verdict.rule,
        }

    def _feedback(self, told: Feedback) -> Document:
        kind = told.type if told.type in _FEEDBACK else "other"
        return {
            "type": told.type,
            "label": self.words["feedback"][kind],
            "recipients": list(told.recipients),
            "sender": told.sender,
            "source": told.source,
            "reporter": told.reporter,
            "at": told.at or None,
        }

    def _advice(self, bounce: Bounce) -> str:
        """What to do about what is no bounce; a bounce has it for each recipient."""
        if bounce.feedback is not None:
            kind = bounce.feedback.type if bounce.feedback.type in _FEEDBACK else "other"
            return self.words["do"][f"feedback-{kind}"]
        name = {"auto-reply": "vacation"}.get(bounce.form, bounce.form)
        if bounce.kind == "bounce":
            return "" if bounce.recipients else self.words["remarks"]["none"]
        return self.words["do"][name]
