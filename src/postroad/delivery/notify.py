"""Who is told what of an attempt: delivery reports by RFC 3461, for the reverse-path, or for nobody.

The rules in one place: NOTIFY decides who hears of what (sections 5.2.2 to 5.2.6, and RFC 2852 section 4.1 for BY); all
recipients of one kind and attempt share a report; nothing is ever sent for the null reverse-path but a failure to the
postmaster of this system, and for that one nothing more. A report has the null reverse-path itself (section 6.1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from postroad.address import Mailbox, parse_mailbox
from postroad.clock import Clock
from postroad.delivery.notify_facts import Wishes, reported, wishes_of
from postroad.envelope import (
    Attempt,
    Draft,
    MessageId,
    NewRecipient,
    Origin,
    Outcome,
    Recipient,
    Result,
    StoredMessage,
)
from postroad.errors import AddressSyntaxError, NotFound
from postroad.message.report import write
from postroad.message.report_facts import Kind, Original, Report, Reported, Returned
from postroad.message.report_original import MAX_HEADER, cut_header, languages_of, may_return_all, seven_bit
from postroad.replies.catalogue import catalogue
from postroad.smtp.extensions.dsn import Notify, Ret

#: A message up to this size goes back as a whole when the sender wants that (octets).
FULL_LIMIT: Final = 50 * 1024

Languages = Literal["sender", "en", "ja", "both"]
Read = Callable[[], AsyncIterator[bytes]]
RetryUntil = Callable[[StoredMessage, Recipient], float | None]

_BOTH: Final = ("en", "ja")
_LOCAL: Final = ("maildir:", "lmtp:")


@dataclass(frozen=True, slots=True)
class _Addressee:
    """Whom the reports of a message go to."""

    path: Mailbox
    double: bool
    """It is the postmaster, since the message has no return address."""


class Notifier:
    """Makes the reports of attempts; keeps nothing."""

    def __init__(
        self,
        hostname: str,
        clock: Clock,
        *,
        languages: Languages = "sender",
        postmaster: str = "",
        double_bounce: Literal["postmaster", "drop"] = "postmaster",
        retry_until: RetryUntil | None = None,
    ) -> None:
        """``postmaster`` is ``postmaster@hostname`` unless given; ``retry_until`` tells when a recipient is given up.

        Raises AddressSyntaxError when the postmaster's address cannot be one.
        """
        self._hostname = hostname
        self._clock = clock
        self._languages = languages
        self._postmaster = parse_mailbox(postmaster or f"postmaster@{hostname}")
        self._double_bounce = double_bounce
        self._retry_until = retry_until

    async def reports(
        self, message: StoredMessage, attempt: Attempt, read: Read, new_id: Callable[[], MessageId]
    ) -> list[tuple[Draft, bytes]]:
        """The reports that ``attempt`` owes, with their content; to be accepted in one transaction with it.

        ``read`` gives prefix and content of the message; it is called only when there is something to report.
        """
        addressee = self._addressee(message)
        owed = self._owed(message, attempt, addressee) if addressee is not None else {}
        if addressee is None or not owed:
            return []
        original = await self._read(message, read, Kind.FAILED in owed and not addressee.double)
        return [
            self._report(message, addressee, kind, recipients, original, new_id())
            for kind, recipients in sorted(owed.items(), key=lambda item: list(Kind).index(item[0]))
        ]

    def _addressee(self, message: StoredMessage) -> _Addressee | None:
        try:
            if message.reverse_path:
                return _Addressee(parse_mailbox(message.reverse_path), double=False)
        except AddressSyntaxError:
            pass  # nobody can be told at such an address: as if there were none
        return _Addressee(self._postmaster, double=True) if self._double_bounce == "postmaster" else None

    # Who is told

    def _owed(
        self, message: StoredMessage, attempt: Attempt, addressee: _Addressee
    ) -> dict[Kind, list[tuple[Recipient, Result, Wishes]]]:
        recipients = {one.number: one for one in message.recipients}
        owed: dict[Kind, list[tuple[Recipient, Result, Wishes]]] = {}
        for result in attempt.results:
            recipient = recipients.get(result.number)
            if recipient is None:
                continue
            wishes = wishes_of(message, recipient, attempt)
            kind = self._kind(result, attempt, wishes)
            if kind is None or (addressee.double and not self._double(kind, recipient, wishes)):
                continue
            owed.setdefault(kind, []).append((recipient, result, wishes))
        return owed

    @staticmethod
    def _kind(result: Result, attempt: Attempt, wishes: Wishes) -> Kind | None:
        """What the sender is to be told of a result; None: nothing."""
        match result.outcome:
            case Outcome.FAILED:
                return Kind.FAILED if wishes.wants(Notify.FAILURE, unasked=True) else None
            case Outcome.DEFERRED if result.delay_told:
                return Kind.DELAYED if wishes.wants(Notify.DELAY, unasked=True) else None
            case Outcome.DELIVERED:
                return Notifier._good_news(result, attempt, wishes)
        return None

    @staticmethod
    def _good_news(result: Result, attempt: Attempt, wishes: Wishes) -> Kind | None:
        wanted = wishes.wants(Notify.SUCCESS, unasked=False)
        if attempt.route.startswith(_LOCAL):
            # An LMTP server that knows DSN reports by itself; else its 250 is the delivery (RFC 2033 section 4.2).
            final = result.relayed or attempt.route.startswith("maildir:")
            return Kind.DELIVERED if wanted and final else None
        if result.relayed and wanted:
            return Kind.RELAYED
        return Kind.RELAYED if wishes.owes_for_time(result.relayed, attempt.at) else None

    def _double(self, kind: Kind, recipient: Recipient, wishes: Wishes) -> bool:
        """Whether the postmaster hears of it: of failures, unless he is the one that cannot be reached."""
        if kind is not Kind.FAILED or wishes.notify == Notify.NEVER:
            return False
        local, at, _ = recipient.forward_path.rpartition("@")
        if not at:  # the bare <Postmaster> of RFC 5321 section 4.5.1
            return False
        same_host = recipient.destination == self._postmaster.destination
        return not (same_host and local.lower() == self._postmaster.local_part.lower())

    # What they are told

    def _report(
        self,
        message: StoredMessage,
        addressee: _Addressee,
        kind: Kind,
        recipients: Sequence[tuple[Recipient, Result, Wishes]],
        original: Original,
        report_id: MessageId,
    ) -> tuple[Draft, bytes]:
        now, to = self._clock.wall(), str(addressee.path)
        told = tuple(self._reported(message, kind, *one, now=now) for one in recipients)
        first = recipients[0][2]
        report = Report(
            kind=kind,
            id=report_id,
            to=to,
            hostname=self._hostname,
            postmaster=self._signature(),
            now=now,
            message_id=message.id,
            arrived_at=message.received_at,
            recipients=told,
            original=self._returned(message, addressee, kind, first.ret, original),
            languages=self._spoken(addressee, original.header),
            envelope_id=first.envelope_id,
            hello=message.origin.hello,
            peer=message.origin.peer,
            deliver_by=first.deliver_by,
            future_release=first.future_release,
            released_at=first.released_at,
            double=addressee.double,
        )
        # Of a report to the postmaster nobody hears any more (RFC 3461 section 6.1): this ends every loop.
        new = NewRecipient(to, addressee.path.destination, "NOTIFY=NEVER" if addressee.double else "")
        parameters = "BODY=8BITMIME SMTPUTF8" if report.utf8 else ""
        draft = Draft(report_id, "", (new,), now, parameters=parameters, origin=Origin(listener="report"))
        return draft, write(report)

    def _reported(
        self, message: StoredMessage, kind: Kind, recipient: Recipient, result: Result, wishes: Wishes, now: float
    ) -> Reported:
        until = None
        if kind is Kind.DELAYED and self._retry_until is not None:
            until = self._retry_until(message, recipient)
        return reported(kind, recipient, result, wishes, now=now, until=until)

    def _signature(self) -> str:
        """The address of the From field, which never asks for SMTPUTF8 by itself."""
        return str(self._postmaster) if self._postmaster.is_ascii else f"postmaster@{self._hostname}"

    def _spoken(self, addressee: _Addressee, header: bytes) -> tuple[str, ...]:
        if self._languages == "both" or (self._languages == "sender" and addressee.double):
            return _BOTH  # the postmaster did not write the header
        if self._languages != "sender":
            return (self._languages,)
        known = catalogue()
        own = tuple(tag for tag in known.languages if known.report_language(tag) == tag)
        return languages_of(header, own)[:1] or _BOTH

    # What goes back

    async def _read(self, message: StoredMessage, read: Read, whole: bool) -> Original:
        """The header, bounded, and with it all of a message that is small enough."""
        wanted = message.size if whole and message.size <= FULL_LIMIT else MAX_HEADER + 1
        blocks: list[bytes] = []
        have = 0
        try:
            async for block in read():
                blocks.append(block)
                have += len(block)
                if have > wanted:
                    break
        except NotFound:
            return Original(size=message.size)
        return _split(message, b"".join(blocks), complete=whole and message.size <= FULL_LIMIT)

    def _returned(
        self, message: StoredMessage, addressee: _Addressee, kind: Kind, ret: Ret | None, original: Original
    ) -> Original:
        """What of the original this report returns (RFC 3461 section 6.2)."""
        if original.returned is not Returned.FULL and original.returned is not Returned.HEADER:
            return original
        if ret is None:
            # RFC 3461 leaves it open. Our own people get their mail back; to a stranger, whose address may be
            # forged, no report carries content (backscatter).
            full = bool(message.origin.account) or message.origin.listener.startswith("submission")
        else:
            full = ret is Ret.FULL
        if not full or kind is not Kind.FAILED or addressee.double:
            return replace(original, body=None, returned=Returned.HEADER)
        if original.body is None:
            return replace(original, returned=Returned.LARGE)
        if may_return_all(original, not addressee.path.is_ascii):
            return original
        return seven_bit(original) or replace(original, body=None, returned=Returned.EIGHT_BIT)


def _split(message: StoredMessage, octets: bytes, complete: bool) -> Original:
    utf8 = "SMTPUTF8" in message.parameters.upper().split()
    end = octets.find(b"\r\n\r\n")
    header = octets[: end + 2] if end >= 0 else octets
    body = octets[end + 4 :] if complete and end >= 0 else None
    if len(header) > MAX_HEADER:
        return Original(cut_header(header), None, Returned.CUT, utf8, message.size)
    return Original(header, body, Returned.HEADER if body is None else Returned.FULL, utf8, message.size)
