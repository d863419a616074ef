"""The settings that run, for operators to read: every value with its source, and whether the file has become another."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Literal

from postroad.errors import PostroadError, SettingsError
from postroad.service.reloading import refuse_what_needs_a_restart
from postroad.settings import Settings, SettingsErrors, read_again
from postroad.settings.sources import Change, Sourced, changes, sourced

FileState = Literal["none", "same", "differs", "faulty"]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """How the last reload ended."""

    at: float
    """Seconds since the epoch."""
    fault: str = ""
    """Why the old settings stayed; ``""``: the new ones run."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """The file as it is now, against what runs."""

    state: FileState = "none"
    """``none``: there is no file; ``faulty``: it could not be reloaded as it is."""
    changes: tuple[Change, ...] = ()
    faults: tuple[str, ...] = ()
    """With file and line."""
    restart: str = ""
    """What of it only a restart can change, or ``""``."""


@dataclass(frozen=True, slots=True)
class Effective:
    """Everything that was decided."""

    settings: tuple[Sourced, ...]
    file: str
    """Its path; ``""`` without one."""
    warnings: tuple[str, ...] = ()
    disk: OnDisk = OnDisk()
    reloaded: Reloaded | None = None
    """None: there was no reload since the start."""


async def effective(settings: Settings, reloaded: Reloaded | None = None) -> Effective:
    """What runs; reads the file again, beside the loop."""
    disk = await asyncio.get_running_loop().run_in_executor(None, on_disk, settings)
    path = "" if settings.path is None else str(settings.path)
    return Effective(sourced(settings), path, settings.warnings, disk, reloaded)


def on_disk(runs: Settings) -> OnDisk:
    """The file as it is now; blocks, for the system may take a second to say its host's name."""
    if runs.path is None:
        return OnDisk()
    try:
        if not os.access(runs.path, os.R_OK) and runs.path.exists():
            raise SettingsError(f"{runs.path}: cannot be read by the account that the server became")
        is_now = read_again(runs)
    except SettingsErrors as fault:
        return OnDisk("faulty", faults=tuple(str(one) for one in fault.errors))
    except SettingsError as fault:
        return OnDisk("faulty", faults=(str(fault),))
    found = changes(runs, is_now)
    if not found:
        return OnDisk("same")
    try:
        refuse_what_needs_a_restart(runs, is_now)
    except PostroadError as fault:
        return OnDisk("differs", found, restart=fault.message)
    return OnDisk("differs", found)
