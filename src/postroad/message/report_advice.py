"""What a report says of one answer: why, who has to act and what to do, taken from the reply catalogue in one language.

The catalogue's steps for the sender of a mail are used where they fit; what they cannot know (that we gave up, that we
still try) is said by the report's own sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from postroad.message.report_facts import Kind, Reported
from postroad.replies.catalogue import catalogue
from postroad.replies.documents import Document
from postroad.replies.explaining import Explainer

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
#: Nothing was answered: what is known by the moment.
_NO_ANSWER: Final = "network-error"


@dataclass(frozen=True, slots=True)
class Advice:
    """Why and what now. ``who`` and ``own_steps`` name sentences of reports.toml, ``steps`` are sentences."""

    reason: tuple[str, ...]
    likely: bool
    """The reason is a guess."""
    who: str
    steps: tuple[str, ...]
    own_steps: tuple[str, ...]


@lru_cache(maxsize=8)
def explainer(language: str) -> Explainer:
    """Explains in one language; made once."""
    return Explainer(catalogue(), language)


def advise(kind: Kind, one: Reported, language: str) -> Advice:
    """What to say of a recipient that failed or is delayed."""
    ours = _advise_of_own(kind, one, language) if one.cause else None
    if ours is not None:
        return ours
    item = _explained(one, language)
    found: Document = item.get("classification", {})
    actor, remedy = (found["actor"]["id"], found["remedy"]["id"]) if found else ("client", "")
    likely = bool(found) and found["confidence"]["id"] == "low"
    reason = _reason(item, language, one)
    if kind is Kind.DELAYED:
        own = ("keep", "until") if not one.parameter else ("keep", "until", "tell_peer", "without")
        return Advice(reason, likely, "peer" if one.parameter else "nobody", _hints(item, one), own)
    if _ended_by_time(one):
        return Advice(reason, likely, _who(actor, remedy, again=True), (), ("other_way", "resend", "forward"))
    steps = _steps(item)
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


def _explained(one: Reported, language: str) -> Document:
    if one.reply is None:
        return {}
    status = f"{one.reply.enhanced} " if one.reply.enhanced is not None else ""
    text = one.reply.text[:4096].replace("\n", " ")
    items = explainer(language).explain(f"{one.reply.code} {status}{text}", command=one.stage)["items"]
    return next((item for item in items if item["kind"] == "reply"), {})


def _reason(item: Document, language: str, one: Reported) -> tuple[str, ...]:
    """A title and a sentence, as the catalogue has them."""
    found = item.get("classification")
    if found and found["reason"]["id"] != "undefined":
        return found["reason"]["label"], found["reason"]["text"]
    known = item.get("code")
    if known:
        return known["title"], known["summary"]
    if one.reply is not None:
        return ()
    term = explainer(language).documents.term("reasons", _NO_ANSWER)
    return (term["label"],)


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


def _steps(item: Document) -> tuple[str, ...]:
    """The catalogue's steps for the sender: of the enhanced status, which knows more, else of the code."""
    for entry in ("enhanced", "code"):
        steps = item.get(entry, {}).get("fix", {}).get("sender", ())
        if steps:
            return tuple(step["do"] for step in steps[:_MAX_STEPS])
    return ()


def _hints(item: Document, one: Reported) -> tuple[str, ...]:
    """What the sender of a delayed message may do besides waiting: the code's steps after the first, which says wait."""
    steps = item.get("code", {}).get("fix", {}).get("sender", ()) if not one.parameter else ()
    return tuple(step["do"] for step in steps[1:_MAX_STEPS])
