"""What holds for the server engine whatever a client sends, and however its octets are cut into segments."""

from __future__ import annotations

import re
import sys
import tracemalloc
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
from tests.dialogues.runner import EngineServer
from tests.dialogues.script import Given, Refusal
from tests.dialogues.shadow import Shadow, split_replies

HELLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<kana@example.org>\r\nRCPT TO:<bob@example.net>\r\n"

#: What other servers have taken for the end of content (SMTP smuggling, 2023).
TERMINATORS = [
    b"\n.\n",
    b"\n.\r",
    b"\n.\r\n",
    b"\r.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\n\x00.\x00\r\n",
    b"\x00.\x00",
]


def server(**given: object) -> EngineServer:
    """A server that has greeted, with limits far away."""
    settings = {"max_errors": 10_000, "max_junk": 10_000, "auth_in_clear": True, **given}
    made = EngineServer(Given(**settings))  # type: ignore[arg-type]
    assert made.hear().startswith(b"220 ")
    return made


def in_content(**given: object) -> EngineServer:
    """A server that has said 354."""
    made = server(**given)
    made.send(HELLO + ENVELOPE)
    assert made.send(b"DATA\r\n").startswith(b"354 ")
    return made


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    """Octets, cut at these places."""
    places = sorted({cut % (len(octets) + 1) for cut in cuts} | {0, len(octets)})
    return [octets[a:b] for a, b in zip(places, places[1:], strict=False)]


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
            [b"\r", b"\n", b"\r\n", b"\0", b" ", b"A", b"\xff", b"EHLO x\r\n", b"MAIL FROM:<", b"RCPT TO:<a@b>", b">"]
            + [
                b"DATA\r\n",
                b"BDAT ",
                b"BDAT 3\r\n",
                b"9",
                b" LAST",
                b"AUTH PLAIN ",
                b"STARTTLS",
                b"QUIT",
                b".\r\n",
                b"=",
                b"*",
            ]
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


# ---------------------------------------------------------------- content

lines = st.lists(
    st.one_of(
        st.sampled_from([b"", b".", b"..", b". ", b".x", b"x.", b"QUIT"]),
        st.binary(max_size=30).map(lambda line: re.sub(rb"[\0\r\n]", b"", line)),
    ),
    max_size=12,
)
messages = lines.map(lambda parts: b"".join(line + b"\r\n" for line in parts))


def dot_stuff(content: bytes) -> bytes:
    """RFC 5321 section 4.5.2, the client's side."""
    return re.sub(rb"^\.", b"..", content, flags=re.MULTILINE)


@given(messages, st.lists(st.integers(0, 1000), max_size=8))
def test_content_comes_out_as_it_went_in(content: bytes, cuts: list[int]) -> None:
    made = in_content()
    for piece in pieces(dot_stuff(content) + b".\r\n", cuts):
        made.send(piece)
    assert made.accepted == [content]
    assert made.said.endswith(b"354 " + made.said.rpartition(b"354 ")[2])
    assert split_replies(made.said)[-1].startswith(b"250 2.0.0 ")


@given(messages, st.lists(st.integers(0, 1000), max_size=5), st.lists(st.integers(0, 2000), max_size=8))
def test_content_in_chunks_comes_out_as_it_went_in(content: bytes, borders: list[int], cuts: list[int]) -> None:
    made = server()
    made.send(HELLO + ENVELOPE)
    parts = pieces(content, borders)
    wire = b"".join(b"BDAT %d\r\n" % len(part) + part for part in parts) + b"BDAT 0 LAST\r\n"
    for piece in pieces(wire, cuts):
        made.send(piece)
    assert made.accepted == [content]


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5), st.lists(st.integers(0, 2000), max_size=8))
def test_binary_content_comes_out_as_it_went_in(parts: list[bytes], cuts: list[int]) -> None:
    made = server()
    made.send(HELLO + ENVELOPE.replace(b"kana@example.org>", b"kana@example.org> BODY=BINARYMIME"))
    wire = b"".join(b"BDAT %d\r\n" % len(part) + part for part in parts[:-1])
    wire += b"BDAT %d LAST\r\n" % len(parts[-1]) + parts[-1]
    for piece in pieces(wire, cuts):
        made.send(piece)
    assert made.accepted == [b"".join(parts)]


def judge(wire: bytes) -> tuple[bytes | None, bool, bytes]:
    """What RFC 5321 says about octets behind a 354: the content or None, whether it may be accepted, what is left."""
    framed = b"\r\n" + wire
    end = framed.find(b"\r\n.\r\n")
    if end < 0:
        return None, False, b""
    content = framed[2 : end + 2] if end else b""
    sound = b"\0" not in content and content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    return re.sub(rb"(^|\r\n)\.", rb"\1", content), sound, framed[end + 5 :]


small_octets = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"x", b"\0"]), max_size=14).map(b"".join)


@given(small_octets, st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=500)
def test_content_ends_where_the_rfc_says(wire: bytes, cuts: list[int]) -> None:
    content, sound, rest = judge(wire)
    made = in_content()
    before = len(made.said)
    for piece in pieces(wire, cuts):
        made.send(piece)
    said = made.said[before:]
    if content is None:
        assert said == b""
        assert made.accepted == []
        return
    replies = split_replies(said)
    if sound:
        assert replies[0].startswith(b"250 2.0.0 ")
        assert made.accepted == [content]
    else:
        assert replies[0].startswith(b"550 5.5.2 ")
        assert made.accepted == []
    assert len(replies) == 1 + rest.count(b"\n")  # what is left is command lines, all of them bad


@pytest.mark.parametrize("normalize", [False, True], ids=["refuse", "normalize"])
@pytest.mark.parametrize("terminator", TERMINATORS, ids=lambda octets: octets.hex())
def test_no_second_message_is_smuggled_in(terminator: bytes, normalize: bool) -> None:
    """Each false end of content, cut at every place: never a second envelope, never a second message."""
    smuggled = b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nsmuggled"
    wire = b"a" + terminator + smuggled + b"\r\n.\r\nNOOP\r\n"
    for place in range(len(wire) + 1):
        made = in_content(normalize=normalize)
        before = len(made.said)
        for piece in (wire[:place], wire[place:]):
            made.send(piece)
        replies = split_replies(made.said[before:])
        assert len(replies) == 2
        assert replies[1].startswith(b"250 2.0.0 ")  # the NOOP, exactly once
        assert sum(isinstance(event, SenderGiven) for event in made.events) == 1
        if normalize:
            assert len(made.accepted) <= 1
        else:
            assert replies[0].startswith(b"550 5.5.2 ")
            assert made.accepted == []
        for content in made.accepted:
            assert b"\0" not in content
            assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


@given(small_octets, st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=300)
def test_normalized_content_is_sound(wire: bytes, cuts: list[int]) -> None:
    made = in_content(normalize=True)
    for piece in pieces(wire + b"\r\n.\r\n", cuts):
        made.send(piece)
    for content in made.accepted:
        assert b"\0" not in content
        assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


# ---------------------------------------------------------------- memory

MEGABYTES = 20
SEGMENT = 65536
JUNK = b"x" * SEGMENT


def feed(made: EngineServer, segment: bytes, total: int) -> tuple[int, int]:
    """Send ``total`` octets, dropping each block as a driver does; gives the peak of memory and the octets seen."""
    seen = 0
    sent = 0
    made.events.clear()
    tracemalloc.start()
    try:
        while sent < total and not made.closed:
            made.send(segment[: total - sent])
            sent += len(segment)
            blocks = [event.octets for event in made.events if isinstance(event, ContentBlock)]
            seen += sum(map(len, blocks))
            assert all(len(block) <= SEGMENT + 16 for block in blocks)
            made.events.clear()
            made._content.clear()
            del blocks
        return tracemalloc.get_traced_memory()[1], seen
    finally:
        tracemalloc.stop()


BEGINNINGS = {
    "a command": [],
    "a command with a verb": [HELLO, b"MAIL FROM:<"],
    "a SASL response": [HELLO, b"AUTH PLAIN\r\n"],
    "an initial response": [HELLO, b"AUTH PLAIN "],
    "a line of content": [HELLO, ENVELOPE, b"DATA\r\n"],
    "a chunk": [HELLO, ENVELOPE, b"BDAT 999999999\r\n"],
    "a chunk out of order": [HELLO, b"BDAT 999999999\r\n"],
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_junk_without_end_is_not_kept(beginning: str) -> None:
    """20 MB without a newline: never more than a few blocks in memory, in any state."""
    made = server(size_limit=0)
    for segment in BEGINNINGS[beginning]:
        made.send(segment)
    peak, _ = feed(made, JUNK, MEGABYTES << 20)
    assert peak < 1 << 20


@pytest.mark.parametrize("octet", [b"\0", b"\r", b" ", b"\xff", b"."])
@pytest.mark.parametrize("beginning", ["a command", "a line of content", "a chunk"])
def test_junk_of_other_octets_is_not_kept(beginning: str, octet: bytes) -> None:
    made = server(size_limit=0)
    for segment in BEGINNINGS[beginning]:
        made.send(segment)
    peak, _ = feed(made, octet * SEGMENT, 4 << 20)
    assert peak < 1 << 20


def test_a_large_message_flows_through() -> None:
    """All octets come out, and no more than a few blocks of them are held at any time."""
    made = in_content(size_limit=0)
    segment = (b"y" * 78 + b"\r\n") * 800
    total = MEGABYTES << 20
    total -= total % len(segment)
    peak, seen = feed(made, segment, total)
    assert peak < 1 << 20
    made.send(b".\r\n")
    seen += sum(len(event.octets) for event in made.events if isinstance(event, ContentBlock))
    ended = [event for event in made.events if isinstance(event, ContentEnded)]
    assert seen == total
    assert [event.size for event in ended] == [total]


def test_a_large_chunk_flows_through() -> None:
    made = server(size_limit=0)
    segment = (b"y" * 78 + b"\r\n") * 800
    total = MEGABYTES << 20
    total -= total % len(segment)
    made.send(HELLO + ENVELOPE + b"BDAT %d LAST\r\n" % total)
    peak, seen = feed(made, segment, total - 1)
    assert peak < 1 << 20
    made.send(segment[-1:])
    seen += sum(len(event.octets) for event in made.events if isinstance(event, ContentBlock))
    assert seen == total
    assert made.said.endswith(split_replies(made.said)[-1])
    assert split_replies(made.said)[-1].startswith(b"250 2.0.0 ")


@pytest.mark.parametrize("fault", [b"\n", b"\0", b"x" * 70_000])
def test_refused_content_is_drained_without_being_kept(fault: bytes) -> None:
    made = in_content(size_limit=0)
    made.send(b"a" + fault)
    peak, _ = feed(made, (b"y" * 78 + b"\r\n") * 800, 4 << 20)
    assert peak < 1 << 20
    assert made.send(b"\r\n.\r\nNOOP\r\n")[:3] == b"550"
    assert made.accepted == []


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=8))
@settings(max_examples=30)
def test_a_block_is_given_out_as_soon_as_it_is_there(sizes: list[int]) -> None:
    """The engine keeps back only what may be the beginning of the end."""
    made = in_content(size_limit=0)
    sent = 0
    for size in sizes:
        made.send(b"z" * size)
        sent += size
        assert sum(len(event.octets) for event in made.events if isinstance(event, ContentBlock)) >= sent - 5


# ---------------------------------------------------------------- work


def calls(work: Callable[[], object]) -> int:
    """How many functions are called: a measure of work that no busy machine can disturb."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def octet_by_octet(made: EngineServer, data: bytes) -> Callable[[], None]:
    def work() -> None:
        for index in range(len(data)):
            made.engine.receive(data[index : index + 1])
            made.engine.next_event()

    return work


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_octet_by_octet_the_work_grows_with_the_input(beginning: str) -> None:
    counts = []
    for size in (1000, 2000, 4000):
        made = server(size_limit=0)
        for segment in BEGINNINGS[beginning]:
            made.send(segment)
        counts.append(calls(octet_by_octet(made, b"x" * size)))
    assert counts[2] - counts[1] <= 2.2 * (counts[1] - counts[0])


@pytest.mark.parametrize("octets", [40_000, 400_000])
@pytest.mark.parametrize(
    "line", [b"y" * 78 + b"\r\n", b"\r\n", b"..\r\n", b"x\r\n"], ids=["text", "empty", "dots", "short"]
)
def test_content_is_not_read_line_by_line(line: bytes, octets: int) -> None:
    """A segment costs the same few calls, whether it holds few lines or many."""

    def cost(count: int) -> int:
        made = in_content(size_limit=0)
        return calls(lambda: made.send(line * count))

    assert cost(octets // len(line)) <= cost(10) + 100
