"""The mail transaction on the server's side: MAIL, RCPT, DATA, BDAT and the content (RFC 5321 section 3.3, RFC 3030).

A part of ``ServerEngine``, which owns the session; it holds at most one block of content and no list of recipients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from postroad.replies import Reply
from postroad.smtp import refusals
from postroad.smtp.commands import judge_parameters, read_parameters, read_recipient, read_sender
from postroad.smtp.content_framing import ContentChecker, ContentFault, DotFramer
from postroad.smtp.events import (
    NEED_DATA,
    ContentBlock,
    ContentEnded,
    ContentRequested,
    ParameterNotNow,
    RecipientGiven,
    SenderGiven,
    TransactionAborted,
)
from postroad.smtp.extensions.binarymime import BINARYMIME, is_binary, judge_binary
from postroad.smtp.extensions.chunking import CHUNKING, parse_bdat
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.framing import ReceiveBuffer
from postroad.smtp.parameters import NOTHING_GIVEN, Conditions, ExtensionSet, Given, Traits
from postroad.smtp.states import State, Verb, permitted
from postroad.smtp.steps import HangUp, Step

_CONTENT_FAULTS: Final = {
    ContentFault.UNSOUND: refusals.CONTENT_UNSOUND,
    ContentFault.LINE_TOO_LONG: refusals.CONTENT_LINE_TOO_LONG,
    ContentFault.TOO_LARGE: refusals.CONTENT_TOO_LARGE,
}
#: Stands where no content is being read.
_IDLE: Final = ContentChecker(0, 0)


class TransactionConfig(Protocol):
    """What of ServerConfig matters here."""

    @property
    def extensions(self) -> ExtensionSet: ...
    @property
    def max_recipients(self) -> int: ...
    @property
    def line_octets(self) -> int: ...
    @property
    def normalize(self) -> bool: ...


class Session(Protocol):
    """What the transaction needs of its engine."""

    state: State
    conditions: Conditions
    traits: Traits
    esmtp: bool

    @property
    def config(self) -> TransactionConfig: ...
    def buffered(self) -> int: ...


@dataclass(slots=True)
class _Chunk:
    """The BDAT chunk that is being read."""

    octets: int
    remaining: int
    last: bool
    refusal: Reply | None
    """Set: the chunk is only drained, then this is said."""


class ServerTransaction:
    """One transaction after another of one session."""

    # The session comes with each call and is not kept: a circle would keep every closed session until a collection.
    __slots__ = ("_accepted", "_checker", "_chunk", "_ended", "_failed", "_framer", "_given", "_offered", "void")

    def __init__(self) -> None:
        self.close()

    def close(self) -> None:
        """Forget all that was given since MAIL."""
        self._given: Given = NOTHING_GIVEN
        self._offered = 0
        self._accepted = 0
        self._framer: DotFramer | None = None
        self._checker = _IDLE
        self._chunk: _Chunk | None = None
        self._ended = False
        self._failed = False
        #: Whether TransactionAborted was told already.
        self.void = False

    @property
    def receives(self) -> bool:
        """Whether the next octets are content."""
        return self._framer is not None or self._chunk is not None

    # --- commands

    def mail(self, session: Session, argument: str) -> Step:
        """MAIL: path and parameters, then the parameters against the conditions of now."""
        if permitted(session.state, Verb.MAIL) is None:
            return refusals.HELLO_FIRST if session.state is State.GREETED else refusals.NESTED_MAIL
        sender = read_sender(argument)
        if isinstance(sender, Reply):
            return sender
        path, rest = sender
        given = self._parameters(session, rest, Verb.MAIL)
        if not isinstance(given, Given):
            return given
        if path is not None and not path.is_ascii and UTF8 not in given:
            return refusals.SENDER_NEEDS_UTF8
        free = session.conditions.free_octets
        if free is not None and free <= 0 and SIZE not in given:
            return refusals.STORAGE_SHORT
        return SenderGiven(path, given)

    def rcpt(self, session: Session, argument: str) -> Step:
        """RCPT: path and parameters; more than the limit are for another transaction (RFC 5321 section 4.5.3.1.10)."""
        if permitted(session.state, Verb.RCPT) is None:
            return self._out_of_sequence(session)
        recipient = read_recipient(argument)
        if isinstance(recipient, Reply):
            return recipient
        path, rest = recipient
        given = self._parameters(session, rest, Verb.RCPT)
        if not isinstance(given, Given):
            return given
        if not path.is_ascii and UTF8 not in self._given:
            return refusals.RECIPIENT_NEEDS_UTF8
        if self._accepted >= session.config.max_recipients:
            return refusals.TOO_MANY_RECIPIENTS
        self._offered += 1
        return RecipientGiven(path, given)

    def data(self, session: Session, argument: str) -> Step:
        """DATA; octets behind it before the 354 would be content that we cannot tell from commands: hang up."""
        if session.buffered():
            return HangUp(refusals.CONTENT_BEFORE_354)
        if permitted(session.state, Verb.DATA) is None:
            return self._without_recipients(session)
        if argument:
            return refusals.NO_ARGUMENT
        if is_binary(self._given):
            return refusals.BINARY_NEEDS_BDAT
        return ContentRequested(Verb.DATA)

    def bdat(self, session: Session, argument: str) -> Step:
        """BDAT; a chunk whose size can be read is drained whatever becomes of it (RFC 3030 section 2)."""
        parsed = parse_bdat(argument.strip())
        refusal = self._chunk_refusal(session)
        if parsed is None:
            return refusal or refusals.BDAT_SYNTAX
        octets, last = parsed
        self._chunk = _Chunk(octets, octets, last, refusal)
        if refusal is not None or session.state is State.CHUNKS:
            return None
        return ContentRequested(Verb.BDAT)

    def _chunk_refusal(self, session: Session) -> Reply | None:
        if CHUNKING not in session.config.extensions:
            return refusals.NOT_IMPLEMENTED
        if permitted(session.state, Verb.BDAT) is None:
            return self._without_recipients(session)
        if not session.esmtp:
            return refusals.EHLO_FIRST
        return refusals.CHUNK_AFTER_FAULT if self._failed else None

    def _parameters(self, session: Session, text: str, verb: Verb) -> Given | Reply | ParameterNotNow:
        """The parameters when all of them can be honoured now, else why not."""
        if not text:
            return NOTHING_GIVEN
        extensions = session.config.extensions
        given = read_parameters(text, verb, extensions, session.traits if session.esmtp else None)
        if isinstance(given, Reply):
            return given
        binary = judge_binary(given, BINARYMIME if BINARYMIME in extensions else None, session.traits)
        if binary is not None:
            return binary
        refused = judge_parameters(given, extensions, session.conditions)
        if refused is None:
            return given
        parameter, reply = refused
        if parameter is None or not reply.is_transient:
            return reply
        return ParameterNotNow(verb, parameter.keyword, reply)

    def _out_of_sequence(self, session: Session) -> Reply:
        state = session.state
        if state is State.GREETED:
            return refusals.HELLO_FIRST
        return refusals.MAIL_FIRST if state is State.READY else refusals.BAD_SEQUENCE

    def _without_recipients(self, session: Session) -> Reply:
        """Why content cannot begin: RFC 5321 section 3.3 allows 503 or 554 when no RCPT was accepted."""
        if session.state is State.SENDER:
            return refusals.NO_VALID_RECIPIENTS if self._offered else refusals.RECIPIENTS_FIRST
        return self._out_of_sequence(session)

    # --- answers

    def conclude_sender(self, session: Session, event: SenderGiven, reply: Reply) -> Step:
        """Take the answer to MAIL."""
        if reply.is_positive:
            session.state, self._given = State.SENDER, event.parameters
        return reply

    def conclude_recipient(self, session: Session, event: RecipientGiven, reply: Reply) -> Step:
        """Take the answer to a RCPT."""
        if reply.is_positive:
            session.state = State.RECIPIENTS
            self._accepted += 1
        return reply

    def conclude_request(self, session: Session, event: ContentRequested, reply: Reply) -> Step:
        """Take the answer to DATA or to the first BDAT; a positive one to BDAT is not said."""
        if event.verb is Verb.BDAT and self._chunk is not None:
            if reply.is_positive:
                session.state, self._checker = State.CHUNKS, self._new_checker(session)
            else:
                self._chunk.refusal = reply
            return None
        if session.buffered():  # it came while we decided
            return HangUp(refusals.CONTENT_BEFORE_354)
        if reply.is_positive:
            session.state, self._framer, self._checker = State.CONTENT, DotFramer(), self._new_checker(session)
        return reply

    def conclude_content(self, session: Session, event: ContentEnded, reply: Reply) -> Step:
        """Take the answer to the content: the transaction is over, whatever it is."""
        session.state = State.READY
        self.close()
        return reply

    def _new_checker(self, session: Session) -> ContentChecker:
        config = session.config
        size_limit = session.conditions.size_limit
        return ContentChecker(size_limit, config.line_octets, config.normalize, is_binary(self._given))

    # --- content

    def advance(self, session: Session, buffer: ReceiveBuffer) -> Step:
        """One step of reading content."""
        if self._chunk is not None:
            return self._advance_chunk(session, self._chunk, buffer)
        if self._framer is not None:
            return self._advance_data(session, self._framer, buffer)
        return None

    def _advance_data(self, session: Session, framer: DotFramer, buffer: ReceiveBuffer) -> Step:
        if self._ended:
            return self._end_content(session)
        if not len(buffer):
            return NEED_DATA
        block, rest = framer.feed(buffer.take())
        if rest is not None:
            buffer.put_back(rest)
            self._ended = True
        return self._hand_on(block) if block else None

    def _hand_on(self, block: bytes) -> Step:
        """The block as an event; at the first fault the word that all of it is void."""
        octets = self._checker.check(block)
        if octets is None:
            return self._declare_void()
        return ContentBlock(octets) if octets else None

    def _declare_void(self) -> TransactionAborted | None:
        """Say once that what was given since MAIL is void."""
        if self.void:
            return None
        self.void = True
        return TransactionAborted()

    def _end_content(self, session: Session) -> Step:
        """The final dot, or the last chunk: the decision is due, or the refusal that a fault has earned."""
        checker = self._checker
        if checker.fault is None:
            rest = checker.finish()
            if rest:
                return ContentBlock(rest)
            return ContentEnded(checker.size) if checker.sound else self._declare_void()
        session.state = State.READY
        self.close()
        return _CONTENT_FAULTS[checker.fault]

    def _advance_chunk(self, session: Session, chunk: _Chunk, buffer: ReceiveBuffer) -> Step:
        if chunk.remaining:
            octets = buffer.take(chunk.remaining)
            if not octets:
                return NEED_DATA
            chunk.remaining -= len(octets)
            if chunk.refusal is not None:
                return None
            event = self._hand_on(octets)
            if self._checker.fault is not None:
                chunk.refusal = _CONTENT_FAULTS[self._checker.fault]
            return event
        if chunk.refusal is not None:
            return self._refuse_chunk(session, chunk, chunk.refusal)
        if chunk.last:
            return self._end_content(session)
        self._chunk = None
        return refusals.chunk_taken(chunk.octets)

    def _refuse_chunk(self, session: Session, chunk: _Chunk, refusal: Reply) -> Step:
        """The chunk was drained; a transaction that had got this far can only be given up now."""
        begun = CHUNKING in session.config.extensions and session.esmtp
        if begun and session.state in (State.RECIPIENTS, State.CHUNKS):
            void = self._declare_void()
            if void is not None:
                return void  # the next step comes back here and says the refusal
            session.state, self._failed, self._checker = State.CHUNKS, True, _IDLE
            if chunk.last:
                session.state = State.READY
                self.close()
        self._chunk = None
        return refusal
