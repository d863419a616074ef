"""A message on its way in: its transaction, its content, and the draft that the spool accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from postroad.envelope import Draft, MessageId, Origin
from postroad.errors import SpoolError, StorageFull
from postroad.inbound import submission
from postroad.inbound.reception import Reception
from postroad.message import trace
from postroad.message.header import HeaderTap, count_received
from postroad.policy.stages import SessionFacts, Transaction
from postroad.replies import Reply
from postroad.smtp import refusals
from postroad.smtp.events import RecipientGiven, SenderGiven
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.spool.interface import ContentWriter


class IncomingMessage:
    """From MAIL until the spool has it, or until it is given up."""

    __slots__ = ("_failure", "_header", "_reception", "_writer", "transaction")

    def __init__(self, reception: Reception, sender: SenderGiven) -> None:
        self._reception = reception
        self.transaction = Transaction(sender, [])
        self._writer: ContentWriter | None = None
        self._header = HeaderTap(reception.header_octets)
        self._failure: Reply | None = None

    def add(self, recipient: RecipientGiven) -> None:
        """One more recipient was accepted."""
        self.transaction.recipients.append(recipient)

    def begin_content(self) -> None:
        """Content comes; raises StorageFull when there is no room for it."""
        self._writer = self._reception.spool.open_content()

    def write(self, octets: bytes) -> None:
        """Take a block; raises SpoolError."""
        if self._writer is not None:
            self._header.feed(octets)
            self._writer.write(octets)

    def fail(self, reply: Reply) -> None:
        """The spool failed: what still comes is drained, then ``reply`` is due."""
        self._failure = self._failure or reply
        self.discard()

    def end_content(self) -> Reply | None:
        """What the content itself earns: too large a header, or a loop (RFC 5321 section 6.3); None: nothing."""
        transaction = self.transaction
        transaction.header = self._header.section
        transaction.size = self._writer.size if self._writer is not None else 0
        if self._failure is not None:
            return self._failure
        if self._header.too_large:
            return refusals.HEADER_TOO_LARGE
        if count_received(transaction.header) >= self._reception.max_received:
            return refusals.MAIL_LOOP
        return None

    def accept(self, draft: Draft, done: Callable[[SpoolError | None], None]) -> None:
        """The commit point; ``done`` hears of it."""
        if self._writer is None:
            raise RuntimeError("no content to accept")
        self._reception.spool.accept(draft, self._writer, done)
        self._writer = None

    def discard(self) -> None:
        """Give it up; nothing of it stays."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def draft(self, facts: SessionFacts, transcript: str) -> Draft:
        """The message as the spool accepts it, with our Received field in front."""
        reception = self._reception
        transaction = self.transaction
        message_id = reception.spool.new_id()
        now = reception.clock.wall()
        parameters = transaction.sender.parameters
        recipients = tuple(reception.addressing.new_recipient(given) for given in transaction.recipients)
        due = submission.release_at(parameters, now) if parameters else None
        if due is not None:
            recipients = tuple(replace(one, due=due) for one in recipients)
        prefix = trace.received(
            source=trace.client(facts.hello, facts.peer_host),
            host=reception.config.hostname,
            with_protocol=trace.protocol(
                esmtp=facts.esmtp, utf8=UTF8 in parameters, tls=bool(facts.tls), authenticated=bool(facts.account)
            ),
            message_id=message_id,
            tls=facts.tls,
            only_recipient=recipients[0].forward_path if len(recipients) == 1 else "",
            date=trace.date_time(now),
        )
        if reception.is_submission:
            prefix += submission.missing_fields(transaction.header, message_id, reception.config.hostname, now)
        return Draft(
            id=message_id,
            reverse_path="" if transaction.reverse_path is None else str(transaction.reverse_path),
            recipients=recipients,
            received_at=now,
            prefix=prefix,
            parameters=str(parameters),
            origin=origin_of(facts),
            transcript=with_last_words(transcript, message_id) if transcript else "",
            priority=submission.priority(parameters, bool(facts.account) or facts.trusted) if parameters else 0,
        )


def origin_of(facts: SessionFacts) -> Origin:
    """Where a session's messages come from."""
    return _origin(facts.id, facts.listener, facts.peer_host, facts.peer_port, facts.hello, facts.account, facts.tls)


@lru_cache(maxsize=512)  # one for each session that is open, not one for each message
def _origin(session: str, listener: str, host: str, port: int, hello: str, account: str, tls: str) -> Origin:
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Origin(session, listener, peer, hello, account, tls)


def with_last_words(transcript: str, message_id: MessageId) -> str:
    """The transcript as it is once the message is durable: only then is this 250 said."""
    return f"{transcript}\nS: {refusals.queued(message_id).to_bytes().decode('ascii').rstrip()}"


def refusal_of(fault: SpoolError) -> Reply:
    """452 when there is no room, else 451; what ails us in particular is for the log."""
    return refusals.STORAGE_SHORT if isinstance(fault, StorageFull) else refusals.PROCESSING_FAILED
