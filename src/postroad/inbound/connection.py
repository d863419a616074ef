"""One connection: octets to its ServerEngine, the engine's events to policies and spool, their replies back.

No task and no stream: the event loop's callbacks drive the engine, and a task exists only while a policy waits. The
deadlines are looked at by one sweeper for all connections (``service``), so that a connection owns no timer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from postroad.errors import SpoolError, StorageFull
from postroad.inbound.decisions import ask
from postroad.inbound.message import IncomingMessage, refusal_of
from postroad.inbound.pace import Pace
from postroad.inbound.reception import Reception, new_session_id
from postroad.inbound.recording import accepted_ids, described, forget_what_went_well, log_refused, session_record
from postroad.inbound.upgrade import upgrade
from postroad.net.early import has_input
from postroad.net.tls import describe
from postroad.observe.log import get_logger
from postroad.policy.stages import Act, SessionFacts
from postroad.replies import Reply
from postroad.smtp import refusals
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
from postroad.smtp.server import ServerEngine, Waiting
from postroad.smtp.states import State

log = get_logger("inbound")

#: Octets that may wait in the engine while a decision or the greeting is due; above, the peer is not read from.
_MAX_BUFFERED: Final = 128 * 1024
_IDLE: Final = frozenset((State.GREETED, State.READY, State.TURNED_AWAY))
#: Ends after which the peer waits for nothing more of us.
_CLOSED_AT_ONCE: Final = ("quit", "closed", "disconnect")


class Connection(asyncio.Protocol):
    """Drives one engine; it is in ``registry`` while it lives."""

    __slots__ = (
        "_accepted",
        "_began",
        "_behind_handshake",
        "_ended",
        "_lost",
        "_message",
        "_pace",
        "_reception",
        "_registry",
        "_stuck_until",
        "_task",
        "_transport",
        "deadline",
        "draining",
        "engine",
        "facts",
    )

    def __init__(self, reception: Reception, registry: set[Connection]) -> None:
        self._reception = reception
        self._registry = registry
        self.draining = False
        #: Monotonic seconds; the sweeper calls ``expire`` after it.
        self.deadline = math.inf
        self._accepted = accepted_ids()
        self._pace = Pace(reception.deadlines)
        self._behind_handshake = b""
        self._ended = ""
        self._lost = False
        self._message: IncomingMessage | None = None
        #: When a peer that does not read is let go; infinite while it reads.
        self._stuck_until = math.inf
        self._task: asyncio.Task[None] | None = None

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """After accept, or after the handshake of implicit TLS."""
        reception = self._reception
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        local = transport.get_extra_info("sockname") or ("", 0)
        self.facts = facts = SessionFacts(new_session_id(), reception.name, peer[:2], local[:2])
        facts.trusted = reception.trusts(facts.peer_host)
        self._began = reception.clock.wall()
        self.engine = ServerEngine(reception.config, reception.conditions.current, reception.traits(facts.peer_host))
        self._registry.add(self)
        self._transport.set_write_buffer_limits(high=64 * 1024)
        if reception.implicit_tls:
            facts.tls = describe(transport.get_extra_info("ssl_object"))
            self.engine.tls_established(facts.tls)
        try:
            self._ask("on_connect", reception.policies.connect, (), self._admit, self._turn_away)
        except Exception:
            self._incident("on_connect")

    def data_received(self, data: bytes) -> None:
        """Octets have come."""
        if self._ended:
            return
        engine = self.engine
        if engine.state is State.HANDSHAKE:  # it is done, but its task has not heard of it yet
            self._behind_handshake += data
            return
        engine.receive(data)
        self._pace.add(len(data))
        if engine.awaiting is None and engine.state is not State.CONNECTED:
            self._run()
        elif engine.buffered() > _MAX_BUFFERED:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer sends no more; the answers to what it has sent still go out (TLS knows no half-close)."""
        if self._ended or self.engine.traits.tls or self.engine.state is State.HANDSHAKE:
            return False
        self.engine.receive_eof()
        if self.engine.awaiting is None:
            self._run()
        return True

    def pause_writing(self) -> None:
        """The peer does not read: neither do we, and not for ever."""
        self._transport.pause_reading()
        self._stuck_until = self._reception.clock.monotonic() + self._reception.deadlines.write
        self._set_deadline()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._stuck_until = math.inf
        if not self._lost and not self._ended:
            self._read_on()
            self._set_deadline()

    def _read_on(self) -> None:
        """Unless the peer does not read, or what comes next is not for us to read now."""
        if self._stuck_until == math.inf and self.engine.waiting not in (Waiting.ANSWER, Waiting.HANDSHAKE):
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what was not accepted is given up, what is being committed stays accepted."""
        if self._lost:
            return
        self._lost = True
        self._registry.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._give_up_message()
        self._reception.counting.disconnected(self.facts)
        self._record()
        self.engine.close(refusals.SHUTTING_DOWN, "closed")  # nothing is sent; it breaks the engine's own circle

    # --- greeting

    def _admit(self) -> None:
        """Policies let the client in: greet now, or after the delay that tells early talkers."""
        reception = self._reception
        if reception.implicit_tls and (verdict := reception.counting.on_tls(self.facts)) is not None:
            self._turn_away(verdict)
        elif reception.greet_delay > 0:
            asyncio.get_running_loop().call_later(reception.greet_delay, self._greet, None)
        elif reception.implicit_tls or not has_input(self._transport):
            self._greet(None)
        else:
            self._greet(refusals.EARLY_TALKER)

    def _turn_away(self, verdict: Reply | Act) -> None:
        reply = verdict.reply if isinstance(verdict, Act) else verdict
        if reply is not None:
            self._greet(reply)
        if isinstance(verdict, Act) and verdict.close and not self._ended:
            self._end_abruptly()

    def _greet(self, reply: Reply | None) -> None:
        if not self._lost and self.engine.state is State.CONNECTED:
            self.engine.greet(reply)
            self._run()

    # --- the loop

    def _run(self) -> None:
        """Let the engine go on as far as it can, and write its replies once."""
        engine = self.engine
        engine.conditions = self._reception.conditions.renew()
        while not self._ended:  # what is pipelined behind a disconnect is not obeyed
            event = engine.next_event()
            if event is NEED_DATA:
                break
            try:
                _HANDLERS[type(event)](self, event)
            except Exception:
                self._incident(type(event).__name__)
        octets = engine.data_to_send()
        if octets and not self._lost:
            self._transport.write(octets)
        if self._ended:
            self._close()
        elif self.draining and engine.waiting is Waiting.COMMAND and engine.state in _IDLE:
            self.end(refusals.SHUTTING_DOWN, "shutdown")
        elif octets or engine.waiting is not Waiting.COMMAND:  # octets that complete no command prolong nothing
            self._set_deadline()

    def _incident(self, stage: str) -> None:
        """One of our own stages failed: 451 with a number that stands in the log too."""
        number = new_session_id()
        log.exception("incident", number=number, session=self.facts.id, stage=stage)
        engine, reply = self.engine, refusals.incident(number)
        if isinstance(engine.awaiting, ContentEnded):
            self._give_up_message()
        if engine.awaiting is not None:
            engine.answer(reply)
        elif engine.waiting is Waiting.CONTENT and self._message is not None:
            self._message.fail(reply)  # a message with a hole in it is none
        elif engine.state is State.CONNECTED:
            engine.remark(f"incident {number}")
            self._greet(refusals.SHUTTING_DOWN)

    def _go_on(self) -> None:
        """After an answer that took time."""
        if not self._lost and self.engine.awaiting is None:
            self._read_on()
            self._run()

    # --- decisions

    def _ask(
        self,
        method: str,
        policies: tuple[Any, ...],
        arguments: tuple[object, ...],
        accept: Callable[[], None],
        refuse: Callable[[Reply | Act], None],
    ) -> None:
        rest = ask(self.facts, policies, method, arguments, accept, refuse)
        if rest is not None:
            self._task = asyncio.get_running_loop().create_task(self._decide(method, rest))

    async def _decide(self, stage: str, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception:
            self._incident(stage)
        self._task = None
        self._go_on()

    def _refuse(self, verdict: Reply | Act) -> None:
        """Answer the awaiting event with a refusal, and close when the verdict says so."""
        reply = verdict.reply if isinstance(verdict, Act) else verdict
        if reply is not None:
            self.engine.answer(reply)
        if isinstance(verdict, Act) and verdict.close:
            self._end_abruptly()

    def _end_abruptly(self) -> None:
        """Say what is said already, then close without another word (a rule's ``disconnect``)."""
        octets = self.engine.data_to_send()
        if octets:
            self._transport.write(octets)
        self._ended = self._ended or "disconnect"
        self._give_up_message()
        self._close()

    # --- events

    def _on_hello(self, event: HelloGiven) -> None:
        self._ask("on_hello", self._reception.policies.hello, (event,), self._accept_hello, self._refuse)

    def _accept_hello(self) -> None:
        self.engine.accept()
        self.facts.hello, self.facts.esmtp = self.engine.hello_name, self.engine.esmtp

    def _on_auth(self, event: AuthGiven) -> None:
        def accept() -> None:
            self.engine.accept()
            self.facts.account = event.authentication_id

        self._ask("on_auth", self._reception.policies.auth, (event,), accept, self._refuse)

    def _on_sender(self, event: SenderGiven) -> None:
        def accept() -> None:
            self._message = IncomingMessage(self._reception, event)
            self.engine.accept()

        self._ask("on_sender", self._reception.policies.sender, (event,), accept, self._refuse)

    def _on_recipient(self, event: RecipientGiven) -> None:
        message = self._the_message()

        def accept() -> None:
            message.add(event)
            self.engine.accept()

        asked = (message.transaction, event)
        self._ask("on_recipient", self._reception.policies.recipient, asked, accept, self._refuse)

    def _on_content_requested(self, event: ContentRequested) -> None:
        message = self._the_message()

        def accept() -> None:
            try:
                message.begin_content()
            except StorageFull:
                self.engine.answer(refusals.STORAGE_SHORT)
            else:
                self.engine.accept()

        self._ask("on_content", self._reception.policies.content, (message.transaction,), accept, self._refuse)

    def _on_content(self, event: ContentBlock) -> None:
        message = self._message
        if message is None:
            return
        try:
            message.write(event.octets)
        except SpoolError as fault:
            log.error("content lost", session=self.facts.id, cause=fault.message)
            message.fail(refusal_of(fault))

    def _on_content_ended(self, event: ContentEnded) -> None:
        message = self._the_message()
        refusal = message.end_content()
        if refusal is not None:
            return self._refuse_message(refusal)
        asked = (message.transaction,)
        return self._ask(
            "on_message", self._reception.policies.message, asked, self._accept_message, self._refuse_message
        )

    def _refuse_message(self, verdict: Reply | Act) -> None:
        self._give_up_message()
        self._refuse(verdict)

    def _accept_message(self) -> None:
        """Hand it to the spool; the 250 leaves when the spool calls back, for then the message is durable."""
        message, self._message = self._the_message(), None

        def done(error: SpoolError | None) -> None:
            if error is None:
                self._accepted.append(draft.id)
            else:
                log.error("not accepted", session=self.facts.id, message=draft.id, cause=error.message)
            if not self._lost and self.engine.awaiting is not None:
                self.engine.answer(refusals.queued(draft.id) if error is None else refusal_of(error))
                if not self._reception.keep_transcripts:
                    forget_what_went_well(self.engine)
                self._go_on()

        transcript = self.engine.transcript
        kept = transcript.text() if transcript is not None and self._reception.keep_transcripts else ""
        try:
            draft = message.draft(self.facts, kept)
            message.accept(draft, done)
        except Exception:
            message.discard()
            raise

    def _on_starttls(self, event: StartTlsGiven) -> None:
        verdict = self._reception.counting.on_tls(self.facts)
        if verdict is not None:
            return self._refuse(verdict)
        self.engine.accept()
        if self.engine.state is State.HANDSHAKE:
            # The ClientHello must meet the TLS layer, not us: stop reading before the 220 is written.
            self._transport.pause_reading()
            self.deadline = math.inf
            self._task = asyncio.get_running_loop().create_task(self._start_tls())
        return None

    async def _start_tls(self) -> None:
        reception, facts = self._reception, self.facts
        try:
            transport = await upgrade(self._transport, self, reception.tls, reception.deadlines.handshake)
        except (OSError, asyncio.CancelledError) as fault:
            log.info("handshake failed", session=facts.id, peer=facts.peer_host, cause=str(fault))
            self._task = None
            self._transport.abort()
            return self.connection_lost(None)
        self._task = None
        self._transport = transport
        facts.tls = describe(transport.get_extra_info("ssl_object"))
        facts.hello, facts.esmtp, facts.account = "", False, ""
        self.engine.tls_established(facts.tls)
        self._set_deadline()
        return self.data_received(self._behind_handshake)

    def _on_aborted(self, event: TransactionAborted) -> None:
        self._give_up_message()

    def _on_not_now(self, event: ParameterNotNow) -> None:
        self._reception.conditions.count(event.keyword)
        log.info("parameter refused for a time", **described(self.facts, event))

    def _on_ended(self, event: SessionEnded) -> None:
        self._ended = self._ended or event.reason

    # --- the end

    def expire(self, now: float) -> None:
        """The deadline is over."""
        if self._ended:
            self._transport.abort()
        elif self.engine.waiting is Waiting.CONTENT:
            self.end(refusals.TOO_SLOW if self._pace.is_too_slow(now) else refusals.TIMED_OUT, "timeout")
        elif self.engine.waiting is Waiting.COMMAND:
            self.end(refusals.TIMED_OUT, "timeout")
        else:
            self._transport.abort()

    def drain(self) -> None:
        """Go as soon as nothing is under way."""
        self.draining = True
        if self.engine.waiting is Waiting.COMMAND and self.engine.state in _IDLE:
            self.end(refusals.SHUTTING_DOWN, "shutdown")

    def end(self, reply: Reply, reason: str) -> None:
        """Say ``reply`` and close, unless a message is being made durable: its 250 is due first."""
        if not self._ended and not isinstance(self.engine.awaiting, ContentEnded):
            if self._task is not None:
                self._task.cancel()
            self.engine.close(reply, reason)
            self._run()

    def abandon(self) -> None:
        """Close without a word; for the very end."""
        if not self._lost:
            self._transport.abort()

    def _close(self) -> None:
        """Close so that the last reply arrives: input that we left unread would reset the connection under it."""
        if self._lost or self._transport.is_closing():
            return
        now, deadlines = self._reception.clock.monotonic(), self._reception.deadlines
        if self._ended in _CLOSED_AT_ONCE or not self._transport.can_write_eof():
            self._transport.close()
            self.deadline = now + deadlines.write
        else:
            self._transport.write_eof()
            self._transport.resume_reading()
            self.deadline = now + deadlines.linger

    def _set_deadline(self) -> None:
        now = self._reception.clock.monotonic()
        self.deadline = min(self._stuck_until, self._pace.deadline(self.engine.waiting, now))

    def _the_message(self) -> IncomingMessage:
        message = self._message
        if message is None:
            raise RuntimeError("an event of a transaction without one")
        return message

    def _give_up_message(self) -> None:
        if self._message is not None:
            self._message.discard()
            self._message = None

    def _record(self) -> None:
        reception = self._reception
        seconds = reception.clock.wall() - self._began
        record = session_record(
            self.facts,
            self.engine,
            self._began,
            seconds,
            tuple(self._accepted),
            self._ended,
            reception.keep_transcripts,
        )
        if record is not None:
            reception.sessions(record)
            log_refused(record)


_HANDLERS: Final[dict[type, Callable[[Connection, Any], None]]] = {
    HelloGiven: Connection._on_hello,
    StartTlsGiven: Connection._on_starttls,
    AuthGiven: Connection._on_auth,
    SenderGiven: Connection._on_sender,
    RecipientGiven: Connection._on_recipient,
    ContentRequested: Connection._on_content_requested,
    ContentBlock: Connection._on_content,
    ContentEnded: Connection._on_content_ended,
    TransactionAborted: Connection._on_aborted,
    ParameterNotNow: Connection._on_not_now,
    SessionEnded: Connection._on_ended,
}
