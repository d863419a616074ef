"""A password for another host: from a file, the environment or a person; never from the command line, which all can read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from postroad.cli.outcome import Exit, Failure

#: Octets of a file that are looked at for its first line.
_MOST = 4096


def password_for(user: str, file: str) -> str:
    """The password of ``user`` (empty: nobody logs in); ``file``: its path, ``-`` for standard input. Raises Failure."""
    if not user:
        return ""
    if file:
        return _first_line(file).decode("utf-8", "surrogateescape")
    if (known := os.environ.get("POSTROAD_PASSWORD")) is not None:
        return known
    if sys.stdin is None or not sys.stdin.isatty():
        raise Failure(Exit.USAGE, "no password", "set POSTROAD_PASSWORD, or name a --password-file")
    return str(click.prompt(f"Password of {user}", hide_input=True, err=True))


def _first_line(file: str) -> bytes:
    if file == "-":
        return _without_end(sys.stdin.buffer.readline(_MOST))
    try:
        with Path(file).open("rb") as opened:
            return _without_end(opened.readline(_MOST))
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise Failure(Exit.NO_INPUT, f"{file} cannot be read: {reason}") from fault


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
