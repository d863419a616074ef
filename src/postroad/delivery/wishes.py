"""A stored message as a request to the next hop: its paths and parameters read back from the spool.

Left behind are the parameters that we have honoured or may not pass on: SIZE (its value is counted anew), HOLDFOR and
HOLDUNTIL (the message was held here, RFC 4865 section 3), AUTH= (nobody downstream should trust our word for it, RFC
4954 section 5).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from postroad.address import Mailbox, stored_path
from postroad.envelope import Recipient, StoredMessage
from postroad.replies import Reply
from postroad.smtp import undeliverable
from postroad.smtp.commands import read_parameters
from postroad.smtp.extensions.auth import AUTH
from postroad.smtp.extensions.deliverby import BY, LEAST_TIME
from postroad.smtp.extensions.dsn import ORCPT, OriginalRecipient
from postroad.smtp.extensions.futurerelease import HOLDFOR, HOLDUNTIL
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.fitting import WISHES
from postroad.smtp.negotiation import ContentNeeds, Settled, Verdict, Wanted
from postroad.smtp.parameters import NOTHING_GIVEN, Given, Parameter, Traits
from postroad.smtp.states import Verb

_EVERYTHING = Traits(tls=True, authenticated=True, submission=True)
_LEFT_BEHIND = frozenset((SIZE, HOLDFOR, HOLDUNTIL, AUTH))


def wanted_from(message: StoredMessage, needs: ContentNeeds, now: float | None = None) -> tuple[Wanted, list[Settled]]:
    """What can be asked for, and whom nothing can be asked for: their stored text cannot be read (all FAILED).

    ``now`` (seconds since the epoch) takes what has passed since the message arrived from the time of BY (RFC 2852
    section 4.1.4); None: nothing has. Whoever's BY in mode R has run out is FAILED too.
    """
    sender = stored_path(message.reverse_path) if message.reverse_path else None
    if message.reverse_path and sender is None:
        return Wanted(None), _all_failed(message, undeliverable.SENDER_UNREADABLE, message.reverse_path)
    wishes = _wishes(message.parameters, Verb.MAIL)
    if wishes is None:
        return Wanted(sender), _all_failed(message, undeliverable.PARAMETERS_UNREADABLE, message.parameters)
    parameters = _remaining(wishes, 0 if now is None else int(max(now - message.received_at, 0.0)))
    if parameters is None:
        return Wanted(sender), _all_failed(message, undeliverable.TIME_IS_OVER, message.parameters)
    recipients: dict[int, tuple[Mailbox, Given]] = {}
    failed: list[Settled] = []
    for one in message.recipients:
        read = _recipient(one)
        if isinstance(read, Settled):
            failed.append(read)
        else:
            recipients[one.number] = read
    return Wanted(sender, parameters, recipients, message.size, needs), failed


def _recipient(one: Recipient) -> tuple[Mailbox, Given] | Settled:
    path = stored_path(one.forward_path)
    if path is None:
        return _failed(one.number, undeliverable.RECIPIENT_UNREADABLE, one.forward_path)
    wishes = _wishes(one.parameters, Verb.RCPT)
    if wishes is None:
        return _failed(one.number, undeliverable.PARAMETERS_UNREADABLE, one.parameters)
    return path, _in_ascii(wishes)


def _wishes(text: str, command: Verb) -> Given | None:
    """Stored parameters; None when they hold what nobody can read."""
    if not text:
        return NOTHING_GIVEN
    found = read_parameters(f" {text}", command, WISHES, _EVERYTHING)
    return None if isinstance(found, Reply) else found


def _remaining(wishes: Given, passed: int) -> Given | None:
    """What goes on, the time of BY reduced by the seconds that have passed; None: the time in mode R is over."""
    if not len(wishes):
        return wishes
    kept: dict[Parameter[Any], Any] = {p: value for p, value in wishes if p not in _LEFT_BEHIND}
    time = wishes.get(BY)
    if time is not None and passed:
        left = replace(time, seconds=max(time.seconds - passed, LEAST_TIME))
        if left.must_return and left.seconds <= 0:
            return None
        kept[BY] = left
    return Given(kept) if kept else NOTHING_GIVEN


def _in_ascii(wishes: Given) -> Given:
    """ORCPT=utf-8 in the form that every host can read (RFC 6533 section 3: utf-8-addr-xtext)."""
    original = wishes.get(ORCPT)
    if original is None or original.address.isascii():
        return wishes
    address = "".join(c if c <= "\x7f" else f"\\x{{{ord(c):X}}}" for c in original.address)
    return Given({**dict(wishes), ORCPT: OriginalRecipient(original.address_type, address)})


def _failed(number: int, reply: Reply, text: str) -> Settled:
    return Settled(number, Verdict.FAILED, reply, "", f"stored was {text[:80]!r}")


def _all_failed(message: StoredMessage, reply: Reply, text: str) -> list[Settled]:
    return [_failed(one.number, reply, text) for one in message.recipients]
