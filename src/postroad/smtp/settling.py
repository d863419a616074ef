"""What is known of each recipient during a negotiation, and how it ends: verdict, note, duties, steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from postroad.address import Mailbox
from postroad.envelope import Step
from postroad.replies import Reply
from postroad.smtp.extensions.deliverby import BY
from postroad.smtp.extensions.dsn import NOTIFY, Notify
from postroad.smtp.ladder import Request
from postroad.smtp.mail_transaction import Answer, Stage
from postroad.smtp.parameters import NOTHING_GIVEN, Given, Parameter
from postroad.smtp.reactions import Meaning
from postroad.smtp.states import Verb
from postroad.smtp.wanted import Settled, Verdict, Wanted

_NOTES: Final = {
    Meaning.FULL: "the host takes no more recipients now",
    Meaning.HOST: "the host refuses all mail for now",
    Meaning.NEVER: "refused",
}


def verdict_of(meaning: Meaning, reply: Reply) -> Verdict:
    """What a refusal comes to that no rung is for and that splitting does not mend."""
    match meaning:
        case Meaning.NEVER:
            return Verdict.FAILED
        case Meaning.FULL:  # and yet nobody was taken, or the mailbox alone was refused: as the host's code says
            return Verdict.FAILED if reply.is_permanent else Verdict.RETRY
        case Meaning.HOST:
            return Verdict.NEXT_HOST
        case _:
            return Verdict.RETRY


def note_of(meaning: Meaning, stage: Stage) -> str:
    """A word for people beside the reply."""
    return f"{_NOTES.get(meaning, 'refused for now')} at {stage.value}"


@dataclass(slots=True)
class Person:
    """One recipient that is not settled yet."""

    number: int
    path: Mailbox
    given: Given
    """The parameters of RCPT that the host can be asked for."""
    request: Request
    waits: bool = False
    """Asked again once nothing else is to do."""
    splits: int = 0
    last: Answer | None = None
    """The last refusal that was answered with a step."""
    refused: dict[Verb, tuple[str, ...]] = field(default_factory=dict)
    """Command -> the keywords that it carried when it was first refused."""
    gone: dict[Verb, tuple[str, ...]] = field(default_factory=dict)
    """Command -> the keywords that were left out since."""
    gone_last: dict[Verb, tuple[str, ...]] = field(default_factory=dict)
    """Command -> those of the last rung: when it is taken now, they are what the host refuses."""

    @property
    def said(self) -> Given:
        """The parameters of RCPT as they are said."""
        dropped = self.request.dropped
        if not dropped:
            return self.given
        kept = {parameter: value for parameter, value in self.given if parameter not in dropped}
        return Given(kept) if kept else NOTHING_GIVEN

    def remember(self, command: Verb, carried: Iterable[Parameter[Any]]) -> None:
        """The first refusal of a command tells which parameters it is about."""
        if command not in self.refused:
            self.refused[command] = tuple(parameter.keyword for parameter in carried)

    def left_out(self, keywords: tuple[str, ...], command: Verb) -> None:
        """These were left out after a refusal of ``command``."""
        if keywords:
            self.gone[command] = self.gone.get(command, ()) + keywords
            self.gone_last[command] = keywords

    def tried(self, command: Verb) -> str:
        """What was refused and what was tried, for people."""
        carried, gone = self.refused.get(command, ()), self.gone.get(command, ())
        text = self._refused_with(command)
        kept = [keyword for keyword in carried if keyword not in gone]
        if gone:
            text += f", and without {', '.join(gone)} too"
        return f"{text}; {', '.join(kept)} must not be left out" if gone and kept else text

    def untried(self, command: Verb) -> str:
        """What was refused and what would have been tried next, for people."""
        gone = self.gone.get(command, ())
        return f"{self._refused_with(command)}, to be asked again{' without ' if gone else ''}{', '.join(gone)}"

    def _refused_with(self, command: Verb) -> str:
        return f"{command.value} with {', '.join(self.refused.get(command, ())) or 'no parameter'} was refused"


class Record:
    """Steps of one moment: what concerns several recipients alike is one Step."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[str, Verb, Reply | None, tuple[str, ...], float], list[int]] = {}

    def add(
        self,
        action: str,
        command: Verb,
        reply: Reply | None,
        parameters: tuple[str, ...],
        number: int,
        waited: float,
    ) -> None:
        """One recipient's step."""
        self._found.setdefault((action, command, reply, parameters, waited), []).append(number)

    def steps(self, everybody: int) -> list[Step]:
        """In the order in which they were first taken; ``everybody``: so many recipients are all of them."""
        return [
            Step(
                action,
                command.value,
                reply,
                parameters,
                () if command is Verb.MAIL and len(numbers) == everybody else tuple(numbers),
                waited,
            )
            for (action, command, reply, parameters, waited), numbers in self._found.items()
        ]


def settle(
    wanted: Wanted,
    person: Person,
    verdict: Verdict,
    answer: Answer,
    note: str,
    *,
    said: Given,
    fitted: Mapping[Parameter[Any], Any],
    lmtp: bool,
) -> Settled:
    """The end for one recipient; ``said``: the parameters of MAIL, ``fitted``: those before anything was refused."""
    wishes = wanted.recipients[person.number][1]
    told = person.said
    wished = wanted.parameters
    dropped = [p.keyword for p, _ in wished if p not in said] if len(wished) else []
    if len(said) < len(fitted):
        dropped += [p.keyword for p in fitted if p not in said and p not in wished]
    if told is not wishes:
        dropped += [p.keyword for p, _ in wishes if p not in told]
    return Settled(
        number=person.number,
        verdict=verdict,
        reply=answer.reply,
        stage=answer.stage.name,
        note=note,
        uncertain=answer.uncertain,
        relayed=verdict is Verdict.DELIVERED and _is_report_owed(wanted, wishes, told, said, lmtp),
        dropped=tuple(dropped),
    )


def _is_report_owed(wanted: Wanted, wishes: Given, told: Given, said: Given, lmtp: bool) -> bool:
    """A "relayed" report: NOTIFY with SUCCESS, or a time in mode N that is not over, of which the host knows nothing.

    RFC 3461 section 5.2.2 (b), (d) and (e); RFC 2852 section 4.1.4.2.
    """
    wish = wishes.get(NOTIFY)
    if wish is Notify.NEVER:
        return False
    if wish is not None and Notify.SUCCESS in wish and NOTIFY not in told:
        return True
    time = wanted.parameters.get(BY)
    return time is not None and time.seconds > 0 and BY not in said and not lmtp  # LMTP is the delivery itself: in time
