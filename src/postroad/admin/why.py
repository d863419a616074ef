"""Why a message is where it is: the facts about each of its recipients, from the spool and the journal, without words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypedDict

from postroad.admin.others import NOBODY, Neighbours, Others
from postroad.admin.queue import Case, QueueDesk
from postroad.admin.queue_actions import BOUNCED, DROPPED
from postroad.admin.queue_filter import WAITING
from postroad.envelope import Attempt, Outcome, Recipient, RecipientState, Result, Step, StoredMessage
from postroad.replies import Reply

#: Steps of the ladder that are told of one recipient, the latest ones.
_MAX_STEPS: Final = 8
#: Recipients that are looked at before others have their turn.
_AT_ONCE: Final = 200
_ENDS: Final = {Outcome.DELIVERED: "delivered", Outcome.FAILED: "failed", Outcome.HELD: "held"}

RestsUntil = Callable[[str], float | None]
"""Until when nothing is tried for a destination, since its host did not answer; None: it is not left alone."""


class _Doubt(TypedDict):
    uncertain: bool
    interrupted: bool


GivesUpAt = Callable[[StoredMessage, Recipient], float | None]
"""When the schedule ends for a recipient, in seconds since the epoch; None: nobody here knows."""


@dataclass(frozen=True, slots=True)
class Last:
    """An attempt, and what it came to for one recipient."""

    attempt: Attempt
    result: Result


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one recipient stands."""

    number: int
    address: str
    destination: str
    state: str
    """A RecipientState; ``gone`` when the journal alone does not tell."""
    attempts: int
    next_due: float | None
    gives_up_at: float | None
    reply: Reply | None
    note: str
    expired: bool
    delay_told: bool
    by_operator: bool
    """Failed, since an operator dropped it or gave it up."""
    rests_until: float | None
    """The host did not answer lately: nothing is tried there before (seconds since the epoch)."""
    told: str
    """Of one that failed: ``yes``, ``no-sender``, ``not-asked``, ``dropped``, or ``unknown``; else ``""``."""
    uncertain: bool
    """The next hop may have it all the same: its last reply was lost, or we were stopped meanwhile (RFC 1047)."""
    interrupted: bool
    """Uncertain, since this server was stopped while it was being delivered."""
    ended_at: float | None
    """When it was delivered or failed (seconds since the epoch); None: it waits, or the journal does not say."""
    last: Last | None
    steps: tuple[tuple[float, Step], ...]
    """When, and what was changed for it."""
    others: Others
    refused_parameters: tuple[str, ...]
    """Keywords that the last reply may be about: those that the refused command carried."""


@dataclass(frozen=True, slots=True)
class Why:
    """A message with the standing of each recipient."""

    case: Case
    now: float
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What only the delivery runner knows; by default nothing."""

    gives_up_at: GivesUpAt = lambda message, recipient: None
    rests_until: RestsUntil = lambda destination: None


NO_OUTLOOK: Final = Outlook()


async def why(desk: QueueDesk, part: str, outlook: Outlook = NO_OUTLOOK) -> Why:
    """The facts about the message whose id begins or ends with ``part``; raises NotFound."""
    case = await desk.case(part)
    message, histories = case.message, _histories(case)
    if message is None:
        gone = [_from_journal(case, number, histories.get(number, [])) for number in sorted(case.forward_paths)]
        return Why(case, desk.clock.wall(), tuple(gone))
    neighbours = Neighbours(desk.spools, message.recipients)
    standings = []
    for index, one in enumerate(message.recipients):
        others = await neighbours.of(one)
        standings.append(_standing(message, one, histories.get(one.number, []), others, outlook))
        if index % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)  # a list of thousands must not keep the loop
    return Why(case, desk.clock.wall(), tuple(standings))


def _histories(case: Case) -> dict[int, list[Last]]:
    """Recipient.number -> all its lines, oldest first."""
    found: dict[int, list[Last]] = {}
    for attempt in case.attempts:
        for result in attempt.results:
            found.setdefault(result.number, []).append(Last(attempt, result))
    return found


def _standing(
    message: StoredMessage, one: Recipient, history: list[Last], others: Others, outlook: Outlook
) -> Standing:
    last = _last(history)
    queued = one.state is RecipientState.QUEUED
    return Standing(
        number=one.number,
        address=one.forward_path,
        destination=one.destination,
        state=one.state.value,
        attempts=one.attempts,
        next_due=one.next_due,
        gives_up_at=outlook.gives_up_at(message, one) if queued else None,
        rests_until=outlook.rests_until(one.destination) if queued else None,
        by_operator=_by_operator(one.note) and one.state is RecipientState.FAILED,
        reply=one.reply,
        note=one.note,
        expired=one.expired,
        delay_told=one.delay_told,
        told=_told(message.reverse_path, one.parameters, one.note) if one.state is RecipientState.FAILED else "",
        **_doubt(history),
        ended_at=history[-1].attempt.at if history and one.state not in WAITING else None,
        last=last,
        steps=_steps(history),
        others=others,
        refused_parameters=_parameters(message.parameters, one.parameters, last),
    )


def _from_journal(case: Case, number: int, history: list[Last]) -> Standing:
    """What the journal remembers of a recipient whose message is gone."""
    last = _last(history)
    result = history[-1].result if history else None
    state = _ENDS.get(result.outcome, "gone") if result is not None else "gone"
    return Standing(
        number=number,
        address=case.forward_paths[number],
        destination=case.forward_paths[number].rpartition("@")[2],
        state="gone" if state == "held" else state,
        attempts=sum(1 for one in history if one.attempt.route),
        next_due=None,
        gives_up_at=None,
        rests_until=None,
        by_operator=state == "failed" and result is not None and _by_operator(result.note),
        reply=result.reply if result is not None else None,
        note=result.note if result is not None else "",
        expired=result is not None and result.expired,
        delay_told=any(one.result.delay_told for one in history),
        told=_told(case.reverse_path, None, result.note) if result is not None and state == "failed" else "",
        **_doubt(history),
        ended_at=history[-1].attempt.at if history else None,
        last=last,
        steps=_steps(history),
        others=NOBODY,
        refused_parameters=(),
    )


def _last(history: list[Last]) -> Last | None:
    """The last attempt that was one: a hold and a release have a line, too, but no route."""
    return next((one for one in reversed(history) if one.attempt.route), None)


def _doubt(history: list[Last]) -> _Doubt:
    """Whether the last line that is about a delivery is uncertain; that of a spool's new start has no route."""
    for one in reversed(history):
        if one.result.uncertain or one.attempt.route:
            return {"uncertain": one.result.uncertain, "interrupted": one.result.uncertain and not one.attempt.route}
    return {"uncertain": False, "interrupted": False}


def _by_operator(note: str) -> bool:
    return note.startswith((DROPPED, BOUNCED))


def _steps(history: list[Last]) -> tuple[tuple[float, Step], ...]:
    """What the ladder changed for this recipient, oldest first; what was done again and again is told once."""
    found: dict[tuple[object, ...], tuple[float, Step]] = {}
    for one in history:
        for step in one.attempt.steps:
            if not step.recipients or one.result.number in step.recipients:
                same = (step.action, step.command, step.parameters, step.reply)
                found.pop(same, None)
                found[same] = (one.attempt.at, step)
    return tuple(found.values())[-_MAX_STEPS:]


def _told(reverse_path: str, parameters: str | None, note: str) -> str:
    """Whether the sender was sent a report of a failure (RFC 3461 sections 4.1 and 6.2)."""
    if note.startswith(DROPPED):
        return "dropped"
    if not reverse_path:
        return "no-sender"
    if parameters is None:  # the journal keeps none
        return "unknown"
    notify = [word.partition("=")[2] for word in parameters.upper().split() if word.startswith("NOTIFY=")]
    return "yes" if not notify or "FAILURE" in notify[0].split(",") else "not-asked"


def _parameters(mail: str, rcpt: str, last: Last | None) -> tuple[str, ...]:
    """The keywords of the command that was refused."""
    given = {"MAIL": mail, "RCPT": rcpt}.get(last.result.stage, "") if last is not None else ""
    return tuple(word.partition("=")[0].upper() for word in given.split())
