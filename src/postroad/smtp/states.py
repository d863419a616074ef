"""One table is the order of commands, for both roles: a pair that is absent is a bad sequence (503).

The table says where a *successful* command leads; a refused one leaves the session where it was.
Sources: RFC 5321 section 4.1.4, RFC 3030 (BDAT), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 2033 (LHLO).
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class Verb(Enum):
    """The commands, by their word on the wire."""

    # Enum's own hash is a Python function and shows in profiles; members are singletons, so identity is right.
    __hash__ = object.__hash__

    HELO = "HELO"
    EHLO = "EHLO"
    LHLO = "LHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BDAT = "BDAT"
    RSET = "RSET"
    NOOP = "NOOP"
    VRFY = "VRFY"
    EXPN = "EXPN"
    HELP = "HELP"
    QUIT = "QUIT"


@unique
class State(Enum):
    """Where a session stands between two commands."""

    __hash__ = object.__hash__

    CONNECTED = "the greeting is due"
    GREETED = "EHLO or HELO is due"
    TURNED_AWAY = "554 was said for a greeting: only QUIT is due (RFC 5321 section 3.1)"
    READY = "no transaction is open"
    SENDER = "MAIL was accepted"
    RECIPIENTS = "at least one RCPT was accepted"
    CHUNKS = "BDAT has begun the content"
    CONTENT = "DATA: content until the final dot"
    AUTHENTICATING = "a SASL response is due"
    HANDSHAKE = "TLS is being negotiated"
    CLOSED = "nothing more will be said"


_IN_SESSION: Final = (State.GREETED, State.READY, State.SENDER, State.RECIPIENTS, State.CHUNKS)


def _table() -> dict[tuple[State, Verb], State]:
    """Every permitted pair; see the module's docstring."""
    table: dict[tuple[State, Verb], State] = {
        (State.GREETED, Verb.STARTTLS): State.HANDSHAKE,
        (State.READY, Verb.STARTTLS): State.HANDSHAKE,
        (State.READY, Verb.AUTH): State.AUTHENTICATING,
        (State.READY, Verb.MAIL): State.SENDER,
        (State.SENDER, Verb.RCPT): State.RECIPIENTS,
        (State.RECIPIENTS, Verb.RCPT): State.RECIPIENTS,
        (State.RECIPIENTS, Verb.DATA): State.CONTENT,
        (State.RECIPIENTS, Verb.BDAT): State.CHUNKS,
        (State.CHUNKS, Verb.BDAT): State.CHUNKS,
        (State.GREETED, Verb.RSET): State.GREETED,
        (State.TURNED_AWAY, Verb.QUIT): State.CLOSED,
    }
    for state in _IN_SESSION:
        table[state, Verb.QUIT] = State.CLOSED
        for greeting in (Verb.HELO, Verb.EHLO, Verb.LHLO):
            table[state, greeting] = State.READY
        for anytime in (Verb.NOOP, Verb.VRFY, Verb.EXPN, Verb.HELP):  # RFC 5321 section 4.1.4
            table[state, anytime] = state
    for state in (State.READY, State.SENDER, State.RECIPIENTS, State.CHUNKS):
        table[state, Verb.RSET] = State.READY
    return table


TRANSITIONS: Final = _table()


def permitted(state: State, verb: Verb) -> State | None:
    """The state to which ``verb`` leads when it succeeds in ``state``; None: a bad sequence of commands."""
    return TRANSITIONS.get((state, verb))
