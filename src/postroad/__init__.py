"""Postroad: an SMTP server, relay and client whose every reply explains itself.

Importing this package costs nothing: it reads no file, starts no loop and imports no other room before a name of it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postroad.replies import Reply as Reply
    from postroad.sending import SendError as SendError
    from postroad.sending import SendOutcome as SendOutcome
    from postroad.sending import SendResult as SendResult
    from postroad.sending import Sent as Sent
    from postroad.sending import send as send
    from postroad.sending import send_sync as send_sync

__version__ = "0.1.0"

__all__ = ["Reply", "SendError", "SendOutcome", "SendResult", "Sent", "__version__", "send", "send_sync"]

_ROOMS = {"Reply": "postroad.replies"} | dict.fromkeys(
    ("SendError", "SendOutcome", "SendResult", "Sent", "send", "send_sync"), "postroad.sending"
)


def __getattr__(name: str) -> Any:
    """A name of the public API, imported when it is first used."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_ROOMS[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
