"""What every spool promises to those who ask: queries, groups, and the journal that outlives its messages."""

from __future__ import annotations

from typing import Any

from postroad.envelope import MessageId, NewRecipient, Outcome, Result, Step
from postroad.replies import Reply
from postroad.spool.interface import AgeGroup, Ages, JournalQuery, MessageQuery, QueueGroup, Spool
from tests.spool.stories import (
    BOB,
    EVE,
    HELD,
    INBOX,
    LATER,
    QUEUED,
    T0,
    Backend,
    accepted,
    attempt,
    delivered,
    recipient,
    story,
)

FULL = Reply(452, "mailbox full", "4.2.2")
BARE = Reply(421, "closing")
HOSTILE = NewRecipient('"a \\"b\n\x01"@例え.jp', "xn--r8jz45g.jp")


async def deferred(spool: Spool, replies: list[Reply | str], *, due: float = T0 + 1000) -> list[MessageId]:
    """A message for each, deferred for this reply or note."""
    names = []
    for number, reason in enumerate(replies):
        to = NewRecipient(f"user{number}@d{number % 2}.example", f"d{number % 2}.example")
        names.append(await accepted(spool, to, received_at=T0 + number))
        (batch,) = await spool.lease(T0 + number, 1, 5)
        reply, note = (None, reason) if isinstance(reason, str) else (reason, "said so")
        await spool.settle(batch, attempt(Result(0, Outcome.DEFERRED, reply, note, due + number), at=T0 + number))
    return names


class Queries(Backend):
    """A part of Conformance."""

    @story()
    async def test_messages_by_reply_and_note(self, spool: Spool) -> None:
        names = await deferred(spool, [LATER, FULL, BARE, "connection refused", LATER])
        fresh = await accepted(spool)

        async def found(**query: Any) -> list[int]:
            got = [one.id for one in await spool.messages(MessageQuery(oldest_first=True, **query))]
            return [[*names, fresh].index(one) for one in got]

        assert await found(code="451") == [0, 4]
        assert await found(code="4.7.1") == [0, 4]
        assert await found(code="4.7.*") == [0, 4]
        assert await found(code="4*") == [0, 1, 2, 4]
        assert await found(code="42*") == [2]
        assert await found(code="4.7") == []
        assert await found(code="7.1") == []
        assert await found(code="connection*") == []
        assert await found(code="'; DROP TABLE message") == []
        assert await found(note="REFUSED") == [3]
        assert await found(note="said") == [0, 1, 2, 4]
        assert await found(note="said", code="451", destination="d0.*") == [0, 4]
        assert await found(code="452", destination="d0.*") == []
        assert await found(state=HELD, code="451") == []
        assert await found(state=QUEUED, received_before=T0 + 2) == [0, 1, 5]
        assert await found(ids=(names[3], names[1], MessageId("0-none"))) == [1, 3]
        assert await found(ids=(MessageId("0-none"),)) == []
        assert await found(ids=(names[1],), numbers=(0,)) == [1]
        assert await found(ids=(names[1],), numbers=(1, 2)) == []

    @story()
    async def test_a_pattern_and_an_absent_answer(self, spool: Spool) -> None:
        await accepted(spool)
        assert await spool.messages(MessageQuery(code="*")) == []
        assert await spool.messages(MessageQuery(code="?[")) == []

    @story()
    async def test_ids_shortened_by_people(self, spool: Spool) -> None:
        name = await accepted(spool, INBOX)
        gone = await accepted(spool)
        (batch,) = await spool.lease(T0, 9, 60)
        await spool.settle(batch, delivered(batch))
        for one in (name, gone):
            assert await spool.find_ids(one, 5) == [one]
            assert await spool.find_ids(one[-8:], 5) == [one]
        assert await spool.find_ids("0-", 5) == sorted([name, gone])
        assert await spool.find_ids("0-", 1) == sorted([name, gone])[:1]
        for nothing in ("", "%", "_" * 8, "~", name + "x", "'"):
            assert await spool.find_ids(nothing, 5) == []

    # ------------------------------------------------------------------------------------------- groups

    @story()
    async def test_who_waits_for_the_same(self, spool: Spool) -> None:
        await deferred(spool, [LATER, "refused", FULL, LATER, "refused", LATER])
        await accepted(spool, INBOX, received_at=T0 + 50)
        everybody = MessageQuery(limit=0)
        assert await spool.summary("reply", everybody, 9) == [
            QueueGroup("451 4.7.1", 3, T0, T0 + 1000),
            QueueGroup("refused", 2, T0 + 1, T0 + 1001),
            QueueGroup("452 4.2.2", 1, T0 + 2, T0 + 1002),
        ]
        assert await spool.summary("destination", everybody, 1) == [QueueGroup("d0.example", 3, T0, T0 + 1000)]
        assert await spool.summary("reply", MessageQuery(destination="d1.*"), 9) == [
            QueueGroup("451 4.7.1", 2, T0 + 3, T0 + 1003),
            QueueGroup("refused", 1, T0 + 1, T0 + 1001),
        ]
        assert await spool.summary("destination", MessageQuery(code="452"), 9) == [
            QueueGroup("d0.example", 1, T0 + 2, T0 + 1002)
        ]
        assert await spool.summary("reply", MessageQuery(state=HELD), 9) == [QueueGroup("inbox", 1, T0 + 50, None)]
        assert await spool.summary("destination", MessageQuery(code="5*"), 9) == []
        assert await spool.summary("reply", MessageQuery(received_before=T0 + 1), 9) == [
            QueueGroup("451 4.7.1", 1, T0, T0 + 1000)
        ]
        assert await spool.summary("reply", everybody, 0) == []
        await spool.postpone("d1.example", T0 + 5000)
        assert [one.next_due for one in await spool.summary("destination", everybody, 9)] == [T0 + 1000, T0 + 5000]

    @story()
    async def test_how_long_recipients_are_here(self, spool: Spool) -> None:
        await deferred(spool, [LATER, "refused", FULL, LATER, LATER])
        await accepted(spool, INBOX, received_at=T0 + 50)
        moments = (T0 + 60, T0 + 2, T0)
        d0, d1 = AgeGroup("d0.example", 3, (3, 1, 0)), AgeGroup("d1.example", 2, (2, 1, 0))
        everybody = MessageQuery(limit=0)
        assert await spool.ages(everybody, moments, 9) == Ages(AgeGroup("", 5, (5, 2, 0)), 2, (d0, d1))
        assert await spool.ages(everybody, moments, 1) == Ages(AgeGroup("", 5, (5, 2, 0)), 2, (d0,))
        assert await spool.ages(everybody, (), 0) == Ages(AgeGroup("", 5, ()), 2, ())
        held = await spool.ages(MessageQuery(state=HELD), moments[:1], 9)
        assert (held.all, held.destinations) == (AgeGroup("", 1, (1,)), 1)
        some = await spool.ages(MessageQuery(code="451", destination="d1.*"), moments, 9)
        assert some == Ages(AgeGroup("", 1, (1, 0, 0)), 1, (AgeGroup("d1.example", 1, (1, 0, 0)),))
        for nothing in (
            MessageQuery(code="5*"),
            MessageQuery(destination="nowhere.example"),
            MessageQuery(to="nobody"),
        ):
            assert await spool.ages(nothing, moments, 9) == Ages(AgeGroup("", 0, (0, 0, 0)), 0, ())
        await accepted(spool, HOSTILE, received_at=T0 + 70)
        await accepted(spool, NewRecipient("a@b", ""), NewRecipient("c@b", ""), received_at=T0 + 71)
        last = (await spool.ages(everybody, (T0 + 71,), 9)).largest
        assert [(one.key, one.before) for one in last] == [
            ("d0.example", (3,)),
            ("", (0,)),
            ("d1.example", (2,)),
            ("xn--r8jz45g.jp", (1,)),
        ]

    @story()
    async def test_groups_follow_what_operators_do(self, spool: Spool) -> None:
        names = await deferred(spool, [LATER, "refused"])
        for name in names:
            await spool.hold(name, "looking")
        assert await spool.summary("reply", MessageQuery(), 9) == []
        held = await spool.summary("reply", MessageQuery(state=HELD), 9)
        assert [(one.key, one.recipients) for one in held] == [("451 4.7.1", 1), ("looking", 1)]
        assert await spool.release(MessageQuery(), T0 + 9) == 2
        assert [(one.key, one.next_due) for one in await spool.summary("reply", MessageQuery(), 9)] == [
            ("451 4.7.1", T0 + 9)
        ]

    @story()
    async def test_a_note_of_any_length_and_any_characters(self, spool: Spool) -> None:
        notes = ["-dash", "451 4.7.1", "é" * 300, "a'\"%"]
        await deferred(spool, [*notes])
        groups = await spool.summary("reply", MessageQuery(), 9)
        assert sorted(one.key for one in groups) == sorted(note[:200] for note in notes)
        assert await spool.messages(MessageQuery(code="451")) == []

    # ------------------------------------------------------------------------------------------- journal

    @story()
    async def test_the_journal_outlives_its_message(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, HOSTILE)
        first, second = await spool.lease(T0, 9, 60)
        steps = (Step("omit", "RCPT", Reply(555, "no", "5.5.4"), ("NOTIFY",), (0,), 2.5), Step("again", "MAIL", None))
        one = attempt(
            Result(0, Outcome.FAILED, LATER, "n", None, True, "RCPT", True, False, True),
            steps=steps, security="TLSv1.3", transcript="S: 451\nC: QUIT",
        )  # fmt: skip
        await spool.settle(first, one)
        await spool.settle(second, delivered(second))
        entries = await spool.journal(JournalQuery(message=name, oldest_first=True))
        assert [entry.attempt for entry in entries] == [one, delivered(second)]
        assert [entry.forward_paths for entry in entries] == [{0: BOB.forward_path}, {1: HOSTILE.forward_path}]
        assert {(entry.message, entry.reverse_path) for entry in entries} == {(name, "kana@example.net")}
        assert await spool.journal(JournalQuery(message=name[:-1])) == []

    @story()
    async def test_following_and_asking_the_journal(self, spool: Spool) -> None:
        names = await deferred(spool, [LATER, FULL, BARE, "refused", LATER])
        await accepted(spool, HOSTILE)
        (batch,) = await spool.lease(T0 + 9, 9, 60)
        await spool.settle(batch, delivered(batch))
        whole = await spool.journal(JournalQuery(oldest_first=True))
        lines = [entry.line for entry in whole]
        assert len(lines) == 6
        assert lines == sorted(set(lines))

        async def found(**query: Any) -> list[int]:
            return [lines.index(entry.line) for entry in await spool.journal(JournalQuery(**query))]

        assert await found() == [5, 4, 3, 2, 1, 0]
        assert await found(limit=2) == [5, 4]
        assert await found(limit=0) == []
        assert await found(after=lines[1], oldest_first=True, limit=2) == [2, 3]
        assert await found(before=lines[2]) == [1, 0]
        assert await found(message=names[3]) == [3]
        assert await found(to="USER1@") == [1]
        assert await found(to="user", code="4.7.*") == [4, 0]
        assert await found(code="421") == [2]
        assert await found(code="2*") == [5]
        assert await found(to="user1", code="451") == []
        for part in ('"a \\"B\n\x01"', "\\", "\n", "\x01", "例え"):
            assert await found(to=part) == [5], part

    @story()
    async def test_one_and_the_same_recipient_of_a_line(self, spool: Spool) -> None:
        await accepted(spool, BOB, NewRecipient("zoe@example.org", "example.org"))
        (batch,) = await spool.lease(T0, 9, 60)
        await spool.settle(
            batch, attempt(Result(0, Outcome.DEFERRED, LATER, "", T0 + 9), Result(1, Outcome.HELD, FULL))
        )
        assert await spool.journal(JournalQuery(to="bob", code="452")) == []
        assert len(await spool.journal(JournalQuery(to="zoe", code="452"))) == 1

    @story()
    async def test_the_journal_is_trimmed_by_age(self, spool: Spool) -> None:
        names = await deferred(spool, [LATER] * 5)
        whole = await spool.journal(JournalQuery())
        assert await spool.trim_journal(T0, 10**9) == 0
        assert await spool.trim_journal(T0 + 2, 10**9) == 2
        assert await spool.journal(JournalQuery()) == whole[:3]
        assert await spool.attempts(names[0]) == []
        assert (await recipient(spool, names[0])).reply == LATER
        assert await spool.trim_journal(T0 + 99, 10**9) == 3
        assert await spool.trim_journal(T0 + 99, 0) == 0
        await deferred(spool, [FULL])
        (line,) = await spool.journal(JournalQuery())
        assert line.line > whole[0].line

    @story()
    async def test_the_journal_is_trimmed_by_octets(self, spool: Spool) -> None:
        await deferred(spool, [Reply(450, "x" * 900)] * 10)
        whole = await spool.journal(JournalQuery())
        assert await spool.trim_journal(0, 14_000) == 0
        assert 3 <= await spool.trim_journal(0, 7000) <= 6
        left = await spool.journal(JournalQuery())
        assert left == whole[: len(left)]
        assert await spool.trim_journal(0, 0) == len(left)

    @story()
    async def test_the_journal_is_trimmed_beyond_one_transaction(self, spool: Spool) -> None:
        name = await accepted(spool)
        for number in range(603):
            await spool.hold(name, str(number))
            await spool.release(MessageQuery(), T0)
        assert await spool.trim_journal(T0 + 1, 0) == 1206
        await accepted(spool, EVE)
        assert await spool.journal(JournalQuery()) == []
