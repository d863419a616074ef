"""The JSON of the queue: what the API answers and ``postroad queue --json`` prints. Forms are in schemas/queue.json.

Facts and, for ``why``, what the catalogue says of the reply in one language; the sentences around it are made by whoever
shows it (``postroad.replies.waiting``), who knows the reader's clock.
"""

from __future__ import annotations

from typing import Any

from postroad.admin.journal import LogPage
from postroad.admin.others import Others
from postroad.admin.queue import Case, Page, Row
from postroad.admin.queue_actions import Done
from postroad.admin.why import NO_OUTLOOK, Last, RestsUntil, Standing, Why
from postroad.envelope import Attempt, JournalEntry, RecipientState, Result, Step
from postroad.replies import Reply
from postroad.replies.catalogue import catalogue
from postroad.replies.classify import Classification, classify
from postroad.replies.documents import Documents
from postroad.replies.explaining import Explainer
from postroad.replies.shape import reply_shape
from postroad.spool.interface import QueueGroup
from postroad.web.api.message_shapes import Json, message_shape, stamp


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else stamp(seconds)


# ── lists ───────────────────────────────────────────────────────────────────


def row_shape(row: Row, rests_until: RestsUntil = NO_OUTLOOK.rests_until) -> Json:
    """A recipient that waits: ``{"id", "number", "from", "to", "destination", "state", "attempts",
    "received_at", "next_due", "rests_until", "size", "reply", "note", "reason"}``; ``reason`` is a slug or null.
    """
    one = row.recipient
    return {
        "id": row.message.id,
        "number": one.number,
        "from": row.message.reverse_path,
        "to": one.forward_path,
        "destination": one.destination,
        "state": one.state.value,
        "attempts": one.attempts,
        "received_at": stamp(row.message.received_at),
        "next_due": _moment(one.next_due),
        "rests_until": _moment(rests_until(one.destination)) if one.state is RecipientState.QUEUED else None,
        "size": row.message.size,
        "reply": reply_shape(one.reply),
        "note": one.note,
        "reason": row.reason or None,
    }


def page_shape(page: Page, now: float, rests_until: RestsUntil = NO_OUTLOOK.rests_until) -> Json:
    """``{"schema", "now", "recipients": [row], "next", "matching": {"recipients", "destinations"}}``."""
    return {
        "schema": "postroad.queue/1",
        "now": stamp(now),
        "recipients": [row_shape(row, rests_until) for row in page.rows],
        "next": page.next or None,
        "matching": {"recipients": page.recipients, "destinations": page.destinations},
    }


def groups_shape(by: str, groups: list[QueueGroup], now: float) -> Json:
    """``{"schema", "now", "by", "groups": [{"key", "recipients", "oldest", "next_due"}]}``."""
    return {
        "schema": "postroad.queue.groups/1",
        "now": stamp(now),
        "by": by,
        "groups": [
            {
                "key": one.key,
                "recipients": one.recipients,
                "oldest": stamp(one.oldest),
                "next_due": _moment(one.next_due),
            }
            for one in groups
        ],
    }


def done_shape(done: Done) -> Json:
    """``{"schema", "action", "dry_run", "at", "recipients", "destinations", "busy", "examples": [{"id", "to"}]}``."""
    return {
        "schema": "postroad.queue.action/1",
        "action": done.action,
        "dry_run": done.dry_run,
        "at": stamp(done.at),
        "recipients": done.recipients,
        "destinations": len(done.destinations),
        "busy": done.busy,
        "examples": [{"id": message.id, "to": one.forward_path} for message, one in done.examples],
    }


# ── one message ─────────────────────────────────────────────────────────────


def case_shape(case: Case, now: float, with_transcripts: bool = False) -> Json:
    """A message and its journal: ``{"schema", "now", "id", "from", "gone", "message", "recipients", "attempts"}``;
    ``message`` is null when it is gone.
    """
    message = case.message
    return {
        "schema": "postroad.queue.message/1",
        "now": stamp(now),
        "id": case.id,
        "from": case.reverse_path,
        "gone": message is None,
        "message": None if message is None else message_shape(message),
        "recipients": {str(number): path for number, path in sorted(case.forward_paths.items())},
        "attempts": [attempt_shape(one, with_transcripts) for one in case.attempts],
    }


def attempt_shape(attempt: Attempt, with_transcript: bool = False) -> Json:
    """``{"at", "seconds", "route", "host", "security", "results", "steps"}`` and, when asked, ``transcript``."""
    shape: Json = {
        "at": stamp(attempt.at),
        "seconds": attempt.seconds,
        "route": attempt.route,
        "host": attempt.host,
        "security": attempt.security,
        "results": [{"number": one.number, **result_shape(one)} for one in attempt.results],
        "steps": [step_shape(attempt.at, one) for one in attempt.steps],
    }
    return shape | {"transcript": attempt.transcript} if with_transcript else shape


def result_shape(one: Result) -> Json:
    """``{"outcome", "uncertain", "stage", "reply", "note", "next_due", "expired", "relayed", "delay_told"}``."""
    return {
        "outcome": one.outcome.value,
        "uncertain": one.uncertain,
        "stage": one.stage,
        "reply": reply_shape(one.reply),
        "note": one.note,
        "next_due": _moment(one.next_due),
        "expired": one.expired,
        "relayed": one.relayed,
        "delay_told": one.delay_told,
    }


def step_shape(at: float, step: Step) -> Json:
    """``{"at", "action", "command", "reply", "parameters", "waited"}``."""
    return {
        "at": stamp(at),
        "action": step.action,
        "command": step.command,
        "reply": reply_shape(step.reply),
        "parameters": list(step.parameters),
        "waited": step.waited,
    }


def log_shape(entry: JournalEntry) -> list[Json]:
    """A line of the journal as one document a recipient (``postroad.log/1``)."""
    attempt = entry.attempt
    return [
        {
            "schema": "postroad.log/1",
            "line": entry.line,
            "at": stamp(attempt.at),
            "message": entry.message,
            "number": one.number,
            "from": entry.reverse_path,
            "to": entry.forward_paths.get(one.number, ""),
            **result_shape(one),
            "seconds": attempt.seconds,
            "route": attempt.route,
            "host": attempt.host,
            "security": attempt.security,
        }
        for one in attempt.results
    ]


def log_page_shape(page: LogPage) -> Json:
    """``{"schema", "entries": [postroad.log/1], "next"}``, oldest first."""
    entries = [one for entry in page.entries for one in log_shape(entry)]
    return {"schema": "postroad.log.page/1", "entries": entries, "next": page.next}


# ── why ─────────────────────────────────────────────────────────────────────


def why_shape(why: Why, language: str) -> Json:
    """``{"schema", "language", "now", "id", "from", "received_at", "gone", "recipients": [standing]}``."""
    message = why.case.message
    explaining = _Explaining(language)
    return {
        "schema": "postroad.queue.why/1",
        "language": explaining.language,
        "now": stamp(why.now),
        "id": why.case.id,
        "from": why.case.reverse_path,
        "received_at": None if message is None else stamp(message.received_at),
        "size": None if message is None else message.size,
        "gone": message is None,
        "recipients": [_standing_shape(one, explaining) for one in why.standings],
    }


def _standing_shape(one: Standing, explaining: _Explaining) -> Json:
    return {
        "number": one.number,
        "address": one.address,
        "destination": one.destination,
        "state": one.state,
        "attempts": one.attempts,
        "next_due": _moment(one.next_due),
        "gives_up_at": _moment(one.gives_up_at),
        "reply": reply_shape(one.reply),
        "note": one.note,
        "expired": one.expired,
        "delay_told": one.delay_told,
        "rests_until": _moment(one.rests_until),
        "by_operator": one.by_operator,
        "told": one.told or None,
        "uncertain": one.uncertain,
        "interrupted": one.interrupted,
        "ended_at": _moment(one.ended_at),
        "last": None if one.last is None else _last_shape(one.last),
        "explanation": explaining.of(one),
        "steps": [step_shape(at, step) for at, step in one.steps],
        "refused_parameters": list(one.refused_parameters),
        "others": _others_shape(one.others),
    }


def _last_shape(last: Last) -> Json:
    attempt, result = last.attempt, last.result
    return {
        "at": stamp(attempt.at),
        "seconds": attempt.seconds,
        "route": attempt.route,
        "host": attempt.host,
        "security": attempt.security,
        "stage": result.stage,
        "outcome": result.outcome.value,
    }


def _others_shape(others: Others) -> Json:
    return {
        "destination": others.destination,
        "cause": others.cause,
        "elsewhere": others.elsewhere,
        "key": others.key,
    }


class _Explaining:
    """What the catalogue says of replies and faults, in one language; the same cause is looked up once."""

    def __init__(self, language: str) -> None:
        self._known = catalogue()
        self._explainer = Explainer(self._known, language)
        self._documents: Documents = self._explainer.documents
        self._said: dict[tuple[object, str], Json | None] = {}

    @property
    def language(self) -> str:
        return self._documents.language

    def of(self, one: Standing) -> Json | None:
        """``{"reason", "temporary", "actor", "remedy", "confidence", "rule", "code", "enhanced", "mismatch",
        "message"}``."""
        stage = one.last.result.stage if one.last is not None else ""
        said = one.reply if one.reply is not None else one.note
        if not said or (one.reply is None and one.state in ("held", "delivered")):
            return None
        if (said, stage) not in self._said:
            self._said[said, stage] = self._fault(said) if isinstance(said, str) else self._reply(said, stage)
        return self._said[said, stage]

    def _reply(self, reply: Reply, stage: str) -> Json:
        (item,) = self._explainer.explain_reply(reply, command=stage)["items"]
        return {
            **item["classification"],
            "code": _titled(item.get("code")),
            "enhanced": _titled(item.get("enhanced")),
            "mismatch": item.get("mismatch"),
            "message": item.get("message"),
        }

    def _fault(self, note: str) -> Json | None:
        """A connection that failed was answered with nothing; what we wrote about it may say enough."""
        rules = self._known.rules
        found: Classification = classify(note, rules=rules)
        if found.rule == rules.rules[-1].id:
            return None
        vocabulary: Any = self._known.vocabulary(self.language)
        return {
            "reason": self._documents.term("reasons", found.reason),
            "temporary": found.temporary,
            "actor": {"id": found.actor, "label": vocabulary["actors"][found.actor]},
            "remedy": self._documents.term("remedies", found.remedy),
            "confidence": {"id": found.confidence, "label": vocabulary["confidence"][found.confidence]},
            "rule": found.rule,
            "code": None,
            "enhanced": None,
            "mismatch": None,
            "message": None,
        }


def _titled(document: Json | None) -> Json | None:
    if document is None:
        return None
    return {"code": str(document["code"]), "title": document["title"], "summary": document["summary"]}
