"""The client's half of SMTP and LMTP without I/O: commands in, octets out; octets in, events out.

Promises: every reply is paired with the command it answers, pipelined or not, and a reply that nothing asked for ends
the session; nothing is sent behind a command that RFC 2920 wants answered first; a parameter goes out only when the
host announced its extension; what was learnt before TLS is forgotten (RFC 3207 section 4.2), and octets behind the 220
to STARTTLS break the connection. Deterministic and clock-free: ``patience`` says how long to wait, the driver waits.

The mirror of the server's engine: ``receive``, ``next_event``, ``send`` for its ``answer``, ``data_to_send``.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.replies import Reply, Severity
from postroad.smtp import reactions
from postroad.smtp.client_auth import AuthExchange
from postroad.smtp.client_commands import (
    ENDS_GROUP,
    VERBS,
    Auth,
    Command,
    Data,
    Hello,
    Mail,
    Rcpt,
    bare_line,
    hello_line,
    mail_line,
    rcpt_line,
)
from postroad.smtp.client_events import (
    ClientEvent,
    ConnectionEnded,
    ContentAnswered,
    ContentWanted,
    Greeted,
    Replied,
    TlsReady,
)
from postroad.smtp.client_timeouts import ClientTimeouts, Patience
from postroad.smtp.content_stuffing import ContentStuffer
from postroad.smtp.events import NEED_DATA
from postroad.smtp.extensions import DSN, EIGHTBITMIME, MT_PRIORITY, REQUIRETLS, SMTPUTF8, auth, deliver_by, size
from postroad.smtp.extensions.binarymime import is_binary
from postroad.smtp.parameters import ExtensionSet
from postroad.smtp.peer_limits import PeerLimits, read_limits
from postroad.smtp.reply_framing import ReplyFramer, shortened
from postroad.smtp.states import State, Verb, permitted
from postroad.smtp.transcript import Transcript

#: Whose parameters a client can send, each only to a host that announces its extension.
KNOWN: Final = ExtensionSet((size(0), EIGHTBITMIME, SMTPUTF8, DSN, auth(()), REQUIRETLS, MT_PRIORITY, deliver_by()))

_EHLO_LINE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:[ =](.*))?\Z", re.DOTALL)


@dataclass(slots=True)
class _Awaited:
    """One reply that is due. ``command`` None: the content's."""

    verb: Verb
    command: Command | None
    recipient: int | None = None
    void: bool = False
    """The content's, but nobody was accepted: a lone dot ended it."""


class ClientEngine:
    """One session as a client; feed it and obey its events. After an exception it is CLOSED."""

    __slots__ = (
        "_accepted",
        "_ahead",
        "_auth",
        "_awaited",
        "_ended",
        "_eof",
        "_framer",
        "_known",
        "_out",
        "_stuffer",
        "_timeouts",
        "announced",
        "authenticated",
        "greeting",
        "limits",
        "lmtp",
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
        self._awaited: deque[_Awaited] = deque()
        self._ahead = State.CONNECTED
        self._auth: AuthExchange | None = None
        self._stuffer = ContentStuffer()
        self._accepted = 0
        self._eof = False
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
        self.transcript = Transcript()

    # --- what the driver does

    def receive(self, data: bytes) -> None:
        """Add octets of the host; then call ``next_event`` until it says NEED_DATA."""
        if self.state is not State.CLOSED:
            self._framer.receive(data)

    def receive_eof(self) -> None:
        """The host has closed the connection, or it was lost."""
        self._eof = True

    def data_to_send(self) -> bytes:
        """What to write now, once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def offers(self, keyword: str) -> bool:
        """Whether the last EHLO announced an extension."""
        return keyword in self.announced

    @property
    def is_idle(self) -> bool:
        """Whether a transaction may begin: no reply is due and the session is open."""
        return not self._awaited and self.state in (State.READY, State.SENDER, State.RECIPIENTS)

    @property
    def may_send(self) -> bool:
        """Whether the group of commands is still open: PIPELINING, or nothing is due."""
        if self.state in (State.CONNECTED, State.CLOSED, State.HANDSHAKE, State.CONTENT):
            return False
        if not self._awaited:
            return True
        last = self._awaited[-1]
        return self.offers("PIPELINING") and last.command is not None and last.verb not in ENDS_GROUP

    def patience(self) -> Patience | None:
        """What is waited for and how many seconds (RFC 5321 section 4.5.3.2); None: for nothing."""
        if self.state is State.CLOSED:
            return None
        if self._awaited:
            first = self._awaited[0]
            return self._timeouts.for_reply(first.verb if first.command is not None else None)
        return self._timeouts.for_state(self.state)

    @property
    def is_content_unanswered(self) -> bool:
        """Whether the final dot was sent and a reply to it is still due: the host may have the message or not."""
        return any(awaited.command is None and not awaited.void for awaited in self._awaited)

    # --- commands

    def check(self, command: Command) -> None:
        """Whether the command could be written to this host, whatever the state; raises LocalProtocolError."""
        self._line_of(command, self._verb_of(command))

    def send(self, command: Command) -> None:
        """Say something; raises LocalProtocolError, before any octet is written, when it may not be said now."""
        verb = self._verb_of(command)
        if not self.may_send:
            raise LocalProtocolError(f"{verb.value} may not be sent now: {self.state.value}, {len(self._awaited)} due")
        after = permitted(self._ahead, verb)
        if after is None:
            raise LocalProtocolError(f"{verb.value} is out of sequence: {self._ahead.value}")
        line = self._line_of(command, verb)
        if isinstance(command, Auth):
            self._auth = AuthExchange(command, self.announced)
        self._write_line(line)
        self._await(_Awaited(verb, command))
        self._ahead = after

    def send_content(self, block: bytes) -> None:
        """Some content; raises LocalProtocolError when it holds what may not be passed on: close the connection then."""
        if self.state is not State.CONTENT:
            raise LocalProtocolError(f"no content is wanted: {self.state.value}")
        self.progress += 1
        self._out.append(self._stuffer.write(block))

    def end_content(self) -> None:
        """The final dot: from here on the host may have the message."""
        if self.state is not State.CONTENT:
            raise LocalProtocolError(f"no content is wanted: {self.state.value}")
        self._out.append(self._stuffer.finish())
        self.transcript.add("content, then the final dot")
        if self.lmtp:  # RFC 2033 section 4.2: one reply for each accepted recipient
            for recipient in range(self._accepted):
                self._await(_Awaited(Verb.DATA, None, recipient))
        else:
            self._await(_Awaited(Verb.DATA, None))
        self.state = self._ahead = State.READY

    def tls_started(self) -> None:
        """The handshake after TlsReady is done (or was done before the greeting, if called first)."""
        if not self._framer.is_empty:
            raise RemoteProtocolError("octets outside TLS before the handshake (response injection)")
        if self.state is State.HANDSHAKE:
            self._move(State.GREETED)
        elif self.state is not State.CONNECTED or self._awaited:
            raise LocalProtocolError(f"no handshake is due: {self.state.value}")
        self.tls = True
        self.authenticated = False
        self.announced = {}
        self.transcript.add("TLS")

    # --- events

    def next_event(self) -> ClientEvent:
        """The next thing heard, or NEED_DATA; raises RemoteProtocolError once, and ends the session."""
        if self._ended is not None:
            return self._ended
        try:
            while (reply := self._framer.next_reply()) is not None:
                self.progress += 1
                kept = shortened(reply)
                self.transcript.add(kept)
                event = self._hear(reply if self._is_hello_due else kept)
                if event is not None:
                    return event
        except RemoteProtocolError:
            self._end("protocol")
            raise
        if self._eof:
            return self._end("closed by the host" if not self._awaited else "closed by the host before its reply")
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
            return self._content_answered(awaited, reply)
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

    def _answered(self, awaited: _Awaited, command: Command, reply: Reply) -> ClientEvent | None:
        verb = awaited.verb
        if verb is Verb.DATA:
            return self._data_answered(command, reply)
        if reply.severity is Severity.INTERMEDIATE:
            raise RemoteProtocolError(f"{verb.value} was answered {reply}")
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
        self._await(_Awaited(Verb.HELO, command))

    def _hello_answered(self, verb: Verb, reply: Reply) -> None:
        self.announced = {}
        if verb is Verb.HELO or not reply.is_positive:
            return
        for line in reply.lines[1:]:
            found = _EHLO_LINE.match(line)
            if found is not None:  # a line outside the grammar announces nothing
                keyword, parameters = found[1].upper(), (found[2] or "").strip(" ")
                before = self.announced.get(keyword)
                # "AUTH=LOGIN" beside "AUTH PLAIN": hosts from before RFC 2554 are announced to twice
                self.announced[keyword] = f"{before} {parameters}".strip(" ") if before else parameters
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
            self._stuffer = ContentStuffer()
            return ContentWanted(reply)
        if self.lmtp:  # RFC 2033 section 4.2 asks for 503, and for no reply to the dot
            raise RemoteProtocolError("DATA was answered 354 although no recipient was accepted")
        self._out.append(b".\r\n")  # RFC 2920 section 3.1: nobody was accepted, so nothing is sent
        self.transcript.add("no recipient was accepted: a lone dot")
        self._await(_Awaited(Verb.DATA, command=None, void=True))
        return None

    def _content_answered(self, awaited: _Awaited, reply: Reply) -> ClientEvent:
        if not self._awaited:
            self._move(State.READY)
        if reactions.closes_channel(reply):
            self._end("421", reply)
        return Replied(Data(), reply) if awaited.void else ContentAnswered(reply, awaited.recipient)

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
                self._check_announced(command, verb)
                return mail_line(command) if isinstance(command, Mail) else rcpt_line(command)
            case Auth():
                return AuthExchange(command, self.announced).line
            case _:
                return bare_line(command)

    def _check_announced(self, command: Mail | Rcpt, verb: Verb) -> None:
        """Nothing goes out that the host would have to refuse: parameters, and octets above 127."""
        for parameter, _ in command.parameters:
            found = self._known.find(verb, parameter.keyword)
            if found is None or found[0].keyword not in self.announced:
                raise LocalProtocolError(f"{parameter.keyword} belongs to no extension that was announced")
        if is_binary(command.parameters):
            raise LocalProtocolError("BODY=BINARYMIME needs BDAT, which is not sent here")
        path = command.reverse_path if isinstance(command, Mail) else command.forward_path
        if path is not None and not path.is_ascii and not self.offers("SMTPUTF8"):
            raise LocalProtocolError("a path beyond ASCII needs SMTPUTF8, which was not announced")

    def _await(self, awaited: _Awaited) -> None:
        self._awaited.append(awaited)
        self.progress += 1

    def _move(self, state: State) -> None:
        self.state = state
        if not self._awaited:
            self._ahead = state

    def _write_line(self, line: bytes) -> None:
        self._out.append(line)
        self.transcript.add(line[:-2] if self._auth is None else b" ".join(line.split(b" ", 2)[:2]))

    def _end(self, reason: str, reply: Reply | None = None) -> ConnectionEnded:
        self._ended = ConnectionEnded(reason, reply)
        self.state = self._ahead = State.CLOSED
        self._framer.clear()
        return self._ended
