"""What every spool promises (src/postroad/spool/interface.py), a test a sentence; run on each backend.

A backend's test file has a class that inherits ``Conformance`` and says how to open one. The other sentences stand in
conformance_leases.py (workers), conformance_delivery.py (delivery), conformance_keeping.py (operators) and
conformance_queries.py (those who ask).
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from typing import Any

import pytest

from postroad.envelope import Draft, MessageId, NewRecipient, Origin, Recipient
from postroad.errors import NotFound, SpoolError, StorageFull
from postroad.spool.interface import BLOCK_OCTETS, INLINE_OCTETS, MessageQuery, Spool
from tests.spool.conformance_delivery import Delivery
from tests.spool.conformance_keeping import Keeping
from tests.spool.conformance_leases import Leases
from tests.spool.conformance_queries import Queries
from tests.spool.stories import (
    BOB,
    DELIVERED,
    EVE,
    HELD,
    INBOX,
    QUEUED,
    T0,
    accepted,
    delivered,
    draft,
    everything,
    octets,
    outcome,
    story,
    written,
)


class Conformance(Leases, Keeping, Delivery, Queries):
    """Inherit, and say how to ``open``."""

    # ---------------------------------------------------------------------------------------------- ids

    @story(shard=7)
    async def test_ids_carry_the_shard_and_sort_by_time(self, spool: Spool) -> None:
        assert spool.shard == 7
        ids = []
        for _ in range(50):
            ids += [spool.new_id(), spool.new_id()]
            self.clock.now += 0.001
        assert all(re.fullmatch(r"7-[0-9A-Za-z]{1,38}", one) for one in ids)
        assert len(set(ids)) == 100
        assert [one[:11] for one in sorted(ids)] == [one[:11] for one in ids]

    @story()
    async def test_ids_cannot_be_guessed(self, spool: Spool) -> None:
        tails = {spool.new_id()[-12:] for _ in range(1000)}
        assert len(tails) == 1000
        assert len({tail[0] for tail in tails}) == 32  # 60 bits: every character varies

    # ------------------------------------------------------------------------------------------ content

    @story()
    @pytest.mark.parametrize("size", [0, 1, INLINE_OCTETS - 1, INLINE_OCTETS, INLINE_OCTETS + 1, 300_000])
    @pytest.mark.parametrize("block", [1000, 65_536, 1_000_000])
    async def test_octets_in_are_octets_out(self, spool: Spool, size: int, block: int) -> None:
        content = os.urandom(size)
        writer = written(spool, content, block)
        assert writer.size == size
        one = draft(spool, prefix=b"Received: here\r\n")
        assert await outcome(spool, one, writer) is None
        blocks = [block async for block in spool.read(one.id)]
        assert b"".join(blocks) == b"Received: here\r\n" + content
        assert all(0 < len(block) <= BLOCK_OCTETS for block in blocks)
        assert (await spool.message(one.id)).size == 16 + size

    @story()
    async def test_a_long_prefix_and_none(self, spool: Spool) -> None:
        long = await accepted(spool, prefix=b"X-Long: 1\r\n" * 10_000, content=b"1")
        none = await accepted(spool, prefix=b"", content=b"2")
        assert await octets(spool, long) == b"X-Long: 1\r\n" * 10_000 + b"1"
        assert await octets(spool, none) == b"2"

    @story()
    @pytest.mark.parametrize("size", [10, 200_000])
    async def test_discarded_content_is_forgotten(self, spool: Spool, size: int) -> None:
        writer = written(spool, bytes(size))
        writer.discard()
        writer.discard()
        with pytest.raises(SpoolError):
            writer.write(b"more")
        with pytest.raises(SpoolError):
            spool.accept(draft(spool), writer, lambda _: None)
        assert (await spool.stats()).messages == 0

    @story()
    @pytest.mark.parametrize("size", [10, 200_000])
    async def test_discarding_after_accept_is_harmless(self, spool: Spool, size: int) -> None:
        writer, one = written(spool, bytes(size)), draft(spool)
        done: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
        spool.accept(one, writer, done.set_result)
        writer.discard()
        assert await done is None
        writer.discard()
        assert await octets(spool, one.id) == b"Received: here\r\n" + bytes(size)

    @story(budget=1000)
    async def test_a_used_up_budget_is_told_before_content(self, spool: Spool) -> None:
        assert spool.free_octets() == 1000
        first = await accepted(spool, content=bytes(984))
        assert spool.free_octets() == 0
        with pytest.raises(StorageFull):
            spool.open_content()
        await spool.remove([first])
        self.clock.now += 2  # what is known may be a second old
        assert spool.free_octets() == 1000
        await accepted(spool)

    @story(budget=1000)
    async def test_what_does_not_fit_the_budget_is_refused_whole(self, spool: Spool) -> None:
        error = await outcome(spool, draft(spool), written(spool, bytes(985)))
        assert isinstance(error, StorageFull)
        assert error.hint
        assert await everything(spool) == []
        await accepted(spool, content=bytes(984))

    # ------------------------------------------------------------------------------------------- accept

    @story()
    async def test_done_comes_later_and_on_the_event_loop(self, spool: Spool) -> None:
        told: list[tuple[SpoolError | None, int]] = []
        waiting = asyncio.Event()

        def done(error: SpoolError | None) -> None:
            told.append((error, threading.get_ident()))
            waiting.set()

        spool.accept(draft(spool), written(spool, b"x"), done)
        assert told == []
        await waiting.wait()
        assert told == [(None, threading.get_ident())]

    @story()
    async def test_an_accepted_message_is_found_as_it_was_given(self, spool: Spool) -> None:
        origin = Origin("s1", "mx", "[2001:db8::1]:1234", "client.例え", "kana", "TLSv1.3")
        recipients = (BOB, EVE, INBOX)
        fields: dict[str, Any] = {"parameters": "BODY=8BITMIME SMTPUTF8", "origin": origin, "received_at": T0 + 0.25}
        transcript = "C: MAIL FROM:<かな@例え.jp>\nS: 250 2.1.0 OK"
        name = await accepted(spool, *recipients, reverse_path="かな@例え.jp", transcript=transcript, **fields)
        message = await spool.message(name)
        assert (message.id, message.reverse_path, message.size) == (name, "かな@例え.jp", 21)
        assert (message.parameters, message.received_at, message.origin) == (
            "BODY=8BITMIME SMTPUTF8", T0 + 0.25, origin,
        )  # fmt: skip
        assert await spool.transcript(name) == transcript
        assert message.recipients == (
            Recipient(0, "bob@example.org", "example.org", "NOTIFY=NEVER", QUEUED, 0, T0 + 0.25, None, ""),
            Recipient(1, "eve@example.com", "example.com", "", QUEUED, 0, T0 + 0.25, None, ""),
            Recipient(2, "kept@example.org", "example.org", "", HELD, 0, None, None, "inbox"),
        )
        assert await spool.messages(MessageQuery()) == [message]
        assert await spool.attempts(name) == []

    @story()
    async def test_the_null_reverse_path(self, spool: Spool) -> None:
        assert (await spool.message(await accepted(spool, reverse_path=""))).reverse_path == ""

    @story()
    async def test_a_thousand_recipients(self, spool: Spool) -> None:
        many = tuple(
            NewRecipient(f"user{number}@d{number % 7}.example", f"d{number % 7}.example") for number in range(1000)
        )
        name = await accepted(spool, *many)
        assert [one.forward_path for one in (await spool.message(name)).recipients] == [
            one.forward_path for one in many
        ]
        batches = await spool.lease(T0, 100, 60)
        assert [len(batch.message.recipients) for batch in batches] == [143, 143, 143, 143, 143, 143, 142]

    @story()
    async def test_sequence_is_the_order_of_arrival(self, spool: Spool) -> None:
        names = [await accepted(spool) for _ in range(3)]
        await spool.remove(names[2:])
        names[2] = await accepted(spool)
        sequences = [(await spool.message(name)).sequence for name in names]
        assert sequences == sorted(set(sequences))
        assert sequences[2] > sequences[1] + 1  # a number is never given twice

    @story()
    async def test_one_bad_message_costs_its_neighbours_nothing(self, spool: Spool) -> None:
        twice = draft(spool)
        drafts = {
            "good": draft(spool),
            "first": twice,
            "twice": twice,
            "alone": Draft(spool.new_id(), "a@b.example", (), T0),
            "foreign": Draft(MessageId("9-zzz"), "a@b.example", (BOB,), T0),
            "hostile": Draft(MessageId("0-'; DROP"), "a@b.example", (BOB,), T0),
            "long": Draft(MessageId("0-" + 39 * "z"), "a@b.example", (BOB,), T0),
            "never": draft(spool, received_at=float("nan")),
            "surrogate": draft(spool, reverse_path="a\ud800@b.example"),
            "peer": draft(spool, origin=Origin(hello="\udcff")),
            "also good": draft(spool, BOB, EVE, INBOX),
        }
        futures: dict[str, asyncio.Future[SpoolError | None]] = {}
        for name, one in drafts.items():
            futures[name] = asyncio.get_running_loop().create_future()
            spool.accept(one, written(spool, b"x"), futures[name].set_result)
        told = {name: await future for name, future in futures.items()}
        assert [name for name, error in told.items() if error is None] == ["good", "first", "also good"]
        assert all(type(error) is SpoolError for error in told.values() if error is not None)
        assert await everything(spool) == [drafts[name].id for name in ("good", "first", "also good")]
        assert (await spool.stats()).recipients == {"queued": 4, "held": 1, "delivered": 0, "failed": 0}
        assert await octets(spool, twice.id) == b"Received: here\r\nx"

    @story()
    async def test_content_is_accepted_once(self, spool: Spool) -> None:
        writer = written(spool, b"x")
        assert await outcome(spool, draft(spool), writer) is None
        with pytest.raises(SpoolError):
            spool.accept(draft(spool), writer, lambda _: None)

    @story()
    async def test_content_of_another_spool_is_refused(self, spool: Spool) -> None:
        class Other:
            size = 0

            def write(self, block: bytes) -> None: ...
            def discard(self) -> None: ...

        with pytest.raises(SpoolError):
            spool.accept(draft(spool), Other(), lambda _: None)

    @story()
    async def test_many_at_once(self, spool: Spool) -> None:
        drafts = [draft(spool, BOB, EVE) for _ in range(300)]
        left = len(drafts)
        finished = asyncio.Event()

        def done(error: SpoolError | None) -> None:
            nonlocal left
            assert error is None
            left -= 1
            if not left:
                finished.set()

        for number, one in enumerate(drafts):
            spool.accept(one, written(spool, b"%d" % number), done)
        await finished.wait()
        assert await everything(spool) == [one.id for one in drafts]
        assert await octets(spool, drafts[123].id) == b"Received: here\r\n123"

    @story()
    async def test_a_callback_that_raises_costs_the_others_nothing(self, spool: Spool) -> None:
        def bad(_: SpoolError | None) -> None:
            raise RuntimeError("callback")

        spool.accept(draft(spool), written(spool, b"1"), bad)
        await accepted(spool)
        assert [str(what["exception"]) for what in self.complaints] == ["callback"]
        self.complaints.clear()

    @story()
    async def test_listeners_hear_of_what_is_durable(self, spool: Spool) -> None:
        heard: list[MessageId] = []

        def bad(_: object) -> None:
            raise RuntimeError("listener")

        spool.on_accepted(bad)
        spool.on_accepted(lambda drafts: heard.extend(one.id for one in drafts))
        first = await accepted(spool)
        await outcome(spool, Draft(MessageId("9-x"), "", (BOB,), T0), written(spool, b"x"))
        second = await accepted(spool)
        await asyncio.sleep(0)
        assert heard == [first, second]
        assert [str(what["exception"]) for what in self.complaints] == ["listener", "listener"]
        self.complaints.clear()

    # ------------------------------------------------------------------------------------------ looking

    @story()
    async def test_what_is_not_there_is_not_found(self, spool: Spool) -> None:
        for missing in (spool.new_id(), MessageId("'; --"), MessageId("")):
            for ask in (spool.message, spool.transcript, spool.attempts, lambda name: octets(spool, name)):
                with pytest.raises(NotFound):
                    await ask(missing)
            with pytest.raises(NotFound):
                await spool.hold(missing, "why")
        assert await spool.remove([spool.new_id()]) == 0

    @story()
    async def test_messages_newest_first_in_pages(self, spool: Spool) -> None:
        names = [await accepted(spool) for _ in range(5)]
        page = await spool.messages(MessageQuery(limit=2))
        assert [one.id for one in page] == [names[4], names[3]]
        page = await spool.messages(MessageQuery(limit=2, before=page[-1].sequence))
        assert [one.id for one in page] == [names[2], names[1]]
        page = await spool.messages(MessageQuery(limit=2, oldest_first=True, after=page[-1].sequence))
        assert [one.id for one in page] == [names[2], names[3]]
        assert await spool.messages(MessageQuery(limit=0)) == []
        assert await spool.messages(MessageQuery(limit=-1)) == []

    @story()
    async def test_a_query_narrows_by_every_field(self, spool: Spool) -> None:
        one = await accepted(spool, BOB, INBOX, reverse_path="Kana@Example.NET")
        two = await accepted(spool, EVE, reverse_path="100%_sure@example.com")
        three = await accepted(spool, NewRecipient("ÜMIT@例え.jp", "xn--r8jz45g.jp"), reverse_path="Straße@example.de")

        async def found(**query: Any) -> list[MessageId]:
            return [message.id for message in await spool.messages(MessageQuery(oldest_first=True, **query))]

        assert await found() == [one, two, three]
        assert await found(to="BOB@") == [one]
        assert await found(to="example") == [one, two]
        assert await found(to="ümit") == [three]
        assert await found(to="例え") == [three]
        assert await found(to="%") == []
        assert await found(reverse_path="kana@example.net") == [one]
        assert await found(reverse_path="%_s") == [two]
        assert await found(reverse_path="_____") == []
        assert await found(reverse_path="STRASSE") == []  # only ASCII has a case when the question is ASCII
        assert await found(reverse_path="STRAßE") == [three]
        assert await found(destination="EXAMPLE.ORG") == [one]
        assert await found(destination="example.or") == await found(destination="xample.org") == []
        assert await found(destination="xn--*") == [three] == await found(destination="*xn-*")
        assert await found(destination="xn--*xn--*") == await found(destination="[ex]*") == []
        assert await found(state=HELD) == [one]
        assert await found(state=QUEUED) == [one, two, three]
        assert await found(state=DELIVERED) == []
        assert await found(reverse_path="'; DROP TABLE message; --") == []

    @story()
    async def test_a_query_asks_one_and_the_same_recipient(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, INBOX)
        assert await spool.messages(MessageQuery(to="bob", state=HELD)) == []
        assert await spool.messages(MessageQuery(to="kept", state=QUEUED)) == []
        assert [one.id for one in await spool.messages(MessageQuery(to="kept", state=HELD))] == [name]

    @story(keep_delivered=True)
    async def test_stats_count(self, spool: Spool) -> None:
        assert (await spool.stats()).recipients == {"queued": 0, "held": 0, "delivered": 0, "failed": 0}
        await accepted(spool, BOB, INBOX, EVE, content=bytes(84))
        await accepted(spool, INBOX, content=bytes(184))
        batch = (await spool.lease(T0, 1, 60))[0]
        await spool.settle(batch, delivered(batch))
        stats = await spool.stats()
        assert (stats.messages, stats.octets) == (2, 300)
        assert stats.recipients == {"queued": 1, "held": 2, "delivered": 1, "failed": 0}
        await spool.remove(await everything(spool))
        stats = await spool.stats()
        assert (stats.messages, stats.octets, stats.recipients) == (
            0,
            0,
            {"queued": 0, "held": 0, "delivered": 0, "failed": 0},
        )
