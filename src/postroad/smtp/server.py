"""The server's side of a session, without I/O: octets in, events out, replies in, octets out.

A driver loops: ``receive(octets)``; ``next_event()`` until NEED_DATA, each awaiting event followed by ``accept()`` or
``answer(reply)``; then ``data_to_send()`` once for all replies of the batch. The engine decides syntax and order; people
decide policy, so it pauses on what needs a decision. It knows no clock: ``waiting`` says which deadline applies.

    CONNECTED ─greet─> GREETED ─EHLO─> READY ─MAIL─> SENDER ─RCPT─> RECIPIENTS ─DATA─> CONTENT ─dot─> READY
                          └─STARTTLS─> HANDSHAKE ─> GREETED             └─BDAT─> CHUNKS ─LAST─> READY

A handler returns its step (a reply, an event, a HangUp); ``_take`` is the one place that says replies and counts errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from postroad.errors import LocalProtocolError
from postroad.replies import Reply
from postroad.smtp import refusals
from postroad.smtp.commands import FOREIGN_WORDS, VERBS, read_hello, split_line
from postroad.smtp.events import (
    NEED_DATA,
    AuthGiven,
    AwaitingEvent,
    ContentEnded,
    ContentRequested,
    HelloGiven,
    ParameterNotNow,
    RecipientGiven,
    SenderGiven,
    ServerEvent,
    SessionEnded,
    StartTlsGiven,
    TransactionAborted,
)
from postroad.smtp.extensions.starttls import STARTTLS
from postroad.smtp.framing import LineFault, ReceiveBuffer
from postroad.smtp.parameters import Conditions, Traits
from postroad.smtp.server_auth import AuthExchange, without_secret
from postroad.smtp.server_config import ServerConfig, Waiting
from postroad.smtp.server_transaction import ServerTransaction
from postroad.smtp.states import State, Verb, permitted
from postroad.smtp.steps import HangUp, Step
from postroad.smtp.transcript import Transcript

__all__ = ["ServerConfig", "ServerEngine", "Waiting"]

#: RFC 4954 section 4: the longest line of a SASL exchange; no command line is longer.
MAX_LINE: Final = 12_288
#: Octets without a line end after which a peer speaks no SMTP that we need to hear.
MAX_ENDLESS: Final = 1 << 20

#: The record type that a TLS ClientHello begins with; whoever says it where a command is due took the wrong port.
_TLS_HANDSHAKE: Final = b"\x16"

#: The positive codes that the awaiting events may be answered with.
_POSITIVE: Final[dict[type, tuple[int, ...]]] = {
    HelloGiven: (250,),
    StartTlsGiven: (220,),
    AuthGiven: (235,),
    SenderGiven: (250,),
    RecipientGiven: (250, 251),
    ContentRequested: (354,),
    ContentEnded: (250,),
}
_PLAIN_ANSWER: Final[dict[type, Reply]] = {
    StartTlsGiven: refusals.READY_FOR_TLS,
    AuthGiven: refusals.AUTH_OK,
    SenderGiven: refusals.SENDER_OK,
    RecipientGiven: refusals.RECIPIENT_OK,
    ContentRequested: refusals.START_CONTENT,
    ContentEnded: refusals.OK,
}
_LINE_FAULTS: Final = {
    LineFault.TOO_LONG: refusals.LINE_TOO_LONG,
    LineFault.BARE_NEWLINE: refusals.BARE_NEWLINE,
    LineFault.CONTROL: refusals.CONTROL_CHARACTER,
}
_MAY_BE_UTF8: Final = frozenset((Verb.MAIL, Verb.RCPT, Verb.VRFY, Verb.EXPN))
_TRANSACTION_OPEN: Final = frozenset((State.SENDER, State.RECIPIENTS, State.CHUNKS, State.CONTENT))
_HELLO: Final = frozenset((Verb.HELO, Verb.EHLO))
#: Commands that bring no mail and are counted as such.
_JUNK: Final = frozenset((Verb.HELO, Verb.EHLO, Verb.RSET, Verb.NOOP, Verb.VRFY, Verb.EXPN, Verb.HELP))


class ServerEngine:
    """One session. All public attributes but ``conditions`` are for reading."""

    __slots__ = (
        "_auth",
        "_awaiting",
        "_eof",
        "_errors",
        "_guarded",
        "_in",
        "_junk",
        "_out",
        "_queue",
        "_transaction",
        "_verb",
        "conditions",
        "config",
        "esmtp",
        "hello_name",
        "state",
        "traits",
        "transcript",
    )

    def __init__(
        self, config: ServerConfig, conditions: Conditions, traits: Traits | None = None, keep_transcript: bool = True
    ) -> None:
        self.config = config
        #: Renewed by the driver whenever it knows better.
        self.conditions = conditions
        self.traits = traits if traits is not None else Traits()
        self.state: State = State.CONNECTED
        self.esmtp = False
        self.hello_name = ""
        self.transcript: Transcript | None = Transcript() if keep_transcript else None
        self._in = ReceiveBuffer()
        self._out: list[bytes] = []
        self._queue: list[ServerEvent] = []
        self._awaiting: AwaitingEvent | None = None
        self._transaction = ServerTransaction()
        self._auth: AuthExchange | None = None
        self._eof = False
        self._guarded = False
        self._verb = "CONNECT"  # what the next reply answers
        self._errors = self._junk = 0

    # --- what the driver calls

    def greet(self, reply: Reply | None = None) -> None:
        """Say the 220, or ``reply`` instead of it; early input ends the session with 554.

        421 ends it too; after 554 and 521 we wait for QUIT and answer all else with 503 (RFC 5321 section 3.1).
        """
        if self.state is not State.CONNECTED:
            raise LocalProtocolError("the greeting is sent once")
        self.state = State.GREETED
        if (reply is None and len(self._in)) or reply is refusals.EARLY_TALKER:
            self._take(HangUp(refusals.EARLY_TALKER))
        elif reply is not None and not reply.is_positive:
            self.state = State.TURNED_AWAY
            self._reply(reply)
        else:
            self._say(reply if reply is not None else refusals.greeting(self.config.hostname, self.config.software))

    def receive(self, data: bytes) -> None:
        """Take octets from the peer; after the end they are ignored."""
        if self.state is State.HANDSHAKE:
            raise LocalProtocolError("octets of the TLS handshake are not for the engine")
        if self.state is not State.CLOSED:
            self._in.append(data)

    def receive_eof(self) -> None:
        """The peer will send no more; what it has sent is still answered."""
        self._eof = True

    def next_event(self) -> ServerEvent:
        """The next thing that happened, or NEED_DATA when octets (or the pending answer) are needed first."""
        while True:
            if self._queue:
                return self._queue.pop(0)
            if self._awaiting is not None or self.state is State.CLOSED:
                return NEED_DATA
            event = self._take(self._advance())
            if event is NEED_DATA and self._eof:
                self._end("closed")
            elif event is not None:
                return event

    def accept(self) -> None:
        """Answer the awaiting event with its plain positive reply."""
        event = self._awaiting
        if event is None:
            raise LocalProtocolError("nothing awaits an answer")
        if not isinstance(event, HelloGiven):
            self.answer(_PLAIN_ANSWER[type(event)])
        elif event.verb is Verb.EHLO:
            self.answer(self.config.hello(self.traits))
        else:
            self.answer(refusals.hello(self.config.hostname))

    def answer(self, reply: Reply) -> None:
        """Answer the awaiting event; a positive reply must be one that the command can have."""
        event = self._awaiting
        if event is None:
            raise LocalProtocolError("nothing awaits an answer")
        kind = type(event)
        if reply.is_positive and reply.code not in _POSITIVE[kind]:  # reply: a check of our own driver
            raise LocalProtocolError(f"{reply.code} is no answer to {kind.__name__}")
        self._awaiting = None
        step = _CONCLUDE[kind](self, event, reply)
        if step is reply and reply.is_positive:
            self._say(reply)
        else:
            self._take(step)

    def data_to_send(self) -> bytes:
        """All octets to be written now."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def tls_established(self, description: str) -> None:
        """The handshake is done: all that was said before it is forgotten (RFC 3207 section 4.2)."""
        if self.state is State.HANDSHAKE:
            self.state = State.GREETED
        elif self.state is not State.CONNECTED:
            raise LocalProtocolError("no handshake is expected")
        self.traits = Traits(tls=True, submission=self.traits.submission)
        self.esmtp, self.hello_name, self._auth = False, "", None
        self.remark(f"TLS established: {description}")

    def close(self, reply: Reply, reason: str = "shutdown") -> None:
        """End the session from our side with 421 (or what is due), whatever it waits for."""
        if self.state is not State.CLOSED:
            self._awaiting = None
            if self.state is not State.HANDSHAKE:
                self._say(reply)
            self._end(reason)

    def remark(self, text: str) -> None:
        """Put a line of our own into the transcript."""
        if self.transcript is not None:
            self.transcript.add(text)

    @property
    def waiting(self) -> Waiting:
        """What the engine waits for now."""
        state = self.state
        if state is State.CLOSED:
            return Waiting.NOTHING
        if self._awaiting is not None:
            return Waiting.ANSWER
        if self._transaction.receives:
            return Waiting.CONTENT
        if state is State.HANDSHAKE:
            return Waiting.HANDSHAKE
        return Waiting.GREETING if state is State.CONNECTED else Waiting.COMMAND

    @property
    def awaiting(self) -> AwaitingEvent | None:
        """The event whose answer is due."""
        return self._awaiting

    def buffered(self) -> int:
        """Octets that have arrived and are not used up."""
        return len(self._in)

    # --- the machine

    def _advance(self) -> Step:
        """One step."""
        if self._transaction.receives:
            return self._transaction.advance(self, self._in)
        if self._in.is_spent or self.state is State.HANDSHAKE or self.state is State.CONNECTED:
            return NEED_DATA
        found = self._in.next_line(MAX_LINE)
        if found is None:
            if self._in.starts_with(_TLS_HANDSHAKE):
                return HangUp(refusals.NOT_SMTP)
            if self._in.discarded <= MAX_ENDLESS:
                return NEED_DATA
            self._say(refusals.LINE_TOO_LONG)
            return HangUp(refusals.TOO_MUCH_INPUT)
        line, fault = found
        if self._auth is not None:
            return self._take_response(self._auth, line, fault)
        return self._take_command(line, fault)

    def _take_command(self, line: bytes, fault: LineFault | None) -> Step:
        word, argument = split_line(line)
        verb = VERBS.get(word)
        self._verb = verb.value if verb is not None else "OTHER"
        if self.transcript is not None:
            self.transcript.add(self._shown(verb, line))
        if fault is not None:
            if line.startswith(_TLS_HANDSHAKE):
                return HangUp(refusals.NOT_SMTP)
            too_long = verb is Verb.AUTH and fault is LineFault.TOO_LONG
            return refusals.AUTH_TOO_LONG if too_long else _LINE_FAULTS[fault]
        if verb is None or verb is Verb.LHLO:
            return HangUp(refusals.NOT_SMTP) if word in FOREIGN_WORDS else refusals.UNKNOWN_COMMAND
        if len(line) + 2 > self.config.extensions.line_octets[verb] and verb is not Verb.AUTH:
            return refusals.LINE_TOO_LONG
        if self.state is State.TURNED_AWAY and permitted(self.state, verb) is None:
            return refusals.BAD_SEQUENCE
        if verb in _JUNK and (self.state is not State.GREETED or verb not in _HELLO):
            self._junk += 1
            if self._junk > self.config.max_junk:
                return refusals.TOO_MANY_COMMANDS
        if line.isascii():
            return _HANDLERS[verb](self, verb, argument.decode("ascii"))
        try:
            return _HANDLERS[verb](self, verb, argument.decode("utf-8")) if verb in _MAY_BE_UTF8 else refusals.NOT_ASCII
        except UnicodeDecodeError:
            return refusals.NOT_ASCII

    def _shown(self, verb: Verb | None, line: bytes) -> bytes | str:
        """A command as the transcript may hold it; behind AUTH a client may say its password to nobody."""
        if verb is Verb.AUTH:
            self._guarded = True
            return without_secret(line)
        self._guarded = self._guarded and verb is None
        return "a line behind AUTH, not shown" if self._guarded else line

    def _take(self, step: Step) -> ServerEvent | None:
        """Carry out a step: say its reply, count its error, remember what awaits an answer; gives the event, if any."""
        if step is None or step is NEED_DATA:
            return step
        if isinstance(step, Reply):
            self._reply(step)
            return None
        if isinstance(step, HangUp):
            self._say(step.reply)
            self._end("protocol")
            return None
        if type(step) in _POSITIVE:
            self._awaiting = step  # type: ignore[assignment]  # the keys of _POSITIVE are the awaiting events
            if type(step) is ContentEnded:
                self._verb = "CONTENT"
                self.remark(f"content: {step.size} octets")
        elif isinstance(step, ParameterNotNow):
            self._reply(step.reply)
        return step

    def _reply(self, reply: Reply) -> None:
        """Say it; 221 and 421 end the session, a 5yz is an error of the client's (452 and the like are not)."""
        self._say(reply)
        code = reply.code
        if code >= 500:
            self._errors += 1
            if self._errors > self.config.max_errors:
                self._say(refusals.TOO_MANY_ERRORS)
                self._end("errors")
        elif code == 421:
            self._end("refused")
        elif code == 221:
            self._end("quit")

    def _say(self, reply: Reply) -> None:
        """The one place where a reply leaves."""
        if self.config.help_url and not reply.is_positive:
            reply = refusals.with_link(reply, self.config.help_url)
        self._out.append(reply.to_bytes())
        if self.transcript is not None:
            self.transcript.add(reply)
        if self.config.count is not None:
            self.config.count(self._verb, reply)

    def _end(self, reason: str) -> None:
        self._abort_transaction()
        self.state = State.CLOSED
        self._in.take()
        self._queue.append(SessionEnded(reason))

    def _abort_transaction(self) -> None:
        """Forget what was given since MAIL, and say so."""
        if self.state in _TRANSACTION_OPEN and not self._transaction.void:
            self._queue.append(TransactionAborted())
        self._transaction.close()

    # --- commands of the session

    def _hello(self, verb: Verb, argument: str) -> Step:
        name = read_hello(argument)
        return HelloGiven(verb, name) if name is not None else refusals.HELLO_SYNTAX

    def _conclude_hello(self, event: HelloGiven, reply: Reply) -> Step:
        if reply.is_positive:
            self._abort_transaction()
            self.state = State.READY
            self.esmtp = event.verb is Verb.EHLO
            self.hello_name = event.name
        return reply

    def _starttls(self, verb: Verb, argument: str) -> Step:
        if STARTTLS not in self.config.extensions:
            return refusals.NOT_IMPLEMENTED
        if self.traits.tls:
            return refusals.TLS_ALREADY
        if permitted(self.state, verb) is None:
            return refusals.BAD_SEQUENCE
        if argument:
            return refusals.NO_ARGUMENT
        if len(self._in):
            return HangUp(refusals.INPUT_BEHIND_STARTTLS)
        return StartTlsGiven() if self.config.tls_available else refusals.TLS_NOT_NOW

    def _conclude_starttls(self, event: StartTlsGiven, reply: Reply) -> Step:
        if reply.is_positive and len(self._in):  # it came while we decided
            return HangUp(refusals.INPUT_BEHIND_STARTTLS)
        if reply.is_positive:
            self.state = State.HANDSHAKE
        return reply

    def _rset(self, verb: Verb, argument: str) -> Step:
        if argument:
            return refusals.NO_ARGUMENT
        self._abort_transaction()
        self.state = permitted(self.state, verb) or self.state
        return refusals.OK

    def _noop(self, verb: Verb, argument: str) -> Step:
        return refusals.OK

    def _help(self, verb: Verb, argument: str) -> Step:
        return refusals.help_on(argument.strip(), self.config.explain)

    def _vrfy(self, verb: Verb, argument: str) -> Step:
        if verb is Verb.EXPN and not self.config.expn:
            return refusals.NOT_IMPLEMENTED
        if not argument.strip():
            return refusals.VRFY_SYNTAX if verb is Verb.VRFY else refusals.EXPN_SYNTAX
        if not argument.isascii() and not argument.upper().endswith(" SMTPUTF8"):
            return refusals.UTF8_NEEDS_PARAMETER
        return refusals.CANNOT_VERIFY if verb is Verb.VRFY else refusals.CANNOT_EXPAND

    def _quit(self, verb: Verb, argument: str) -> Step:
        return refusals.NO_ARGUMENT if argument else refusals.GOODBYE

    # --- AUTH

    def _authenticate(self, verb: Verb, argument: str) -> Step:
        reply = AuthExchange.refusal(self.config.extensions, self.state, self.traits, self.esmtp)
        if reply is not None:
            return reply
        exchange = AuthExchange.begin(argument, self.config.mechanisms)
        if isinstance(exchange, Reply):
            return exchange
        return self._sasl_step(exchange, exchange.initial())

    def _take_response(self, exchange: AuthExchange, line: bytes, fault: LineFault | None) -> Step:
        self.remark("SASL response, not shown")
        if fault is LineFault.TOO_LONG:
            return self._sasl_step(exchange, refusals.AUTH_TOO_LONG)
        return self._sasl_step(exchange, _LINE_FAULTS[fault] if fault is not None else exchange.respond(line))

    def _sasl_step(self, exchange: AuthExchange, step: Reply | AuthGiven) -> Step:
        """A challenge keeps the exchange open; a refusal ends it; credentials await the decision."""
        challenged = isinstance(step, Reply) and step.is_positive
        self._auth = exchange if challenged else None
        self.state = State.READY if isinstance(step, Reply) and not challenged else State.AUTHENTICATING
        return step

    def _conclude_auth(self, event: AuthGiven, reply: Reply) -> Step:
        self.state = State.READY
        if reply.is_positive:
            traits = self.traits
            self.traits = Traits(traits.tls, True, traits.auth_in_clear, traits.submission)
        return reply

    # --- the transaction

    def _conclude_content(self, event: ContentEnded, reply: Reply) -> Step:
        if reply.is_positive:
            self._errors = self._junk = 0
        return self._transaction.conclude_content(self, event, reply)


_HANDLERS: Final[dict[Verb, Callable[[ServerEngine, Verb, str], Step]]] = {
    Verb.HELO: ServerEngine._hello,
    Verb.EHLO: ServerEngine._hello,
    Verb.STARTTLS: ServerEngine._starttls,
    Verb.AUTH: ServerEngine._authenticate,
    Verb.MAIL: lambda engine, _, argument: engine._transaction.mail(engine, argument),
    Verb.RCPT: lambda engine, _, argument: engine._transaction.rcpt(engine, argument),
    Verb.DATA: lambda engine, _, argument: engine._transaction.data(engine, argument),
    Verb.BDAT: lambda engine, _, argument: engine._transaction.bdat(engine, argument),
    Verb.RSET: ServerEngine._rset,
    Verb.NOOP: ServerEngine._noop,
    Verb.VRFY: ServerEngine._vrfy,
    Verb.EXPN: ServerEngine._vrfy,
    Verb.HELP: ServerEngine._help,
    Verb.QUIT: ServerEngine._quit,
}
_CONCLUDE: Final[dict[type, Callable[[ServerEngine, Any, Reply], Step]]] = {
    HelloGiven: ServerEngine._conclude_hello,
    StartTlsGiven: ServerEngine._conclude_starttls,
    AuthGiven: ServerEngine._conclude_auth,
    SenderGiven: lambda engine, event, reply: engine._transaction.conclude_sender(engine, event, reply),
    RecipientGiven: lambda engine, event, reply: engine._transaction.conclude_recipient(engine, event, reply),
    ContentRequested: lambda engine, event, reply: engine._transaction.conclude_request(engine, event, reply),
    ContentEnded: ServerEngine._conclude_content,
}
