"""Runs a dialogue against a server: the engine alone, or the whole server over a real connection."""

from __future__ import annotations

import re
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
        "FUTURERELEASE": extensions.future_release(timedelta(days=30), datetime(2099, 1, 1, tzinfo=UTC)),
    }
    return ExtensionSet(tuple(known[keyword] for keyword in given.offered))


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


class Server(Protocol):
    """The side that is tested."""

    accepted: list[bytes]
    """The content of each message that was accepted."""

    def hear(self) -> bytes: ...
    def early(self, octets: bytes) -> bytes: ...
    def send(self, octets: bytes, eof: bool = False) -> bytes: ...
    def handshake(self) -> bytes: ...
    def change(self, conditions: Conditions) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...


class EngineServer:
    """The engine, with the simplest driver that honours a script's policies."""

    def __init__(self, given: Given) -> None:
        config = ServerConfig(
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
        traits = Traits(tls=given.tls, auth_in_clear=given.auth_in_clear, submission=given.submission)
        self.given = given
        self.engine = ServerEngine(config, conditions(given), traits=traits)
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

    def hear(self) -> bytes:
        refusal = verdict(self.given, "connect")
        if refusal is None:
            self.engine.greet()
        else:
            self.engine.greet(refusal)
        return self._run()

    def early(self, octets: bytes) -> bytes:
        """What a driver does that finds octets before it has greeted."""
        self.engine.receive(octets)
        return self._run() or self.hear()

    def send(self, octets: bytes, eof: bool = False) -> bytes:
        if octets:
            self.engine.receive(octets)
        if eof:
            self.engine.receive_eof()
        return self._run()

    def handshake(self) -> bytes:
        self.engine.tls_established("TLSv1.3 TLS_AES_256_GCM_SHA384")
        return self._run()

    def change(self, conditions: Conditions) -> None:
        self.engine.conditions = conditions

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
        self._given_back = 0

    def fail(self, step: Step, message: str) -> None:
        log = "\n".join(self._log)
        raise Mismatch(f"{self.dialogue.file}.txt:{step.line}: {message}\nsaid until here:\n{log}")

    def run(self) -> Shadow:
        steps = self.dialogue.steps
        at = 0
        if not steps or steps[0].kind == "S":
            self._heard(b"", self.server.hear())
        while at < len(steps):
            step = steps[at]
            if step.kind == "C":
                octets = b""
                early = at == 0
                while at < len(steps) and steps[at].kind == "C":
                    octets += steps[at].octets
                    at += 1
                eof = at < len(steps) and steps[at].kind == "eof"
                at += eof
                self._all_read(step)
                self._log += [f"C: {line!r}" for line in octets.split(b"\n") if line][:100]
                self._heard(octets, self.server.early(octets) if early else self.server.send(octets, eof))
                continue
            getattr(self, f"_{step.kind}")(step)
            at += 1
        self._all_read(steps[-1] if steps else Step(""))
        if self.server.closed and (not steps or steps[-1].kind != "closed"):
            self.fail(steps[-1], "the server has closed, and the script does not say so")
        return self.shadow

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

    def _S(self, step: Step) -> None:
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

    def _M(self, step: Step) -> None:
        if not self.server.accepted:
            self.fail(step, "no message was accepted")
        if self.server.accepted[-1] != step.octets:
            self.fail(step, f"the content is {self.server.accepted[-1]!r}, not {step.octets!r}")

    def _messages(self, step: Step) -> None:
        if len(self.server.accepted) != int(step.text):
            self.fail(step, f"{len(self.server.accepted)} messages were accepted, not {step.text}")

    def _starttls(self, step: Step) -> None:
        self._all_read(step)
        self.shadow.handshake_done()
        self._heard(b"", self.server.handshake())

    def _eof(self, step: Step) -> None:
        self._all_read(step)
        self._heard(b"", self.server.send(b"", eof=True))

    def _now(self, step: Step) -> None:
        self.server.change(conditions_now(self.dialogue.given, step.text))

    def _closed(self, step: Step) -> None:
        self._all_read(step)
        if not self.server.closed:
            self.fail(step, "the server does not close")
        if step.text and self.server.reason not in (None, step.text):
            self.fail(step, f"the server closes for the reason {self.server.reason}, not {step.text}")
