"""What is asked of the committer, and what it tells when a transaction is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from postroad.envelope import Attempt, Batch, Draft, JournalEntry
from postroad.errors import NotFound, SpoolError
from postroad.spool.content import SpooledContent
from postroad.spool.keeping import Incoming
from postroad.spool.transaction import Transaction

#: What a request settles, if it does nothing else.
Settlement = tuple[Batch, Attempt]


class Acceptance(Incoming):
    """A message on its way to the commit point, and who waits for it."""

    __slots__ = ("_done", "error")

    def __init__(
        self, draft: Draft, content: SpooledContent, expires: float, done: Callable[[SpoolError | None], None]
    ) -> None:
        super().__init__(draft, content, expires)
        self.error: SpoolError | NotFound | None = None
        self._done = done

    @property
    def incoming(self) -> Sequence[Incoming]:
        """What comes in: itself."""
        return (self,)

    @property
    def accepted(self) -> bool:
        """Whether it stays."""
        return self.error is None

    def finish(self) -> None:
        """Tell the caller; on the event loop."""
        self._done(self.error)  # type: ignore[arg-type]


class Request:
    """Any other change, with messages that are accepted together with it, and the future that waits for its result."""

    __slots__ = ("error", "future", "incoming", "result", "settles", "work")

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        future: asyncio.Future[Any],
        incoming: Sequence[Incoming] = (),
        settles: Settlement | None = None,
    ) -> None:
        """``work`` writes what comes in; with a result that is false, it did not."""
        self.work = work
        self.settles = settles
        self.future = future
        self.incoming = incoming
        self.result: Any = None
        self.error: SpoolError | NotFound | None = None

    @property
    def accepted(self) -> bool:
        """Whether what came in stays."""
        return self.error is None and bool(self.result)

    def finish(self) -> None:
        """Tell the caller; on the event loop. One that was cancelled does not wait any more."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


@dataclass(frozen=True, slots=True)
class Commit:
    """What a transaction brought, for those who watch."""

    accepted: list[Incoming]
    lost: list[Draft]
    """Claimed drafts that were not accepted."""
    entries: list[JournalEntry]
