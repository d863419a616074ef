"""Diagnosis: what a server's behaviour, a bounce or a log means, and what to do about it.

Nothing is imported before a name of it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postroad.diagnosis.bounce_document import explain_bounce as explain_bounce
    from postroad.diagnosis.diagnosing import Diagnosis as Diagnosis
    from postroad.diagnosis.diagnosing import diagnose as diagnose
    from postroad.diagnosis.diagnosing import diagnose_sync as diagnose_sync
    from postroad.diagnosis.logs import explain_log as explain_log

_HOMES = dict.fromkeys(("Diagnosis", "diagnose", "diagnose_sync"), "postroad.diagnosis.diagnosing")
_HOMES["explain_bounce"] = "postroad.diagnosis.bounce_document"
_HOMES["explain_log"] = "postroad.diagnosis.logs"


def __getattr__(name: str) -> Any:
    """A name of the public API, imported when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
