"""Why a session did not come about, sorted: each kind has its own words and its own things to check."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.net.client_options import ConnectFault, TlsFault
from postroad.net.conversation import Fault
from postroad.sending.results import FaultKind

#: EAI_* of a name that exists for nobody; any other is the resolver's trouble.
_NO_NAME = frozenset((socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)))


def kind_of(fault: ConnectFault) -> FaultKind:
    """The kind of a fault, by what caused it and how far the session came."""
    causes = list(_causes(fault))
    if any(isinstance(cause, TlsFault) for cause in causes):
        return FaultKind.TLS
    if fault.reply is not None:
        return FaultKind.TLS if fault.stage == "STARTTLS" and fault.reply.is_permanent else FaultKind.REPLY
    for cause in causes:
        match cause:
            case RemoteProtocolError():
                return FaultKind.GARBLED
            case LocalProtocolError():
                return FaultKind.LOCAL
            case Fault():
                return FaultKind.SILENT
    if fault.stage == "CONNECT":
        return _of_connecting(causes)
    if "connection ended" in fault.message:
        return FaultKind.CLOSED
    return FaultKind.TLS if fault.stage == "STARTTLS" else FaultKind.LOCAL


def kind_in_session(note: str) -> FaultKind:
    """The kind of what ended a session in the middle, by its words."""
    if "in vain" in note:
        return FaultKind.SILENT
    return FaultKind.CLOSED if "ended" in note or "closed" in note else FaultKind.NONE


def _of_connecting(causes: list[BaseException]) -> FaultKind:
    for cause in causes:
        match cause:
            case socket.gaierror():
                return FaultKind.NAME if cause.errno in _NO_NAME else FaultKind.LOOKUP
            case TimeoutError():
                return FaultKind.TIMED_OUT
            case ConnectionRefusedError() | FileNotFoundError():
                return FaultKind.REFUSED
    return FaultKind.UNREACHABLE


def _causes(fault: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = fault
    while cause is not None:
        yield cause
        cause = cause.__cause__
