"""Transcripts in which a code is said, played by our own engine, so that they cannot drift from what the server does.

A scene of the catalogue names the command and the reply. The engine is led to the state in which the command is due,
hears it, and answers by itself where the decision is its own; where people decide (a policy, another server's
extension) it is told the scene's reply. Nothing is kept and no connection is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from postroad.errors import LocalProtocolError
from postroad.replies import Reply, ReplySyntaxError
from postroad.replies.entries import CodeFacts, Scene
from postroad.smtp import extensions
from postroad.smtp.events import NEED_DATA, AwaitingEvent, ContentRequested
from postroad.smtp.parameters import Conditions, ExtensionSet, Traits
from postroad.smtp.server import ServerConfig, ServerEngine
from postroad.smtp.states import State

HOSTNAME: Final = "mail.example.net"
SIZE_LIMIT: Final = 26_214_400

_CONFIG: Final = ServerConfig(
    hostname=HOSTNAME,
    extensions=ExtensionSet(
        (
            extensions.size(SIZE_LIMIT),
            extensions.PIPELINING,
            extensions.EIGHTBITMIME,
            extensions.SMTPUTF8,
            extensions.ENHANCEDSTATUSCODES,
            extensions.DSN,
            extensions.CHUNKING,
            extensions.STARTTLS,
            extensions.auth(("PLAIN", "LOGIN")),
        )
    ),
    tls_available=True,
    mechanisms=("PLAIN", "LOGIN"),
)
_READY: Final = Conditions(free_octets=1 << 40, size_limit=SIZE_LIMIT, unavailable={})
_EHLO: Final = "EHLO client.example.com"
#: What a client has said before a command can be due.
_BEFORE: Final[dict[str, tuple[str, ...]]] = {
    "RCPT": ("MAIL FROM:<ann@example.com>",),
    "DATA": ("MAIL FROM:<ann@example.com>", "RCPT TO:<kana@example.net>"),
    "BDAT": ("MAIL FROM:<ann@example.com>", "RCPT TO:<kana@example.net>"),
    "CONTENT": ("MAIL FROM:<ann@example.com>", "RCPT TO:<kana@example.net>", "DATA"),
}
_CONTENT: Final = ("Subject: Hello", "", "Good morning.", ".")
_OUT_OF_ORDER: Final = 503
_NOT_NOW: Final = 455


@dataclass(slots=True)
class _Session:
    """One connection, told from the client's side."""

    lines: list[str] = field(default_factory=list)
    engine: ServerEngine = field(init=False)

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.engine = ServerEngine(_CONFIG, _READY, traits=Traits(auth_in_clear=True), keep_transcript=False)

    @property
    def greeted(self) -> bool:
        return self.engine.state is not State.CONNECTED

    @property
    def usable(self) -> bool:
        return self.engine.state not in (State.CLOSED, State.TURNED_AWAY, State.HANDSHAKE, State.AUTHENTICATING)

    def greet(self, reply: Reply | None = None) -> None:
        self.engine.greet(reply)
        self._hear()

    def say(self, *lines: str, reply: Reply | None = None, scripted: str = "") -> None:
        """Say lines as the client; the last is answered by ``reply`` when the engine asks, or shown as ``scripted``."""
        self.lines += [f"C: {line}" for line in lines]
        self.engine.receive("".join(f"{line}\r\n" for line in lines).encode())
        self._decide(reply)
        said = self.engine.data_to_send().decode()
        if scripted and not said.startswith(scripted[:3]):  # another server's reply: ours does not serve this command
            self.lines.append(f"S: {scripted}")
        else:
            self._show(said)

    def _decide(self, reply: Reply | None) -> None:
        while (event := self.engine.next_event()) is not NEED_DATA:
            if not isinstance(event, AwaitingEvent):
                continue
            if reply is None or (isinstance(event, ContentRequested) and event.verb.name == "BDAT"):
                self.engine.accept()
                continue
            try:
                self.engine.answer(reply)
            except LocalProtocolError:  # a positive reply that ours would never give here
                self.engine.accept()

    def _hear(self) -> None:
        self._decide(None)
        self._show(self.engine.data_to_send().decode())

    def _show(self, said: str) -> None:
        shown = [f"S: {line}" for line in said.split("\r\n")[:-1]]
        if len(shown) > 3:  # the answer to EHLO: the reader looks for something else
            shown = [shown[0], "...", shown[-1]]
        self.lines += shown


def transcript(*codes: CodeFacts) -> list[str]:
    """A session in which each of the codes is said, a line each, marked ``C:`` and ``S:``; empty when none ever is."""
    together = set.intersection(*(set(facts.commands) for facts in codes)) if codes else set()
    chosen = [(facts, _chosen(facts, together)) for facts in codes]
    scenes = [(facts, scene) for facts, scene in chosen if scene is not None]
    if not scenes:
        return []
    session = _Session()
    for facts, scene in sorted(scenes, key=lambda one: one[1].command != "CONNECT"):
        _play(session, facts, scene)
    return session.lines


def _chosen(facts: CodeFacts, together: set[str]) -> Scene | None:
    shared = [scene for scene in facts.scenes if scene.command in together]
    return next(iter(shared or facts.scenes), None)


def _play(session: _Session, facts: CodeFacts, scene: Scene) -> None:
    reply = _read(scene.server)
    again = scene.command == "AUTH" and session.engine.traits.authenticated  # once is enough (RFC 4954 section 4)
    if session.greeted and (scene.command == "CONNECT" or not session.usable or again):
        session.lines.append("")
        session.connect()
    if scene.command == "CONNECT":
        session.greet(None if facts.severity == 2 else reply)
        return
    if not session.greeted:
        session.greet()
    if scene.command in ("EHLO", "HELO", "LHLO"):
        session.say(scene.client or _EHLO, reply=reply, scripted=scene.server)
        return
    _lead_to(session, facts, scene)
    if facts.code == _NOT_NOW:  # reply: which scene to set, nothing is decided
        session.engine.conditions = Conditions(
            free_octets=1 << 40, size_limit=SIZE_LIMIT, unavailable={_parameter(scene.client or ""): "switched off"}
        )
    lines = _CONTENT if scene.command == "CONTENT" else (scene.client or scene.command,)
    session.say(*lines, reply=reply, scripted=scene.server)
    session.engine.conditions = _READY


def _lead_to(session: _Session, facts: CodeFacts, scene: Scene) -> None:
    if session.engine.state is State.GREETED:
        session.say(_EHLO)
    # reply: which scene to set, nothing is decided
    before = () if facts.code == _OUT_OF_ORDER else _BEFORE.get(scene.command, ())
    if session.engine.state is not State.READY:
        session.say("RSET")
    for line in before:
        session.say(line)


def _parameter(line: str) -> str:
    """The keyword of the last parameter of a MAIL or RCPT line."""
    return line.rsplit(" ", 1)[-1].partition("=")[0].upper()


def _read(line: str) -> Reply | None:
    try:
        return Reply.parse(line.encode())
    except (ReplySyntaxError, ValueError):
        return None
