"""What operators may ask of a running server, and of the spool of one that is stopped.

``Admin`` is over all rooms of the server; who only reads a stopped spool imports the modules here and none of those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postroad.admin.desk import MAX_WAIT, About, Admin, Listening, Status

__all__ = ["MAX_WAIT", "About", "Admin", "Listening", "Status"]


def __getattr__(name: str) -> object:
    """The names of the desk, imported when they are first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from postroad.admin import desk

    found: object = getattr(desk, name)
    return found
