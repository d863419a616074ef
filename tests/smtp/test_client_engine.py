"""The client engine on bytes: greeting, EHLO and HELO, STARTTLS, AUTH, what ends a session, and what may never be said."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.replies import Reply
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Auth, Command, Data, Hello, Mail, Noop, Quit, Rcpt, Rset, StartTls
from postroad.smtp.client_events import (
    ConnectionEnded,
    ContentAnswered,
    ContentWanted,
    Greeted,
    Replied,
    TlsReady,
)
from postroad.smtp.client_timeouts import ClientTimeouts
from postroad.smtp.events import NEED_DATA
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.parameters import Given
from postroad.smtp.states import State
from tests.smtp.client_host import BytesHost, converse, greeted

BOB = Mailbox("bob", "example.com")
HELLO = Hello("me.example")


def heard(engine: ClientEngine, octets: bytes) -> list[object]:
    engine.receive(octets)
    events: list[object] = []
    while (event := engine.next_event()) is not NEED_DATA:
        events.append(event)
        if isinstance(event, ConnectionEnded):
            break
    return events


# --- greeting


def test_a_greeting_opens_the_session() -> None:
    engine = ClientEngine()
    with pytest.raises(LocalProtocolError):
        engine.send(HELLO)
    assert heard(engine, b"220-a\r\n220 b\r\n") == [Greeted(Reply(220, "a\nb"), True)]
    assert engine.state is State.GREETED


@pytest.mark.parametrize("code", [421, 450, 521, 554])
def test_a_refusal_in_place_of_a_greeting_ends_it(code: int) -> None:
    engine = ClientEngine()
    reply = Reply(code, "go away")
    assert heard(engine, b"%d go away\r\n" % code) == [Greeted(reply, False), ConnectionEnded("refused", reply)]
    assert engine.state is State.CLOSED


@pytest.mark.parametrize("octets", [b"250 hi\r\n", b"354 hi\r\n", b"SSH-2.0-x\r\n", b"220 a\r\n250 b\r\n"])
def test_anything_else_is_no_greeting(octets: bytes) -> None:
    engine = ClientEngine()
    with pytest.raises(RemoteProtocolError):
        heard(engine, octets)
    assert engine.next_event() == ConnectionEnded("protocol")
    assert engine.state is State.CLOSED


# --- EHLO


def test_extensions_are_read() -> None:
    engine = greeted(b"SIZE 1000", b"pipelining", b"AUTH PLAIN LOGIN", b"AUTH=LOGIN", b"-bad line", b"X-FOO=bar baz")
    assert engine.announced == {
        "SIZE": "1000",
        "PIPELINING": "",
        "AUTH": "PLAIN LOGIN LOGIN",
        "X-FOO": "bar baz",
    }
    assert engine.state is State.READY


@pytest.mark.parametrize("code", [500, 502, 504])
def test_helo_when_ehlo_is_not_known(code: int) -> None:
    host = BytesHost({b"EHLO": b"%d what\r\n" % code, b"HELO": b"250-hi\r\n250 PIPELINING\r\n"})
    engine = greeted(hello=False)
    events = converse(engine, host, HELLO)
    assert events == [Replied(HELLO, Reply(250, "hi\nPIPELINING"))]
    assert host.heard == [b"EHLO me.example", b"HELO me.example"]
    assert engine.announced == {}
    assert engine.state is State.READY


@pytest.mark.parametrize("code", [421, 450, 501, 550, 554])
def test_any_other_refusal_of_ehlo_is_told(code: int) -> None:
    engine = greeted(hello=False)
    host = BytesHost({b"EHLO": b"%d no\r\n" % code})
    events = converse(engine, host, HELLO)
    assert events[0] == Replied(HELLO, Reply(code, "no"))
    assert engine.state is (State.CLOSED if code == 421 else State.GREETED)


def test_long_answers_are_read_to_the_end_at_ehlo_and_kept_in_part_elsewhere() -> None:
    engine = greeted(*[b"X-%d" % number for number in range(300)])
    assert "X-299" in engine.announced
    converse(engine, BytesHost({b"MAIL": b"550-no\r\n" * 300 + b"550 no\r\n"}), Mail(None))
    assert len(engine.transcript.text().split("\n")) < 60


# --- STARTTLS


def test_starttls_forgets_what_was_said_before() -> None:
    engine = greeted(b"STARTTLS", b"SIZE 1")
    assert converse(engine, BytesHost({b"STARTTLS": b"220 go\r\n"}), StartTls()) == [TlsReady(Reply(220, "go"))]
    assert engine.state is State.HANDSHAKE
    with pytest.raises(LocalProtocolError):
        engine.send(HELLO)
    engine.tls_started()
    assert (engine.state, engine.announced, engine.tls) == (State.GREETED, {}, True)
    converse(engine, BytesHost({b"EHLO": b"250 host.example\r\n"}), HELLO)
    assert engine.state is State.READY


@pytest.mark.parametrize("octets", [b"220 go\r\n250 injected\r\n", b"220 go\r\n2", b"220 go\r\n\r\n"])
def test_octets_behind_the_220_break_the_connection(octets: bytes) -> None:
    engine = greeted(b"STARTTLS")
    engine.send(StartTls())
    engine.receive(octets)
    with pytest.raises(RemoteProtocolError, match="injection"):
        engine.next_event()
    assert engine.state is State.CLOSED


def test_octets_between_the_220_and_the_handshake_break_it_too() -> None:
    engine = greeted(b"STARTTLS")
    engine.send(StartTls())
    engine.receive(b"220 go\r\n")
    assert isinstance(engine.next_event(), TlsReady)
    engine.receive(b"250 injected\r\n")
    with pytest.raises(RemoteProtocolError, match="injection"):
        engine.tls_begins()


def test_a_refused_starttls_leaves_the_session() -> None:
    engine = greeted(b"STARTTLS")
    converse(engine, BytesHost({b"STARTTLS": b"454 not now\r\n"}), StartTls())
    assert (engine.state, engine.tls) == (State.READY, False)


# --- AUTH


def test_plain_says_all_at_once_and_the_transcript_hides_it() -> None:
    engine = greeted(b"AUTH LOGIN PLAIN")
    host = BytesHost({b"AUTH": b"235 2.7.0 ok\r\n"})
    converse(engine, host, Auth("kana", "secret"))
    assert host.heard == [b"AUTH PLAIN AGthbmEAc2VjcmV0"]
    assert engine.authenticated
    assert engine.state is State.READY
    assert "AGthbmEAc2VjcmV0" not in engine.transcript.text()
    assert "C: AUTH PLAIN" in engine.transcript.text()


def test_plain_waits_for_the_challenge_when_the_line_would_be_long() -> None:
    engine = greeted(b"AUTH PLAIN")
    host = BytesHost({b"": b"235 ok\r\n", b"AUTH": b"334 \r\n"})
    converse(engine, host, Auth("kana", "s" * 500))
    assert host.heard[0] == b"AUTH PLAIN"
    assert engine.authenticated


def test_login() -> None:
    engine = greeted(b"AUTH LOGIN")
    host = BytesHost({b"AUTH": b"334 VXNlcm5hbWU6\r\n", b"a2FuYQ": b"334 anything\r\n", b"c2": b"235 ok\r\n"})
    converse(engine, host, Auth("kana", "secret"))
    assert host.heard == [b"AUTH LOGIN", b"a2FuYQ==", b"c2VjcmV0"]
    assert engine.authenticated
    assert "c2VjcmV0" not in engine.transcript.text()


def test_a_challenge_too_many_is_cancelled() -> None:
    engine = greeted(b"AUTH PLAIN")
    host = BytesHost({b"AUTH": b"334 more\r\n", b"*": b"501 cancelled\r\n"})
    events = converse(engine, host, Auth("kana", "secret"))
    assert events == [Replied(Auth("kana", "secret"), Reply(501, "cancelled"))]
    assert not engine.authenticated
    assert engine.state is State.READY


def test_a_wrong_password_is_told() -> None:
    engine = greeted(b"AUTH PLAIN")
    converse(engine, BytesHost({b"AUTH": b"535 5.7.8 no\r\n"}), Auth("kana", "wrong"))
    assert not engine.authenticated


def test_auth_needs_a_mechanism_that_both_know() -> None:
    with pytest.raises(LocalProtocolError):
        greeted(b"AUTH CRAM-MD5").send(Auth("kana", "secret"))
    with pytest.raises(LocalProtocolError):
        greeted().send(Auth("kana", "secret"))


# --- order


def test_nothing_out_of_sequence() -> None:
    engine = greeted()
    for command in (Rcpt(BOB), Data()):
        with pytest.raises(LocalProtocolError):
            engine.send(command)
    converse(engine, BytesHost(), Mail(None))
    for command in (Mail(None), Data(), StartTls()):
        with pytest.raises(LocalProtocolError):
            engine.send(command)
    assert engine.data_to_send() == b""


def test_a_line_that_was_made_before_is_one_line_of_its_command() -> None:
    engine = greeted(b"PIPELINING")
    line = engine.check(Mail(None))
    for wrong in (line + b"DATA\r\n", b"DATA\r\n" + line, line[:-1], b"RSET\r\n", b"", b"MAIL\nDATA\r\n"):
        with pytest.raises(LocalProtocolError, match="not the one line"):
            engine.send(Mail(None), wrong)
    assert engine.data_to_send() == b""
    engine.send(Mail(None), line)
    assert engine.data_to_send() == b"MAIL FROM:<>\r\n"


def test_one_at_a_time_without_pipelining() -> None:
    engine = greeted()
    engine.send(Mail(None))
    with pytest.raises(LocalProtocolError):
        engine.send(Rcpt(BOB))


@pytest.mark.parametrize("last", [HELLO, StartTls(), Noop(), Quit(), Auth("a", "b")])
def test_nothing_behind_what_ends_a_group(last: object) -> None:
    engine = greeted(b"PIPELINING", b"STARTTLS", b"AUTH PLAIN")
    engine.send(last)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError):
        engine.send(Rset())


def test_parameters_only_when_announced() -> None:
    given = Given({SIZE: 10})
    with pytest.raises(LocalProtocolError):
        greeted(b"8BITMIME").send(Mail(None, given))
    engine = greeted(b"SIZE")
    engine.send(Mail(None, given))
    assert engine.data_to_send() == b"MAIL FROM:<> SIZE=10\r\n"
    for announced in ((b"8BITMIME",), (b"8BITMIME", b"BINARYMIME"), (b"8BITMIME", b"CHUNKING")):
        with pytest.raises(LocalProtocolError, match="BINARYMIME and CHUNKING"):
            greeted(*announced).send(Mail(None, Given({BODY: Body.BINARYMIME})))
    with pytest.raises(LocalProtocolError):
        greeted().send(Mail(Mailbox("あ", "example.com")))


def test_a_reply_that_nothing_asked_for() -> None:
    engine = greeted()
    engine.receive(b"250 surprise\r\n")
    with pytest.raises(RemoteProtocolError):
        engine.next_event()


def test_a_refused_rset_ends_the_session() -> None:
    """The next content would go to recipients of before."""
    engine = greeted(b"PIPELINING")
    for command in (Mail(None), Rcpt(BOB)):
        converse(engine, BytesHost(), command)
    engine.send(Rset())
    engine.send(Mail(None))
    engine.receive(b"502 no\r\n250 ok\r\n")
    with pytest.raises(RemoteProtocolError, match="RSET was refused"):
        engine.next_event()
    assert engine.state is State.CLOSED


def test_421_may_come_unasked() -> None:
    engine = greeted()
    assert heard(engine, b"421 shutting down\r\n") == [ConnectionEnded("421", Reply(421, "shutting down"))]


def test_421_ends_the_session_whatever_it_answers() -> None:
    engine = greeted()
    events = converse(engine, BytesHost({b"MAIL": b"421 4.3.2 bye\r\n"}), Mail(None))
    assert events == [Replied(Mail(None), Reply(421, "bye", "4.3.2"))]
    assert engine.next_event() == ConnectionEnded("421", Reply(421, "bye", "4.3.2"))
    assert not engine.may_send


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        ([Mail(None)], b"354 what\r\n"),
        ([Mail(None), Rcpt(BOB)], b"334 what\r\n"),
        ([Mail(None), Rcpt(BOB), Data()], b"250 what\r\n"),
        ([Rset()], b"354 what\r\n"),
        ([HELLO], b"334 what\r\n"),
    ],
)
def test_a_positive_reply_that_does_not_fit_its_command(commands: list[object], reply: bytes) -> None:
    engine = greeted(b"PIPELINING")
    for command in commands:
        engine.send(command)  # type: ignore[arg-type]
    engine.receive(b"250 ok\r\n" * (len(commands) - 1) + reply)
    with pytest.raises(RemoteProtocolError):
        while engine.next_event() is not NEED_DATA:
            pass


def test_eof_comes_after_what_was_said_before_it() -> None:
    engine = greeted()
    engine.send(Noop())
    engine.receive(b"250 ok\r\n25")
    engine.receive_eof()
    assert engine.next_event() == Replied(Noop(), Reply(250, "ok"))
    assert isinstance(engine.next_event(), ConnectionEnded)
    assert engine.state is State.CLOSED


def test_quit() -> None:
    engine = greeted()
    assert converse(engine, BytesHost(), Quit()) == [Replied(Quit(), Reply(221, "bye"))]
    assert engine.next_event() == ConnectionEnded("quit")


# --- content


def in_content(*extensions: bytes, lmtp: bool = False, recipients: int = 1) -> ClientEngine:
    engine = greeted(*extensions, lmtp=lmtp)
    for command in (Mail(None), *[Rcpt(BOB)] * recipients):
        converse(engine, BytesHost(), command)
    engine.send(Data())
    engine.data_to_send()
    engine.receive(b"354 go on\r\n")
    assert isinstance(engine.next_event(), ContentWanted)
    return engine


def test_content() -> None:
    engine = in_content()
    assert not engine.may_send
    engine.send_content(b".a\r")
    engine.send_content(b"\n")
    assert not engine.is_content_unanswered
    engine.end_content()
    assert engine.data_to_send() == b"..a\r\n.\r\n"
    assert engine.is_content_unanswered
    assert heard(engine, b"250 2.0.0 queued\r\n") == [ContentAnswered(Reply(250, "queued", "2.0.0"), None)]
    assert engine.is_idle
    assert engine.state is State.READY


def test_content_is_refused_while_it_is_sent() -> None:
    engine = in_content()
    engine.send_content(b"a\r\n")
    reply = Reply(552, "too much")
    assert heard(engine, b"552 too much\r\n") == [ContentAnswered(reply, None), ConnectionEnded("refused", reply)]


def test_content_is_accepted_before_its_end() -> None:
    engine = in_content()
    engine.receive(b"250 queued\r\n")
    with pytest.raises(RemoteProtocolError):
        engine.next_event()


def test_garbage_in_place_of_the_final_reply_leaves_it_open() -> None:
    for octets in (b"354 more\r\n", b"what\r\n"):
        engine = in_content()
        engine.end_content()
        engine.receive(octets)
        with pytest.raises(RemoteProtocolError):
            engine.next_event()
        assert engine.is_content_unanswered


def test_lmtp_answers_each_recipient() -> None:
    engine = in_content(lmtp=True, recipients=2)
    engine.end_content()
    assert heard(engine, b"250 one\r\n452 two\r\n") == [
        ContentAnswered(Reply(250, "one"), 0),
        ContentAnswered(Reply(452, "two"), 1),
    ]
    assert engine.is_idle


# --- patience


def test_what_is_waited_for() -> None:
    engine = ClientEngine(
        timeouts=ClientTimeouts(greeting=1, hello=2, mail=3, rcpt=4, data=5, block=6, content=7, quit=8)
    )

    def patience() -> float:
        found = engine.patience()
        assert found is not None
        return found.seconds

    assert patience() == 1
    heard(engine, b"220 hi\r\n")
    assert engine.patience() is None
    engine.send(HELLO)
    assert patience() == 2
    heard(engine, b"250-hi\r\n250 PIPELINING\r\n")
    engine.send(Mail(None))
    engine.send(Rcpt(BOB))
    engine.send(Data())
    assert patience() == 3
    heard(engine, b"250 ok\r\n")
    assert patience() == 4
    heard(engine, b"250 ok\r\n")
    assert patience() == 5
    heard(engine, b"354 ok\r\n")
    assert patience() == 6
    engine.end_content()
    assert patience() == 7
    heard(engine, b"250 ok\r\n")
    engine.send(Quit())
    assert patience() == 8
    before = engine.progress
    heard(engine, b"22")
    assert engine.progress == before  # half a reply is no progress
    heard(engine, b"1 bye\r\n")
    assert engine.patience() is None


def test_the_defaults_are_those_of_the_rfc() -> None:
    times = ClientTimeouts()
    assert (times.greeting, times.mail, times.rcpt) == (300, 300, 300)
    assert (times.data, times.block, times.content) == (120, 180, 600)


@settings(max_examples=500)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.sampled_from([220, 221, 235, 250, 334, 354, 421, 454, 500, 503, 550]).map(lambda code: b"%d ok\r\n" % code)
        | st.just(b"250-host\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-CHUNKING\r\n250 AUTH PLAIN LOGIN\r\n"),
        max_size=12,
    ),
    st.lists(
        st.sampled_from([HELLO, StartTls(), Auth("a", "b"), Mail(None), Rcpt(BOB), Data(), Rset(), Noop(), Quit()])
    ),
)
def test_whatever_a_host_says_and_we_try_the_engine_ends_or_goes_on(said: list[bytes], commands: list[Command]) -> None:
    """Only the two protocol errors ever come out, and behind them the session is closed and stays so."""
    engine = ClientEngine()
    turns = iter(commands)
    for octets in said:
        engine.receive(octets)
        try:
            while (event := engine.next_event()) is not NEED_DATA and not isinstance(event, ConnectionEnded):
                pass
        except RemoteProtocolError:
            assert isinstance(engine.next_event(), ConnectionEnded)
        command = next(turns, None)
        if command is not None:
            with contextlib.suppress(LocalProtocolError):
                engine.send(command)
        if engine.state is State.CLOSED:
            assert not engine.may_send
            assert engine.patience() is None
    assert len(engine._awaited) <= len(commands) + 2
