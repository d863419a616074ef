"""A message and a host come to terms: which transactions to try, and what each answer leads to. No I/O, no clock.

Promises, whatever the host answers: ``next_plan`` comes to None after a bounded number of transactions; everybody is
settled exactly once; a parameter that the mail needs is in every MAIL and RCPT or the mail is not sent; what is left
out for one recipient is not left out for another whose RCPT was taken with it. Every change is a Step.

What a reply means is ``reactions.react``; what can be asked for at all is ``fitting``; the rungs are ``ladder``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from postroad.envelope import Step
from postroad.replies import Reply
from postroad.smtp import reactions, settling
from postroad.smtp.extensions.binarymime import is_binary
from postroad.smtp.extensions.dsn import NOTIFY, Notify
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.fitting import Fitted, Values, fit, in_a_labels, needs_utf8
from postroad.smtp.ladder import Request, Situation, Terms, climb, remembered, without_bdat
from postroad.smtp.mail_transaction import Answer, Stage
from postroad.smtp.parameters import NOTHING_GIVEN, Given
from postroad.smtp.peer_limits import PeerLimits, read_limits
from postroad.smtp.reactions import Meaning
from postroad.smtp.settling import Person
from postroad.smtp.states import Verb
from postroad.smtp.wanted import ContentNeeds, Form, Plan, Settled, Verdict, Wanted

__all__ = ["ContentNeeds", "Form", "Negotiation", "Plan", "Settled", "Verdict", "Wanted"]

#: RFC 5321 section 4.5.3.1.8: what every host takes.
_AT_ONCE: Final = 100
_MOST_AT_ONCE: Final = 1000
#: Transactions that settle nobody, in all; the ladder itself needs at most fourteen.
_FRUITLESS: Final = 24
#: How often a recipient may be sent to another transaction.
_SPLITS: Final = 5
#: Seconds; nobody keeps a connection longer for a 455.
_LONGEST_WAIT: Final = 30.0

_PLAIN: Final = Request()
_COMMANDS: Final = {Stage.MAIL: Verb.MAIL, Stage.RCPT: Verb.RCPT, Stage.DATA: Verb.DATA}
_BEYOND_MAIL: Final = frozenset((Stage.RCPT, Stage.DATA, Stage.CONTENT))
_BEYOND_RCPT: Final = frozenset((Stage.DATA, Stage.CONTENT))
_REFUSED_SOON: Final = frozenset((Stage.MAIL, Stage.RCPT))


class Negotiation:
    """``next_plan`` says what to try, ``hear`` takes what came of it, until ``next_plan`` is None."""

    def __init__(
        self,
        wanted: Wanted,
        announced: Mapping[str, str],
        *,
        refused: frozenset[str] = frozenset(),
        lmtp: bool = False,
        adapt: bool = True,
        again_after: float = 5.0,
        limits: PeerLimits | None = None,
        chunking: bool = False,
        never_as_null: bool = False,
    ) -> None:
        """``announced``: the host's EHLO; ``refused``: keywords that it refused of late, left out from the start.

        ``lmtp``: the host delivers itself, so that it keeps any time limit. ``adapt`` False: the first refusal is the
        last. ``again_after``: seconds until a 455 is asked again, 30 at most.
        ``chunking``: content goes by BDAT where the host takes it. ``never_as_null``: mail for those with NOTIFY=NEVER
        goes with the null reverse-path to a host without DSN, as RFC 3461 section 5.2.2 (d) allows.
        """
        self.settled: dict[int, Settled] = {}
        """Recipient.number -> what it came to."""
        self.steps: list[Step] = []
        """What was changed on the way, in order."""
        self._wanted = wanted = wanted if "SMTPUTF8" in announced else in_a_labels(wanted)
        self._refused = refused
        self._lmtp, self._adapt, self._never_as_null = lmtp, adapt, never_as_null
        self._again_after = min(max(again_after, 0.0), _LONGEST_WAIT)
        self._limits = limits if limits is not None else _limits_of(announced)
        self._at_once = min(self._limits.rcptmax or _AT_ONCE, _MOST_AT_ONCE)
        self._pipelined = "PIPELINING" in announced
        self._mails: dict[Terms, Given] = {}
        self._last: tuple[Terms, Given] | None = None
        self._fruitless = 0
        self._did_without: set[str] = set()
        self._heard: list[tuple[Plan, Sequence[Answer]]] = []
        self._pending: dict[int, Person] = {}
        fitted = fit(wanted, announced)
        self._mail: Values = fitted.mail
        self._begin(fitted, bdat=fitted.bdat or (chunking and "CHUNKING" in announced))

    def _begin(self, fitted: Fitted, *, bdat: bool) -> None:
        plain = fitted.form is Form.AS_IS and not bdat
        request = _PLAIN if plain else Request(Terms(form=fitted.form, bdat=bdat))
        for number, (path, _) in self._wanted.recipients.items():
            if number in fitted.rcpt:
                self._pending[number] = Person(number, path, fitted.rcpt[number], request)
            else:
                reply, note = fitted.unable[number]
                self.settled[number] = Settled(number, Verdict.FAILED, reply, "", note)
        if fitted.form is Form.SEVEN_BIT and self._pending:
            self.steps.append(Step("seven-bit", "MAIL", None))
        if self._refused:
            self._remember()
        if self._never_as_null:
            for person in self._pending.values():
                self._send_null_path(person)

    # --- what to try

    @property
    def learnt(self) -> set[str]:
        """Keywords that this host refused and did without, or refused last, and took from nobody in this session."""
        if not self._did_without:
            return set()
        taken: set[str] = set()
        for plan, answers in self._heard:
            if any(answer.stage in _BEYOND_MAIL for answer in answers):
                taken |= _keywords(plan.parameters)
            for (_, given), answer in zip(plan.recipients, answers, strict=True):
                if answer.stage in _BEYOND_RCPT:
                    taken |= _keywords(given)
        return self._did_without - taken - self._refused

    def next_plan(self) -> Plan | None:
        """The transaction to try now; None once everybody is settled."""
        if self._pending and self._fruitless >= _FRUITLESS:
            self.give_up("the host refuses whatever is asked of it", Verdict.RETRY_CHANGED)
        if self._pending and self._limits.mailmax is not None and len(self._heard) >= self._limits.mailmax:
            self.give_up("the host takes no more transactions in this session", Verdict.NEXT_HOST)
        if not self._pending:
            return None
        ready, wait = [person for person in self._pending.values() if not person.waits], 0.0
        if not ready:  # the session's other work is done
            ready, wait = list(self._pending.values()), self._again_after
            for person in ready:
                person.waits = False
        return self._plan(self._together(ready), wait)

    def _together(self, ready: Sequence[Person]) -> list[Person]:
        """Those who can share a transaction with the first."""
        terms = ready[0].request.terms
        if terms.alone:
            return [ready[0]]
        chosen: list[Person] = []
        domains: set[str] = set()
        for person in ready:
            if len(chosen) >= self._at_once:
                break
            if person.request.terms != terms:
                continue
            if self._limits.rcptdomainmax is not None:
                domains.add(person.path.destination)
                if len(domains) > self._limits.rcptdomainmax:
                    domains.discard(person.path.destination)
                    continue
            chosen.append(person)
        return chosen

    def _plan(self, people: list[Person], wait: float) -> Plan:
        terms = people[0].request.terms
        return Plan(
            numbers=tuple(person.number for person in people),
            reverse_path=None if terms.null_path else self._wanted.reverse_path,
            recipients=[(person.path, person.said) for person in people],
            parameters=self._said(terms),
            bdat=terms.bdat,
            pipelining=terms.pipelining,
            form=terms.form,
            wait=wait,
        )

    def _said(self, terms: Terms) -> Given:
        """The parameters of MAIL; the size of content that is made 7-bit is not known, so it is not told."""
        if self._last is not None and self._last[0] is terms:
            return self._last[1]
        given = self._mails.get(terms)
        if given is None:
            gone = terms.dropped if terms.form is Form.AS_IS else terms.dropped | {SIZE}
            kept = {parameter: value for parameter, value in self._mail.items() if parameter not in gone}
            given = self._mails[terms] = Given(kept) if kept else NOTHING_GIVEN
        self._last = (terms, given)
        return given

    # --- what came of it

    def hear(self, plan: Plan, answers: Sequence[Answer]) -> None:
        """What came of a plan: an Answer for each of its recipients, in order."""
        answered = zip(plan.numbers, answers, strict=True)
        heard = {number: answer for number, answer in answered if number in self._pending}
        before = len(self.settled)
        self._heard.append((plan, answers))
        if self.steps:
            self._learn(heard)
        self._tell_the_others(heard)
        crowded = _crowded_out(heard)
        full = self._to_split(crowded, heard) if self._adapt else []
        refused: list[tuple[Person, Answer]] = []
        for number, answer in heard.items():
            if number not in full and not self._settle_by(self._pending[number], answer, crowded):
                refused.append((self._pending[number], answer))
        if full:
            self._split(full, heard)
        if refused:
            self._step(refused, shared=len(plan.numbers) > 1)
        self._fruitless += len(self.settled) == before

    def _tell_the_others(self, heard: dict[int, Answer]) -> None:
        """A refusal of MAIL is everybody's who would be sent the same MAIL."""
        number, answer = next(iter(heard.items()), (-1, None))
        if answer is None or answer.stage is not Stage.MAIL:
            return
        terms = self._pending[number].request.terms
        for other, person in self._pending.items():
            if person.request.terms == terms:
                heard.setdefault(other, answer)

    def give_up(self, note: str, verdict: Verdict = Verdict.RETRY) -> None:
        """No more can be said to this host: whoever is not settled is settled so."""
        for person in list(self._pending.values()):
            last = person.last
            if last is not None and last.reply is not None:
                if verdict is not Verdict.RETRY_CHANGED:
                    self._cut_off(person)
                self._settle(
                    person,
                    Verdict.RETRY_CHANGED,
                    last,
                    f"{person.untried(_COMMANDS.get(last.stage, Verb.BDAT))}; {note}",
                )
            else:
                self._settle(person, verdict, Answer(Stage.CONNECTION, None), note)

    def fail(self, reply: Reply, note: str) -> None:
        """What is left may be said to no host: ``reply`` is our own."""
        for person in list(self._pending.values()):
            del self._pending[person.number]
            self.settled[person.number] = Settled(person.number, Verdict.FAILED, reply, "", note)

    def _cut_off(self, person: Person) -> None:
        """The session ends behind a refusal: the next one begins on the rung that this one came to."""
        self._did_without.update(*person.gone.values())

    def _learn(self, heard: Mapping[int, Answer]) -> None:
        """What was not missed once it was left out."""
        if any(answer.stage in _BEYOND_MAIL for answer in heard.values()):
            self._did_without.update(self._pending[next(iter(heard))].gone_last.get(Verb.MAIL, ()))
        for number, answer in heard.items():
            if answer.stage in _BEYOND_RCPT:
                self._did_without.update(self._pending[number].gone_last.get(Verb.RCPT, ()))

    def _settle_by(self, person: Person, answer: Answer, crowded: Sequence[int]) -> bool:
        """Settle what this answer settles; False for a refusal that the ladder is for.

        For who was one too many even 5yz is no last word (RFC 5321 section 4.5.3.1.10): the transaction was full.
        """
        if answer.accepted:
            self._settle(person, Verdict.DELIVERED, answer, "")
            return True
        if answer.reply is None or answer.stage is Stage.CONNECTION:
            verdict = Verdict.RETRY if answer.uncertain else Verdict.NEXT_HOST
            self._cut_off(person)
            self._settle(person, verdict, answer, answer.fault)
            return True
        if self._goes_without_bdat(person, answer, answer.reply):
            return True
        meaning = self._meaning(person, answer, answer.reply)
        if meaning in (Meaning.NOT_NOW, Meaning.NOT_KNOWN):
            return False
        verdict = Verdict.RETRY if person.number in crowded else settling.verdict_of(meaning, answer.reply)
        if reactions.closes_channel(answer.reply):
            self._cut_off(person)
        self._settle(person, verdict, answer, settling.note_of(meaning, answer.stage))
        return True

    def _goes_without_bdat(self, person: Person, answer: Answer, reply: Reply) -> bool:
        """Whether the content may go by DATA after a host that announced CHUNKING did not know BDAT."""
        request = person.request
        if not (self._adapt and request.terms.bdat and answer.stage in _BEYOND_RCPT and reactions.knows_no_bdat(reply)):
            return False
        climbed = without_bdat(request, dict(self._said(request.terms)), self._wanted.needs)
        if climbed is None:
            return False
        person.request, person.last = climbed.request, answer
        person.left_out(climbed.parameters, Verb.MAIL)
        self.steps.append(Step(climbed.action, Verb.BDAT.value, reply, climbed.parameters, (person.number,)))
        return True

    def _meaning(self, person: Person, answer: Answer, reply: Reply) -> Meaning:
        command = _COMMANDS.get(answer.stage)
        carried = person.said if command is Verb.RCPT else self._said(person.request.terms)
        return reactions.react(reply, command, parameters=len(carried) > 0 or command in person.refused)

    # --- the transaction was full

    def _to_split(self, crowded: Sequence[int], heard: Mapping[int, Answer]) -> list[int]:
        """Who goes in another transaction at once; nobody, when nothing came of this one."""
        too_many_in_all = any(map(_is_too_many_in_all, heard.values()))
        if not crowded or not (too_many_in_all or any(answer.accepted for answer in heard.values())):
            return []
        full = list(crowded)
        if too_many_in_all:
            full += [number for number, answer in heard.items() if _is_too_many_in_all(answer)]
        return [number for number in full if self._pending[number].splits < _SPLITS]

    def _split(self, full: Sequence[int], heard: Mapping[int, Answer]) -> None:
        """The rest goes in another transaction at once, as many together as were taken."""
        for number in full:
            self._pending[number].splits += 1
        taken = _places_taken(heard)
        if list(heard).index(full[0]) > taken[-1] or _is_too_many_in_all(heard[full[-1]]):
            self._at_once = max(1, min(self._at_once, len(taken)))
        self.steps.append(Step("split", "RCPT", heard[full[0]].reply, recipients=tuple(full)))

    # --- the ladder

    def _step(self, refused: Sequence[tuple[Person, Answer]], *, shared: bool) -> None:
        """Everybody whom these refusals concern goes on to the next rung, or has come to the ladder's end."""
        record = settling.Record()
        for person, answer in refused:
            self._climb(person, answer, shared, record)
        self.steps += record.steps(len(refused))

    def _climb(self, person: Person, answer: Answer, shared: bool, record: settling.Record) -> None:
        reply, command = answer.reply, _COMMANDS[answer.stage]
        assert reply is not None  # noqa: S101 — a refusal is a reply
        meaning = self._meaning(person, answer, reply)
        situation = self._situation(person, command, shared)
        person.remember(command, situation.carried)
        climbed = climb(situation, meaning) if self._adapt else None
        if climbed is None:
            verdict = Verdict.RETRY if meaning is Meaning.NOT_NOW else Verdict.FAILED
            self._settle(person, verdict, answer, f"{person.tried(command)}; ask the host's postmaster")
            return
        person.request, person.last = climbed.request, answer
        person.waits = climbed.action == "again"
        person.left_out(climbed.parameters, command)
        self._send_null_path(person)
        waited = self._again_after if person.waits else 0.0
        record.add(climbed.action, command, reply, climbed.parameters, person.number, waited)

    def _situation(self, person: Person, command: Verb, shared: bool) -> Situation:
        mail = self._said(person.request.terms)
        said = person.said if command is Verb.RCPT else mail
        return Situation(
            person.request,
            command,
            dict(said),
            self._wanted.needs,
            needs_utf8(self._wanted, person.number),
            shared,
            self._pipelined and person.request.terms.pipelining,
            is_binary(mail),
        )

    def _remember(self) -> None:
        """Go without what the host refused of late."""
        record = settling.Record()
        for person in self._pending.values():
            for command in (Verb.MAIL, Verb.RCPT):
                for climbed in remembered(self._situation(person, command, shared=True), self._refused):
                    person.request = climbed.request
                    record.add(climbed.action, command, None, climbed.parameters, person.number, 0.0)
        self.steps += record.steps(len(self._pending))

    # --- the ends

    def _settle(self, person: Person, verdict: Verdict, answer: Answer, note: str) -> None:
        del self._pending[person.number]
        said = self._said(person.request.terms)
        self.settled[person.number] = settling.settle(
            self._wanted, person, verdict, answer, note, said=said, fitted=self._mail, lmtp=self._lmtp
        )

    def _send_null_path(self, person: Person) -> None:
        """RFC 3461 section 5.2.2 (d): the host knows of no NEVER, so that it gets nobody to report to."""
        wish = self._wanted.recipients[person.number][1].get(NOTIFY)
        if self._never_as_null and wish is Notify.NEVER and NOTIFY not in person.said:
            person.request = person.request.with_terms(null_path=True)


def _limits_of(announced: Mapping[str, str]) -> PeerLimits:
    return read_limits(announced["LIMITS"]) if "LIMITS" in announced else PeerLimits()


def _keywords(given: Given) -> set[str]:
    return {parameter.keyword for parameter, _ in given}


def _places_taken(heard: Mapping[int, Answer]) -> list[int]:
    """Where in the transaction those stand whose RCPT was taken."""
    return [place for place, answer in enumerate(heard.values()) if answer.stage in _BEYOND_RCPT]


def _crowded_out(heard: Mapping[int, Answer]) -> list[int]:
    """Who was one too many; nobody, when everybody was refused: then the code says what it is.

    A limit refuses all that follow. Without an enhanced status that says so, a refusal between recipients that are
    taken is about that mailbox (452 and 552 speak of its storage, too).
    """
    last = max(
        (place for place, answer in enumerate(heard.values()) if answer.stage not in _REFUSED_SOON), default=None
    )
    if last is None:
        return []
    return [
        number
        for place, (number, answer) in enumerate(heard.items())
        if _is_full(answer) and (_says_so(answer) or place > last)
    ]


def _is_full(answer: Answer) -> bool:
    if answer.stage is not Stage.RCPT or answer.reply is None:
        return False
    return reactions.react(answer.reply, Verb.RCPT) is Meaning.FULL


def _says_so(answer: Answer) -> bool:
    return answer.reply is not None and answer.reply.enhanced is not None


def _is_too_many_in_all(answer: Answer) -> bool:
    return answer.stage is Stage.DATA and answer.reply is not None and reactions.too_many_in_all(answer.reply)
