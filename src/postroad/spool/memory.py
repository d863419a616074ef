"""The spool as a plain model: everything in memory, nothing survives the process. The reference for every backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from postroad.clock import Clock, SystemClock
from postroad.envelope import (
    Attempt,
    Batch,
    Draft,
    MessageId,
    NewRecipient,
    Recipient,
    RecipientState,
    StoredMessage,
)
from postroad.errors import NotFound, SpoolError, StorageFull
from postroad.spool.coding import encode
from postroad.spool.content import SpooledContent
from postroad.spool.ids import IdSource
from postroad.spool.interface import BLOCK_OCTETS, ContentWriter, MessageQuery, Spool, SpoolStats
from postroad.spool.transitions import (
    check_attempt,
    check_draft,
    check_due,
    contains,
    held_attempt,
    recipient_matches,
    released_attempt,
    settled,
    wake_time,
)

Done = Callable[[SpoolError | None], None]


@dataclass(slots=True)
class _Row:
    """One recipient and its lease."""

    recipient: Recipient
    token: int = 0
    expires: float = 0.0

    @property
    def wake(self) -> float | None:
        return wake_time(self.recipient.state, self.recipient.next_due, self.expires)


@dataclass(slots=True)
class _Entry:
    """One message."""

    draft: Draft
    sequence: int
    content: bytes
    rows: list[_Row]
    journal: list[Attempt] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.draft.prefix) + len(self.content)

    def has(self, state: RecipientState) -> bool:
        return any(row.recipient.state is state for row in self.rows)

    def stored(self, rows: Iterable[_Row]) -> StoredMessage:
        draft = self.draft
        return StoredMessage(
            draft.id,
            self.sequence,
            draft.reverse_path,
            draft.parameters,
            draft.received_at,
            self.size,
            draft.origin,
            tuple(row.recipient for row in rows),
        )


class MemorySpool:
    """A Spool without a disk; for tests, fixtures and as the model that the other backends are compared with."""

    def __init__(
        self,
        shard: int = 0,
        clock: Clock | None = None,
        budget: int | None = None,
        keep_delivered: bool = False,
    ) -> None:
        """``budget``: octets of prefix and content it may keep; ``keep_delivered``: until trimmed or removed."""
        self.shard = shard
        self._clock = clock or SystemClock()
        self._ids = IdSource(shard, self._clock)
        self._budget = budget
        self._keep_delivered = keep_delivered
        self._entries: dict[MessageId, _Entry] = {}
        self._sequence = 0
        self._token = 0
        self._octets = 0
        self._pending: list[tuple[Draft, SpooledContent, Done]] = []
        self._listeners: list[Callable[[Sequence[Draft]], None]] = []
        self._closed = False

    def new_id(self) -> MessageId:
        """A fresh id."""
        return self._ids.next()

    def open_content(self) -> ContentWriter:
        """Begin content; raises StorageFull when the budget is used up."""
        self._alive()
        if self.free_octets() == 0:
            raise StorageFull("the spool has no room", "remove messages, or allow it a larger budget")
        return SpooledContent(None, None)

    def free_octets(self) -> int | None:
        """What is left of the budget."""
        self._alive()
        return None if self._budget is None else max(self._budget - self._octets, 0)

    def accept(self, draft: Draft, content: ContentWriter, done: Done) -> None:
        """Keep the message; ``done`` is called in the loop's next round."""
        self._alive()
        if not isinstance(content, SpooledContent):
            raise SpoolError("the content was opened by another spool")
        content.submit()
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append((draft, content, done))

    def on_accepted(self, listener: Callable[[Sequence[Draft]], None]) -> None:
        """Call ``listener`` after each batch of acceptances."""
        self._listeners.append(listener)

    async def message(self, message_id: MessageId) -> StoredMessage:
        """One message; raises NotFound."""
        entry = self._entry(message_id)
        return entry.stored(entry.rows)

    async def read(self, message_id: MessageId) -> AsyncIterator[bytes]:
        """Prefix and content in blocks; raises NotFound at the first step."""
        entry = self._entry(message_id)
        for part in (entry.draft.prefix, entry.content):
            for start in range(0, len(part), BLOCK_OCTETS):
                yield part[start : start + BLOCK_OCTETS]

    async def transcript(self, message_id: MessageId) -> str:
        """The SMTP session that brought the message; raises NotFound."""
        return self._entry(message_id).draft.transcript

    async def messages(self, query: MessageQuery) -> list[StoredMessage]:
        """Messages by arrival, newest first unless asked otherwise."""
        self._alive()
        found = [entry for entry in self._matching(query) if any(_fits(query, row) for row in entry.rows)]
        if not query.oldest_first:
            found.reverse()
        return [entry.stored(entry.rows) for entry in found[: max(query.limit, 0)]]

    async def attempts(self, message_id: MessageId) -> list[Attempt]:
        """The message's journal, oldest first; raises NotFound."""
        return list(self._entry(message_id).journal)

    async def stats(self) -> SpoolStats:
        """Counts."""
        self._alive()
        recipients = {state.value: 0 for state in RecipientState}
        for entry in self._entries.values():
            for row in entry.rows:
                recipients[row.recipient.state.value] += 1
        return SpoolStats(len(self._entries), self._octets, recipients)

    async def lease(self, now: float, limit: int, seconds: float) -> list[Batch]:
        """Take recipients that are due."""
        self._alive()
        groups: dict[tuple[MessageId, str], list[_Row]] = {}
        for _, _, _, entry, row in self._due(now):
            groups.setdefault((entry.draft.id, row.recipient.destination), []).append(row)
        return [self._lend(*key, rows, now + seconds) for key, rows in list(groups.items())[: max(limit, 0)]]

    async def renew(self, batch: Batch, now: float, seconds: float) -> Batch:
        """Prolong a lease that is still ours; raises NotFound."""
        self._alive()
        rows = self._leased(batch)
        if rows is None:
            raise NotFound(f"the lease of {batch.message.id} for {batch.destination} was lost")
        for row in rows:
            row.expires = now + seconds
        return replace(batch, expires=now + seconds)

    async def settle(self, batch: Batch, attempt: Attempt) -> bool:
        """Record an attempt and what it changed; False when the lease was lost."""
        self._alive()
        check_attempt(batch, attempt)
        rows = self._leased(batch)
        if rows is None:
            return False
        entry = self._entries[batch.message.id]
        results = {result.number: result for result in attempt.results}
        for row in rows:
            row.token, row.expires = 0, 0.0
            result = results.get(row.recipient.number)
            if result is not None:
                row.recipient = settled(row.recipient, result)
        if results:
            entry.journal.append(attempt)
        if not (self._keep_delivered or entry.has(RecipientState.QUEUED) or entry.has(RecipientState.HELD)):
            self._forget(entry)
        return True

    async def next_due(self) -> float | None:
        """When the earliest QUEUED recipient may be leased."""
        self._alive()
        wakes = (row.wake for entry in self._entries.values() for row in entry.rows)
        return min((wake for wake in wakes if wake is not None), default=None)

    async def hold(self, message_id: MessageId, note: str, numbers: Sequence[int] | None = None) -> int:
        """QUEUED -> HELD; raises NotFound."""
        entry = self._entry(message_id)
        changed: list[int] = []
        for row in entry.rows:
            recipient = row.recipient
            if recipient.state is RecipientState.QUEUED and (numbers is None or recipient.number in numbers):
                row.recipient = replace(recipient, state=RecipientState.HELD, next_due=None, note=note)
                changed.append(recipient.number)
        if changed:
            entry.journal.append(held_attempt(self._clock.wall(), changed, note))
        return len(changed)

    async def release(self, query: MessageQuery, due: float, note: str = "") -> int:
        """HELD -> QUEUED for recipients that match."""
        self._alive()
        check_due(due)
        count = 0
        for entry in self._matching(query):
            changed: list[int] = []
            for row in entry.rows:
                recipient = row.recipient
                if recipient.state is RecipientState.HELD and _fits(query, row) and note in ("", recipient.note):
                    row.recipient = replace(recipient, state=RecipientState.QUEUED, next_due=due, note="")
                    changed.append(recipient.number)
            if changed:
                entry.journal.append(released_attempt(self._clock.wall(), changed, due))
                count += len(changed)
        return count

    async def remove(self, message_ids: Sequence[MessageId]) -> int:
        """Delete messages with their content."""
        self._alive()
        entries = [self._entries[key] for key in dict.fromkeys(message_ids) if key in self._entries]
        for entry in entries:
            self._forget(entry)
        return len(entries)

    async def trim(self, messages: int, octets: int) -> int:
        """Delete the oldest messages that nobody waits for, until so many are left."""
        self._alive()
        at_rest = [entry for entry in self._entries.values() if not entry.has(RecipientState.QUEUED)]
        left, size, count = len(at_rest), sum(entry.size for entry in at_rest), 0
        for entry in at_rest:
            if left <= messages and size <= octets:
                break
            left, size, count = left - 1, size - entry.size, count + 1
            self._forget(entry)
        return count

    async def close(self) -> None:
        """Finish what was submitted; further calls raise SpoolError."""
        self._flush()
        self._closed = True

    # ------------------------------------------------------------------------------------------------ inside

    def _alive(self) -> None:
        if self._closed:
            raise SpoolError("the spool is closed")

    def _entry(self, message_id: MessageId) -> _Entry:
        self._alive()
        entry = self._entries.get(message_id)
        if entry is None:
            raise NotFound(f"no message {message_id[:60]!r} in the spool")
        return entry

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        accepted: list[Draft] = []
        outcomes: list[tuple[Done, SpoolError | None]] = []
        for draft, content, done in pending:
            try:
                self._keep(draft, content.octets())
                accepted.append(draft)
                outcomes.append((done, None))
            except SpoolError as error:
                outcomes.append((done, error))
            content.forget()
        for done, outcome in outcomes:
            _call(done, outcome)
        for listener in self._listeners if accepted else ():
            _call(listener, accepted)

    def _keep(self, draft: Draft, content: bytes) -> None:
        check_draft(draft, self._ids.prefix)
        if draft.id in self._entries:
            raise SpoolError(f"message {draft.id} is in the spool already")
        _check_text(draft)
        size = len(draft.prefix) + len(content)
        if self._budget is not None and self._octets + size > self._budget:
            raise StorageFull("the spool's budget is used up", "remove messages, or allow it a larger budget")
        self._sequence += 1
        self._octets += size
        rows = [_Row(_begin(number, new, draft.received_at)) for number, new in enumerate(draft.recipients)]
        self._entries[draft.id] = _Entry(draft, self._sequence, content, rows)

    def _forget(self, entry: _Entry) -> None:
        self._octets -= entry.size
        del self._entries[entry.draft.id]

    def _matching(self, query: MessageQuery) -> list[_Entry]:
        """Messages that fit all that the query says of messages, oldest first."""
        return [
            entry
            for entry in self._entries.values()
            if entry.sequence > query.after
            and (not query.before or entry.sequence < query.before)
            and contains(entry.draft.reverse_path, query.reverse_path)
        ]

    def _due(self, now: float) -> list[tuple[float, int, int, _Entry, _Row]]:
        return sorted(
            (wake, entry.sequence, row.recipient.number, entry, row)
            for entry in self._entries.values()
            for row in entry.rows
            if (wake := row.wake) is not None and wake <= now
        )

    def _lend(self, message_id: MessageId, destination: str, rows: list[_Row], expires: float) -> Batch:
        self._token += 1
        rows.sort(key=lambda row: row.recipient.number)
        for row in rows:
            row.token, row.expires = self._token, expires
        return Batch(self._entries[message_id].stored(rows), destination, self._token, expires)

    def _leased(self, batch: Batch) -> list[_Row] | None:
        """The rows of a lease, or None when it was lost."""
        entry = self._entries.get(batch.message.id)
        if entry is None or entry.sequence != batch.message.sequence:
            return None
        rows = [entry.rows[recipient.number] for recipient in batch.message.recipients]
        return rows if all(row.token == batch.token for row in rows) else None


def _begin(number: int, new: NewRecipient, due: float) -> Recipient:
    state, next_due = (RecipientState.HELD, None) if new.hold else (RecipientState.QUEUED, due)
    return Recipient(number, new.forward_path, new.destination, new.parameters, state, 0, next_due, None, new.hold)


def _fits(query: MessageQuery, row: _Row) -> bool:
    return recipient_matches(query, row.recipient.forward_path, row.recipient.destination, row.recipient.state)


def _check_text(draft: Draft) -> None:
    """Refuse what no database could store: text with half of a surrogate pair."""
    texts = [draft.reverse_path, draft.parameters, draft.transcript]
    for new in draft.recipients:
        texts += (new.forward_path, new.destination, new.parameters, new.hold)
    try:
        encode(draft.origin)
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise SpoolError(f"message {draft.id} has text that is no Unicode: {error.reason}") from error


def _call(function: Callable[..., None], argument: object) -> None:
    """One caller's fault must not cost the others their answer."""
    try:
        function(argument)
    except Exception as error:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a spool callback failed", "exception": error, "callback": function}
        )


if TYPE_CHECKING:
    _: type[Spool] = MemorySpool
