"""Sending from a program: one call, and a result for every recipient. ``postroad send`` is made of it.

The room stands on the delivery room's mail hosts and the net room's client, and keeps nothing: no queue, no spool.
"""

from postroad.sending.calling import OptionError, send, send_sync
from postroad.sending.composing import MessageError, read_address
from postroad.sending.dialogue import DialogueListener, Heard
from postroad.sending.parameters import ParameterError
from postroad.sending.results import Explanation, FaultKind, SendError, SendOutcome, SendResult, Sent
from postroad.sending.servers import ServerError
from postroad.sending.wishes import SendOptions, Stage, TlsMode, Wishes

__all__ = [
    "DialogueListener",
    "Explanation",
    "FaultKind",
    "Heard",
    "MessageError",
    "OptionError",
    "ParameterError",
    "SendError",
    "SendOptions",
    "SendOutcome",
    "SendResult",
    "Sent",
    "ServerError",
    "Stage",
    "TlsMode",
    "Wishes",
    "read_address",
    "send",
    "send_sync",
]
