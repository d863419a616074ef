"""Which recipients of the queue are meant: the filters that every queue verb, the API and the page share.

What the spool can find by itself goes into its query; what it cannot (the reason of a reply, whether anything was tried)
is decided here, from the recipient alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from postroad.envelope import MessageId, Recipient, RecipientState, StoredMessage
from postroad.errors import PostroadError
from postroad.replies import Reply
from postroad.replies.classify import Rules, classify
from postroad.spool.interface import MessageQuery
from postroad.spool.transitions import contains, destination_fits, reply_fits

#: What people may write behind --state; ``deferred`` is queued with at least one try behind it.
STATES: Final = ("queued", "deferred", "held", "delivered", "failed")
#: Where mail waits: what a listing shows unless it is asked for more.
WAITING: Final = frozenset({RecipientState.QUEUED, RecipientState.HELD})
FIELDS: Final = ("to", "from", "destination", "code", "reason", "state", "older")

_CODE: Final = re.compile(r"[2-5*][0-9*]{0,2}\Z|(?:[2-5][0-9]{2} )?[245*]\.[0-9*]{1,3}(?:\.[0-9*]{1,3})?\Z")
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?\Z")
_MAX_WORD: Final = 1_000


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Every field that is set narrows; all of them must fit one and the same recipient."""

    ids: tuple[MessageId, ...] = ()
    to: str = ""
    reverse_path: str = ""
    destination: str = ""
    """Whole, or with ``*``: ``*.example.net``."""
    code: str = ""
    """Of the last reply: ``451``, ``4*``, ``4.7.*``, ``451 4.7.1``."""
    reason: str = ""
    """A slug of reasons.toml."""
    states: frozenset[RecipientState] = WAITING
    tried: bool = False
    """Only with at least one attempt."""
    received_before: float | None = None
    """Seconds since the epoch."""
    recipients: frozenset[tuple[MessageId, int]] | None = None
    """These and no others, by whole ids and numbers; ``ids`` names the same messages (see ``picked``)."""

    @property
    def narrows(self) -> bool:
        """Whether anything beside the states is asked."""
        return bool(
            self.ids or self.to or self.reverse_path or self.destination or self.code or self.reason or self.tried
        ) or (self.received_before is not None)

    @property
    def looks_closer(self) -> bool:
        """Whether the spool's own query finds too much, so that each recipient must be looked at."""
        return bool(self.reason or self.tried) or self.recipients is not None

    def queries(self, states: frozenset[RecipientState] | None = None) -> Iterator[MessageQuery]:
        """What to ask the spool, one query for each state."""
        for state in sorted(self.states if states is None else self.states & states):
            yield MessageQuery(
                to=self.to,
                reverse_path=self.reverse_path,
                state=state,
                destination=self.destination,
                code=self.code,
                received_before=self.received_before,
                ids=self.ids,
            )

    def as_of(self, moment: float) -> QueueFilter:
        """The same, without what came later (seconds since the epoch)."""
        before = moment if self.received_before is None else min(self.received_before, moment)
        return replace(self, received_before=before)

    def within(self, states: frozenset[RecipientState]) -> QueueFilter:
        """The same, for these states at the most."""
        return replace(self, states=self.states & states)


def picked(recipients: Iterable[tuple[MessageId, int]]) -> QueueFilter:
    """The filter for these recipients that wait; messages by their whole ids."""
    chosen = frozenset(recipients)
    return QueueFilter(ids=tuple(sorted({message_id for message_id, _ in chosen})), recipients=chosen)


def read_filter(fields: Mapping[str, str], ids: Sequence[str], now: float, rules: Callable[[], Rules]) -> QueueFilter:
    """The filter that these words ask for (``FIELDS``); raises PostroadError that names the word and how to mend it.

    ``older`` is in seconds, ``state`` a list with commas.
    """
    if unknown := [name for name in fields if name not in FIELDS]:
        raise PostroadError(f"there is no filter `{unknown[0][:40]}`", "known: " + ", ".join(FIELDS))
    word = {name: fields.get(name, "").strip() for name in FIELDS}
    if long := [name for name, text in word.items() if len(text) > _MAX_WORD]:
        raise PostroadError(f"`{long[0]}` is longer than {_MAX_WORD} characters")
    states, tried = _states(word["state"])
    return QueueFilter(
        ids=tuple(MessageId(one) for one in ids),
        to=word["to"],
        reverse_path=word["from"],
        destination=word["destination"],
        code=read_code(word["code"]),
        reason=_reason(word["reason"], rules),
        states=states,
        tried=tried,
        received_before=now - _older(word["older"]) if word["older"] else None,
    )


def _states(text: str) -> tuple[frozenset[RecipientState], bool]:
    if not text:
        return WAITING, False
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if wrong := [name for name in names if name not in STATES] or ([] if names else [text]):
        raise PostroadError(f"there is no state `{wrong[0][:40]}`", f"--state takes {', '.join(STATES)}")
    tried = "deferred" in names and "queued" not in names
    if tried and len(names) > 1 and set(names) - {"deferred", "held"}:
        raise PostroadError("`deferred` goes with `held` only", "ask for one of them at a time")
    return frozenset(RecipientState("queued" if name == "deferred" else name) for name in names), tried


def read_code(text: str) -> str:
    """A pattern of a code or of an enhanced status; raises PostroadError."""
    if text and _CODE.match(text) is None:
        raise PostroadError(f"`{text[:40]}` is no reply code", "for example --code 451, --code '4*' or --code '4.7.*'")
    return text


def _reason(text: str, rules: Callable[[], Rules]) -> str:
    if not text:
        return ""
    known = rules().reasons
    if text not in known:
        raise PostroadError(f"there is no reason `{text[:40]}`", "known: " + ", ".join(sorted(known)))
    return text


def _older(text: str) -> float:
    if _SECONDS.match(text) is None:
        raise PostroadError("`older` must be a number of seconds", "for example 7200")
    return float(text)


class Reasons:
    """Why recipients wait, by their last reply or fault; remembers what it has read, for most of a queue says the same."""

    def __init__(self, rules: Callable[[], Rules]) -> None:
        """``rules`` are read when they are first needed."""
        self._rules = rules
        self._read = lru_cache(4096)(self._classify)

    def of(self, recipient: Recipient) -> str:
        """The reason's slug; ``""`` when nothing was said or nothing is known."""
        if recipient.reply is None and (not recipient.note or recipient.state is RecipientState.HELD):
            return ""
        return self._read(recipient.reply if recipient.reply is not None else recipient.note)

    def _classify(self, said: Reply | str) -> str:
        rules = self._rules()
        found = classify(said, rules=rules)
        return "" if isinstance(said, str) and found.rule == rules.rules[-1].id else found.reason


def fitting(message: StoredMessage, wanted: QueueFilter, reasons: Reasons) -> list[Recipient]:
    """The recipients of a message that fit every part of the filter; the message itself is known to fit."""
    chosen = wanted.recipients
    return [
        one
        for one in message.recipients
        if _fits(one, wanted, reasons) and (chosen is None or (message.id, one.number) in chosen)
    ]


def _fits(one: Recipient, wanted: QueueFilter, reasons: Reasons) -> bool:
    if one.state not in wanted.states:
        return False
    if wanted.tried and one.state is RecipientState.QUEUED and not one.attempts:
        return False
    if not contains(one.forward_path, wanted.to) or not destination_fits(wanted.destination, one.destination):
        return False
    if not reply_fits(wanted.code, one.reply):
        return False
    return not wanted.reason or reasons.of(one) == wanted.reason
