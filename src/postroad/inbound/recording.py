"""What the session log keeps of a session that has ended."""

from __future__ import annotations

from collections import deque

from postroad.inbound.message import origin_of
from postroad.observe.log import get_logger
from postroad.observe.sessions import SessionRecord
from postroad.policy.stages import SessionFacts
from postroad.smtp.events import ParameterNotNow
from postroad.smtp.server import ServerEngine

log = get_logger("inbound")


def accepted_ids() -> deque[str]:
    """Room for the ids that a record names: the newest, so that a session of a million messages needs no more."""
    return deque(maxlen=100)


def session_record(
    facts: SessionFacts,
    engine: ServerEngine,
    began_at: float,
    seconds: float,
    messages: tuple[str, ...],
    ended: str,
    always: bool,
) -> SessionRecord | None:
    """The record of a session; None for one in which nothing was refused, unless ``always``."""
    transcript = engine.transcript
    if transcript is None:
        return None
    refused = transcript.refusals()
    if not refused and not always:
        return None
    return SessionRecord(
        id=facts.id,
        listener=facts.listener,
        peer=origin_of(facts).peer,
        hello=facts.hello,
        account=facts.account,
        tls=facts.tls,
        began_at=began_at,
        seconds=seconds,
        messages=messages,
        refusals=refused,
        ended=ended or "closed",
        transcript=transcript.text(),
    )


def forget_what_went_well(engine: ServerEngine) -> None:
    """A long session of accepted messages needs no memory of them."""
    transcript = engine.transcript
    if transcript is not None and not transcript.has_refusals:
        transcript.clear()


def described(facts: SessionFacts, event: ParameterNotNow) -> dict[str, str]:
    """A refusal of a parameter, as fields of the log."""
    return {
        "session": facts.id,
        "parameter": event.keyword,
        "command": event.verb.value,
        "reply": str(event.reply),
        "peer": facts.peer_host,
    }


def log_refused(record: SessionRecord) -> None:
    """One line for a session in which something was refused; the session log has its transcript."""
    if record.refusals:
        log.info(
            "refused",
            session=record.id,
            listener=record.listener,
            peer=record.peer,
            hello=record.hello,
            refusals=record.refusals[:10],
            count=len(record.refusals),
            ended=record.ended,
        )
