"""What of a message's wishes can be said to a host that announced this and that, and who cannot be served by it.

Parameters go out only where their extension was announced. BODY=8BITMIME and SMTPUTF8 fall away only when the octets
show that nobody needs them; a message that does need them waits for people, since re-encoding it is another matter.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from postroad.address import Mailbox, take_path
from postroad.delivery.transport import Consignment, Fate, Handed
from postroad.errors import AddressSyntaxError
from postroad.replies import Reply
from postroad.smtp.client import KNOWN
from postroad.smtp.commands import read_parameters
from postroad.smtp.extensions import EIGHTBITMIME, SMTPUTF8
from postroad.smtp.extensions.auth import AUTH
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.parameters import NOTHING_GIVEN, Given, OnRefusal, Parameter, Traits
from postroad.smtp.states import Verb

#: RFC 5321 section 4.5.3.1.8: what every host takes.
_RECIPIENTS: Final = 100
_RCPTMAX: Final = re.compile(r"RCPTMAX=([1-9][0-9]{0,5})\Z", re.IGNORECASE)

#: What is not passed on as it came: fitted by the functions below, or (AUTH=) nobody's business but ours.
_FITTED: Final = frozenset((SIZE, BODY, UTF8, AUTH))
_EVERYTHING: Final = Traits(tls=True, authenticated=True, submission=True)


@dataclass(slots=True)
class Fit:
    """What can be sent to whom."""

    reverse_path: Mailbox | None = None
    parameters: Given = NOTHING_GIVEN
    recipients: dict[int, tuple[Mailbox, Given]] = field(default_factory=dict)
    """Recipient.number -> its path and parameters."""
    refused: list[Handed] = field(default_factory=list)
    """Whom this host cannot serve, and why."""
    at_once: int = _RECIPIENTS
    """Recipients of one transaction."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those who can be sent to."""
        return tuple(self.recipients)

    def refuse(self, number: int, note: str) -> None:
        """Take a recipient out."""
        self.recipients.pop(number, None)
        self.refused.append(Handed(number, Fate.NEVER, None, note))

    def refuse_all(self, note: str) -> None:
        """Take every recipient out."""
        for number in self.numbers:
            self.refuse(number, note)


async def fit(consignment: Consignment, announced: Mapping[str, str]) -> Fit:
    """Fit a message to a host; reads the content only when something hangs on it."""
    message = consignment.message
    fitted = Fit(at_once=_at_once(announced))
    for one in message.recipients:
        path = _path(one.forward_path)
        wishes = _wishes(one.parameters, Verb.RCPT)
        kept = None if wishes is None else _passed_on(wishes, announced)
        if path is None:
            fitted.refuse(one.number, "the stored forward-path cannot be read")
        elif kept is None:
            fitted.refuse(one.number, f"{one.parameters} cannot be passed on")
        else:
            fitted.recipients[one.number] = (path, Given(kept) if kept else NOTHING_GIVEN)
    fitted.reverse_path = _path(message.reverse_path) if message.reverse_path else None
    if message.reverse_path and fitted.reverse_path is None:
        fitted.refuse_all("the stored reverse-path cannot be read")
        return fitted
    wishes = _wishes(message.parameters, Verb.MAIL)
    values = None if wishes is None else _passed_on(wishes, announced)
    if wishes is None or values is None:
        fitted.refuse_all(f"{message.parameters} cannot be passed on")
        return fitted
    if SIZE.keyword in announced:
        values[SIZE] = message.size
    eight_bit = _EightBit(consignment.read)
    await _fit_body(fitted, wishes, announced, values, eight_bit)
    await _fit_utf8(fitted, wishes, announced, values, eight_bit)
    fitted.parameters = Given(values)
    return fitted


async def _fit_body(
    fitted: Fit, wishes: Given, announced: Mapping[str, str], values: dict[Parameter[Any], Any], eight_bit: _EightBit
) -> None:
    body = wishes.get(BODY)
    if body is Body.BINARYMIME:
        fitted.refuse_all("BODY=BINARYMIME goes only by BDAT, which is not spoken to next hops yet")
    elif body is Body.EIGHTBITMIME:
        if EIGHTBITMIME.keyword in announced:
            values[BODY] = body
        elif fitted.recipients and await eight_bit.found():
            fitted.refuse_all("the content is 8-bit and the next hop takes 7-bit content only (no 8BITMIME)")


async def _fit_utf8(
    fitted: Fit, wishes: Given, announced: Mapping[str, str], values: dict[Parameter[Any], Any], eight_bit: _EightBit
) -> None:
    wide = [number for number, (path, _) in fitted.recipients.items() if not path.is_ascii]
    wide_sender = fitted.reverse_path is not None and not fitted.reverse_path.is_ascii
    if not (UTF8 in wishes or wide or wide_sender):
        return
    if SMTPUTF8.keyword in announced:
        values[UTF8] = True
        return
    note = "the next hop takes no UTF-8 addresses or headers (no SMTPUTF8)"
    for number in wide:
        fitted.refuse(number, note)
    if fitted.recipients and (wide_sender or (UTF8 in wishes and await eight_bit.found())):
        fitted.refuse_all(note)


def _wishes(text: str, command: Verb) -> Given | None:
    """Stored parameters, None when they hold one that we do not know how to send."""
    found = read_parameters(f" {text}", command, KNOWN, _EVERYTHING) if text else NOTHING_GIVEN
    return None if isinstance(found, Reply) else found


def _passed_on(wishes: Given, announced: Mapping[str, str]) -> dict[Parameter[Any], Any] | None:
    """The parameters that go on as they are where they were announced; None: one that must not be lost cannot go."""
    values: dict[Parameter[Any], Any] = {}
    for parameter, value in wishes:
        if parameter in _FITTED:
            continue
        if parameter.on_refusal is OnRefusal.KEEP:
            return None
        found = KNOWN.find(parameter.command, parameter.keyword)
        if found is not None and found[0].keyword in announced:
            values[parameter] = value
    return values


class _EightBit:
    """Whether the content holds octets above 127; looked up at most once."""

    def __init__(self, read: Callable[[], AsyncIterator[bytes]]) -> None:
        self._read = read
        self._found: bool | None = None

    async def found(self) -> bool:
        if self._found is None:
            self._found = False
            async for block in self._read():
                if not block.isascii():
                    self._found = True
                    break
        return self._found


def _path(text: str) -> Mailbox | None:
    try:
        path, rest = take_path(f"<{text}>")
    except AddressSyntaxError:
        return None
    return path if not rest else None


def _at_once(announced: Mapping[str, str]) -> int:
    """RFC 9422: what the host says it takes."""
    for word in announced.get("LIMITS", "").split(" "):
        found = _RCPTMAX.match(word)
        if found is not None:
            return min(int(found[1]), 1000)  # strict: _RCPTMAX matched
    return _RECIPIENTS
