"""Where the queue is read: the running server, else the spool that a stopped one left; changes need a running server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from postroad.cli.client import Server, segment
from postroad.cli.outcome import Failure

Query = Mapping[str, object]

_CHANGE: Final = "only a running server changes its queue; start it with: postroad serve"


class QueueSource:
    """Answers as the API does; ``stopped`` is true once a spool had to be read."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._spool: Path | None = None

    @property
    def stopped(self) -> bool:
        """Whether no server runs."""
        return self._spool is not None

    def get(self, path: str, query: Query | None = None, patience: float = 0.0) -> Any:
        """The document at ``path``, of the server or of its spool; raises Failure."""
        if self._spool is None:
            try:
                return self._server.get(path, query, patience)
            except Failure as fault:
                self._spool = self._left_behind(fault)
        from postroad.cli.stopped_spool import answer

        return answer(self._spool, path, query or {})

    def raw(self, message_id: str) -> bytes:
        """A message's octets."""
        if self._spool is None:
            try:
                return self._server.octets(f"/queue/{segment(message_id)}/raw")
            except Failure as fault:
                self._spool = self._left_behind(fault)
        from postroad.cli.stopped_spool import octets

        return octets(self._spool, message_id)

    def act(self, body: Mapping[str, object], patience: float) -> Any:
        """Change the queue of the running server; raises Failure."""
        try:
            return self._server.send("POST", "/queue/actions", body, patience=patience)
        except Failure as fault:
            raise Failure(fault.exit, fault.message, _CHANGE) if _nobody_runs(fault) else fault from fault

    def _left_behind(self, fault: Failure) -> Path:
        """The spool's folder; raises ``fault`` when a server answered, or none is there."""
        folder = self._server.path.parent / "spool" if self._server.path is not None else None
        if not _nobody_runs(fault) or folder is None or not folder.is_dir():
            raise fault
        return folder


def _nobody_runs(fault: Failure) -> bool:
    """Whether nobody took the question: a server that refuses, or breaks off, is there."""
    return isinstance(fault.__cause__, FileNotFoundError | ConnectionRefusedError)
