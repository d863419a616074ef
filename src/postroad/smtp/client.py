"""The client's half of SMTP and LMTP without I/O: commands in, octets out; octets in, events out.

Promises: every reply is paired with the command it answers, pipelined or not, chunks of BDAT included, and a reply that
nothing asked for ends the session; nothing is sent behind a command that RFC 2920 wants answered first; a parameter
goes out only when the host announced its extension; what was learnt before TLS is forgotten (RFC 3207 section 4.2), and
octets behind the 220 to STARTTLS break the connection. Deterministic and clock-free: ``patience`` says how long to
wait, the driver waits.

The mirror of the server's engine: ``receive``, ``next_event``, ``send`` for its ``answer``, ``data_to_send``.
"""

from __future__ import annotations

from typing import Final

from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.replies import Reply, Severity
from postroad.smtp import reactions
from postroad.smtp.client_auth import AuthExchange
from postroad.smtp.client_commands import (
    ENDS_GROUP,
    VERBS,
    Auth,
    Bdat,
    Command,
    Data,
    Hello,
    Mail,
    Rcpt,
    bare_line,
    bdat_line,
    hello_line,
    mail_line,
    rcpt_line,
)
from postroad.smtp.client_content import OutgoingContent
from postroad.smtp.client_events import (
    ChunkAnswered,
    ClientEvent,
    ConnectionEnded,
    ContentAnswered,
    ContentWanted,
    Greeted,
    Replied,
    TlsReady,
)
from postroad.smtp.client_extensions import KNOWN, check_announced, read_announced
from postroad.smtp.client_replies import Awaited, AwaitedReplies
from postroad.smtp.client_timeouts import ClientTimeouts, Patience
from postroad.smtp.events import NEED_DATA
from postroad.smtp.extensions.binarymime import is_binary
from postroad.smtp.parameters import ExtensionSet
from postroad.smtp.peer_limits import PeerLimits, read_limits
from postroad.smtp.reply_framing import ReplyFramer, shortened
from postroad.smtp.states import State, Verb, permitted
from postroad.smtp.transcript import Transcript

__all__ = ["KNOWN", "MAX_CHUNKS_AHEAD", "ClientEngine"]

#: Chunks of BDAT whose answers may be due at once.
MAX_CHUNKS_AHEAD: Final = 4


class ClientEngine:
    """One session as a client; feed it and obey its events. After an exception it is CLOSED."""

    __slots__ = (
        "_accepted",
        "_ahead",
        "_auth",
        "_awaited",
        "_content",
        "_ended",
        "_eof",
        "_framer",
        "_known",
        "_lost_by",
        "_out",
        "_timeouts",
        "announced",
        "authenticated",
        "greeting",
        "limits",
        "lmtp",
        "mails",
        "progress",
        "state",
        "tls",
        "transcript",
    )

    def __init__(
        self, *, lmtp: bool = False, timeouts: ClientTimeouts | None = None, known: ExtensionSet = KNOWN
    ) -> None:
        self._known = known
        self._timeouts = timeouts if timeouts is not None else ClientTimeouts()
        self._framer = ReplyFramer()
        self._out: list[bytes] = []
        self._awaited = AwaitedReplies()
        self._ahead = State.CONNECTED
        self._auth: AuthExchange | None = None
        self._content = OutgoingContent()
        self._accepted = 0
        self._eof = False
        self._lost_by = ""
        self._ended: ConnectionEnded | None = None
        self.lmtp = lmtp
        self.state = State.CONNECTED
        self.announced: dict[str, str] = {}
        """The extensions of the last EHLO: keyword in capitals -> its parameters."""
        self.limits = PeerLimits()
        """What the last EHLO said about LIMITS (RFC 9422)."""
        self.greeting: Reply | None = None
        self.tls = False
        self.authenticated = False
        self.progress = 0
        """Grows with every command and every reply: a timer for ``patience`` starts anew when it does."""
        self.mails = 0
        """MAIL commands said in this session: what MAILMAX of RFC 9422 counts."""
        self.transcript = Transcript()

    # --- what the driver does

    def receive(self, data: bytes) -> None:
        """Add octets of the host; then call ``next_event`` until it says NEED_DATA."""
        if self.state is not State.CLOSED:
            self._framer.receive(data)

    def receive_eof(self, why: str = "") -> None:
        """The host has closed the connection, or it was lost; ``why`` in words where the system knows."""
        self._eof = True
        self._lost_by = self._lost_by or why

    def data_to_send(self) -> bytes:
        """What to write now, once."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def offers(self, keyword: str) -> bool:
        """Whether the last EHLO announced an extension."""
        return keyword in self.announced

    @property
    def is_idle(self) -> bool:
        """Whether a transaction may begin: no reply is due and the session is open."""
        return not self._awaited and self.state in (State.READY, State.SENDER, State.RECIPIENTS, State.CHUNKS)

    @property
    def is_answered(self) -> bool:
        """Whether no reply is due."""
        return not self._awaited

    @property
    def may_send(self) -> bool:
        """Whether the group of commands is still open: PIPELINING, or nothing is due."""
        if self.state in (State.CONNECTED, State.CLOSED, State.HANDSHAKE, State.CONTENT):
            return False
        if not self._awaited:
            return True
        last = self._awaited[-1]
        return self.offers("PIPELINING") and last.command is not None and last.verb not in ENDS_GROUP

    @property
    def may_send_chunk(self) -> bool:
        """Whether BDAT may be said now: RFC 3030 section 2 wants every answer to RCPT first, and none that refused.

        In LMTP one at a time: behind a refused chunk nobody could say how many answers the last one has.
        """
        if self.state is State.RECIPIENTS:
            return not self._awaited
        if self.state is not State.CHUNKS or self._ahead is not State.CHUNKS or self._content.refused:
            return False
        return not self._awaited or (
            self.offers("PIPELINING") and not self.lmtp and len(self._awaited) < MAX_CHUNKS_AHEAD
        )

    def patience(self) -> Patience | None:
        """What is waited for and how many seconds (RFC 5321 section 4.5.3.2); None: for nothing."""
        if self.state is State.CLOSED:
            return None
        if self._awaited:
            return self._awaited.patience(self._timeouts)
        return self._timeouts.for_state(self.state)

    @property
    def is_content_unanswered(self) -> bool:
        """Whether all content was sent and a reply to it is still due: the host may have the message or not."""
        return self._awaited.hold_content

    # --- commands

    def check(self, command: Command) -> bytes:
        """The line that the command would be to this host, whatever the state; raises LocalProtocolError."""
        return self._line_of(command, self._verb_of(command))

    def send(self, command: Command, line: bytes | None = None) -> None:
        """Say something; raises LocalProtocolError, before any octet is written, when it may not be said now.

        ``line``: what ``check`` gave for it, when nothing was heard of EHLO or TLS since.
        """
        verb = self._verb_of(command)
        if isinstance(command, Bdat):
            self._send_chunk(command)
            return
        if not self.may_send:
            raise LocalProtocolError(f"{verb.value} may not be sent now: {self.state.value}, {len(self._awaited)} due")
        after = permitted(self._ahead, verb)
        if after is None:
            raise LocalProtocolError(f"{verb.value} is out of sequence: {self._ahead.value}")
        if verb is Verb.DATA:
            self._content.check_data()
        if line is None:
            line = self._line_of(command, verb)
        elif line.find(b"\n") != len(line) - 1 or not line.startswith(verb.value.encode("ascii")):
            raise LocalProtocolError(f"not the one line of {verb.value}: {line[:80]!r}")
        if isinstance(command, Auth):
            self._auth = AuthExchange(command, self.announced)
        elif isinstance(command, Mail):
            self.mails += 1
            self._content = OutgoingContent(binary=is_binary(command.parameters))
        self._write_line(line)
        self._await(Awaited(verb, command))
        self._ahead = after

    def send_content(self, block: bytes) -> None:
        """Some content; raises LocalProtocolError when it holds what may not be passed on: close the connection then."""
        if self.state is not State.CONTENT:
            raise LocalProtocolError(f"no content is wanted: {self.state.value}")
        self.progress += 1
        self._out.append(self._content.block(block))

    def end_content(self) -> None:
        """The final dot: from here on the host may have the message."""
        if self.state is not State.CONTENT:
            raise LocalProtocolError(f"no content is wanted: {self.state.value}")
        self._out.append(self._content.dot())
        self.transcript.add("content, then the final dot")
        self._await_content(Verb.DATA)
        self.state = self._ahead = State.READY

    def _send_chunk(self, chunk: Bdat) -> None:
        if not self.may_send_chunk:
            raise LocalProtocolError(f"BDAT may not be sent now: {self.state.value}, {len(self._awaited)} due")
        self._line_of(chunk, Verb.BDAT)
        line, octets = self._content.chunk(chunk)
        self._write_line(line)
        self._out.append(octets)
        self.state = self._ahead = State.CHUNKS
        if chunk.last:
            self._ahead = State.READY
            self._await_content(Verb.BDAT)
        else:
            self._await(Awaited(Verb.BDAT, None, partial=True))

    def _await_content(self, verb: Verb) -> None:
        self._awaited.add_content(verb, self._accepted if self.lmtp else None)
        self.progress += 1

    def tls_begins(self) -> None:
        """The handshake is what comes next, after TlsReady or before the greeting; what is heard from now on is TLS.

        Not at its end: a host may greet in the same segment. Raises RemoteProtocolError for octets that came in clear.
        """
        if not self._framer.is_empty:
            raise RemoteProtocolError("octets outside TLS before the handshake (response injection)")

    def tls_started(self, what: str = "TLS") -> None:
        """The handshake is done; ``what`` came of it."""
        if self.state is State.HANDSHAKE:
            self._move(State.GREETED)
        elif self.state is not State.CONNECTED or self._awaited:
            raise LocalProtocolError(f"no handshake is due: {self.state.value}")
        self.tls = True
        self.authenticated = False
        self.announced, self.limits = {}, PeerLimits()
        self.transcript.add(what)

    # --- events

    def next_event(self) -> ClientEvent:
        """The next thing heard, or NEED_DATA; raises RemoteProtocolError once, and ends the session."""
        if self._ended is not None:
            return self._ended
        try:
            while (reply := self._framer.next_reply()) is not None:
                self.progress += 1
                kept = shortened(reply if self._auth is None else self._auth.without_secrets(reply))
                self.transcript.add(kept)
                event = self._hear(reply if self._is_hello_due else kept)
                if event is not None:
                    return event
        except RemoteProtocolError as fault:
            self._end("protocol")
            if self._auth is not None:
                raise RemoteProtocolError(self._auth.blanked(fault.message)) from None
            raise
        if self._eof:
            when = " before its reply" if self._awaited else ""
            return self._end(f"closed by the host{when}{f' ({self._lost_by})' if self._lost_by else ''}")
        return NEED_DATA

    @property
    def _is_hello_due(self) -> bool:
        """Only the answer to EHLO is read to its last line."""
        return bool(self._awaited) and isinstance(self._awaited[0].command, Hello)

    def _hear(self, reply: Reply) -> ClientEvent | None:
        if self.state is State.CONNECTED:
            return self._greeted(reply)
        if not self._awaited:
            return self._unasked(reply)
        awaited = self._awaited[0]
        if awaited.verb is Verb.AUTH and reactions.challenges(reply):
            return self._challenged(reply)
        if awaited.command is None and reply.severity is Severity.INTERMEDIATE:
            raise RemoteProtocolError(f"the content was answered {reply}")
        self._awaited.popleft()
        if awaited.command is None:
            return self._chunk_answered(reply) if awaited.partial else self._content_answered(awaited, reply)
        event = self._answered(awaited, awaited.command, reply)
        if reactions.closes_channel(reply) and not isinstance(event, TlsReady):
            self._end("421", reply)
        elif not self._awaited and self._ahead is not self.state and self.state is not State.CLOSED:
            self._ahead = self.state  # what was presumed of refused commands did not come true
        return event

    def _greeted(self, reply: Reply) -> Greeted:
        if reply.severity in (Severity.COMPLETION, Severity.INTERMEDIATE) and not reactions.greets(reply):
            raise RemoteProtocolError(f"no greeting: {reply}")
        self.greeting = reply
        if reactions.greets(reply):
            self._move(State.GREETED)
            return Greeted(reply, True)
        self._end("refused", reply)
        return Greeted(reply, False)

    def _unasked(self, reply: Reply) -> ClientEvent:
        """A reply that no command waits for: 421, or the refusal of content that is still on its way."""
        if reactions.closes_channel(reply) or (self.state is State.CONTENT and not reply.is_positive):
            in_content = self.state is State.CONTENT
            ended = self._end("421" if reactions.closes_channel(reply) else "refused", reply)
            return ContentAnswered(reply, None) if in_content else ended
        raise RemoteProtocolError(f"a reply that nothing asked for: {reply}")

    def _answered(self, awaited: Awaited, command: Command, reply: Reply) -> ClientEvent | None:
        verb = awaited.verb
        if verb is Verb.DATA:
            return self._data_answered(command, reply)
        if reply.severity is Severity.INTERMEDIATE:
            raise RemoteProtocolError(f"{verb.value} was answered {reply}")
        if verb is Verb.RSET and not reply.is_positive and not reactions.closes_channel(reply):
            # RFC 5321 section 4.1.1.5: nobody may refuse it; whose recipients would the next content go to?
            raise RemoteProtocolError(f"RSET was refused: {reply}")
        after = permitted(self.state, verb)
        if verb in (Verb.EHLO, Verb.HELO, Verb.LHLO):
            if verb is Verb.EHLO and reactions.knows_no_ehlo(reply):
                self._fall_back(command)
                return None
            self._hello_answered(verb, reply)
        elif verb is Verb.AUTH:
            self._auth = None
            self.authenticated = reactions.completes(reply)
            after = State.READY
        if reply.is_positive and after is not None:
            if verb is Verb.STARTTLS:
                return self._handshake_due(reply)
            if verb is Verb.RCPT:
                self._accepted += 1
            elif verb is Verb.MAIL:
                self._accepted = 0
            self._move(after)
        if verb is Verb.QUIT:
            self._end("quit")
        return Replied(command, reply)

    # --- EHLO and STARTTLS

    def _fall_back(self, command: Command) -> None:
        assert isinstance(command, Hello)  # noqa: S101 — only Hello is sent as EHLO
        self._write_line(hello_line(Verb.HELO, command.name))
        self._await(Awaited(Verb.HELO, command))

    def _hello_answered(self, verb: Verb, reply: Reply) -> None:
        known = reply.is_positive and verb is not Verb.HELO
        self.announced = read_announced(reply) if known else {}
        self.limits = read_limits(self.announced.get("LIMITS", ""))

    def _handshake_due(self, reply: Reply) -> TlsReady:
        if not self._framer.is_empty:
            raise RemoteProtocolError("octets behind the reply to STARTTLS, outside TLS (response injection)")
        self._move(State.HANDSHAKE)
        return TlsReady(reply)

    # --- AUTH

    def _challenged(self, reply: Reply) -> ClientEvent | None:
        self._out.append(self._auth.respond(reply.text) if self._auth is not None else b"*\r\n")
        self.transcript.add(b"(SASL response)")
        return None

    # --- DATA

    def _data_answered(self, command: Command, reply: Reply) -> ClientEvent | None:
        if not reactions.wants_content(reply):
            if reply.is_positive:
                raise RemoteProtocolError(f"DATA was answered {reply}")
            return Replied(command, reply)
        if self.state is State.RECIPIENTS:
            self._move(State.CONTENT)
            return ContentWanted(reply)
        if self.lmtp:  # RFC 2033 section 4.2 asks for 503, and for no reply to the dot
            raise RemoteProtocolError("DATA was answered 354 although no recipient was accepted")
        self._out.append(b".\r\n")  # RFC 2920 section 3.1: nobody was accepted, so nothing is sent
        self.transcript.add("no recipient was accepted: a lone dot")
        self._await(Awaited(Verb.DATA, command=None, void=True))
        return None

    def _chunk_answered(self, reply: Reply) -> ClientEvent:
        if not reply.is_positive and not self._content.refused:
            self._content.refused = True
            self._ahead = State.CHUNKS
            self._awaited.void()  # already in the pipeline: the host discards them (RFC 3030 section 2)
        if reactions.closes_channel(reply):
            self._end("421", reply)
        return ChunkAnswered(reply)

    def _content_answered(self, awaited: Awaited, reply: Reply) -> ClientEvent:
        if not self._awaited:
            # behind a refused BDAT the state of the host is indeterminate until RSET (RFC 3030 section 2)
            stuck = awaited.verb is Verb.BDAT and not self.lmtp and not reply.is_positive
            self._move(State.CHUNKS if stuck or self._content.refused else State.READY)
        if reactions.closes_channel(reply):
            self._end("421", reply)
        if awaited.void:
            return ChunkAnswered(reply) if awaited.verb is Verb.BDAT else Replied(Data(), reply)
        return ContentAnswered(reply, awaited.recipient)

    # --- small things

    def _verb_of(self, command: Command) -> Verb:
        if isinstance(command, Hello):
            return Verb.LHLO if self.lmtp else Verb.EHLO
        return VERBS[type(command)]

    def _line_of(self, command: Command, verb: Verb) -> bytes:
        match command:
            case Hello(name):
                return hello_line(verb, name)
            case Mail() | Rcpt():
                check_announced(command, verb, self._known, self.announced, tls=self.tls)
                return mail_line(command) if isinstance(command, Mail) else rcpt_line(command)
            case Auth():
                return AuthExchange(command, self.announced).line
            case Bdat(octets, last):
                if not self.offers("CHUNKING"):
                    raise LocalProtocolError("BDAT needs CHUNKING, which was not announced")
                return bdat_line(len(octets), last=last)
            case _:
                return bare_line(command)

    def _await(self, awaited: Awaited) -> None:
        self._awaited.append(awaited)
        self.progress += 1

    def _move(self, state: State) -> None:
        self.state = state
        if not self._awaited:
            self._ahead = state

    def _write_line(self, line: bytes) -> None:
        self._out.append(line)
        said = line.removesuffix(b"\r\n")
        self.transcript.add(said if self._auth is None else b" ".join(said.split(b" ", 2)[:2]))

    def _end(self, reason: str, reply: Reply | None = None) -> ConnectionEnded:
        self._ended = ConnectionEnded(reason, reply)
        self.state = self._ahead = State.CLOSED
        self._framer.clear()
        return self._ended
