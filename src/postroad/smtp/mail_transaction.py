"""One mail transaction as a client: MAIL, RCPT, DATA, and what became of each recipient; no I/O.

With PIPELINING the whole group goes out at once (RFC 2920 section 3.1), without it step by step; the content by DATA,
or by BDAT (RFC 3030) once every answer to RCPT is in. Whatever happens, every recipient ends with exactly one Answer:
the reply that decided about it, or the fault that left it undecided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError
from postroad.replies import Reply
from postroad.smtp import reactions
from postroad.smtp.chunk_sending import CHUNK_OCTETS, ChunkSender
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Bdat, Command, Data, Mail, Rcpt, Rset
from postroad.smtp.client_events import ChunkAnswered, ClientEvent, ConnectionEnded, ContentAnswered, Replied
from postroad.smtp.extensions.binarymime import is_binary
from postroad.smtp.parameters import NOTHING_GIVEN, Given
from postroad.smtp.states import State


class Stage(Enum):
    """Which step decided about a recipient."""

    CONNECTION = "connection"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one recipient."""

    stage: Stage
    reply: Reply | None
    """The host's; None after a fault."""
    fault: str = ""
    """Why there is no reply, in words."""
    uncertain: bool = False
    """The final dot was sent and its reply was lost: the host may have the message (RFC 1047)."""

    @property
    def accepted(self) -> bool:
        """Whether the host has taken responsibility for the message to this recipient."""
        return self.stage is Stage.CONTENT and self.reply is not None and reactions.completes(self.reply)


class MailTransaction:
    """``begin``, then feed it every event of the engine until ``is_over``; send content when ``wants_content``."""

    __slots__ = ("_accepted", "_answers", "_chunks", "_engine", "_heard", "_lines", "_pipelining", "_script")

    def __init__(
        self,
        engine: ClientEngine,
        reverse_path: Mailbox | None,
        recipients: Sequence[tuple[Mailbox, Given]],
        parameters: Given = NOTHING_GIVEN,
        *,
        bdat: bool = False,
        pipelining: bool = True,
        chunk_octets: int = CHUNK_OCTETS,
    ) -> None:
        """``bdat``: content by BDAT; ``pipelining`` False: one command at a time whatever the host announced."""
        if not recipients:
            raise LocalProtocolError("a transaction needs a recipient")
        if is_binary(parameters) and not bdat:
            raise LocalProtocolError("BODY=BINARYMIME goes by BDAT only")
        self._engine = engine
        self._script: deque[Command] = deque((Mail(reverse_path, parameters),))
        self._script.extend(Rcpt(path, given) for path, given in recipients)
        self._chunks = ChunkSender(engine, chunk_octets, pipelining=pipelining) if bdat else None
        self._pipelining = pipelining
        if not bdat:
            self._script.append(Data())
        self._lines: deque[bytes] = deque()  # of the script
        self._answers: list[Answer | None] = [None] * len(recipients)
        self._accepted: list[int] = []
        self._heard = 0  # answers to RCPT

    @property
    def wants_content(self) -> bool:
        """The host waits for content: ``send_content`` and ``end_content``, then go on feeding."""
        if self._chunks is None:
            return self._engine.state is State.CONTENT
        if self._chunks.is_closed or self._heard < len(self._answers) or not self._accepted:
            return False
        return self._engine.state in (State.RECIPIENTS, State.CHUNKS)

    @property
    def is_full(self) -> bool:
        """Whether the next content must wait for an event: chunks are unanswered."""
        return self._chunks is not None and self._chunks.is_full

    @property
    def is_over(self) -> bool:
        """Whether every recipient has its answer and no reply is due."""
        return None not in self._answers and (self._engine.is_idle or self._engine.state is State.CLOSED)

    @property
    def answers(self) -> list[Answer]:
        """One for each recipient, in order, once ``is_over``."""
        return [answer for answer in self._answers if answer is not None]

    def begin(self) -> None:
        """Say what can be said now; raises LocalProtocolError before the first octet when anything may not be said."""
        self._lines.extend([self._engine.check(command) for command in self._script])
        if self._chunks is not None:
            self._engine.check(Bdat(b"", last=True))
        if self._engine.state is not State.READY:
            self._script.appendleft(Rset())  # an earlier transaction was refused half-way
            self._lines.appendleft(self._engine.check(Rset()))
        self._say()

    def send_content(self, block: bytes) -> None:
        """Some content; raises LocalProtocolError when it holds what may not be passed on: close the connection then."""
        if self._chunks is None:
            self._engine.send_content(block)
        else:
            self._chunks.write(block)

    def end_content(self) -> None:
        """The content is complete; from here on the host may have the message."""
        if self._chunks is None:
            self._engine.end_content()
        else:
            self._chunks.finish()

    def hear(self, event: ClientEvent) -> None:
        """Take an event; what is to be said next goes to the engine."""
        match event:
            case Replied(command, reply):
                self._replied(command, reply)
                self._say()
            case ChunkAnswered(reply):
                self._chunk_answered(reply)
            case ContentAnswered(reply, None):
                self._decide_rest(Answer(Stage.CONTENT, reply))
            case ContentAnswered(reply, int(recipient)):
                self._decide(self._accepted[recipient], Answer(Stage.CONTENT, reply))
            case ConnectionEnded(reason, reply):
                self.fail(f"the connection ended: {reason}", reply)
            case _:
                pass

    def fail(self, fault: str, reply: Reply | None = None) -> None:
        """No more will be heard: whoever has no answer gets this one."""
        self._script.clear()
        if self._chunks is not None:
            self._chunks.stop()
        if self._engine.is_content_unanswered:
            self._decide_rest(Answer(Stage.CONTENT, None, fault, uncertain=True))
        else:
            self._decide_rest(Answer(Stage.CONNECTION, reply, fault))

    def _say(self) -> None:
        """As much as may be said before the next answer: all of it with PIPELINING, one command without."""
        while self._script and self._engine.may_send and (self._pipelining or self._engine.is_answered):
            if isinstance(self._script[0], Data) and None not in self._answers:
                self._script.clear()  # nobody is left to send to
                return
            self._engine.send(self._script.popleft(), self._lines.popleft())

    def _replied(self, command: Command, reply: Reply) -> None:
        match command:
            case Mail() if not reply.is_positive:
                self._script.clear()
                self._decide_rest(Answer(Stage.MAIL, reply))
            case Rcpt():
                if reply.is_positive:
                    self._accepted.append(self._heard)
                else:
                    self._decide(self._heard, Answer(Stage.RCPT, reply))
                self._heard += 1
            case Data():
                self._decide_rest(Answer(Stage.DATA, reply))
            case _:
                pass

    def _chunk_answered(self, reply: Reply) -> None:
        if self._chunks is None:
            return
        if reply.is_positive:
            self._chunks.go_on()
        else:
            self._chunks.stop()
            self._decide_rest(Answer(Stage.CONTENT, reply))

    def _decide(self, number: int, answer: Answer) -> None:
        if self._answers[number] is None:
            self._answers[number] = answer

    def _decide_rest(self, answer: Answer) -> None:
        self._answers = [answer if before is None else before for before in self._answers]
