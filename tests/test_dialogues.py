"""Every script in tests/dialogues holds, and together they try every command in every state."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from postroad.smtp import extensions
from postroad.smtp.events import ParameterNotNow
from postroad.smtp.states import State, Verb
from tests.dialogues.loopback import Loopback, LoopbackServer
from tests.dialogues.runner import EngineServer, Run, offered
from tests.dialogues.script import Dialogue, Given, read_all
from tests.dialogues.shadow import split_replies

DIALOGUES = read_all()
SMTP_VERBS = [verb for verb in Verb if verb is not Verb.LHLO]
IN_SESSION = (State.GREETED, State.READY, State.SENDER, State.RECIPIENTS, State.CHUNKS)


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue.name)
def test_the_engine_keeps_to_the_script(dialogue: Dialogue) -> None:
    server = EngineServer(dialogue.given)
    run = Run(dialogue, server)
    run.run()
    # Whatever is refused only for a time is counted and shown to the operator, and nothing else is.
    by_policy = {policy.reply.to_bytes() for policy in dialogue.given.policies}
    not_now = [
        reply
        for reply in split_replies(server.said)
        if reply.startswith((b"455 4.5.4", b"452 4.3.1")) and reply not in by_policy
    ]
    assert [event.reply.to_bytes() for event in server.events if isinstance(event, ParameterNotNow)] == not_now


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue.name)
def test_the_server_keeps_to_the_script(dialogue: Dialogue, loopback: Loopback) -> None:
    """Over a real connection, with real TLS, to a real spool."""
    with LoopbackServer(loopback, dialogue.given) as server:
        Run(dialogue, server).run()


def test_titles_are_unique() -> None:
    names = [dialogue.name for dialogue in DIALOGUES]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def tried() -> set[tuple[State, Verb]]:
    """Every (state, verb) pair that the scripts try, as the shadow sees it; scripts that fail count for nothing."""
    pairs: set[tuple[State, Verb]] = set()
    for dialogue in DIALOGUES:
        try:
            pairs |= Run(dialogue, EngineServer(dialogue.given)).run().pairs
        except AssertionError:
            continue
    return pairs


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_every_command_is_tried_in_every_state(state: State, tried: set[tuple[State, Verb]]) -> None:
    """Those that are out of order too, and those that are content, a response, early, or behind the end."""
    missing = [verb.value for verb in SMTP_VERBS if (state, verb) not in tried]
    assert not missing, f"no script tries {', '.join(missing)} where {state.value}"


def _keywords() -> list[tuple[Verb, str]]:
    given = Given()
    given.take("also offered DSN, REQUIRETLS, MT-PRIORITY, DELIVERBY, FUTURERELEASE")
    known = offered(given)
    assert len(known.extensions) == len(extensions.__all__)
    return [(parameter.command, parameter.keyword) for e in known.extensions for parameter in e.parameters]


ROWS = {
    "not offered": b"555 5.5.4",
    "malformed or given twice": b"501 5.5.4",
    "honoured": b"250 2.1.",
    "not just now": (b"455 4.5.4", b"452 4.3.1"),
}


@pytest.fixture(scope="module")
def judged() -> set[tuple[Verb, str, bytes]]:
    """(verb, keyword of a parameter, beginning of the reply) of every script, for lines that are answered alone."""
    seen: set[tuple[Verb, str, bytes]] = set()
    for dialogue in DIALOGUES:
        for sent, heard in itertools.pairwise(dialogue.steps):
            if sent.kind != "C" or heard.kind != "S":
                continue
            line = sent.octets.decode("utf-8", "replace").rstrip("\r\n")
            verb = next((v for v in (Verb.MAIL, Verb.RCPT) if line.upper().startswith(v.value)), None)
            if verb is not None:
                keywords = {word.partition("=")[0].upper() for word in line.partition("> ")[2].split()}
                seen |= {(verb, keyword, heard.text.encode()[:9]) for keyword in keywords}
    return seen


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(("verb", "keyword"), _keywords(), ids=lambda value: getattr(value, "value", value))
def test_every_row_of_the_reply_table_is_tried(
    verb: Verb, keyword: str, row: str, judged: set[tuple[Verb, str, bytes]]
) -> None:
    """Each parameter of each extension, offered by default or not, in each row of the table (RFC 5321 4.1.1.11)."""
    assert any(v is verb and k == keyword and reply.startswith(ROWS[row]) for v, k, reply in judged)
