"""Small private files of the state folder: read whole, replaced in one step, readable by their owner only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from postroad.errors import PostroadError
from postroad.observe.log import get_logger

log = get_logger("admin")


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    """The rows that were kept; none without a file. A file that cannot be read is told of and lets nobody in."""
    if path is None:
        return []
    try:
        rows = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as fault:
        log.error("a kept file cannot be read, what it held is void", file=str(path), cause=str(fault))
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def write_rows(path: Path | None, rows: list[dict[str, Any]], *, sure: bool = True) -> None:
    """Replace the file, mode 0600 from its first moment. ``sure``: it is on the disk when this returns.

    Raises PostroadError when it cannot be written; the old one stays then.
    """
    if path is None:
        return
    aside = path.with_name(path.name + ".new")
    try:
        aside.unlink(missing_ok=True)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(json.dumps(rows, indent=1).encode())
            file.flush()
            if sure:
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError as fault:
        raise PostroadError(
            f"{path.name} cannot be stored: {os.strerror(fault.errno or 0)}",
            "make room or mend the rights of the state folder",
        ) from fault
