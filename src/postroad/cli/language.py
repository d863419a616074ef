"""In which language the command line answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from postroad.cli.outcome import Exit, Failure


def chosen(option: str | None, known: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """The language tag: the option, else POSTROAD_LANG, LC_ALL, LC_MESSAGES, LANG, else English.

    Raises Failure for an option or a POSTROAD_LANG that names no language of the catalogue.
    """
    environment = os.environ if environment is None else environment
    for source, tag in (("--lang", option), ("POSTROAD_LANG", environment.get("POSTROAD_LANG"))):
        if tag and tag != "auto":
            if _short(tag) not in known:
                raise Failure(Exit.USAGE, f"{source}: no language `{tag}`", f"there are: {', '.join(known)}")
            return _short(tag)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            return _short(value) if _short(value) in known else "en"
    return "en"


def _short(tag: str) -> str:
    """``ja`` of ``ja_JP.UTF-8`` and ``ja-JP``."""
    return tag.replace("-", "_").split(".")[0].split("_")[0].lower()
