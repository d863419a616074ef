"""BDAT on bytes: chunks counted, answers paired, nothing behind a refusal, and every recipient with one answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.replies import Reply
from postroad.smtp.chunk_sending import CHUNK_OCTETS, ChunkSender
from postroad.smtp.client import MAX_CHUNKS_AHEAD, ClientEngine
from postroad.smtp.client_commands import Bdat, Command, Data, Mail, Quit, Rcpt, Rset
from postroad.smtp.client_events import ChunkAnswered, ConnectionEnded, ContentAnswered
from postroad.smtp.client_timeouts import ClientTimeouts
from postroad.smtp.events import NEED_DATA
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.mail_transaction import Answer, MailTransaction, Stage
from postroad.smtp.parameters import NOTHING_GIVEN, Given
from postroad.smtp.states import State
from tests.smtp.client_host import BytesHost, converse, greeted

BOB = Mailbox("bob", "example.com")
SENDER = Mailbox("kana", "example.net")
CHUNKING = (b"CHUNKING",)
GROUPED = (b"CHUNKING", b"PIPELINING")
BINARY = (b"CHUNKING", b"BINARYMIME", b"PIPELINING")
BINARY_BODY = Given({BODY: Body.BINARYMIME})
BOTH = pytest.mark.parametrize("extensions", [CHUNKING, GROUPED])


def people(*names: str) -> list[tuple[Mailbox, Given]]:
    return [(Mailbox(name, "example.com"), NOTHING_GIVEN) for name in names]


def heard(engine: ClientEngine, octets: bytes) -> list[object]:
    engine.receive(octets)
    events: list[object] = []
    while (event := engine.next_event()) is not NEED_DATA:
        events.append(event)
        if isinstance(event, ConnectionEnded):
            break
    return events


def ready(*extensions: bytes, given: Given = NOTHING_GIVEN, recipients: int = 1, lmtp: bool = False) -> ClientEngine:
    engine = greeted(*extensions, lmtp=lmtp)
    commands: list[Command] = [Mail(SENDER, given), *[Rcpt(BOB)] * recipients]
    for command in commands:
        converse(engine, BytesHost(), command)
    return engine


# --- the engine


def test_one_chunk() -> None:
    engine = ready(*CHUNKING)
    engine.send(Bdat(b".a\r\n", last=True))
    assert engine.data_to_send() == b"BDAT 4 LAST\r\n.a\r\n"  # nothing is stuffed
    assert engine.is_content_unanswered
    assert heard(engine, b"250 2.0.0 queued\r\n") == [ContentAnswered(Reply(250, "queued", "2.0.0"), None)]
    assert engine.is_idle
    assert engine.state is State.READY


def test_no_content_at_all() -> None:
    engine = ready(*CHUNKING)
    engine.send(Bdat(b"", last=True))
    assert engine.data_to_send() == b"BDAT 0 LAST\r\n"


def test_chunks_one_by_one_without_pipelining() -> None:
    engine = ready(*CHUNKING)
    engine.send(Bdat(b"a\r\n", last=False))
    assert not engine.may_send_chunk
    with pytest.raises(LocalProtocolError):
        engine.send(Bdat(b"b\r\n", last=True))
    assert not engine.is_content_unanswered
    assert heard(engine, b"250 3 octets\r\n") == [ChunkAnswered(Reply(250, "3 octets"))]
    engine.send(Bdat(b"b\r\n", last=True))
    assert engine.data_to_send() == b"BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n"


def test_a_bounded_number_of_chunks_in_the_pipeline() -> None:
    engine = ready(*GROUPED)
    for _ in range(MAX_CHUNKS_AHEAD):
        engine.send(Bdat(b"x\r\n", last=False))
    with pytest.raises(LocalProtocolError):
        engine.send(Bdat(b"x\r\n", last=False))
    heard(engine, b"250 ok\r\n")
    engine.send(Bdat(b"x\r\n", last=True))
    assert not engine.may_send_chunk
    assert not engine.may_send
    events = heard(engine, b"250 ok\r\n" * (MAX_CHUNKS_AHEAD - 1) + b"250 queued\r\n")
    assert events[-1] == ContentAnswered(Reply(250, "queued"), None)
    assert engine.is_idle


def test_lmtp_waits_for_each_chunk_and_hears_a_reply_for_each_recipient() -> None:
    engine = ready(*GROUPED, lmtp=True, recipients=2)
    engine.send(Bdat(b"a\r\n", last=False))
    assert not engine.may_send_chunk
    heard(engine, b"250 ok\r\n")
    engine.send(Bdat(b"", last=True))
    assert heard(engine, b"250 one\r\n452 two\r\n") == [
        ContentAnswered(Reply(250, "one"), 0),
        ContentAnswered(Reply(452, "two"), 1),
    ]
    assert engine.state is State.READY


def test_only_behind_every_answer_to_rcpt() -> None:
    engine = greeted(*GROUPED)
    engine.send(Mail(None))
    engine.send(Rcpt(BOB))
    assert not engine.may_send_chunk
    heard(engine, b"250 ok\r\n")
    with pytest.raises(LocalProtocolError):
        engine.send(Bdat(b"x\r\n", last=True))
    heard(engine, b"250 ok\r\n")
    assert engine.may_send_chunk


@pytest.mark.parametrize("command", [Data(), Mail(None), Rcpt(BOB)])
def test_nothing_else_amid_chunks_but_rset(command: Data | Mail | Rcpt) -> None:
    engine = ready(*GROUPED)
    engine.send(Bdat(b"a\r\n", last=False))
    with pytest.raises(LocalProtocolError):
        engine.send(Rset())  # its answer would be the chunk's
    engine.data_to_send()
    heard(engine, b"250 ok\r\n")
    with pytest.raises(LocalProtocolError):
        engine.send(command)
    converse(engine, BytesHost(), Rset())
    assert engine.state is State.READY


def test_chunking_must_be_announced_and_data_is_not_for_binary() -> None:
    with pytest.raises(LocalProtocolError, match="CHUNKING"):
        ready(b"PIPELINING").send(Bdat(b"", last=True))
    engine = ready(*BINARY, given=BINARY_BODY)
    with pytest.raises(LocalProtocolError, match="BDAT only"):
        engine.send(Data())
    engine.send(Bdat(b"\x00\r\n\n\r", last=True))
    assert engine.data_to_send() == b"BDAT 5 LAST\r\n\x00\r\n\n\r"


@pytest.mark.parametrize("octets", [b"a\nb\r\n", b"a\rb\r\n", b"\x00\r\n", b"a\r"])
def test_text_stays_text(octets: bytes) -> None:
    """A bare newline is refused by BDAT as by DATA, before any octet of it is written."""
    engine = ready(*CHUNKING)
    with pytest.raises(LocalProtocolError, match="never passed on"):
        engine.send(Bdat(octets, last=True))
    assert engine.data_to_send() == b""
    assert engine.is_idle


def test_a_newline_may_be_cut_by_a_chunk_and_the_last_line_is_ended() -> None:
    engine = ready(*GROUPED)
    engine.send(Bdat(b"a\r", last=False))
    engine.send(Bdat(b"\nb", last=True))
    assert engine.data_to_send() == b"BDAT 1\r\na" + b"BDAT 5 LAST\r\n\r\nb\r\n"


def test_a_new_transaction_begins_with_a_clean_line() -> None:
    engine = ready(*GROUPED)
    engine.send(Bdat(b"a\r", last=False))
    engine.data_to_send()
    heard(engine, b"452 4.3.1 full\r\n")
    for command in (Rset(), Mail(SENDER), Rcpt(BOB)):
        converse(engine, BytesHost(), command)
    engine.send(Bdat(b"\r\n", last=True))
    assert engine.data_to_send() == b"BDAT 2 LAST\r\n\r\n"


def test_behind_a_refused_chunk_nothing_decides_and_rset_is_due() -> None:
    engine = ready(*GROUPED)
    engine.send(Bdat(b"a\r\n", last=False))
    engine.send(Bdat(b"b\r\n", last=True))
    engine.data_to_send()
    was_open = engine.is_content_unanswered
    assert was_open
    assert heard(engine, b"452 4.3.1 full\r\n") == [ChunkAnswered(Reply(452, "full", "4.3.1"))]
    assert not engine.is_content_unanswered
    assert not engine.may_send_chunk
    assert heard(engine, b"503 after a fault\r\n") == [ChunkAnswered(Reply(503, "after a fault"))]
    assert engine.is_idle
    with pytest.raises(LocalProtocolError):
        engine.send(Mail(None))
    converse(engine, BytesHost(), Rset())
    engine.send(Mail(None))


def test_a_refused_last_chunk_asks_for_rset_too() -> None:
    engine = ready(*CHUNKING)
    engine.send(Bdat(b"a\r\n", last=True))
    assert heard(engine, b"554 5.6.0 no\r\n") == [ContentAnswered(Reply(554, "no", "5.6.0"), None)]
    assert engine.is_idle
    assert engine.state is State.CHUNKS


@pytest.mark.parametrize("reply", [b"354 go on\r\n", b"334 what\r\n", b"2x0 what\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_an_answer_that_fits_no_chunk(reply: bytes, last: bool) -> None:
    engine = ready(*CHUNKING)
    engine.send(Bdat(b"a\r\n", last))
    engine.receive(reply)
    with pytest.raises(RemoteProtocolError):
        engine.next_event()
    assert engine.is_content_unanswered is last


def test_421_amid_chunks() -> None:
    engine = ready(*GROUPED)
    engine.send(Bdat(b"a\r\n", last=False))
    reply = Reply(421, "bye", "4.3.2")
    assert heard(engine, b"421 4.3.2 bye\r\n") == [ChunkAnswered(reply), ConnectionEnded("421", reply)]
    engine = ready(*GROUPED)
    engine.send(Bdat(b"a\r\n", last=False))
    assert heard(engine, b"250 ok\r\n421 4.3.2 bye\r\n")[1:] == [ConnectionEnded("421", reply)]


def test_how_long_a_chunk_is_waited_for() -> None:
    times = ClientTimeouts(block=1, chunk=2, content=3)
    engine = ready(*GROUPED)
    engine._timeouts = times

    def seconds() -> float:
        patience = engine.patience()
        assert patience is not None
        return patience.seconds

    engine.send(Bdat(b"a\r\n", last=False))
    assert seconds() == 2
    heard(engine, b"250 ok\r\n")
    assert seconds() == 1  # nothing is due: the host has to take more
    engine.send(Bdat(b"", last=True))
    assert seconds() == 3


def test_quit_may_be_said_amid_chunks() -> None:
    engine = ready(*CHUNKING)
    engine.send(Bdat(b"a\r\n", last=False))
    heard(engine, b"250 ok\r\n")
    converse(engine, BytesHost(), Quit())
    assert engine.next_event() == ConnectionEnded("quit")


# --- cutting content into chunks


def chunks_of(blocks: list[bytes], size: int) -> list[int]:
    engine = ready(*BINARY, given=BINARY_BODY)
    host = BytesHost()
    sender = ChunkSender(engine, size)
    for block in blocks:
        sender.write(block)
        while sender.is_full:
            heard(engine, host.hear(engine.data_to_send()))
            sender.go_on()
    sender.finish()
    while not engine.is_idle:
        heard(engine, host.hear(engine.data_to_send()))
        sender.go_on()
    assert host.contents == [b"".join(blocks)]
    assert [line.partition(b"BDAT ")[2] for line in host.heard][-1].endswith(b" LAST")
    return host.chunk_sizes


def test_small_content_is_one_chunk_and_large_is_several() -> None:
    assert chunks_of([b"ab", b"c"], 4) == [3]
    assert chunks_of([b"abcd"], 4) == [4]
    assert chunks_of([b"abcd", b"e"], 4) == [4, 1]
    assert chunks_of([b"abc"] * 20, 4) == [6] * 10
    assert chunks_of([], 4) == [0]
    assert CHUNK_OCTETS >= 64 * 1024


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=20), max_size=60), st.integers(1, 30))
def test_whatever_the_blocks_the_octets_arrive(blocks: list[bytes], size: int) -> None:
    chunks_of(blocks, size)


# --- the transaction


def run(
    replies: dict[bytes, bytes],
    *names: str,
    extensions: tuple[bytes, ...] = GROUPED,
    content: tuple[bytes, ...] = (b"Subject: x\r\n\r\n.x\r\n",),
    cuts: list[int] | None = None,
    pipelining: bool = True,
    lmtp: bool = False,
) -> tuple[MailTransaction, BytesHost, ClientEngine]:
    engine = greeted(*extensions, lmtp=lmtp)
    host = BytesHost(replies)
    transaction = MailTransaction(engine, SENDER, people(*names), bdat=True, pipelining=pipelining)
    converse(engine, host, transaction=transaction, cuts=cuts or (), content=content)
    return transaction, host, engine


@BOTH
def test_all_is_well(extensions: tuple[bytes, ...]) -> None:
    transaction, host, engine = run({}, "a", "b", extensions=extensions)
    assert transaction.is_over
    assert transaction.answers == [Answer(Stage.CONTENT, Reply(250, "ok"))] * 2
    assert host.contents == [b"Subject: x\r\n\r\n.x\r\n"]
    assert host.heard[-1] == b"BDAT 18 LAST"
    assert engine.state is State.READY


@BOTH
def test_nothing_is_sent_when_nobody_was_accepted(extensions: tuple[bytes, ...]) -> None:
    for refused in (b"MAIL", b"RCPT"):
        transaction, host, engine = run({refused: b"550 no\r\n"}, "a", "b", extensions=extensions)
        assert transaction.is_over
        assert {answer.reply for answer in transaction.answers} == {Reply(550, "no")}
        assert not any(line.startswith((b"BDAT", b"DATA")) for line in host.heard)
        again = MailTransaction(engine, SENDER, people("c"), bdat=True)
        host.replies = BytesHost.DEFAULTS
        converse(engine, host, transaction=again)
        assert again.answers[0].accepted


@BOTH
@pytest.mark.parametrize("refused", [1, 2, 3, 4, 5])
def test_whichever_chunk_is_refused(extensions: tuple[bytes, ...], refused: int) -> None:
    """The reply that refused decides about all, the next transaction begins with RSET and succeeds."""
    content = (b"x" * 62 + b"\r\n",) * (CHUNK_OCTETS // 64) * 5
    replies = {b"BDAT #%d" % refused: b"552 5.3.4 too much\r\n", b"RCPT TO:<b@": b"550 no\r\n"}
    transaction, host, engine = run(replies, "a", "b", extensions=extensions, content=content)
    assert transaction.is_over
    assert transaction.answers == [
        Answer(Stage.CONTENT, Reply(552, "too much", "5.3.4")),
        Answer(Stage.RCPT, Reply(550, "no")),
    ]
    assert host.contents == []
    assert len(host.chunk_sizes) >= refused
    assert extensions == GROUPED or len(host.chunk_sizes) == refused
    again = MailTransaction(engine, SENDER, people("a"), bdat=True)
    before = len(host.heard)
    converse(engine, host, transaction=again)
    assert host.heard[before] == b"RSET"
    assert again.answers[0].accepted


def test_without_pipelining_no_group_and_no_chunk_ahead() -> None:
    engine = greeted(*GROUPED)
    transaction = MailTransaction(engine, SENDER, people("a"), bdat=True, pipelining=False)
    transaction.begin()
    said = [engine.data_to_send()]
    for reply in (b"250 ok\r\n", b"250 ok\r\n"):
        for event in heard(engine, reply):
            transaction.hear(event)  # type: ignore[arg-type]
        said.append(engine.data_to_send())
    assert said == [b"MAIL FROM:<kana@example.net>\r\n", b"RCPT TO:<a@example.com>\r\n", b""]
    assert transaction.wants_content
    block = b"x" * 62 + b"\r\n"
    for _ in range(CHUNK_OCTETS // 64 + 1):
        transaction.send_content(block)
    transaction.end_content()
    assert engine.data_to_send().count(b"BDAT") == 1
    for event in heard(engine, b"250 ok\r\n"):
        transaction.hear(event)  # type: ignore[arg-type]
    assert engine.data_to_send().startswith(b"BDAT 64 LAST")


def test_data_without_pipelining_although_it_is_announced() -> None:
    engine = greeted(b"PIPELINING")
    MailTransaction(engine, SENDER, people("a"), pipelining=False).begin()
    assert engine.data_to_send() == b"MAIL FROM:<kana@example.net>\r\n"


def test_binary_goes_by_bdat_or_not_at_all() -> None:
    engine = greeted(*BINARY, b"8BITMIME")
    with pytest.raises(LocalProtocolError, match="BDAT only"):
        MailTransaction(engine, SENDER, people("a"), BINARY_BODY)
    with pytest.raises(LocalProtocolError, match="CHUNKING"):
        MailTransaction(greeted(b"PIPELINING"), SENDER, people("a"), bdat=True).begin()
    host = BytesHost()
    transaction = MailTransaction(engine, SENDER, people("a"), BINARY_BODY, bdat=True)
    converse(engine, host, transaction=transaction, content=[b"\r", b"\0\n", b"."])
    assert transaction.answers[0].accepted
    assert host.contents == [b"\r\0\n."]
    assert host.heard[0] == b"MAIL FROM:<kana@example.net> BODY=BINARYMIME"


def test_lmtp_pairs_the_answers_to_the_last_chunk_with_accepted_recipients() -> None:
    replies = {b"RCPT TO:<b@": b"550 no\r\n", b"BDAT LAST": b"250 for a\r\n452 4.2.2 full\r\n"}
    transaction, _, engine = run(replies, "a", "b", "c", lmtp=True)
    assert [answer.reply for answer in transaction.answers] == [
        Reply(250, "for a"),
        Reply(550, "no"),
        Reply(452, "full", "4.2.2"),
    ]
    assert engine.is_idle


@pytest.mark.parametrize(
    ("answered", "uncertain"),
    [(b"", True), (b"250 ok\r\n", True), (b"452 full\r\n", False), (b"250 ok\r\n250 queued\r\n", False)],
)
def test_the_connection_is_lost_behind_the_last_chunk(answered: bytes, uncertain: bool) -> None:
    engine = greeted(*GROUPED)
    transaction = MailTransaction(engine, SENDER, people("a", "b"), bdat=True)
    transaction.begin()
    engine.receive(b"250 ok\r\n250 ok\r\n550 no\r\n")
    while (event := engine.next_event()) is not NEED_DATA:
        transaction.hear(event)
    for _ in range(CHUNK_OCTETS // 64 + 1):
        transaction.send_content(b"x" * 62 + b"\r\n")
    transaction.end_content()
    assert engine.data_to_send().count(b"BDAT") == 2
    engine.receive(answered)
    engine.receive_eof()
    while not transaction.is_over:
        transaction.hear(engine.next_event())
    first, second = transaction.answers
    assert (first.uncertain, second) == (uncertain, Answer(Stage.RCPT, Reply(550, "no")))
    assert first.stage is Stage.CONTENT


codes = st.sampled_from([b"250 ok\r\n", b"251 will forward\r\n", b"450 4.2.0 later\r\n", b"550 no\r\n"])
chunk_codes = st.sampled_from([b"250 ok\r\n"] * 4 + [b"452 4.3.1 full\r\n", b"554-no\r\n554 no\r\n"])


@settings(max_examples=200)
@given(
    st.lists(codes, min_size=1, max_size=4),
    st.sampled_from([b"250 ok\r\n", b"550 no\r\n"]),
    st.lists(chunk_codes, min_size=1, max_size=4),
    st.lists(st.integers(1, 30), max_size=60),
)
def test_pipelined_or_not_and_however_cut_the_answers_are_the_same(
    rcpts: list[bytes], mail: bytes, chunks: list[bytes], cuts: list[int]
) -> None:
    names = [f"n{number}x" for number in range(len(rcpts))]
    replies = {b"MAIL": mail} | {b"BDAT #%d" % (number + 1): reply for number, reply in enumerate(chunks)}
    replies |= {f"RCPT TO:<{name}@".encode(): rcpt for name, rcpt in zip(names, rcpts, strict=True)}
    content = (b"x" * (CHUNK_OCTETS - 2) + b"\r\n",) * len(chunks)
    alone, _, engine = run(replies, *names, extensions=CHUNKING, content=content)
    group, host, grouped = run(replies, *names, content=content, cuts=cuts)
    third, _, _ = run(replies, *names, content=content, cuts=cuts, pipelining=False)
    assert alone.is_over
    assert group.is_over
    assert alone.answers == group.answers == third.answers
    assert engine.is_idle
    assert grouped.is_idle
    accepted = mail.startswith(b"250") and any(reply.startswith(b"25") for reply in rcpts)
    taken = accepted and all(reply.startswith(b"25") for reply in chunks)
    assert host.contents == ([b"".join(content)] if taken else [])


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.lists(codes, max_size=12).map(b"".join), st.integers(0, 3))
def test_whatever_the_host_says_everybody_gets_an_answer(octets: bytes, blocks: int) -> None:
    engine = greeted(*GROUPED)
    transaction = MailTransaction(engine, SENDER, people("a", "b"), bdat=True)
    transaction.begin()
    engine.receive(octets)
    engine.receive_eof()
    for _ in range(50):
        if transaction.is_over:
            break
        if transaction.wants_content:
            for _ in range(blocks):
                transaction.send_content(b"x\r\n")
            transaction.end_content()
        try:
            transaction.hear(engine.next_event())
        except RemoteProtocolError as fault:
            transaction.fail(fault.message)
    assert transaction.is_over
    assert len(transaction.answers) == 2


@pytest.mark.parametrize("bdat", [True, False])
def test_lmtp_says_421_or_vanishes_between_two_recipients(bdat: bool) -> None:
    """Whoever has an answer keeps it; whoever has none may have the message."""
    bye = Reply(421, "bye", "4.3.2")
    for said, expected in (
        (b"250 for a\r\n", [Reply(250, "for a"), None, None]),
        (b"250 for a\r\n452 4.2.2 full\r\n", [Reply(250, "for a"), Reply(452, "full", "4.2.2"), None]),
        (b"250 for a\r\n421 4.3.2 bye\r\n", [Reply(250, "for a"), bye, None]),
        (b"421 4.3.2 bye\r\n", [bye, None, None]),
        (b"", [None, None, None]),
    ):
        engine = greeted(*GROUPED, lmtp=True)
        host = BytesHost({b"BDAT LAST": said, b".": said})
        transaction = MailTransaction(engine, SENDER, people("a", "b", "c"), bdat=bdat)
        converse(engine, host, transaction=transaction)
        engine.receive_eof("Connection reset by peer")
        while not transaction.is_over:
            transaction.hear(engine.next_event())
        assert [answer.reply for answer in transaction.answers] == expected
        assert [answer.uncertain for answer in transaction.answers] == [reply is None for reply in expected]
        assert {answer.stage for answer in transaction.answers} == {Stage.CONTENT}
