"""The spool as a plain model: everything in memory, nothing survives the process. The reference for every backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from postroad.clock import Clock, SystemClock
from postroad.envelope import (
    Attempt,
    Batch,
    Draft,
    JournalEntry,
    MessageId,
    RecipientState,
    StoredMessage,
)
from postroad.errors import NotFound, SpoolError, StorageFull
from postroad.spool import memory_rows
from postroad.spool.content import SpooledContent, submitted
from postroad.spool.ids import IdSource
from postroad.spool.interface import (
    BLOCK_OCTETS,
    Ages,
    ContentWriter,
    JournalQuery,
    MessageQuery,
    QueueGroup,
    Spool,
    SpoolStats,
)
from postroad.spool.memory_rows import Entry, Journal, Row, begin, by_destination, check_attempt_text, check_text
from postroad.spool.transitions import (
    CLOSED,
    COUNT_LIMIT,
    cause_of,
    check_attempt,
    check_draft,
    check_due,
    claimed_until,
    held_attempt,
    is_claimable,
    released_attempt,
    settled,
)

Done = Callable[[SpoolError | None], None]
Claim = Callable[[Draft], float | None]


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
        self._entries: dict[MessageId, Entry] = {}
        self._sequence = 0
        self._token = 0
        self._octets = 0
        self._journal = Journal()
        self._postponed: dict[str, float] = {}
        self._pending: list[tuple[Draft, SpooledContent, Done, float]] = []
        self._listeners: list[Callable[[Sequence[Draft]], None]] = []
        self._claim: Claim | None = None
        self._claimed: list[Callable[[Sequence[Batch]], None]] = []
        self._lost: list[Callable[[Sequence[Draft]], None]] = []
        self._settled: list[Callable[[Sequence[JournalEntry]], None]] = []
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

    def open_report(self) -> ContentWriter:
        """Begin the content of a report, whatever the budget."""
        self._alive()
        return SpooledContent(None, None, reserved=True)

    def free_octets(self) -> int | None:
        """What is left of the budget."""
        self._alive()
        return None if self._budget is None else max(self._budget - self._octets, 0)

    def accept(self, draft: Draft, content: ContentWriter, done: Done) -> None:
        """Keep the message; ``done`` is called in the loop's next round."""
        self._alive()
        taken = submitted(content)
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append((draft, taken, done, claimed_until(self._claim, draft, self._clock.wall())))

    def on_accepted(self, listener: Callable[[Sequence[Draft]], None]) -> None:
        """Call ``listener`` after each batch of acceptances."""
        self._listeners.append(listener)

    def on_accepting(self, claim: Claim) -> None:
        """Ask ``claim`` in each ``accept``."""
        self._claim = claim

    def on_claimed(
        self,
        listener: Callable[[Sequence[Batch]], None],
        lost: Callable[[Sequence[Draft]], None] | None = None,
    ) -> None:
        """Call ``listener`` with the leases of what was claimed and accepted, ``lost`` with what was not accepted."""
        self._claimed.append(listener)
        if lost is not None:
            self._lost.append(lost)

    def on_settled(self, listener: Callable[[Sequence[JournalEntry]], None]) -> None:
        """Call ``listener`` with each line of the journal."""
        self._settled.append(listener)

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
        found = [entry for entry in self._matching(query) if any(row.fits(query) for row in entry.rows)]
        if not query.oldest_first:
            found.reverse()
        return [entry.stored(entry.rows) for entry in found[: max(query.limit, 0)]]

    async def find_ids(self, part: str, limit: int) -> list[MessageId]:
        """Ids that begin or end with ``part``, of messages and of the journal."""
        self._alive()
        known = {*self._entries, *self._journal.messages()}
        return sorted(one for one in known if part and (one.startswith(part) or one.endswith(part)))[: max(limit, 0)]

    async def attempts(self, message_id: MessageId) -> list[Attempt]:
        """What the journal has of a message that is here, oldest first; raises NotFound."""
        self._entry(message_id)
        return self._journal.of(message_id)

    async def journal(self, query: JournalQuery) -> list[JournalEntry]:
        """Lines of the journal, newest first unless asked otherwise."""
        self._alive()
        return self._journal.find(query)

    async def summary(self, by: Literal["destination", "reply"], query: MessageQuery, limit: int) -> list[QueueGroup]:
        """Recipients that match, in groups, the largest first."""
        self._alive()
        if query.state is None:
            query = replace(query, state=RecipientState.QUEUED)
        groups: dict[str, list[tuple[Entry, Row]]] = {}
        for entry in self._matching(query):
            for row in entry.rows:
                one = row.recipient
                key = one.destination if by == "destination" else cause_of(one.reply, one.note)
                if key and row.fits(query):
                    groups.setdefault(key, []).append((entry, row))
        made = [self._group(key, members, by == "destination") for key, members in groups.items()]
        made.sort(key=lambda group: (-group.recipients, group.key))
        return made[: max(limit, 0)]

    def _group(self, key: str, members: list[tuple[Entry, Row]], destination: bool) -> QueueGroup:
        oldest = min(members, key=lambda member: member[0].sequence)[0].draft.received_at
        wake = min((row.wake for _, row in members if row.wake is not None), default=None)
        if destination and wake is not None:
            wake = max(wake, self._postponed.get(key, wake))
        return QueueGroup(key if destination else key.removeprefix("-"), len(members), oldest, wake)

    async def ages(self, query: MessageQuery, moments: Sequence[float], limit: int) -> Ages:
        """Recipients that match by destination and age."""
        self._alive()
        return memory_rows.ages_of(self._matching(query), query, moments, limit)

    async def stats(self) -> SpoolStats:
        """Counts."""
        self._alive()
        recipients = {state.value: 0 for state in RecipientState}
        for entry in self._entries.values():
            for row in entry.rows:
                recipients[row.recipient.state.value] += 1
        return SpoolStats(len(self._entries), self._octets, recipients)

    async def lease(
        self, now: float, limit: int, seconds: float, *, busy: Collection[str] = (), per_destination: int = 0
    ) -> list[Batch]:
        """Take recipients that are due."""
        self._alive()
        self._postponed = {name: until for name, until in self._postponed.items() if until > now}
        groups: dict[tuple[MessageId, str], tuple[Entry, list[Row]]] = {}
        counts: dict[str, int] = {}
        for _, _, _, _, entry, row in self._due(now):
            destination = row.recipient.destination
            key = entry.draft.id, destination
            if key not in groups:
                count = counts.get(destination, 0)
                if destination in busy or destination in self._postponed:
                    continue
                if len(groups) >= limit or (per_destination and count >= per_destination):
                    continue
                counts[destination] = count + 1
                groups[key] = entry, []
            groups[key][1].append(row)
        return [self._lend(entry, key[1], rows, now + seconds) for key, (entry, rows) in groups.items()]

    async def take(
        self, message_id: MessageId, numbers: Sequence[int] | None, now: float, seconds: float
    ) -> list[Batch]:
        """Lease recipients that are QUEUED or HELD and not leased, whatever their time; raises NotFound."""
        entry = self._entry(message_id)
        free = [
            row
            for row in entry.rows
            if row.recipient.state not in CLOSED
            and row.expires <= now
            and (numbers is None or row.recipient.number in numbers)
        ]
        return [self._lend(entry, key, rows, now + seconds) for key, rows in by_destination(free).items()]

    async def renew(self, batch: Batch, now: float, seconds: float) -> Batch:
        """Prolong a lease that is still ours; raises NotFound."""
        self._alive()
        rows = self._leased(batch)
        if rows is None:
            raise NotFound(f"the lease of {batch.message.id} for {batch.destination} was lost")
        for row in rows:
            row.expires = now + seconds
        return replace(batch, expires=now + seconds)

    async def settle(self, batch: Batch, attempt: Attempt, reports: Sequence[tuple[Draft, ContentWriter]] = ()) -> bool:
        """Record an attempt and what it changed, and accept reports; False when the lease was lost."""
        try:
            self._alive()
            check_attempt(batch, attempt)
            rows = self._leased(batch)
            if rows is None:
                return False
            check_attempt_text(batch.message.id, attempt)
            self._keep_all(reports)
        finally:
            for _, content in reports:
                content.discard()
        entry = self._entries[batch.message.id]
        results = {result.number: result for result in attempt.results}
        for row in rows:
            row.token, row.expires = 0, 0.0
            result = results.get(row.recipient.number)
            if result is not None:
                row.recipient = settled(row.recipient, result)
        if results:
            self._note(entry, attempt)
        if not self._keep_delivered and all(row.recipient.state in CLOSED for row in entry.rows):
            self._forget(entry)
        for listener in self._listeners if reports else ():
            _call(listener, [draft for draft, _ in reports])
        return True

    def _keep_all(self, reports: Sequence[tuple[Draft, ContentWriter]]) -> None:
        """All of them, or none."""
        kept: list[Entry] = []
        before = self._sequence
        try:
            for draft, content in reports:
                kept.append(self._keep(draft, submitted(content), 0.0)[0])
        except SpoolError:
            for entry in kept:
                self._forget(entry)
            self._sequence = before
            raise

    async def next_due(self, busy: Collection[str] = ()) -> float | None:
        """When the earliest QUEUED recipient may be leased."""
        self._alive()
        found: list[float] = []
        for entry in self._entries.values():
            for row in entry.rows:
                destination, wake = row.recipient.destination, row.wake
                if wake is not None and destination not in busy:
                    found.append(max(wake, self._postponed.get(destination, wake)))
        return min(found, default=None)

    async def postpone(self, destination: str, until: float) -> int:
        """Lease nothing for this destination before ``until``."""
        self._alive()
        check_due(until)
        self._postponed[destination] = until
        return self._count(destination, None)

    async def resume(self, destination: str, now: float) -> int:
        """Undo ``postpone``."""
        self._alive()
        return 0 if self._postponed.pop(destination, None) is None else self._count(destination, now)

    def _count(self, destination: str, now: float | None) -> int:
        rows = (row for entry in self._entries.values() for row in entry.rows)
        wakes = [row.wake for row in rows if row.recipient.destination == destination]
        return min(sum(wake is not None and (now is None or wake <= now) for wake in wakes), COUNT_LIMIT)

    async def retry(self, query: MessageQuery, due: float) -> int:
        """QUEUED recipients that match are due at ``due``."""
        self._alive()
        check_due(due)
        count = 0
        for entry in self._matching(query):
            for row in entry.rows:
                if row.recipient.state is RecipientState.QUEUED and row.fits(query):
                    row.recipient = replace(row.recipient, next_due=due)
                    self._postponed.pop(row.recipient.destination, None)
                    count += 1
        return count

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
            self._note(entry, held_attempt(self._clock.wall(), changed, note))
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
                if recipient.state is RecipientState.HELD and row.fits(query) and note in ("", recipient.note):
                    row.recipient = replace(recipient, state=RecipientState.QUEUED, next_due=due, note="")
                    changed.append(recipient.number)
            if changed:
                self._note(entry, released_attempt(self._clock.wall(), changed, due))
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

    async def trim_journal(self, older_than: float, octets: int) -> int:
        """Delete the oldest lines of the journal."""
        self._alive()
        return self._journal.trim(older_than, octets)

    async def close(self) -> None:
        """Finish what was submitted; further calls raise SpoolError."""
        self._flush()
        self._closed = True

    # ------------------------------------------------------------------------------------------------ inside

    def _alive(self) -> None:
        if self._closed:
            raise SpoolError("the spool is closed")

    def _entry(self, message_id: MessageId) -> Entry:
        self._alive()
        entry = self._entries.get(message_id)
        if entry is None:
            raise NotFound(f"no message {message_id[:60]!r} in the spool")
        return entry

    def _note(self, entry: Entry, attempt: Attempt) -> None:
        line = self._journal.append(entry, attempt)
        for listener in self._settled:
            _call(listener, [line])

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        accepted: list[Draft] = []
        batches: list[Batch] = []
        lost: list[Draft] = []
        outcomes: list[tuple[Done, SpoolError | None]] = []
        for draft, content, done, until in pending:
            try:
                batches += self._keep(draft, content, until)[1]
                accepted.append(draft)
                outcomes.append((done, None))
            except SpoolError as error:
                outcomes.append((done, error))
                if until:
                    lost.append(draft)
            content.forget()
        for done, outcome in outcomes:
            _call(done, outcome)
        for call, what in ((self._lost, lost), (self._claimed, batches), (self._listeners, accepted)):
            for listener in call if what else ():
                _call(listener, what)

    def _keep(self, draft: Draft, content: SpooledContent, until: float) -> tuple[Entry, list[Batch]]:
        """Store a message; with a time, leased until then."""
        check_draft(draft, self._ids.prefix)
        if draft.id in self._entries:
            raise SpoolError(f"message {draft.id} is in the spool already")
        check_text(draft)
        size = len(draft.prefix) + content.size
        if self._budget is not None and self._octets + size > self._budget and not content.reserved:
            raise StorageFull("the spool's budget is used up", "remove messages, or allow it a larger budget")
        self._sequence += 1
        self._octets += size
        entry = Entry(draft, self._sequence, content.octets(), begin(draft))
        self._entries[draft.id] = entry
        claimed = [row for row, new in zip(entry.rows, draft.recipients, strict=True) if is_claimable(new)]
        groups = by_destination(claimed) if until else {}
        return entry, [self._lend(entry, key, rows, until) for key, rows in groups.items()]

    def _forget(self, entry: Entry) -> None:
        self._octets -= entry.size
        del self._entries[entry.draft.id]

    def _matching(self, query: MessageQuery) -> list[Entry]:
        """Messages that fit all that the query says of messages, oldest first."""
        return [entry for entry in self._entries.values() if entry.fits(query)]

    def _due(self, now: float) -> list[tuple[int, float, int, int, Entry, Row]]:
        return sorted(
            (-entry.draft.priority, wake, entry.sequence, row.recipient.number, entry, row)
            for entry in self._entries.values()
            for row in entry.rows
            if (wake := row.wake) is not None and wake <= now
        )

    def _lend(self, entry: Entry, destination: str, rows: list[Row], expires: float) -> Batch:
        self._token += 1
        return entry.lend(destination, rows, self._token, expires)

    def _leased(self, batch: Batch) -> list[Row] | None:
        """The rows of a lease, or None when it was lost."""
        entry = self._entries.get(batch.message.id)
        if entry is None or entry.sequence != batch.message.sequence:
            return None
        rows = [entry.rows[recipient.number] for recipient in batch.message.recipients]
        return rows if all(row.token == batch.token for row in rows) else None


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
