"""Who beside a recipient waits: counted once for each question, however many recipients of a message ask it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from postroad.admin.queue_filter import WAITING
from postroad.envelope import Recipient
from postroad.spool.interface import MessageQuery, SpoolView
from postroad.spool.transitions import reply_key

#: Groups that are counted to say how much there is in all.
MAX_GROUPS: Final = 100_000
#: With more destinations than this in one message, all of the queue is counted once.
_FEW: Final = 8

By = Literal["destination", "reply"]


@dataclass(frozen=True, slots=True)
class Others:
    """How many recipients beside one wait, too."""

    destination: int
    """For the same destination, whatever they were told."""
    cause: int
    """For the same destination with the same reply, or held for the same reason."""
    elsewhere: int
    """For other destinations with the same reply, or held for the same reason."""
    key: str
    """The cause: code and enhanced status (``451 4.7.1``), or the note where there is no reply; ``""``: nothing was tried."""


NOBODY: Final = Others(0, 0, 0, "")


class Neighbours:
    """Answers for the recipients of one message; remembers what it counted."""

    def __init__(self, spools: Sequence[SpoolView], recipients: Sequence[Recipient]) -> None:
        """``recipients``: those that may be asked about."""
        self._spools = spools
        self._many = len({one.destination for one in recipients}) > _FEW
        self._known: dict[tuple[By, MessageQuery], dict[str, int]] = {}

    async def of(self, one: Recipient) -> Others:
        """Who beside this recipient waits; raises SpoolError."""
        if one.state not in WAITING:
            return NOBODY
        wide = MessageQuery(state=one.state)
        near = MessageQuery(state=one.state, destination=one.destination)
        here = (await self._counted("destination", wide if self._many else near)).get(one.destination, 0)
        key = one.note[:200] if one.reply is None else reply_key(one.reply)
        if not key:
            return Others(max(here - 1, 0), 0, 0, "")
        cause = await self._alike(one, key) if here > 1 else here
        everywhere = (await self._counted("reply", wide)).get(key, 0)
        return Others(max(here - 1, 0), max(cause - 1, 0), max(everywhere - cause, 0), key)

    async def _alike(self, one: Recipient, key: str) -> int:
        """Recipients of its destination with the same cause, itself included."""
        if self._many and one.reply is not None and one.reply.enhanced is not None:  # a code alone means others, too
            return (await self._counted("destination", MessageQuery(state=one.state, code=key))).get(one.destination, 0)
        code, note = (key, "") if one.reply is not None else ("", one.note)
        query = MessageQuery(state=one.state, destination=one.destination, code=code, note=note)
        return (await self._counted("reply", query)).get(key, 0)

    async def _counted(self, by: By, query: MessageQuery) -> dict[str, int]:
        """Group -> recipients in it, over all shards."""
        if (by, query) not in self._known:
            counted: dict[str, int] = {}
            for spool in self._spools:
                for group in await spool.summary(by, query, MAX_GROUPS):
                    counted[group.key] = counted.get(group.key, 0) + group.recipients
            self._known[by, query] = counted
        return self._known[by, query]
