"""The ladder over loopback: our client, a host that follows a dialogue, and the end for each recipient."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from postroad.net.carrying import carry
from postroad.net.connecting import Target
from postroad.net.smtp_client import ClientOptions, SmtpClient
from postroad.smtp.host_memory import HostMemory
from postroad.smtp.negotiation import ContentNeeds, Form, Negotiation, Verdict, Wanted
from tests.delivery.fixtures import Peer, host
from tests.delivery.ladder_dialogues import DIALOGUES
from tests.delivery.ladder_dialogues_other import OTHER_DIALOGUES
from tests.delivery.ladder_host import ASCII, Dialogue, content_of, meet, message, outcome

ALL = DIALOGUES + OTHER_DIALOGUES
TAKEN = "RCPT a => 250 ok\nDATA => 354 go on\n. => 250 taken"


@pytest.mark.parametrize(("name", "announced", "text", "script", "end"), ALL, ids=[dialogue[0] for dialogue in ALL])
def test_the_dialogue(name: str, announced: str, text: str, script: str, end: str) -> None:
    dialogue = Dialogue(announced, script)
    wanted = message(text, ContentNeeds(eight_bit="BODY" in text))
    negotiation = asyncio.run(asyncio.wait_for(meet(dialogue, wanted), 30))
    assert dialogue.heard == dialogue.expected
    assert outcome(negotiation, wanted) == end


def test_there_are_enough_of_them() -> None:
    assert len({name for name, *_ in ALL}) == len(ALL) >= 60


def test_content_by_bdat_on_the_ladder() -> None:
    dialogue = Dialogue(
        "CHUNKING, DSN",
        f"""
        MAIL RET=HDRS => 455 not now
        MAIL RET=HDRS => 455 not now
        MAIL => 250 ok
        RCPT a => 250 ok
        BDAT {len(ASCII)} LAST => 250 taken
        """,
    )
    wanted = message("MAIL RET=HDRS, RCPT a", ContentNeeds())
    negotiation = asyncio.run(meet(dialogue, wanted, chunking=True))
    assert dialogue.heard == dialogue.expected
    assert outcome(negotiation, wanted) == "a delivered"


def test_binary_content_is_made_7_bit_when_the_host_refuses_it_after_all() -> None:
    forms: list[Form] = []

    async def content(form: Form) -> AsyncIterator[bytes]:
        forms.append(form)
        yield b"\x00\n" if form is Form.AS_IS else ASCII

    dialogue = Dialogue(
        "CHUNKING, BINARYMIME",
        """
        MAIL BODY=BINARYMIME => 250 ok
        RCPT a => 250 ok
        RCPT b => 452 4.5.3 too many
        BDAT 2 LAST => 250 taken
        MAIL BODY=BINARYMIME => 555 no more
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
    )
    wanted = message("MAIL BODY=BINARYMIME, RCPT a, RCPT b", ContentNeeds(binary=True))
    negotiation = asyncio.run(meet(dialogue, wanted, content=content))
    assert dialogue.heard == dialogue.expected
    assert outcome(negotiation, wanted) == "a delivered, b delivered"
    assert forms == [Form.AS_IS, Form.SEVEN_BIT]


def test_bdat_gives_way_to_data_when_455_lasts() -> None:
    dialogue = Dialogue(
        "CHUNKING, DSN", f"MAIL RET=HDRS => 455 x\nMAIL RET=HDRS => 455 x\nMAIL => 455 x\nMAIL => 250 ok\n{TAKEN}"
    )
    wanted = message("MAIL RET=HDRS, RCPT a", ContentNeeds())
    negotiation = asyncio.run(meet(dialogue, wanted, chunking=True))
    assert dialogue.heard == dialogue.expected
    assert [step.action for step in negotiation.steps] == ["again", "omit", "data"]


def test_lmtp_answers_for_each_recipient() -> None:
    dialogue = Dialogue(
        "",
        """
        MAIL => 250 ok
        RCPT a => 250 ok
        RCPT b => 452 4.5.3 too many
        RCPT c => 452 4.5.3 too many
        DATA => 354 go on
        . => 250 taken
        MAIL => 250 ok
        RCPT b => 250 ok
        DATA => 354 go on
        . => 452 4.2.2 full
        MAIL => 250 ok
        RCPT c => 250 ok
        DATA => 354 go on
        . => 250 taken
        """,
    )
    wanted = message("MAIL BY=60;N, RCPT a NOTIFY=SUCCESS, RCPT b, RCPT c", ContentNeeds())
    negotiation = asyncio.run(meet(dialogue, wanted, lmtp=True))
    assert dialogue.heard == dialogue.expected
    assert outcome(negotiation, wanted) == "a delivered relayed, b retry, c delivered"


def test_lmtp_cut_between_two_replies_to_the_content() -> None:
    dialogue = Dialogue(
        "",
        "MAIL => 250 ok\nRCPT a => 250 ok\nRCPT b => 250 ok\nRCPT c => 250 ok\nDATA => 354 go on\n. => 250 taken + 550 5.7.1 no, cut",
    )
    wanted = message("MAIL, RCPT a, RCPT b, RCPT c", ContentNeeds())
    negotiation = asyncio.run(meet(dialogue, wanted, lmtp=True))
    assert outcome(negotiation, wanted) == "a delivered, b failed, c retry uncertain"


def test_the_next_message_goes_without_what_was_refused_until_that_is_forgotten() -> None:
    memory = HostMemory()
    wanted = message("MAIL, RCPT a NOTIFY=SUCCESS", ContentNeeds())
    plain = f"MAIL => 250 ok\n{TAKEN}"
    refusing = f"MAIL => 250 ok\nRCPT a NOTIFY=SUCCESS => 555 no\nRSET => 250 ok\n{plain}"

    def deliver(script: str, now: float) -> None:
        dialogue = Dialogue("DSN", script)
        negotiation = asyncio.run(meet(dialogue, wanted, refused=memory.refused("mx.example", now)))
        memory.learn("mx.example", negotiation.learnt, now)
        assert dialogue.heard == dialogue.expected
        assert outcome(negotiation, wanted) == "a delivered relayed"
        assert [step.parameters for step in negotiation.steps] == [("NOTIFY",)]

    deliver(refusing, now=0.0)
    deliver(plain, now=3599.0)
    deliver(refusing, now=3600.0)


def test_mailmax_counts_what_earlier_messages_used_of_the_session() -> None:
    wanted = message("MAIL, RCPT a", ContentNeeds())

    async def work(dialogue: Dialogue) -> list[Negotiation]:
        async with host(dialogue.play) as (port, _):
            client = await SmtpClient.connect(Target("127.0.0.1", port), ClientOptions("me.example"))
            limits = client.engine.limits
            found = [Negotiation(wanted, client.engine.announced, limits=limits) for _ in range(2)]
            for negotiation in found:
                await carry(client, negotiation, content_of(wanted))
            await client.quit()
        return found

    dialogue = Dialogue("LIMITS MAILMAX=1", f"MAIL => 250 ok\n{TAKEN}")
    first, second = asyncio.run(work(dialogue))
    assert dialogue.heard == dialogue.expected
    assert outcome(first, wanted) == "a delivered"
    assert outcome(second, wanted) == "a next host"
    assert second.settled[0].note == "the host takes no more transactions in this session"


def test_content_that_may_be_sent_to_no_host_fails_and_says_why() -> None:
    async def bare(form: Form) -> AsyncIterator[bytes]:
        yield b"a\nb\r\n"

    dialogue = Dialogue("", "MAIL => 250 ok\nRCPT a => 250 ok\nDATA => 354 go on")
    wanted = message("MAIL, RCPT a", ContentNeeds())
    negotiation = asyncio.run(meet(dialogue, wanted, content=bare))
    settled = negotiation.settled[0]
    assert settled.verdict is Verdict.FAILED and settled.stage == ""
    assert str(settled.reply).startswith("550 5.5.2") and "bare CR or LF" in settled.note


def test_what_reading_the_content_raises_is_raised() -> None:
    async def broken(form: Form) -> AsyncIterator[bytes]:
        yield b"x\r\n"
        raise OSError("the disk is gone")

    dialogue = Dialogue("", "MAIL => 250 ok\nRCPT a => 250 ok\nDATA => 354 go on")
    with pytest.raises(OSError, match="the disk is gone"):
        asyncio.run(meet(dialogue, message("MAIL, RCPT a", ContentNeeds()), content=broken))


def test_the_content_is_asked_for_in_each_transaction_and_in_the_form_it_needs() -> None:
    forms: list[Form] = []
    wanted = message("MAIL BODY=8BITMIME, RCPT a NOTIFY=NEVER, RCPT b", ContentNeeds(eight_bit=True))
    original = content_of(wanted)

    def counted(form: Form) -> AsyncIterator[bytes]:
        forms.append(form)
        return original(form)

    script = """
        MAIL => 250 ok
        RCPT a NOTIFY=NEVER => 555 no
        RCPT b => 250 ok
        DATA => 354 go on
        7-bit . => 250 taken
        MAIL => 250 ok
        RCPT a => 250 ok
        DATA => 354 go on
        7-bit . => 250 taken
        """
    dialogue = Dialogue("DSN", script)
    asyncio.run(meet(dialogue, wanted, content=counted))
    assert dialogue.heard == dialogue.expected
    assert forms == [Form.SEVEN_BIT, Form.SEVEN_BIT]


def test_an_abort_ends_the_wait_for_a_455() -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"DSN")
        await peer.hear()
        await peer.say(b"455 not now\r\n")
        await peer.hear()

    async def work() -> Negotiation:
        async with host(play) as (port, _):
            client = await SmtpClient.connect(Target("127.0.0.1", port), ClientOptions("me.example"))
            wanted = message("MAIL RET=HDRS, RCPT a", ContentNeeds())
            negotiation = Negotiation(wanted, client.engine.announced, again_after=30.0)
            carrying = asyncio.create_task(carry(client, negotiation, content_of(wanted)))
            while not negotiation.steps:
                await asyncio.sleep(0.001)
            client.abort("shutting down")
            await asyncio.wait_for(carrying, 10)
            return negotiation

    settled = asyncio.run(work()).settled[0]
    assert settled.verdict is Verdict.RETRY_CHANGED
    assert settled.note.startswith("MAIL with RET was refused, to be asked again; the connection ended")


def test_notify_met_by_555_behind_a_front_that_offers_dsn() -> None:
    """As a front server with aiosmtpd behind it: others bounce this mail."""
    taken: list[Envelope] = []

    class Behind:
        async def handle_EHLO(
            self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
        ) -> list[str]:
            session.host_name = hostname
            return [*responses[:-1], "250-DSN", responses[-1]]

        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            taken.append(envelope)
            return "250 2.0.0 got it"

    async def work(wanted: Wanted) -> Negotiation:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(Behind(), hostname="front.example"), "127.0.0.1", 0)
        target = Target("127.0.0.1", server.sockets[0].getsockname()[1])
        client = await SmtpClient.connect(target, ClientOptions("me.example"))
        assert client.engine.offers("DSN")
        negotiation = Negotiation(wanted, client.engine.announced, again_after=0.01)
        await carry(client, negotiation, content_of(wanted))
        await client.quit()
        server.close()
        return negotiation

    wanted = message("MAIL RET=HDRS, RCPT bob NOTIFY=FAILURE,DELAY, RCPT eve NOTIFY=SUCCESS, RCPT joe", ContentNeeds())
    negotiation = asyncio.run(work(wanted))
    assert outcome(negotiation, wanted) == "bob delivered, eve delivered relayed, joe delivered"
    assert sorted(name for envelope in taken for name in envelope.rcpt_tos) == [
        "bob@example.com",
        "eve@example.com",
        "joe@example.com",
    ]
    assert {envelope.content for envelope in taken} == {ASCII}
