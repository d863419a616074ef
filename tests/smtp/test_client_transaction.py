"""A transaction on bytes: each recipient gets exactly the reply that decided about it, whatever the split of the input."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.replies import Reply
from postroad.smtp import reactions
from postroad.smtp.mail_transaction import Answer, MailTransaction, Stage
from postroad.smtp.parameters import NOTHING_GIVEN
from postroad.smtp.states import State
from tests.smtp.client_host import BytesHost, converse, greeted

SENDER = Mailbox("kana", "example.net")
PIPELINING = b"PIPELINING"


def people(*names: str) -> list[tuple[Mailbox, object]]:
    return [(Mailbox(name, "example.com"), NOTHING_GIVEN) for name in names]


def run(replies: dict[bytes, bytes], *names: str, extensions: tuple[bytes, ...] = (), lmtp: bool = False, cuts=()):
    engine = greeted(*extensions, lmtp=lmtp)
    host = BytesHost(replies)
    transaction = MailTransaction(engine, SENDER, people(*names))
    converse(engine, host, transaction=transaction, cuts=cuts)
    return transaction, host, engine


BOTH = pytest.mark.parametrize("extensions", [(), (PIPELINING,)])
GROUP = [b"MAIL FROM:<kana@example.net>", b"RCPT TO:<a@example.com>", b"RCPT TO:<b@example.com>", b"DATA"]


@BOTH
def test_all_is_well(extensions: tuple[bytes, ...]) -> None:
    transaction, host, engine = run({}, "a", "b", extensions=extensions)
    assert transaction.is_over
    assert transaction.answers == [Answer(Stage.CONTENT, Reply(250, "queued"))] * 2
    assert all(answer.accepted for answer in transaction.answers)
    assert host.heard == GROUP
    assert host.contents == [b"Subject: x\r\n\r\n.x\r\n"]
    assert engine.state is State.READY


def test_the_group_goes_out_at_once_with_pipelining() -> None:
    engine = greeted(PIPELINING)
    MailTransaction(engine, SENDER, people("a", "b")).begin()
    assert engine.data_to_send() == b"".join(line + b"\r\n" for line in GROUP)


def test_and_step_by_step_without() -> None:
    engine = greeted()
    MailTransaction(engine, SENDER, people("a", "b")).begin()
    assert engine.data_to_send() == GROUP[0] + b"\r\n"


@BOTH
def test_some_are_refused(extensions: tuple[bytes, ...]) -> None:
    replies = {b"RCPT TO:<b@": b"550 5.1.1 who\r\n", b"RCPT TO:<c@": b"450 later\r\n"}
    transaction, host, _ = run(replies, "a", "b", "c", "d", extensions=extensions)
    assert [answer.reply for answer in transaction.answers] == [
        Reply(250, "queued"),
        Reply(550, "who", "5.1.1"),
        Reply(450, "later"),
        Reply(250, "queued"),
    ]
    assert [answer.stage for answer in transaction.answers] == [Stage.CONTENT, Stage.RCPT, Stage.RCPT, Stage.CONTENT]
    assert len(host.contents) == 1


@BOTH
def test_mail_is_refused(extensions: tuple[bytes, ...]) -> None:
    replies = {b"MAIL": b"550 no\r\n", b"RCPT": b"503 no\r\n", b"DATA": b"503 no\r\n"}
    transaction, _, engine = run(replies, "a", "b", extensions=extensions)
    assert transaction.is_over
    assert transaction.answers == [Answer(Stage.MAIL, Reply(550, "no"))] * 2
    assert engine.is_idle


@BOTH
def test_all_recipients_are_refused(extensions: tuple[bytes, ...]) -> None:
    transaction, host, engine = run(
        {b"RCPT": b"550 no\r\n", b"DATA": b"554 nobody\r\n"}, "a", "b", extensions=extensions
    )
    assert transaction.answers == [Answer(Stage.RCPT, Reply(550, "no"))] * 2
    assert (b"DATA" in host.heard) == bool(extensions)
    assert engine.is_idle
    assert host.contents == []


@pytest.mark.parametrize("dot", [b"250 queued\r\n", b"554 nobody\r\n"])
@pytest.mark.parametrize("refused", [b"RCPT", b"MAIL"])
def test_354_although_nobody_was_accepted(dot: bytes, refused: bytes) -> None:
    replies = {b"RCPT": b"550 no\r\n", refused: b"550 no\r\n", b".": dot}
    transaction, host, engine = run(replies, "a", extensions=(PIPELINING,))
    assert host.contents == [b""]  # the lone dot
    assert [answer.reply for answer in transaction.answers] == [Reply(550, "no")]
    assert transaction.is_over
    assert engine.is_idle
    assert not engine.is_content_unanswered


def test_rcpt_is_accepted_although_mail_was_refused() -> None:
    transaction, host, engine = run({b"MAIL": b"550 no\r\n"}, "a", extensions=(PIPELINING,))
    assert host.contents == [b""]
    assert transaction.answers == [Answer(Stage.MAIL, Reply(550, "no"))]
    assert engine.is_idle


@BOTH
def test_data_is_refused(extensions: tuple[bytes, ...]) -> None:
    transaction, _, engine = run(
        {b"DATA": b"451 later\r\n", b"RCPT TO:<b": b"550 no\r\n"}, "a", "b", extensions=extensions
    )
    assert transaction.answers == [Answer(Stage.DATA, Reply(451, "later")), Answer(Stage.RCPT, Reply(550, "no"))]
    assert engine.is_idle
    assert engine.state is State.RECIPIENTS


@BOTH
def test_the_next_transaction_begins_with_rset_after_a_refusal(extensions: tuple[bytes, ...]) -> None:
    _, _, engine = run({b"DATA": b"451 later\r\n"}, "a", extensions=extensions)
    host = BytesHost()
    again = MailTransaction(engine, SENDER, people("a"))
    converse(engine, host, transaction=again)
    assert host.heard[:2] == [b"RSET", GROUP[0]]
    assert again.answers[0].accepted


@BOTH
def test_the_content_is_refused(extensions: tuple[bytes, ...]) -> None:
    transaction, _, engine = run(
        {b".": b"554 5.6.0 no\r\n", b"RCPT TO:<b": b"550 no\r\n"}, "a", "b", extensions=extensions
    )
    assert transaction.answers == [
        Answer(Stage.CONTENT, Reply(554, "no", "5.6.0")),
        Answer(Stage.RCPT, Reply(550, "no")),
    ]
    assert engine.state is State.READY


@BOTH
@pytest.mark.parametrize("where", [b"MAIL", b"RCPT", b"DATA", b"."])
def test_421_decides_about_all_who_have_no_answer(extensions: tuple[bytes, ...], where: bytes) -> None:
    transaction, _, engine = run({where: b"421 4.3.2 bye\r\n"}, "a", "b", extensions=extensions)
    if not transaction.is_over:
        transaction.hear(engine.next_event())
    assert transaction.is_over
    assert {answer.reply for answer in transaction.answers} == {Reply(421, "bye", "4.3.2")}
    assert not any(answer.uncertain for answer in transaction.answers)


@BOTH
def test_the_connection_is_lost_before_the_dot(extensions: tuple[bytes, ...]) -> None:
    engine = greeted(*extensions)
    transaction = MailTransaction(engine, SENDER, people("a", "b"))
    transaction.begin()
    engine.receive(b"250 ok\r\n")
    engine.receive_eof()
    for _ in range(2):
        transaction.hear(engine.next_event())
    assert transaction.is_over
    assert all(a.reply is None and a.fault and not a.uncertain for a in transaction.answers)


@BOTH
def test_the_connection_is_lost_after_the_dot(extensions: tuple[bytes, ...]) -> None:
    transaction, _, engine = run({b".": b"", b"RCPT TO:<b@": b"550 no\r\n"}, "a", "b", extensions=extensions)
    assert not transaction.is_over
    engine.receive_eof()
    transaction.hear(engine.next_event())
    assert transaction.is_over
    lost, refused = transaction.answers
    assert (lost.reply, lost.uncertain, lost.stage) == (None, True, Stage.CONTENT)
    assert refused == Answer(Stage.RCPT, Reply(550, "no"))


def test_lmtp_pairs_final_replies_with_accepted_recipients() -> None:
    replies = {b"RCPT TO:<b@": b"550 no\r\n", b".": b"250 for a\r\n452 4.2.2 full\r\n"}
    for extensions in ((), (PIPELINING,)):
        transaction, _, engine = run(replies, "a", "b", "c", extensions=extensions, lmtp=True)
        assert [answer.reply for answer in transaction.answers] == [
            Reply(250, "for a"),
            Reply(550, "no"),
            Reply(452, "full", "4.2.2"),
        ]
        assert transaction.is_over
        assert engine.is_idle


def test_lmtp_loses_the_connection_half_way() -> None:
    transaction, _, engine = run({b".": b"250 for a\r\n"}, "a", "b", lmtp=True)
    engine.receive_eof()
    transaction.hear(engine.next_event())
    first, second = transaction.answers
    assert first.accepted
    assert second.uncertain


def test_nothing_is_written_when_one_recipient_may_not_be_said() -> None:
    engine = greeted(PIPELINING)
    wrong = [*people("a"), (Mailbox("b\r\nDATA", "example.com"), NOTHING_GIVEN)]
    with pytest.raises(LocalProtocolError):
        MailTransaction(engine, SENDER, wrong).begin()
    assert engine.data_to_send() == b""
    assert engine.is_idle
    with pytest.raises(LocalProtocolError):
        MailTransaction(engine, SENDER, [])


codes = st.sampled_from(
    [b"250 ok\r\n", b"251-will\r\n251 forward\r\n", b"450 4.2.0 later\r\n", b"550 no\r\n", b"552 x\r\n"]
)


@settings(max_examples=300)
@given(
    st.lists(codes, min_size=1, max_size=6),
    st.sampled_from([b"250 ok\r\n", b"550 no\r\n"]),
    st.sampled_from([b"354 go\r\n", b"554-no\r\n554 no\r\n", b"451 x\r\n"]),
    st.sampled_from([b"250 queued\r\n", b"451 x\r\n", b"554 no\r\n"]),
    st.lists(st.integers(1, 30), max_size=60),
)
def test_pipelined_or_not_and_however_cut_the_answers_are_the_same(
    rcpts: list[bytes], mail: bytes, data: bytes, dot: bytes, cuts: list[int]
) -> None:
    names = [f"n{number}x" for number in range(len(rcpts))]
    replies = {b"MAIL": mail, b"DATA": data, b".": dot}
    replies |= {f"RCPT TO:<{name}@".encode(): rcpt for name, rcpt in zip(names, rcpts, strict=True)}
    alone, _, engine = run(replies, *names)
    group, host, grouped = run(replies, *names, extensions=(PIPELINING,), cuts=cuts)
    assert alone.is_over
    assert group.is_over
    assert alone.answers == group.answers
    assert engine.is_idle
    assert grouped.is_idle
    taken = [reply for reply in rcpts if reply.startswith(b"25")] if mail.startswith(b"250") else []
    expected = [b"Subject: x\r\n\r\n.x\r\n"] if taken else [b""]
    assert host.contents == (expected if data.startswith(b"354") else [])


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.lists(codes, max_size=12).map(b"".join), st.lists(st.integers(1, 20), max_size=20))
def test_whatever_the_host_says_everybody_gets_an_answer(octets: bytes, cuts: list[int]) -> None:
    engine = greeted(PIPELINING)
    transaction = MailTransaction(engine, SENDER, people("a", "b"))
    transaction.begin()
    engine.receive(octets)
    engine.receive_eof()
    for _ in range(50):
        if transaction.is_over:
            break
        if transaction.wants_content:
            engine.end_content()
        try:
            transaction.hear(engine.next_event())
        except RemoteProtocolError as fault:
            transaction.fail(fault.message)
    assert transaction.is_over
    assert len(transaction.answers) == 2


@pytest.mark.parametrize(
    ("reply", "fewer"),
    [
        (Reply(452, "x"), True),
        (Reply(452, "x", "4.5.3"), True),
        (Reply(455, "x", "4.5.3"), True),
        (Reply(552, "x"), True),
        (Reply(552, "x", "5.5.3"), True),
        (Reply(452, "x", "4.2.2"), False),
        (Reply(452, "x", "4.3.1"), False),
        (Reply(552, "x", "5.2.2"), False),
        (Reply(455, "x"), False),
        (Reply(450, "x", "4.5.3"), True),
        (Reply(250, "x"), False),
    ],
)
def test_when_the_rest_may_follow_at_once(reply: Reply, fewer: bool) -> None:
    assert reactions.wants_fewer_recipients(reply) is fewer
