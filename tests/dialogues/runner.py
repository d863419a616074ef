"""Runs a dialogue against a server: the engine alone, or the whole server over a real connection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from postroad.address import Mailbox
from postroad.replies import Reply
from postroad.smtp import extensions
from postroad.smtp.events import (
    NEED_DATA,
    AuthGiven,
    ContentBlock,
    ContentEnded,
    ContentRequested,
    HelloGiven,
    ParameterNotNow,
    RecipientGiven,
    SenderGiven,
    SessionEnded,
    StartTlsGiven,
    TransactionAborted,
)
from postroad.smtp.parameters import Conditions, Extension, ExtensionSet, Traits
from postroad.smtp.server import ServerConfig, ServerEngine
from postroad.smtp.states import State
from tests.dialogues.script import Dialogue, Given, Step
from tests.dialogues.shadow import Shadow, split_replies

HOSTNAME = "mx.example.net"
BAD_CREDENTIALS = Reply(535, "Authentication credentials invalid", "5.7.8")

_STAGES = {
    HelloGiven: "hello",
    StartTlsGiven: "starttls",
    AuthGiven: "auth",
    SenderGiven: "sender",
    RecipientGiven: "recipient",
    ContentRequested: "content",
    ContentEnded: "message",
}


def offered(given: Given) -> ExtensionSet:
    """The extensions of a script, in the order in which it names them."""
    known: dict[str, Extension] = {
        "SIZE": extensions.size(given.size_limit),
        "PIPELINING": extensions.PIPELINING,
        "8BITMIME": extensions.EIGHTBITMIME,
        "SMTPUTF8": extensions.SMTPUTF8,
        "ENHANCEDSTATUSCODES": extensions.ENHANCEDSTATUSCODES,
        "CHUNKING": extensions.CHUNKING,
        "BINARYMIME": extensions.BINARYMIME,
        "STARTTLS": extensions.STARTTLS,
        "AUTH": extensions.auth(("PLAIN", "LOGIN")),
        "LIMITS": extensions.limits(recipients=given.max_recipients),
        "HELP": extensions.HELP,
        "DSN": extensions.DSN,
        "REQUIRETLS": extensions.REQUIRETLS,
        "MT-PRIORITY": extensions.MT_PRIORITY,
        "DELIVERBY": extensions.deliver_by(),
        "FUTURERELEASE": extensions.future_release(timedelta(days=30), lambda: datetime(2098, 12, 2, tzinfo=UTC)),
    }
    return ExtensionSet(tuple(known[keyword] for keyword in given.offered))


def server_config(given: Given) -> ServerConfig:
    """The configuration that a script asks for."""
    return ServerConfig(
        hostname=HOSTNAME,
        extensions=offered(given),
        max_recipients=given.max_recipients,
        max_errors=given.max_errors,
        max_junk=given.max_junk,
        line_octets=given.line_octets,
        normalize=given.normalize,
        expn=given.expn,
        tls_available="STARTTLS" in given.offered,
        mechanisms=("PLAIN", "LOGIN") if "AUTH" in given.offered else (),
    )


def conditions(given: Given) -> Conditions:
    """The conditions with which a script begins."""
    return Conditions(
        free_octets=given.free_octets,
        size_limit=given.size_limit,
        unavailable={name.upper(): "the script says so" for name in given.unavailable},
    )


def conditions_now(given: Given, text: str) -> Conditions:
    """The conditions after a ``# now:`` directive."""
    later = Given(size_limit=given.size_limit)
    if text != "everything available":
        later.take(text)
    return conditions(later)


def verdict(given: Given, stage: str, path: Mailbox | None = None) -> Reply | None:
    """What the script's policies say at a stage."""
    for policy in given.policies:
        if policy.stage == stage and (policy.path is None or policy.path == ("" if path is None else str(path))):
            return policy.reply
    return None


@dataclass(frozen=True)
class Wanted:
    """What the script expects next, for a server whose answers take their time."""

    steps: tuple[Step, ...]
    closes: bool

    def is_in(self, said: bytes) -> bool:
        """Whether so much has been said that it could be all."""
        for step in self.steps:
            if step.exact:
                if len(said) < len(step.octets):
                    return False
                said = said[len(step.octets) :]
                continue
            line, end, said = said.partition(b"\r\n")
            while end and step.text.endswith("-...") and line[3:4] == b"-":
                line, end, said = said.partition(b"\r\n")
            if not end:
                return False
        return True


#: For those who need not wait.
NOTHING = Wanted((), False)


class Server(Protocol):
    """The side that is tested."""

    @property
    def accepted(self) -> list[bytes]:
        """The content of each message that was accepted."""
        ...

    def hear(self, wanted: Wanted) -> bytes: ...
    def early(self, octets: bytes, wanted: Wanted) -> bytes: ...
    def send(self, octets: bytes, wanted: Wanted, eof: bool = False) -> bytes: ...
    def handshake(self, wanted: Wanted) -> bytes: ...
    def change(self, conditions: Conditions) -> None: ...
    def finish(self) -> bytes:
        """What the server says to QUIT, and until it closes."""
        ...

    @property
    def closed(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...


class EngineServer:
    """The engine, with the simplest driver that honours a script's policies."""

    def __init__(self, given: Given) -> None:
        traits = Traits(tls=given.tls, auth_in_clear=given.auth_in_clear, submission=given.submission)
        self.given = given
        self.engine = ServerEngine(server_config(given), conditions(given), traits=traits)
        self.accepted: list[bytes] = []
        self.events: list[object] = []
        self.refused: list[bool] = []
        """For each event, whether it was answered by a refusal."""
        self.said = b""
        self.ended: SessionEnded | None = None
        self._content: list[bytes] = []
        self._size = 0

    @property
    def closed(self) -> bool:
        return self.ended is not None

    @property
    def reason(self) -> str | None:
        return self.ended.reason if self.ended is not None else None

    def hear(self, wanted: Wanted = NOTHING) -> bytes:
        refusal = verdict(self.given, "connect")
        if refusal is None:
            self.engine.greet()
        else:
            self.engine.greet(refusal)
        return self._run()

    def early(self, octets: bytes, wanted: Wanted = NOTHING) -> bytes:
        """What a driver does that finds octets before it has greeted."""
        self.engine.receive(octets)
        return self._run() or self.hear()

    def send(self, octets: bytes, wanted: Wanted = NOTHING, eof: bool = False) -> bytes:
        if octets:
            self.engine.receive(octets)
        if eof:
            self.engine.receive_eof()
        return self._run()

    def handshake(self, wanted: Wanted = NOTHING) -> bytes:
        self.engine.tls_established("TLSv1.3 TLS_AES_256_GCM_SHA384")
        return self._run()

    def change(self, conditions: Conditions) -> None:
        self.engine.conditions = conditions

    def finish(self) -> bytes:
        return self.send(b"QUIT\r\n")

    def _run(self) -> bytes:
        """Take events until the engine waits for octets or has ended; gives all it wants to say."""
        for _ in range(100_000):
            if self.ended is not None:
                break
            event = self.engine.next_event()
            if event is NEED_DATA:
                break
            self.events.append(event)
            self.refused.append(False)
            self._react(event)
        else:
            raise AssertionError("the engine does not stop")
        said = self.engine.data_to_send()
        assert self.engine.data_to_send() == b""
        self.said += said
        return said

    def _react(self, event: object) -> None:
        match event:
            case SessionEnded():
                self.ended = event
            case ContentBlock(octets):
                assert octets, "an empty block"
                self._content.append(octets)
                self._size += len(octets)
            case TransactionAborted():
                self._content.clear()
                self._size = 0
            case ParameterNotNow():
                pass
            case ContentRequested() if self._size:
                raise AssertionError("the content of an earlier message was never declared void")
            case _:
                self._answer(event)

    def _answer(self, event: object) -> None:
        path = event.forward_path if isinstance(event, RecipientGiven) else None
        path = event.reverse_path if isinstance(event, SenderGiven) else path
        reply = verdict(self.given, _STAGES[type(event)], path)
        if isinstance(event, AuthGiven) and reply is None:
            known = self.given.users.get(event.authentication_id) == event.password
            reply = None if known else BAD_CREDENTIALS
        if isinstance(event, ContentEnded):
            content = b"".join(self._content)
            assert event.size == self._size
            if reply is None:
                self.accepted.append(content)
            self._content.clear()
            self._size = 0
        if reply is None:
            self.engine.accept()
        else:
            self.refused[-1] = True
            self.engine.answer(reply)


class Mismatch(AssertionError):
    """What was said is not what the script says."""


def _pattern(text: str) -> re.Pattern[bytes]:
    return re.compile(b".*".join(re.escape(part.encode()) for part in text.split("*")) + rb"\Z", re.DOTALL)


class Run:
    """One run of one dialogue."""

    def __init__(self, dialogue: Dialogue, server: Server) -> None:
        self.dialogue = dialogue
        self.server = server
        self.shadow = Shadow()
        self._unread = b""
        self._log: list[str] = []

    def fail(self, step: Step, message: str) -> None:
        log = "\n".join(self._log)
        raise Mismatch(f"{self.dialogue.file}.txt:{step.line}: {message}\nsaid until here:\n{log}")

    def run(self) -> Shadow:
        steps = self.dialogue.steps
        at = 0
        if steps[0].kind == "S":
            self._heard(b"", self.server.hear(self._wanted(0)))
        while at < len(steps):
            step = steps[at]
            if step.kind == "C":
                at = self._speak(at)
            else:
                getattr(self, f"_{step.kind}")(step, at)
                at += 1
        self._end(steps[-1])
        return self.shadow

    def _speak(self, at: int) -> int:
        """Send the client's lines from here on; gives the step behind them."""
        steps = self.dialogue.steps
        first, octets = at, b""
        while at < len(steps) and steps[at].kind == "C":
            octets += steps[at].octets
            at += 1
        eof = at < len(steps) and steps[at].kind == "eof"
        at += eof
        self._all_read(steps[first])
        self._log += [f"C: {line!r}" for line in octets.split(b"\n") if line][:100]
        wanted = self._wanted(at)
        self._heard(octets, self.server.send(octets, wanted, eof) if first else self.server.early(octets, wanted))
        return at

    def _wanted(self, at: int) -> Wanted:
        """What is expected between here and the client's next act."""
        steps: list[Step] = []
        for step in self.dialogue.steps[at:]:
            if step.kind == "closed":
                return Wanted(tuple(steps), True)
            if step.kind in ("C", "then", "eof", "starttls", "now"):
                break
            if step.kind == "S":
                steps.append(step)
        return Wanted(tuple(steps), False)

    def _end(self, last: Step) -> None:
        """Nothing may have been said that the script does not hold."""
        self._all_read(last)
        if last.kind == "closed":
            return
        if self.server.closed or self.shadow.state is State.CLOSED:
            self.fail(last, "the server has closed, and the script does not say so")
        if self.shadow.takes_commands:
            said = self.server.finish()
            if re.fullmatch(rb"221 2\.0\.0 [^\r\n]*\r\n", said) is None:
                self.fail(last, f"expected 221 to QUIT and nothing else, got {said!r}")

    def _heard(self, client: bytes, said: bytes) -> None:
        self._log += [f"S: {line!r}" for line in said.split(b"\r\n") if line]
        self._unread += said
        self.shadow.hear(client, said)
        if self.server.closed:
            self.shadow.close()
        else:
            self.shadow.assert_even()

    def _all_read(self, step: Step) -> None:
        if self._unread:
            self.fail(step, f"the server said more: {self._unread!r}")

    def _S(self, step: Step, at: int) -> None:
        if not self._unread:
            self.fail(step, f"the server says nothing; expected {step.text or step.octets!r}")
        if step.exact:
            if not self._unread.startswith(step.octets):
                self.fail(step, f"expected {step.octets!r}, got {self._unread!r}")
            self._unread = self._unread[len(step.octets) :]
            return
        if step.text.endswith("-..."):
            reply = split_replies(self._unread)[0]
            if reply[:3].decode() != step.text[:3]:
                self.fail(step, f"expected {step.text}, got {reply!r}")
            self._unread = self._unread[len(reply) :]
            return
        line, _, self._unread = self._unread.partition(b"\r\n")
        if _pattern(step.text).match(line) is None:
            self.fail(step, f"expected {step.text!r}, got {line!r}")

    def _M(self, step: Step, at: int) -> None:
        if not self.server.accepted:
            self.fail(step, "no message was accepted")
        if self.server.accepted[-1] != step.octets:
            self.fail(step, f"the content is {self.server.accepted[-1]!r}, not {step.octets!r}")

    def _messages(self, step: Step, at: int) -> None:
        if len(self.server.accepted) != int(step.text):
            self.fail(step, f"{len(self.server.accepted)} messages were accepted, not {step.text}")

    def _starttls(self, step: Step, at: int) -> None:
        self._all_read(step)
        self.shadow.handshake_done()
        self._heard(b"", self.server.handshake(self._wanted(at + 1)))

    def _eof(self, step: Step, at: int) -> None:
        self._all_read(step)
        self._heard(b"", self.server.send(b"", self._wanted(at + 1), True))

    def _then(self, step: Step, at: int) -> None:
        """The client's next octets travel in another segment."""

    def _now(self, step: Step, at: int) -> None:
        self.server.change(conditions_now(self.dialogue.given, step.text))

    def _closed(self, step: Step, at: int) -> None:
        self._all_read(step)
        if not self.server.closed:
            self.fail(step, "the server does not close")
        if step.text and self.server.reason not in (None, step.text):
            self.fail(step, f"the server closes for the reason {self.server.reason}, not {step.text}")
