"""What holds for the server engine whatever a client sends, and however its octets are cut into segments."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad.replies import Reply
from postroad.smtp.events import (
    AuthGiven,
    ContentBlock,
    ContentEnded,
    ContentRequested,
    RecipientGiven,
    SenderGiven,
    SessionEnded,
    TransactionAborted,
)
from postroad.smtp.states import State
from tests.dialogues.runner import EngineServer
from tests.dialogues.script import Given, Refusal
from tests.dialogues.shadow import Shadow, split_replies
from tests.smtp.sessions import ENVELOPE, HELLO, pieces, server


def history(made: EngineServer) -> list[object]:
    """The events that do not depend on how input was cut: blocks become whole contents, those of refused ones go."""
    seen: list[object] = []
    content: list[bytes] = []
    for event in made.events:
        match event:
            case ContentBlock(octets):
                content.append(octets)
            case ContentEnded():
                seen += [event, b"".join(content)]
                content = []
            case TransactionAborted() | SessionEnded():
                seen.append(event)
                content = []
            case AuthGiven():
                seen.append((event.mechanism, event.authorization_id, event.authentication_id, event.password))
            case _:
                seen.append(event)
    return seen


# ---------------------------------------------------------------- sessions

PATHS = [
    "<kana@example.org>",
    "<>",
    "<nobody@example.net>",
    "<jörg@example.org>",
    "<a..b@c>",
    "<@r.example:k@e.org>",
    "k",
]
PARAMETERS = [
    "",
    "",
    " SIZE=10",
    " SIZE=99999999999",
    " SIZE=x",
    " BODY=8BITMIME",
    " BODY=BINARYMIME",
    " SMTPUTF8",
    " FROB=1",
    " AUTH=<>",
    " ",
]
SMALL = """NOOP,NOOP hello,RSET,RSET now,VRFY bob,VRFY,EXPN staff,HELP,HELP MAIL,FROB,LHLO x,noop,EHLO client.example,EHLO,
HELO client.example,HELO,AUTH,AUTH PLAIN AGthbmEAdGlnZXI=,AUTH PLAIN AGthbmEAbGlvbg==,AUTH PLAIN =,AUTH PLAIN,AUTH LOGIN,
AUTH CRAM-MD5,*,AGthbmEAdGlnZXI=,a2FuYQ==,dGlnZXI=,GET,BDAT,BDAT x,BDAT 18446744073709551616,MAIL,RCPT,STARTTLS now""".replace(
    "\n", ""
).split(",")
RAW = [
    b"NOOP\n",
    b"\n",
    b"\r\n",
    b"NO\0OP\r\n",
    b"\r\r\n",
    b"NOOP\rNOOP\r\n",
    b"\xff\xfe\r\n",
    b"x" * 600 + b"\r\n",
    b"\0\n",
]

mails = st.builds("MAIL FROM:{}{}\r\n".format, st.sampled_from(PATHS), st.sampled_from(PARAMETERS)).map(str.encode)
rcpts = st.builds("RCPT TO:{}{}\r\n".format, st.sampled_from(PATHS), st.sampled_from(["", "", "", " FROB=1"])).map(
    str.encode
)
small = st.sampled_from([command.encode() + b"\r\n" for command in SMALL])
raw = st.sampled_from(RAW)
#: Octets of content; no line of it can be DATA or STARTTLS, should the server take it for commands.
tokens = st.sampled_from(
    [b"\r\n", b"\r\n", b".", b"..", b"x", b"QUIT", b"NOOP\r\n", b"\n", b"\r", b"\0", b"\xff", b"\r\n.\n"]
)
octets = st.lists(tokens, max_size=8).map(b"".join)
clean = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"QUIT", b"\xff"]), max_size=6).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)


def chunk(content: bytes, last: bool, lie: int) -> bytes:
    return b"BDAT %d%s\r\n" % (max(0, len(content) + lie), b" LAST" if last else b"") + content


chunks = st.builds(chunk, st.one_of(octets, clean, clean), st.booleans(), st.sampled_from([0, 0, 0, 0, -1, 2]))
transactions = st.one_of(
    st.just(ENVELOPE),
    st.builds(lambda content: ENVELOPE + chunk(content, True, 0), clean),
    st.builds(lambda a, b: ENVELOPE + chunk(a, False, 0) + chunk(b, True, 0), octets, clean),
)
commands = st.lists(st.one_of(transactions, transactions, mails, rcpts, small, raw, chunks), max_size=6).map(b"".join)
contents = st.one_of(octets, clean, clean).map(lambda content: content + b"\r\n.\r\n")
ends = st.sampled_from([b"", ENVELOPE + b"DATA\r\n", ENVELOPE + b"DATA\r\n", b"DATA\r\n", b"QUIT\r\n"])
groups = st.builds(lambda c, before, end: c + before + end, st.one_of(st.just(b""), contents), commands, ends)
#: Groups between which the client waits: what may not stand behind another command in a group ends it (RFC 2920).
sessions = st.lists(groups, min_size=1, max_size=5)


def converse(made: EngineServer, groups: list[bytes], cut: Callable[[bytes], list[bytes]]) -> EngineServer:
    for group in groups:
        for piece in cut(group):
            if not made.closed:
                made.send(piece)
    return made


POLICY = [
    Refusal("recipient", "nobody@example.net", Reply(550, "No such user", "5.1.1")),
    Refusal("sender", "nobody@example.net", Reply(451, "Not just now", "4.7.1")),
]


@given(sessions, st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
@settings(max_examples=300)
def test_any_split_of_the_input_gives_the_same(session: list[bytes], cuts: list[int], normalize: bool) -> None:
    given = {"policies": POLICY, "normalize": normalize, "size_limit": 60}
    session = [HELLO, *session]
    whole = converse(server(**given), session, lambda group: [group])
    cut = converse(server(**given), session, lambda group: pieces(group, cuts))
    single = converse(server(**given), session, lambda group: [group[i : i + 1] for i in range(len(group))])
    for other in (cut, single):
        assert other.said == whole.said
        assert other.accepted == whole.accepted
        assert history(other) == history(whole)
        assert other.reason == whole.reason


@given(sessions, st.booleans())
@settings(max_examples=300)
def test_every_command_gets_exactly_one_reply(session: list[bytes], tls: bool) -> None:
    made = server(policies=POLICY, tls=tls)
    shadow = Shadow()
    shadow.hear(b"", made.said)
    for group in [HELLO, *session]:
        said = made.send(group)
        shadow.hear(group, said)
        if made.closed:
            break
        shadow.assert_even()


@given(sessions)
def test_every_transaction_ends_once(session: list[bytes]) -> None:
    """From MAIL to ContentEnded or TransactionAborted: a driver can rely on it to free what it holds."""
    made = converse(server(policies=POLICY, size_limit=60), [HELLO, *session], lambda group: [group])
    made.send(b"", eof=True)
    is_open = wants_content = False
    for event, refused in zip(made.events, made.refused, strict=True):
        match event:
            case SenderGiven():
                assert not is_open
                is_open = not refused
            case ContentRequested():
                assert is_open
                wants_content = True
            case ContentBlock():
                assert wants_content
            case ContentEnded():
                assert wants_content
                is_open = wants_content = False
            case TransactionAborted():
                assert is_open
                is_open = wants_content = False
            case RecipientGiven():
                assert is_open
                assert not wants_content
            case SessionEnded():
                assert not is_open
    assert isinstance(made.events[-1], SessionEnded)


@given(sessions)
def test_nothing_accepted_is_unsound(session: list[bytes]) -> None:
    """What is passed on has no bare CR, no bare LF and no NUL, unless it was declared as BINARYMIME."""
    made = converse(server(policies=POLICY), [HELLO, *session], lambda group: [group])
    if b"BINARYMIME" not in b"".join(session):
        for content in made.accepted:
            assert b"\0" not in content
            assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


# ---------------------------------------------------------------- noise

noise = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from(
            b"\r,\n,\r\n,\0, ,A,\xff,EHLO x\r\n,MAIL FROM:<,RCPT TO:<a@b>,>,DATA\r\n,BDAT ,BDAT 3\r\n,9, LAST,AUTH PLAIN ,STARTTLS,QUIT,.\r\n,=,*".split(
                b","
            )
        ),
        max_size=40,
    ).map(b"".join),
)


def assert_sound(made: EngineServer, sent: list[bytes]) -> None:
    """Whole replies only, and no more events than there was input for."""
    split_replies(made.said)
    total = b"".join(sent)
    assert len(made.events) <= 10 + 4 * total.count(b"\n") + 2 * len(sent)


@given(st.lists(noise, max_size=8))
@settings(max_examples=300)
@example([b"\x16"])
@example([b"BDAT 99999999999999999999 LAST\r\n", b"BDAT 9999999999999999999\r\n"])
def test_noise_never_raises(segments: list[bytes]) -> None:
    made = server()
    for index, segment in enumerate(segments):
        if made.closed:
            break
        made.send(segment)
        assert_sound(made, segments[: index + 1])
        if made.engine.state is State.HANDSHAKE:
            made.handshake()
    if not made.closed:
        made.send(b"", eof=True)
        assert made.closed


STATES = {
    "sender": [HELLO, b"MAIL FROM:<>\r\n"],
    "recipients": [HELLO, ENVELOPE],
    "chunks": [HELLO, ENVELOPE, b"BDAT 3\r\na\r\n"],
    "content": [HELLO, ENVELOPE, b"DATA\r\n"],
    "in a chunk": [HELLO, ENVELOPE, b"BDAT 300\r\na\r\n"],
    "plain": [HELLO, b"AUTH PLAIN\r\n"],
    "login": [HELLO, b"AUTH LOGIN\r\n"],
    "login password": [HELLO, b"AUTH LOGIN a2FuYQ==\r\n"],
}


@pytest.mark.parametrize("state", STATES)
@given(segments=st.lists(noise, max_size=5))
@settings(max_examples=60)
def test_noise_never_raises_in_any_state(state: str, segments: list[bytes]) -> None:
    made = server()
    for segment in STATES[state]:
        made.send(segment)
    for index, segment in enumerate(segments):
        if made.closed:
            break
        made.send(segment)
        if made.engine.state is State.HANDSHAKE:
            made.handshake()
        assert_sound(made, STATES[state] + segments[: index + 1])
    if not made.closed:
        made.send(b"", eof=True)
        assert made.closed


@given(st.binary(min_size=1, max_size=60))
@example(b"\n")
@example(b"\r\n")
@example(b"NOOP\r\n")
@example(b"\x16\x03\x01")
def test_nothing_behind_starttls_is_ever_answered(behind: bytes) -> None:
    """CVE-2011-0411: what came in clear must not be read as if it had come inside TLS."""
    made = server()
    made.send(HELLO)
    assert made.send(b"STARTTLS\r\n" + behind).startswith(b"554 5.5.0 ")
    assert made.closed


@given(st.binary(min_size=1, max_size=60))
@example(b"\n")
@example(b".\r\n")
def test_nothing_behind_data_is_taken_before_the_354(behind: bytes) -> None:
    made = server()
    made.send(HELLO + ENVELOPE)
    assert made.send(b"DATA\r\n" + behind).startswith(b"554 5.5.0 ")
    assert made.closed
    assert made.accepted == []


@given(st.binary(min_size=1, max_size=60))
def test_whoever_talks_before_the_greeting_is_sent_away(early: bytes) -> None:
    made = EngineServer(Given())
    assert made.early(early).startswith(b"554 5.5.0 ")
    assert made.closed


@given(st.binary(max_size=60))
def test_nothing_behind_quit_is_answered(behind: bytes) -> None:
    made = server()
    assert re.fullmatch(rb"221 2\.0\.0 [^\r\n]*\r\n", made.send(b"QUIT\r\n" + behind))
    assert made.reason == "quit"
