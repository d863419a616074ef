"""How a command ends: one table of exit codes for all verbs (sysexits), errors as ``error: …`` and ``hint: …``.

Once released, no code is ever renumbered.
"""

from __future__ import annotations

import os
import sys
import traceback
from enum import IntEnum
from pathlib import Path

from postroad.errors import NotFound, PostroadError, RemoteProtocolError, SettingsError, SpoolError, StorageFull
from postroad.observe.printable import printable


class Exit(IntEnum):
    """What the shell is told."""

    OK = 0
    FINDINGS = 1
    """``send``: some of the recipients were refused."""
    USAGE = 64
    """A wrong flag or argument."""
    DATA = 65
    NO_INPUT = 66
    """A file, message or rule that does not exist."""
    NO_USER = 67
    """``send``: all recipients are unknown."""
    NO_HOST = 68
    """``send``: the host or domain does not exist, or takes no mail."""
    UNAVAILABLE = 69
    """No server is running; ``send``: refused for good."""
    SOFTWARE = 70
    """Our bug."""
    CANNOT_CREATE = 73
    IO = 74
    TRY_AGAIN = 75
    """A timeout, or the server is busy; ``send``: not now."""
    PROTOCOL = 76
    """What answers is not our server; ``send``: no SMTP, or no TLS."""
    NO_PERMISSION = 77
    CONFIG = 78
    """Settings that cannot be used, a taken port among them."""
    INTERRUPTED = 130


class Failure(PostroadError):
    """A command that cannot do what it was asked."""

    def __init__(self, exit: Exit, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit = exit


def exit_code(fault: PostroadError) -> Exit:
    """The row of the table for ``fault``."""
    match fault:
        case Failure():
            return fault.exit
        case SettingsError():
            return Exit.CONFIG
        case StorageFull():
            return Exit.CANNOT_CREATE
        case SpoolError():
            return Exit.IO
        case NotFound():
            return Exit.NO_INPUT
        case RemoteProtocolError():
            return Exit.PROTOCOL
    return Exit.UNAVAILABLE


def report(fault: PostroadError) -> Exit:
    """Say on standard error what is wrong (all of it, for settings), and how to mend it."""
    each = getattr(fault, "errors", None)
    for one in each if isinstance(each, tuple) else (fault,):
        say("error", one.message, one.hint)
    return exit_code(fault)


def say(kind: str, message: str, hint: str = "") -> None:
    """``error: message`` and, indented, ``hint: …`` on standard error."""
    print(f"{kind}: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"  hint: {printable(hint)}", file=sys.stderr)


def report_bug(fault: BaseException) -> Exit:
    """A fault that nobody foresaw: where and what it was, so that it can be reported; all of it on demand."""
    frames = traceback.extract_tb(fault.__traceback__)
    where = f" at {'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}" if frames else ""
    say("error", f"this is our bug: {type(fault).__name__}{where}", "report it, with what POSTROAD_DEBUG=1 adds")
    if os.environ.get("POSTROAD_DEBUG"):
        traceback.print_exception(fault)
    return Exit.SOFTWARE
