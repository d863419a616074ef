"""What is handed to the spool: octets as they came, one trace field before them, and who sent it to whom."""

from __future__ import annotations

from email import message_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.envelope import NewRecipient, Origin
from postroad.policy.stages import Transaction
from postroad.smtp.events import RecipientGiven
from tests.inbound.house import REFUSED, START, Addressing, House, Scripted, looped
from tests.inbound.wires import BODY, TRANSACTION, Line, greeted

DOT = BODY + b".\r\n"


async def sent(house: House, body: bytes, *before: str, **more: object) -> tuple[Line, list[str]]:
    """Deliver ``body`` by DATA; gives the line and the last codes."""
    line = await greeted(house, *(before or TRANSACTION), **more)
    assert (await line.ask("DATA"))[-1] == "354"
    stuffed = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
    return line, await line.ask(stuffed + b".\r\n")


# --- the draft


@looped
async def test_the_draft_says_who_and_whence_and_when() -> None:
    house = House()
    house.clock.now += 10.5
    line, codes = await sent(house, BODY)
    assert codes == ["250"]
    [draft] = house.spool.drafts
    assert draft.reverse_path == "kana@example.org"
    assert draft.recipients == (NewRecipient("bob@example.net", "example.net"),)
    assert draft.received_at == START + 10.5
    assert draft.origin == Origin(line.connection.facts.id, "mx", "192.0.2.1:4321", "client.example", "", "")
    assert (draft.parameters, draft.transcript) == ("", "")
    assert draft.prefix == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b" by mx.example.net (Postroad) with ESMTP id " + draft.id.encode() + b"\r\n"
        b" for <bob@example.net>;\r\n"
        b" Tue, 24 Nov 2026 05:31:56 +0000\r\n"
    )
    assert await house.contents() == [draft.prefix + BODY]


@looped
async def test_recipients_keep_their_order_and_their_parameters() -> None:
    house = House()
    _, codes = await sent(
        house,
        BODY,
        "MAIL FROM:<> BODY=8BITMIME SIZE=100 RET=HDRS",
        "RCPT TO:<One@Example.NET> NOTIFY=NEVER",
        'RCPT TO:<"t w o"@b.example> ORCPT=rfc822;two@b.example NOTIFY=SUCCESS,FAILURE',
        "RCPT TO:<Postmaster>",
        "RCPT TO:<@relay.example:four@[192.0.2.7]>",
    )
    assert codes == ["250"]
    [draft] = house.spool.drafts
    assert draft.reverse_path == ""
    assert set(draft.parameters.split()) == {"BODY=8BITMIME", "SIZE=100", "RET=HDRS"}
    assert [(one.forward_path, one.destination) for one in draft.recipients] == [
        ("One@Example.NET", "example.net"),
        ('"t w o"@b.example', "b.example"),
        ("Postmaster", "mx.example.net"),
        ("four@[192.0.2.7]", "[192.0.2.7]"),
    ]
    assert draft.recipients[0].parameters == "NOTIFY=NEVER"
    assert set(draft.recipients[1].parameters.split()) == {"ORCPT=rfc822;two@b.example", "NOTIFY=SUCCESS,FAILURE"}
    assert b" for " not in draft.prefix  # it would tell one recipient of another


@looped
async def test_only_accepted_recipients_and_what_addressing_makes_of_them() -> None:
    class Elsewhere(Addressing):
        def new_recipient(self, recipient: RecipientGiven) -> NewRecipient:
            return NewRecipient(f"alias-of-{recipient.forward_path}", "elsewhere.example", hold="no route")

    refuse = Scripted(recipient=lambda facts, t, given: REFUSED if given.forward_path.local_part == "no" else None)
    house = House(refuse, addressing=Elsewhere())
    await sent(house, BODY, TRANSACTION[0], "RCPT TO:<no@example.net>", "RCPT TO:<yes@example.net>")
    [draft] = house.spool.drafts
    assert draft.recipients == (NewRecipient("alias-of-yes@example.net", "elsewhere.example", hold="no route"),)
    assert b" for <alias-of-yes@example.net>;" in draft.prefix


@looped
async def test_a_hundred_recipients_and_no_more_than_allowed() -> None:
    house = House(config={"max_recipients": 100})
    line = await greeted(house, TRANSACTION[0])
    codes = await line.ask(*(f"RCPT TO:<r{n}@example.net>" for n in range(102)))
    assert codes == ["250"] * 100 + ["452"] * 2
    await line.ask("DATA")
    assert await line.ask(DOT) == ["250"]
    assert [one.forward_path for one in house.spool.drafts[0].recipients] == [f"r{n}@example.net" for n in range(100)]


@pytest.mark.parametrize(
    ("hello", "sender", "keyword"),
    [
        ("HELO client.example", "MAIL FROM:<a@b.example>", "SMTP"),
        ("EHLO client.example", "MAIL FROM:<a@b.example>", "ESMTP"),
        ("EHLO client.example", "MAIL FROM:<a@b.example> SMTPUTF8", "UTF8SMTP"),
        ("EHLO client.example", "MAIL FROM:<ä@b.example> SMTPUTF8 BODY=8BITMIME", "UTF8SMTP"),
    ],
)
@looped
async def test_the_protocol_that_is_named(hello: str, sender: str, keyword: str) -> None:
    house = House()
    line = await greeted(house, hello, sender, "RCPT TO:<bob@example.net>", "DATA")
    assert await line.ask(DOT) == ["250"]
    [draft] = house.spool.drafts
    assert f" with {keyword} id ".encode() in draft.prefix
    assert draft.reverse_path == sender[11:].partition(">")[0]


@looped
async def test_the_name_that_was_given_last_is_named() -> None:
    house = House()
    line = await greeted(house, "EHLO second.example", *TRANSACTION, "DATA")
    await line.ask(DOT)
    assert house.spool.drafts[0].prefix.startswith(b"Received: from second.example (")


@pytest.mark.parametrize("name", ["a) by evil.example (b", "[x:(]", "x;y", "_", "a" * 200])
@looped
async def test_a_hostile_name_makes_one_field_all_the_same(name: str) -> None:
    house = House()
    line = Line(house)
    await line.ask(f"EHLO {name}", *TRANSACTION, "DATA")
    assert await line.ask(DOT) == ["250"]
    [content] = await house.contents()
    assert message_from_bytes(content).keys() == ["Received", "Subject"]
    assert house.spool.drafts[0].origin.hello == name.partition(" ")[0]


@looped
async def test_an_ipv6_client() -> None:
    house = House()
    await sent(house, BODY, peer=("2001:db8::1", 4321, 0, 0))
    [draft] = house.spool.drafts
    assert draft.origin.peer == "[2001:db8::1]:4321"
    assert draft.prefix.startswith(b"Received: from client.example ([IPv6:2001:db8::1])\r\n")


# --- octets in, octets out


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([b"a", b".", b"..", b"\r\n", b"\r\n.", b"\r\n\r\n", b"x" * 900, b"\xff"]), max_size=60))
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_octets_in_octets_out(way: str, pieces: list[bytes]) -> None:
    body = b"".join(pieces) + b"\r\n"

    @looped
    async def session() -> None:
        house = House()
        if way == "DATA":
            _, codes = await sent(house, body)
        else:
            line = await greeted(house, *TRANSACTION)
            half = len(body) // 2
            await line.ask(f"BDAT {half}", body[:half])
            codes = await line.ask(f"BDAT {len(body) - half} LAST", body[half:])
        assert codes == ["250"]
        [content], [draft] = await house.contents(), house.spool.drafts
        assert content == draft.prefix + body

    session()


@looped
async def test_chunks_of_every_size_and_an_empty_last_one() -> None:
    house = House()
    line = await greeted(house, *TRANSACTION)
    assert await line.ask("BDAT 9", b"Subject: ") == ["250"]
    assert await line.ask("BDAT 0", "BDAT 3", b"x\r\n") == ["250", "250"]
    assert await line.ask("BDAT 100002", b"\r\n" + b"y" * 50_000 + b"\r\n" + b"y" * 49_996 + b"\r\n") == ["250"]
    assert await house.contents() == []
    assert await line.ask("BDAT 0 LAST") == ["250"]
    [content] = await house.contents()
    assert len(content) == len(house.spool.drafts[0].prefix) + 100_014


@looped
async def test_a_whole_session_in_one_segment() -> None:
    house = House()
    line = Line(house)
    group = ["EHLO x", *TRANSACTION, f"BDAT {len(BODY)} LAST"]
    octets = b"".join(one.encode() + b"\r\n" for one in group) + BODY + b"QUIT\r\n"
    assert await line.ask(octets) == ["220", "250", "250", "250", "250", "221"]
    assert len(await house.contents()) == 1


@looped
async def test_a_second_message_has_a_transaction_of_its_own() -> None:
    house = House()
    line, _ = await sent(house, BODY)
    await line.ask("MAIL FROM:<>", "RCPT TO:<second@example.net>", f"BDAT {len(BODY)} LAST", BODY)
    first, second = house.spool.drafts
    assert (first.reverse_path, second.reverse_path) == ("kana@example.org", "")
    assert [one.forward_path for one in second.recipients] == ["second@example.net"]
    assert first.id != second.id


# --- what content itself earns


@pytest.mark.parametrize(("octets", "code"), [(1000, "250"), (1001, "552")])
@looped
async def test_a_header_that_is_too_large(octets: int, code: str) -> None:
    house = House(header_octets=1000)
    header = b"Subject: " + b"x" * (octets - 11) + b"\r\n"
    line, codes = await sent(house, header + b"\r\n" + b"body\r\n" * 1000)
    assert codes == [code]
    assert house.spool.open == 0
    assert len(await house.contents()) == (code == "250")
    assert await line.ask("NOOP") == ["250"]


@looped
async def test_a_header_without_end_is_drained_and_refused() -> None:
    house = House(header_octets=1000)
    _, codes = await sent(house, b"A: b\r\n" * 10_000)
    assert codes == ["552"]


@pytest.mark.parametrize(("hops", "code"), [(99, "250"), (100, "554"), (150, "554")])
@looped
async def test_a_mail_loop(hops: int, code: str) -> None:
    house = House()
    received = b"RECEIVED: from a by b;\r\n Tue, 24 Nov 2026 05:31:46 +0000\r\n" * hops
    line, codes = await sent(house, received + BODY + b"Received: x\r\n" * 200)
    assert codes == [code]
    if code == "554":
        assert "554 5.4.6 " in b"".join(line.wire.writes).decode()


@looped
async def test_the_message_stage_is_not_asked_about_what_is_refused_already() -> None:
    policy = Scripted()
    await sent(House(policy, header_octets=1000), b"A: b\r\n" * 1000)
    assert "message" not in policy.asked


@looped
async def test_what_the_message_stage_knows() -> None:
    seen: list[Transaction] = []
    policy = Scripted(message=lambda facts, transaction: seen.append(transaction))
    body = b"Subject: hello\r\n folded\r\n\r\nbody\r\n"
    await sent(House(policy), body, TRANSACTION[0], TRANSACTION[1], "RCPT TO:<c@example.net>")
    [transaction] = seen
    assert transaction.header == b"Subject: hello\r\n folded\r\n"
    assert transaction.size == len(body)
    assert str(transaction.reverse_path) == "kana@example.org"
    assert [str(one.forward_path) for one in transaction.recipients] == ["bob@example.net", "c@example.net"]


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (b"", b""),
        (b"\r\nbody\r\n", b""),
        (b"Subject: only\r\n", b"Subject: only\r\n"),
        (b"no header\r\n", b"no header\r\n"),
    ],
)
@looped
async def test_odd_but_lawful_content(body: bytes, header: bytes) -> None:
    seen: list[Transaction] = []
    house = House(Scripted(message=lambda facts, transaction: seen.append(transaction)))
    _, codes = await sent(house, body)
    assert codes == ["250"]
    assert (seen[0].header, seen[0].size) == (header, len(body))
    assert (await house.contents())[0].endswith(b"+0000\r\n" + body)
