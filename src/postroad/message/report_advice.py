"""What a report says of one answer: why, who has to act and what to do, taken from the reply catalogue in one language.

The catalogue's steps for the sender of a mail are used where they fit; what they cannot know (that we gave up, that we
still try) is said by the report's own sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from postroad.message.report_facts import Kind, Reported
from postroad.replies.catalogue import catalogue
from postroad.replies.classify import Classification, classify
from postroad.replies.entries import CodeWords, EnhancedWords

#: Remedies that the administrator of the sending side applies; other remedies of an administrator are the recipient's.
_OURS: Final = frozenset(
    "slow-down reconnect contact-provider fix-auth fix-dns fix-config delist login use-tls wait-quota".split()
)
#: Who has to act on what this system found out by itself; the sender of the mail on all the rest.
_WHO_OF_OWN: Final = {
    **dict.fromkeys(("hosts_not_dialled", "loops_back", "no_common_family", "tls_not_offered"), "ours"),
    **dict.fromkeys(("sender_unreadable", "recipient_unreadable", "parameters_unreadable"), "ours"),
    "tls_failed": "theirs",
    "cannot_be_said": "developer",
}
_MAX_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """Why and what now. ``who`` and ``own_steps`` name sentences of reports.toml, ``steps`` are sentences."""

    reason: tuple[str, ...]
    likely: bool
    """The reason is a guess."""
    who: str
    steps: tuple[str, ...]
    own_steps: tuple[str, ...]


def advise(kind: Kind, one: Reported, language: str) -> Advice:
    """What to say of a recipient that failed or is delayed."""
    ours = _advise_of_own(kind, one, language) if one.cause else None
    if ours is not None:
        return ours
    found = None if one.reply is None else classify(one.reply, command=one.stage, rules=catalogue().rules)
    actor, remedy = (found.actor, found.remedy) if found is not None else ("client", "")
    likely = found is not None and found.confidence == "low"
    reason = _reason(one, found, language)
    if kind is Kind.DELAYED and one.parameter:
        return Advice(reason, likely, "peer", (), ("keep", "until", "tell_peer", "without"))
    if kind is Kind.DELAYED:
        return Advice(reason, likely, "nobody", _hints(one, language), ("keep", "until"))
    if _ended_by_time(one):
        return Advice(reason, likely, _who(actor, remedy, again=True), (), ("other_way", "resend", "forward"))
    steps = _steps(one, language)
    return Advice(reason, likely, _who(actor, remedy), steps, () if steps else ("other_way", "forward"))


def _advise_of_own(kind: Kind, one: Reported, language: str) -> Advice | None:
    """The same of what this system found out by itself; None: there are no words for it."""
    words = catalogue().report_words(language)
    if one.cause not in words["own"]:
        return None
    reason = (words["own"][one.cause],)
    if kind is Kind.DELAYED:
        return Advice(reason, False, "nobody", (), ("keep", "until"))
    who, do = _WHO_OF_OWN.get(one.cause, "you"), words["own_do"][one.cause]
    if _ended_by_time(one):
        return Advice(reason, False, "again" if who == "you" else who, (do,), ())
    return Advice(reason, False, who, (do,), ())


def _reason(one: Reported, found: Classification | None, language: str) -> tuple[str, ...]:
    """A title and a sentence, as the catalogue has them; empty when nobody knows the reply."""
    if found is not None and found.reason != "undefined":
        term = catalogue().term_words("reasons", found.reason, language)
        return term.title, term.summary
    words = _code_words(one, language)
    return (words.title, words.summary) if words is not None else ()


def _code_words(one: Reported, language: str) -> CodeWords | None:
    try:
        return None if one.reply is None else catalogue().code_words(one.reply.code, language)
    except KeyError:
        return None


def _enhanced_words(one: Reported, language: str) -> EnhancedWords | None:
    status = None if one.reply is None else one.reply.enhanced
    try:
        return None if status is None else catalogue().enhanced_words(f"X.{status.subject}.{status.detail}", language)
    except KeyError:
        return None


def _ended_by_time(one: Reported) -> bool:
    """Given up although the last answer left hope: its steps speak of waiting, which is over."""
    return one.expired or one.reply is None or not one.reply.is_permanent


def _who(actor: str, remedy: str, again: bool = False) -> str:
    match actor:
        case "administrator":
            return "ours" if remedy in _OURS else "theirs"
        case "developer":
            return "developer"
        case "sender" if not again:
            return "you"
    return "again"


def _steps(one: Reported, language: str) -> tuple[str, ...]:
    """The catalogue's steps for the sender: of the enhanced status, which knows more, else of the code."""
    for words in (_enhanced_words(one, language), _code_words(one, language)):
        steps = () if words is None else words.fix.get("sender", ())
        if steps:
            return tuple(step.do for step in steps[:_MAX_STEPS])
    return ()


def _hints(one: Reported, language: str) -> tuple[str, ...]:
    """What the sender of a delayed message may do besides waiting: the code's steps after the first, which says wait."""
    words = _code_words(one, language)
    steps = () if words is None else words.fix.get("sender", ())
    return tuple(step.do for step in steps[1:_MAX_STEPS])
