"""The JSON of the API: one function a shape. Names are stable; readers must ignore names that they do not know.

Times are RFC 3339 in UTC, sizes octets, durations seconds. Texts of mail and peers are as they came: escape them.
"""

from __future__ import annotations

from postroad.admin import Listening, Status
from postroad.envelope import Attempt, StoredMessage
from postroad.inbox.chaos import RuleState
from postroad.inbox.inbox import InboxItem
from postroad.inbox.message_view import MessageView
from postroad.observe.sessions import SessionRecord
from postroad.policy.conditions import Condition
from postroad.replies.shape import reply_shape
from postroad.web.api.message_shapes import Json, message_shape, stamp


def item_shape(item: InboxItem) -> Json:
    """A row: ``{"id", "sequence", "received_at", "size", "from", "to", "subject", "header_from", "header_to", "date",
    "session", "listener", "peer", "hello", "account", "tls", "parameters", "recipients"}``.

    ``from`` and ``to`` are of the envelope; ``from`` is ``""`` for the null reverse-path.
    """
    return {
        **message_shape(item.message),
        "subject": item.summary.subject,
        "header_from": item.summary.from_,
        "header_to": item.summary.to,
        "date": item.summary.date,
    }


def detail_shape(message: StoredMessage, view: MessageView) -> Json:
    """A message: a row's names and ``{"headers": [[name, value]], "text", "html", "attachments", "links", "defects"}``.

    ``text`` and ``html`` are null when the mail has none; ``html`` is hostile until proven otherwise.
    """
    return {
        **item_shape(InboxItem(message, view.summary)),
        "headers": [list(header) for header in view.headers],
        "text": view.text,
        "html": view.html,
        "attachments": [
            {
                "number": each.number,
                "name": each.name,
                "content_type": each.content_type,
                "size": each.size,
                "content_id": each.content_id,
                "url": f"/api/v1/inbox/{message.id}/attachments/{each.number}",
            }
            for each in view.attachments
        ],
        "links": list(view.links),
        "defects": list(view.defects),
    }


def attempt_shape(attempt: Attempt) -> Json:
    """A line of the journal: ``{"at", "seconds", "route", "host", "results"}``."""
    return {
        "at": stamp(attempt.at),
        "seconds": attempt.seconds,
        "route": attempt.route,
        "host": attempt.host,
        "results": [
            {
                "recipient": result.number,
                "outcome": result.outcome.value,
                "reply": reply_shape(result.reply),
                "note": result.note,
                "uncertain": result.uncertain,
            }
            for result in attempt.results
        ],
    }


def rule_shape(state: RuleState) -> Json:
    """A chaos rule's fields, ``used`` and ``spent``."""
    return {**state.rule.fields(), "used": state.used, "spent": state.spent}


def condition_shape(condition: Condition) -> Json:
    """``{"parameter", "available": false, "why", "source", "since", "until", "refused", "last_refused"}``."""
    return {
        "parameter": condition.parameter,
        "available": False,
        "why": condition.why,
        "source": condition.source,
        "since": stamp(condition.since),
        "until": None if condition.until is None else stamp(condition.until),
        "refused": condition.refused,
        "last_refused": None if condition.last_refused is None else stamp(condition.last_refused),
    }


def session_shape(record: SessionRecord, with_transcript: bool = False) -> Json:
    """``{"id", "listener", "peer", "hello", "account", "tls", "began_at", "seconds", "messages", "refusals", "ended"}``."""
    shape: Json = {
        "id": record.id,
        "listener": record.listener,
        "peer": record.peer,
        "hello": record.hello,
        "account": record.account,
        "tls": record.tls,
        "began_at": stamp(record.began_at),
        "seconds": record.seconds,
        "messages": list(record.messages),
        "refusals": list(record.refusals),
        "ended": record.ended,
    }
    if with_transcript:
        shape["transcript"] = record.transcript
    return shape


def listening_shape(listening: Listening) -> Json:
    """``{"name", "host", "port", "tls", "auth"}``."""
    return {
        "name": listening.name,
        "host": listening.host,
        "port": listening.port,
        "tls": listening.tls,
        "auth": listening.auth,
    }


def status_shape(status: Status) -> Json:
    """``{"name", "version", "hostname", "mode", "ready", "why", "started_at", "now", "listeners", "keep", "messages",
    "octets", "recipients", "sessions"}``; ``mode`` is ``dev`` or ``production``.
    """
    return {
        "name": "postroad",
        "version": status.about.version,
        "hostname": status.about.hostname,
        "mode": "dev" if status.about.dev else "production",
        "ready": not status.unready,
        "why": status.unready,
        "started_at": stamp(status.started_at),
        "now": stamp(status.now),
        "listeners": [listening_shape(each) for each in status.about.listeners],
        "keep": status.about.keep,
        "messages": status.stats.messages,
        "octets": status.stats.octets,
        "recipients": status.stats.recipients,
        "sessions": status.sessions,
    }
