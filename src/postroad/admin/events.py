"""Where the events of ``observe.events`` come from: the spool, the sessions, the conditions and what operators do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from postroad.admin.queue_actions import QueueActions
from postroad.envelope import Draft, JournalEntry
from postroad.observe.events import MAX_IDS, Events
from postroad.observe.sessions import SessionLog, SessionRecord
from postroad.policy.conditions import ConditionsBoard
from postroad.spool.interface import Spool


def told_events(spool: Spool, sessions: SessionLog, conditions: ConditionsBoard, actions: QueueActions) -> Events:
    """Events that hear of all that happens from now on."""
    events = Events()

    def accepted(drafts: Sequence[Draft]) -> None:
        events.publish("accepted", [one.id for one in drafts[:MAX_IDS]], messages=len(drafts))

    def settled(entries: Sequence[JournalEntry]) -> None:
        outcomes = Counter(result.outcome.value for entry in entries for result in entry.attempt.results)
        events.publish("settled", [one.message for one in entries[: 2 * MAX_IDS]], **outcomes)

    def session(record: SessionRecord) -> None:
        events.publish("session", id=record.id, sessions=1, refused=int(bool(record.refusals)))

    spool.on_accepted(accepted)
    spool.on_settled(settled)
    sessions.on_added(session)
    conditions.on_changed(lambda: events.publish("conditions"))
    actions.on_done(lambda action, recipients: events.publish("queue", action=action, changed=recipients))
    return events
