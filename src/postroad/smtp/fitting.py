"""What of a message's wishes a host can be asked for at all, by what it announced; whom it cannot serve, and why.

| wish                       | its extension is announced  | it is not                                                   |
|----------------------------|-----------------------------|-------------------------------------------------------------|
| SIZE, AUTH=, MT-PRIORITY   | said                        | left out                                                    |
| RET, ENVID, NOTIFY, ORCPT  | said                        | left out, with the duties of RFC 3461 section 5.2.2         |
| BY=…;N                     | said                        | left out, with the duties of RFC 2852 section 4.1.4.2       |
| BY=…;R                     | said, if the host's minimum | failed (RFC 2852 section 4.1.4.1)                           |
|                            | allows                      |                                                             |
| BODY=8BITMIME, 8-bit octets| said                        | left out when the octets are 7-bit, else made 7-bit, else   |
|                            |                             | failed (RFC 6152 section 3)                                 |
| BODY=BINARYMIME            | said, by BDAT               | as 8-bit when that is enough, else made 7-bit, else failed  |
| SMTPUTF8                   | said                        | left out, domains as A-labels; who needs it all the same    |
|                            |                             | fails (RFC 6531 section 3.2)                                |
| REQUIRETLS, HOLDFOR, …     | said                        | failed                                                      |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError
from postroad.replies import Reply
from postroad.smtp import undeliverable
from postroad.smtp.client_commands import Rcpt, rcpt_line
from postroad.smtp.client_extensions import KNOWN
from postroad.smtp.extensions import BINARYMIME, CHUNKING, DSN, EIGHTBITMIME, SMTPUTF8
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.deliverby import BY, may_drop
from postroad.smtp.extensions.dsn import NOTIFY, Notify
from postroad.smtp.extensions.requiretls import TLS_REQUIRED
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.parameters import NOTHING_GIVEN, Given, OnRefusal, Parameter
from postroad.smtp.wanted import Form, Wanted

Values = dict[Parameter[Any], Any]

#: Every extension with parameters that a sender may wish for.
WISHES: Final = KNOWN

_NUMBER: Final = re.compile(r"[0-9]{1,20}\Z")


@dataclass(slots=True)
class Fitted:
    """What can be said to this host, before it has refused anything."""

    mail: Values = field(default_factory=dict)
    rcpt: dict[int, Given] = field(default_factory=dict)
    """Recipient.number -> the parameters of its RCPT."""
    form: Form = Form.AS_IS
    bdat: bool = False
    """The content can go by BDAT only."""
    unable: dict[int, tuple[Reply, str]] = field(default_factory=dict)
    """Recipient.number -> our reply about it, and a note."""

    def refuse(self, number: int, reply: Reply, note: str = "") -> None:
        """Take a recipient out."""
        if self.rcpt.pop(number, None) is not None:
            self.unable[number] = (reply, note)

    def refuse_all(self, reply: Reply, note: str = "") -> None:
        """Take out whoever is left."""
        for number in list(self.rcpt):
            self.refuse(number, reply, note)


def fit(wanted: Wanted, announced: Mapping[str, str]) -> Fitted:
    """Fit a message to a host."""
    fitted = Fitted(rcpt={number: _announced_of(given, announced) for number, (_, given) in wanted.recipients.items()})
    for parameter, value in wanted.parameters:
        if parameter in (SIZE, BODY, UTF8):
            continue
        if _is_announced(parameter, announced):
            fitted.mail[parameter] = value
        elif not may_go_without(parameter, value):
            fitted.refuse_all(_REPLIES.get(parameter, undeliverable.NEEDS_PARAMETER), f"{parameter.keyword} is needed")
    _fit_time(fitted, wanted, announced)
    _fit_size(fitted, wanted, announced)
    _fit_body(fitted, wanted, announced)
    _fit_utf8(fitted, wanted, announced)
    _check_said(fitted, wanted)
    return fitted


def in_a_labels(wanted: Wanted) -> Wanted:
    """With the domains of its paths as A-labels, which are no reason for SMTPUTF8 (RFC 6531 section 3.2)."""
    sender = wanted.reverse_path
    if (sender is None or sender.is_ascii) and all(path.is_ascii for path, _ in wanted.recipients.values()):
        return wanted
    recipients = {number: (_in_a_labels(path), given) for number, (path, given) in wanted.recipients.items()}
    return replace(wanted, reverse_path=None if sender is None else _in_a_labels(sender), recipients=recipients)


def _in_a_labels(path: Mailbox) -> Mailbox:
    return path if path.domain.isascii() else Mailbox(path.local_part, path.destination)


def may_go_without(parameter: Parameter[Any], value: Any) -> bool:
    """Whether the mail may go without it, perhaps with a duty; BODY and SMTPUTF8 hang on the octets: not from here."""
    if parameter is BY:
        return may_drop(value)
    return parameter.on_refusal is not OnRefusal.KEEP


_REPLIES: Final[Mapping[Parameter[Any], Reply]] = {
    TLS_REQUIRED: undeliverable.NEEDS_REQUIRETLS,
    BY: undeliverable.NEEDS_DELIVERBY,
}


def _is_announced(parameter: Parameter[Any], announced: Mapping[str, str]) -> bool:
    if parameter.forced:
        return True
    found = WISHES.find(parameter.command, parameter.keyword)
    return found is not None and found[0].keyword in announced


def _announced_of(given: Given, announced: Mapping[str, str]) -> Given:
    """RCPT has no parameter that must not be lost: all of them are DSN's."""
    if not len(given) or all(_is_announced(parameter, announced) for parameter, _ in given):
        return given
    kept = {parameter: value for parameter, value in given if _is_announced(parameter, announced)}
    return Given(kept) if kept else NOTHING_GIVEN


def _fit_time(fitted: Fitted, wanted: Wanted, announced: Mapping[str, str]) -> None:
    """DELIVERBY: a host's least time binds mode R; a host without it is asked for reports of delay in its place.

    Not when the time is over: the sender was told of that already (RFC 2852 section 4.1.4.2 is about what is in time).
    """
    wish = wanted.parameters.get(BY)
    if wish is None:
        return
    if BY in fitted.mail:
        minimum = _number(announced["DELIVERBY"].partition(",")[0])  # options may follow (RFC 2852 section 3)
        if wish.must_return and wish.seconds < minimum:
            fitted.refuse_all(undeliverable.NEEDS_DELIVERBY, f"the host promises nothing in less than {minimum} s")
    elif wish.seconds > 0 and DSN.keyword in announced:
        for number, given in fitted.rcpt.items():
            fitted.rcpt[number] = _with_delay(given)


def _with_delay(given: Given) -> Given:
    """RFC 2852 section 4.1.4.2: whoever does not say NEVER is told of a delay by those who know no time limits."""
    wish = given.get(NOTIFY)
    if wish is Notify.NEVER:
        return given
    return Given({**dict(given), NOTIFY: (Notify.FAILURE if wish is None else wish) | Notify.DELAY})


def _fit_size(fitted: Fitted, wanted: Wanted, announced: Mapping[str, str]) -> None:
    if SIZE.keyword not in announced:
        return
    said = wanted.parameters.get(SIZE)
    octets = wanted.size if said is None else said
    limit = _number(announced[SIZE.keyword])
    if limit and wanted.size > limit:  # RFC 1870 section 6.1: the host would say so itself
        fitted.refuse_all(undeliverable.TOO_LARGE, f"{wanted.size} octets, {limit} at most")
    elif octets or said is not None:
        fitted.mail[SIZE] = octets


def _fit_body(fitted: Fitted, wanted: Wanted, announced: Mapping[str, str]) -> None:
    needs, body = wanted.needs, wanted.parameters.get(BODY)
    if body is Body.BINARYMIME and BINARYMIME.keyword in announced and CHUNKING.keyword in announced:
        fitted.mail[BODY] = body
        fitted.bdat = True
    elif body is Body.BINARYMIME and needs.binary:
        _make_seven_bit(fitted, wanted)
    elif EIGHTBITMIME.keyword not in announced:
        if needs.eight_bit:
            _make_seven_bit(fitted, wanted)
    elif needs.eight_bit or body is Body.EIGHTBITMIME:
        fitted.mail[BODY] = Body.EIGHTBITMIME  # 8-bit octets that nobody declared are declared here (RFC 6152)
    elif body is Body.SEVENBIT:
        fitted.mail[BODY] = body


def _make_seven_bit(fitted: Fitted, wanted: Wanted) -> None:
    if wanted.needs.can_be_seven_bit:
        fitted.form = Form.SEVEN_BIT
    else:
        fitted.refuse_all(undeliverable.NEEDS_CONVERSION)


def _fit_utf8(fitted: Fitted, wanted: Wanted, announced: Mapping[str, str]) -> None:
    wished = UTF8 in wanted.parameters
    if SMTPUTF8.keyword in announced:
        if wished or any(needs_utf8(wanted, number) for number in fitted.rcpt):
            fitted.mail[UTF8] = True
        return
    if wanted.reverse_path is not None and not wanted.reverse_path.is_ascii:
        fitted.refuse_all(undeliverable.SENDER_NEEDS_UTF8)
    elif wished and wanted.needs.utf8_header:
        fitted.refuse_all(undeliverable.HEADER_NEEDS_UTF8)
    for number in [number for number in fitted.rcpt if needs_utf8(wanted, number)]:
        fitted.refuse(number, undeliverable.RECIPIENT_NEEDS_UTF8)


def needs_utf8(wanted: Wanted, number: int) -> bool:
    """Whether the message cannot go to this recipient without SMTPUTF8: an address or a header is beyond ASCII."""
    if UTF8 in wanted.parameters and wanted.needs.utf8_header:
        return True
    sender = wanted.reverse_path
    return not wanted.recipients[number][0].is_ascii or (sender is not None and not sender.is_ascii)


def _check_said(fitted: Fitted, wanted: Wanted) -> None:
    """No RCPT is begun that could not be written: one bad recipient must not stop the others.

    Only wishes are looked at: a path was read by our own parser, and the engine checks every line once more.
    """
    for number, given in list(fitted.rcpt.items()):
        if not len(given):
            continue
        try:
            rcpt_line(Rcpt(wanted.recipients[number][0], given))
        except LocalProtocolError as fault:
            fitted.refuse(number, undeliverable.CANNOT_BE_SAID, fault.message)


def _number(text: str) -> int:
    """What a host says of itself behind a keyword; 0 when it is no number."""
    word = text.partition(" ")[0]
    return int(word) if _NUMBER.match(word) is not None else 0  # strict: _NUMBER matched
