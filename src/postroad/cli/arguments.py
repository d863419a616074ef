"""Types of arguments that several verbs share, and the question before something is deleted."""

from __future__ import annotations

import sys

import click

from postroad.cli.outcome import Exit, Failure
from postroad.errors import SettingsError


def seconds(value: str | float) -> float:
    """The type of an option that is a time: ``90``, ``90s``, ``10m``, ``4h``, ``2d``; in seconds."""
    from postroad.settings.values import duration

    if not isinstance(value, str):
        return float(value)
    plain = value.isascii() and value.replace(".", "", 1).isdecimal()
    try:
        return duration()(f"{value}s" if plain else value)
    except SettingsError as fault:
        raise click.BadParameter(f"{fault.message}: {fault.hint}" if fault.hint else fault.message) from fault


def confirm(question: str, sure: bool) -> None:
    """Go on when ``--yes`` was given or a person says so; a program without ``--yes`` is refused."""
    if sure:
        return
    if not sys.stdin.isatty():
        raise Failure(Exit.USAGE, "nobody is here to be asked", "say --yes")
    if not click.confirm(question, err=True):
        raise Failure(Exit.FINDINGS, "nothing was done")
