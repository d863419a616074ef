"""The parameter ladder: how a request that a host refused is said again with less, rung by rung.

| rung           | for      | what changes                                                                              |
|----------------|----------|-------------------------------------------------------------------------------------------|
| again          | 455      | nothing: asked once more after the session's other work, 30 s later at most               |
| omit, rung 1   | 455, 5yz | SIZE, AUTH=, MT-PRIORITY go; BODY= and SMTPUTF8 too when octets and addresses need neither|
| omit, rung 2   | 455, 5yz | RET, ENVID, NOTIFY, ORCPT, BY=…;N go, each with the duty of its RFC                       |
| seven-bit      | 455, 5yz | BODY= goes and the content is made 7-bit                                                  |
| one-recipient  | 455      | one recipient a transaction                                                               |
| no-pipelining  | 455      | one command at a time                                                                     |
| data           | 455      | DATA in place of BDAT                                                                     |
| data, seven-bit| 500, 502 | the same at once, when it is BDAT that the host does not know though it announced CHUNKING |

Then the mail is deferred (455) or has failed (5yz). Never given up: REQUIRETLS, HOLDFOR, HOLDUNTIL, BY=…;R, an
SMTPUTF8 or a BODY= that is needed. A rung that changes nothing is passed over, so that nothing is asked twice the same
way but once, and the ladder ends after at most eight refusals. What is left out is what the refused command carried: a
refusal of MAIL leaves RCPT as it is, and the other way round.

Sources: RFC 5321 section 4.1.1.11, RFC 3461 section 5.2.2, RFC 6152 section 3, RFC 2852 section 4.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.fitting import may_go_without
from postroad.smtp.parameters import OnRefusal, Parameter
from postroad.smtp.reactions import Meaning
from postroad.smtp.states import Verb
from postroad.smtp.wanted import ContentNeeds, Form

Keys = frozenset[Parameter[Any]]
NONE: Final[Keys] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """How a transaction is said; recipients whose terms are equal may share one."""

    dropped: Keys = NONE
    """Parameters of MAIL that are left out."""
    again: bool = False
    """The same MAIL was asked again after a 455 already."""
    form: Form = Form.AS_IS
    bdat: bool = False
    pipelining: bool = True
    alone: bool = False
    """One recipient a transaction."""
    null_path: bool = False
    """Sent with the null reverse-path (RFC 3461 section 5.2.2 (d))."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a host was asked for one recipient."""

    terms: Terms = Terms()
    dropped: Keys = NONE
    """Parameters of RCPT that are left out."""
    again: bool = False
    """The same RCPT was asked again after a 455 already."""

    def without(self, command: Verb, parameters: Keys) -> Request:
        """With these left out of ``command``."""
        if command is Verb.RCPT:
            return replace(self, dropped=self.dropped | parameters)
        return replace(self, terms=replace(self.terms, dropped=self.terms.dropped | parameters))

    def with_terms(self, **changes: Any) -> Request:
        """The transaction said otherwise."""
        return replace(self, terms=replace(self.terms, **changes))


@dataclass(frozen=True, slots=True)
class Situation:
    """One refusal, with all that the rungs look at."""

    request: Request
    command: Verb
    """MAIL or RCPT: what was refused."""
    carried: Mapping[Parameter[Any], Any]
    """The parameters of the command as it was said."""
    needs: ContentNeeds
    needs_utf8: bool
    """This recipient's mail cannot go without SMTPUTF8."""
    shared: bool
    """The transaction had more recipients."""
    pipelined: bool
    """The host announced PIPELINING and it was used."""
    binary: bool = False
    """MAIL said BODY=BINARYMIME, which goes by BDAT only."""


@dataclass(frozen=True, slots=True)
class Climbed:
    """The next rung."""

    action: str
    """As in envelope.Step."""
    request: Request
    parameters: tuple[str, ...] = ()
    """The keywords that are left out from now on."""


@dataclass(frozen=True, slots=True)
class _Rung:
    action: str
    after_5yz: bool
    """Whether it is for refusals for good, too."""
    change: Callable[[Situation], Request | None]
    """The request as it is said on this rung; None: nothing would change."""


def climb(situation: Situation, meaning: Meaning) -> Climbed | None:
    """The next rung after a refusal; None: the ladder has ended."""
    for rung in _RUNGS:
        if meaning is not Meaning.NOT_NOW and not rung.after_5yz:
            continue
        request = rung.change(situation)
        if request is not None:
            return Climbed(rung.action, request, _left_out(situation, request))
    return None


def may_omit(parameter: Parameter[Any], value: Any, needs: ContentNeeds, needs_utf8: bool) -> OnRefusal:
    """What may be done with one parameter of this message, its octets and addresses considered."""
    if parameter is BODY:
        needed = needs.binary if value is Body.BINARYMIME else False
        return OnRefusal.KEEP if needed or needs.eight_bit else OnRefusal.OMIT
    if parameter is UTF8:
        return OnRefusal.KEEP if needs_utf8 else OnRefusal.OMIT
    if not may_go_without(parameter, value):
        return OnRefusal.KEEP
    return OnRefusal.OMIT if parameter.on_refusal is OnRefusal.OMIT else OnRefusal.OMIT_AND_REPORT


def _again(situation: Situation) -> Request | None:
    request = situation.request
    if situation.command is Verb.RCPT:
        return None if request.again else replace(request, again=True)
    return None if request.terms.again else request.with_terms(again=True)


def _omit(kind: OnRefusal) -> Callable[[Situation], Request | None]:
    def change(situation: Situation) -> Request | None:
        parameters = frozenset(
            parameter
            for parameter, value in situation.carried.items()
            if may_omit(parameter, value, situation.needs, situation.needs_utf8) is kind
        )
        if not parameters:
            return None
        request = situation.request.without(situation.command, parameters)
        binary = situation.carried.get(BODY) is Body.BINARYMIME
        return request.with_terms(bdat=False) if binary and BODY in parameters else request

    return change


def _seven_bit(situation: Situation) -> Request | None:
    if BODY not in situation.carried or not situation.needs.can_be_seven_bit:
        return None
    bdat = situation.request.terms.bdat and situation.carried[BODY] is not Body.BINARYMIME
    return situation.request.without(Verb.MAIL, frozenset((BODY,))).with_terms(form=Form.SEVEN_BIT, bdat=bdat)


def _one_recipient(situation: Situation) -> Request | None:
    if not situation.shared or situation.request.terms.alone:
        return None
    return situation.request.with_terms(alone=True)


def _no_pipelining(situation: Situation) -> Request | None:
    if not situation.pipelined or not situation.request.terms.pipelining:
        return None
    return situation.request.with_terms(pipelining=False)


def _data(situation: Situation) -> Request | None:
    if not situation.request.terms.bdat or situation.binary:
        return None
    return situation.request.with_terms(bdat=False)


def _left_out(situation: Situation, request: Request) -> tuple[str, ...]:
    before, after = situation.request, request
    gone = (after.dropped - before.dropped) | (after.terms.dropped - before.terms.dropped)
    return tuple(parameter.keyword for parameter in situation.carried if parameter in gone)


_RUNGS: Final = (
    _Rung("again", False, _again),
    _Rung("omit", True, _omit(OnRefusal.OMIT)),
    _Rung("omit", True, _omit(OnRefusal.OMIT_AND_REPORT)),
    _Rung("seven-bit", True, _seven_bit),
    _Rung("one-recipient", False, _one_recipient),
    _Rung("no-pipelining", False, _no_pipelining),
    _Rung("data", False, _data),
)


def without_bdat(request: Request, mail: Mapping[Parameter[Any], Any], needs: ContentNeeds) -> Climbed | None:
    """The request as DATA can carry it, for a host that announced CHUNKING and knows no BDAT; None: it cannot.

    ``mail``: the parameters of MAIL as they were said.
    """
    if mail.get(BODY) is not Body.BINARYMIME and not needs.binary:
        return Climbed("data", request.with_terms(bdat=False))
    gone = request.without(Verb.MAIL, frozenset((BODY,)) if BODY in mail else NONE).with_terms(bdat=False)
    left_out = (BODY.keyword,) if BODY in mail else ()
    if not (needs.binary or needs.eight_bit):
        return Climbed("data", gone, left_out)
    if not needs.can_be_seven_bit:
        return None
    return Climbed("seven-bit", gone.with_terms(form=Form.SEVEN_BIT), left_out)


def remembered(situation: Situation, refused: frozenset[str]) -> list[Climbed]:
    """The rungs that a host's refusals of late make us take before it is asked anything; ``refused``: keywords."""
    known = {parameter: value for parameter, value in situation.carried.items() if parameter.keyword in refused}
    if not known:
        return []
    taken: list[Climbed] = []
    for rung in _RUNGS:
        now = replace(situation, carried=known)
        request = rung.change(now) if rung.action in ("omit", "seven-bit") else None
        if request is not None:
            left_out = _left_out(now, request)
            taken.append(Climbed(rung.action, request, left_out))
            situation = replace(situation, request=request)
            known = {parameter: value for parameter, value in known.items() if parameter.keyword not in left_out}
    return taken
