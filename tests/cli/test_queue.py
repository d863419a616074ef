"""``postroad queue`` and ``postroad log`` with a server that has a queue: what they print, ask, and end with."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import jsonschema
import pytest
import uvicorn

import postroad.reference
from postroad.cli.columns import width
from postroad.cli.main import main
from postroad.envelope import MessageId, Outcome, Step
from postroad.replies import Reply
from postroad.spool.interface import MessageQuery
from tests.cli.fake_server import Ended
from tests.web.queue_house import DAY, HOUR, NO_RET, RATE_LIMITED, TAKEN, UNKNOWN, QueueHouse

Run = Callable[..., Ended]
T = TypeVar("T")
FORMS = jsonschema.Draft202012Validator(
    json.loads((Path(postroad.reference.__file__).parent / "schemas" / "queue.json").read_text())
)


class Running:
    """A server in a thread with a loop of its own."""

    def __init__(self, socket: Path) -> None:
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run(socket)), daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    async def _run(self, socket: Path) -> None:
        self.loop = asyncio.get_running_loop()
        self.house = QueueHouse()
        self.house.clock.now = time.time()
        config = uvicorn.Config(self.house.app, uds=str(socket), log_config=None, lifespan="off")
        self.server = uvicorn.Server(config)
        serving = asyncio.ensure_future(self.server.serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
        self.ready.set()
        await serving

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def put(self, *to: str, **options: Any) -> MessageId:
        return self.do(self.house.put(*to, **options))

    def tried(self, message_id: MessageId, *arguments: Any, **options: Any) -> MessageId:
        self.do(self.house.tried(message_id, *arguments, **options))
        return message_id

    def left(self) -> list[str]:
        messages = self.do(self.house.spool.messages(MessageQuery(oldest_first=True)))
        return [f"{one.forward_path} {one.state.value}" for message in messages for one in message.recipients]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("POSTROAD_STATE", str(tmp_path))
    monkeypatch.setenv("POSTROAD_LANG", "en")
    made = Running(tmp_path / "control.sock")
    yield made
    made.stop()


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A person at a terminal who types this."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(text))


# ── list ────────────────────────────────────────────────────────────────────


def test_list(run: Run, server: Running) -> None:
    assert run("queue", "list").out == "nothing waits\n"
    grey = server.tried(server.put("kana@example.net", ago=2 * HOUR))
    held = server.put("sales@example.com", hold="no route", ago=180)
    new = server.put("new@example.net", ago=10)
    listed = run("queue", "list")
    head, *rows = listed.out.rstrip("\n").split("\n")
    assert head.split() == ["ID", "AGE", "TRIES", "NEXT", "TO", "LAST", "REPLY"]
    assert rows[0].split(maxsplit=6) == [
        grey, "2h00m", "1", "in", "11m", "kana@example.net",
        "451 4.7.1 Greylisting in action, please come back later",
    ]  # fmt: skip
    assert rows[1].split()[0] == held and "on hold" in rows[1] and rows[1].endswith("no route")
    assert rows[2].split()[0] == new and " now " in rows[2] and rows[2].endswith("(no attempt yet)")
    assert listed.err == "3 recipients · `postroad queue why ID` explains one\n"
    assert run("queue", "list", "--to", "nobody").out == "nothing matches\n"
    limited = run("queue", "list", "--limit", 1)
    assert limited.err.startswith("1 of 3 recipients · 2 destinations")
    limited = run("queue", "list", "--limit", 1, "--destination", "example.net")
    assert limited.err.startswith("1 of 2 recipients · 1 destination ·")
    assert run("queue", "list", new[-6:], "--json").document["recipients"][0]["id"] == new


def test_list_tells_how_long_a_silent_host_is_left_alone(run: Run, server: Running) -> None:
    server.put("a@example.net")
    server.put("b@example.org")
    server.house.rests["example.net"] = server.house.clock.now + 600
    server.house.rests["example.org"] = server.house.clock.now - 600
    _, first, second = run("queue", "list").out.rstrip("\n").split("\n")
    assert " in 10m " in first and " now " in second


def test_why_of_a_held_one_does_not_speak_of_those_that_wait(run: Run, server: Running) -> None:
    held = server.put("a@example.net", hold="held by the operator")
    server.put("b@example.net")
    assert "nobody else is on hold for example.net" in run("queue", "why", held).out
    assert "保留中のものは、ほかにありません" in run("queue", "why", held, "--lang", "ja").out


def test_an_argument_that_is_no_text(run: Run, server: Running) -> None:
    server.put("a@example.net")
    for words in (("list", "--to", "\udcff"), ("list", "\udcff"), ("drop", "--yes", "--to", "\udcff")):
        ended = run("queue", *words)
        assert ended.code == 64 and "UTF-8" in ended.err, ended
    assert run("queue", "why", "\udcff").code == run("queue", "show", "--raw", "\udcff").code == 66
    assert server.left() == ["a@example.net queued"]


def test_list_filters_and_groups(run: Run, server: Running) -> None:
    server.tried(server.put("kana@example.net", "bob@example.net", ago=2 * HOUR))
    server.tried(server.put("bob@example.org", ago=26 * HOUR), RATE_LIMITED)
    server.put("sales@example.com", hold="no route", ago=DAY)

    def found(*arguments: object) -> list[str]:
        document = run("queue", "list", *arguments, "--json").document
        FORMS.validate(document)
        return [row["to"] for row in document["recipients"]]

    assert found("--reason", "greylisted") == ["kana@example.net", "bob@example.net"]
    assert found("--code", "4.7.*", "--to", "bob") == ["bob@example.net", "bob@example.org"]
    assert found("--older", "25h") == ["bob@example.org"]
    assert found("--state", "held,deferred", "--destination", "example.com") == ["sales@example.com"]
    assert "known: " in run("queue", "list", "--reason", "grey").err
    assert run("queue", "list", "--state", "bounced").code == 64
    by = run("queue", "list", "--by", "destination").out.split("\n")
    assert by[0].split() == ["RECIPIENTS", "OLDEST", "NEXT", "DESTINATION"] and by[1].split()[-1] == "example.net"
    assert run("queue", "list", "--by", "reply", "--json").document["groups"][0]["key"] == "451 4.7.1"


def test_what_peers_say_moves_no_cursor(run: Run, server: Running) -> None:
    evil = Reply(451, "\x1b[2J\u202e lost")
    message_id = server.tried(server.put("kana@example.net"), evil, host="evil\x1b[1m", note="\x9b1m")
    for verb in (("list",), ("why", message_id), ("show", message_id)):
        out = run("queue", *verb).out
        assert "\x1b" not in out and "\x9b" not in out and "\u202e" not in out and "\\u001b" in out
    assert "\x1b" not in run("log").out


def test_japanese_columns_line_up(run: Run, server: Running) -> None:
    server.tried(server.put("kana@example.net", "総務@example.jp", ago=2 * HOUR))
    out = run("queue", "list", "--lang", "ja").out.rstrip("\n").split("\n")
    assert out[0].split() == ["ID", "経過", "試行", "次回", "宛先", "最後の応答"]
    starts = [width(line[: line.index("451")]) for line in out[1:]]
    assert starts == [width(out[0][: out[0].index("最後")])] * 2


# ── why ─────────────────────────────────────────────────────────────────────


def test_why_in_english(run: Run, server: Running) -> None:
    for number in range(3):
        server.tried(server.put(f"u{number}@example.net"))
    message_id = server.tried(server.put("kana@example.net", ago=2 * HOUR))
    out = run("queue", "why", message_id[-7:]).out
    assert out.startswith("kana@example.net has not received this yet. Nothing is lost.\n")
    for line in (
        "  now       deferred for 2h00m, 1 try, next try ",
        "  reply     451 4.7.1 Greylisting in action, please come back later\n",
        "            from mx.example.net [192.0.2.10]:25 · in answer to RCPT · TLSv1.3 · ",
        "  means     Greylisted: The server refuses the first attempt",
        "  sure?     high (rule GRL-01)\n",
        "  who       nobody needs to act: Postroad tries again by itself\n",
        "  others    3 more recipients wait for example.net with the same reply\n",
        "  do        wait\n",
        f"            postroad queue retry {message_id}  ",
    ):
        assert line in out
    assert (", gives up " in out and "(in 11m)" in out) or "(in 10m)" in out


def test_why_in_japanese(run: Run, server: Running) -> None:
    message_id = server.tried(server.put("kana@example.net", ago=2 * HOUR))
    out = run("queue", "why", message_id, "--lang", "ja").out
    assert out.startswith("kana@example.net には、まだ届いていません。メールは失われていません。\n")
    for line in (
        "  状態    再試行待ち（2時間00分経過）、試行 1 回、次の試行は ",
        "  意味    グレイリスティング: サーバーが、",
        "  確度    高（ルール GRL-01）\n",
        "  対応者  誰も対応する必要はありません。Postroad が自動で再試行します\n",
    ):
        assert line in out


def test_why_joins_recipients_that_stand_alike(run: Run, server: Running) -> None:
    message_id = server.put(*(f"u{number}@example.net" for number in range(5)), "v@example.org")
    server.tried(message_id, numbers=[0, 1, 2, 3, 4])
    out = run("queue", "why", message_id).out
    assert out.startswith("u0@example.net, u1@example.net, u2@example.net and 2 more have not received this yet.")
    assert "\n\nv@example.org: not tried yet. Nothing is lost.\n" in out
    assert "with the same reply" not in out  # those in the headline are not counted again
    alone = run("queue", "why", message_id, "--to", "u3").out
    assert alone.startswith("u3@example.net has not") and "4 more recipients wait for example.net" in alone
    assert run("queue", "why", message_id, "--to", "nobody").code == 66


def test_a_command_to_paste_is_about_those_that_are_spoken_of(run: Run, server: Running) -> None:
    message_id = server.put("a@example.net", "b@example.org", "c@example.org", "$(x)@example.com")
    server.tried(message_id, RATE_LIMITED, numbers=[0])
    server.tried(message_id, numbers=[1, 2])
    out = run("queue", "why", message_id).out
    assert f"postroad queue bounce {message_id} --to a@example.net " in out
    assert f"postroad queue bounce {message_id} --destination example.org " in out
    assert f"postroad queue bounce {message_id} --destination example.com " in out and "--to $" not in out
    assert f"bounce {message_id} --to a@example.net " in run("queue", "why", message_id, "--to", "a@").out
    alone = server.put("aa@example.net", "a@example.net")
    server.tried(alone, numbers=[0])
    out = run("queue", "why", alone).out  # --to a@example.net would mean both
    assert f"bounce {alone} --to aa@example.net " in out and f"bounce {alone}  " in out


def test_why_tells_the_ladder_and_names_the_postmaster(run: Run, server: Running) -> None:
    message_id = server.put("kana@example.net", mail="RET=HDRS SIZE=412")
    steps = (
        Step("again", "MAIL", NO_RET, waited=30.0),
        Step("omit", "MAIL", NO_RET, ("SIZE",)),
        Step("omit", "RCPT", None, ("NOTIFY", "ORCPT")),
        Step("turned", "MAIL", NO_RET),
    )
    server.tried(message_id, NO_RET, steps=steps, stage="MAIL")
    out = run("queue", "why", message_id).out
    assert "  changed   asked the same again after 30s, since MAIL was answered with 455 4.5.4 RET temporarily" in out
    assert "left out SIZE, since MAIL was answered with 455" in out
    assert "left out NOTIFY, ORCPT, since this host refused it before" in out
    assert "turned, since MAIL was answered" in out
    assert "Write to postmaster@example.net: their host refuses RET, SIZE" in out


def test_why_of_an_uncertain_delivery(run: Run, server: Running) -> None:
    message_id = server.tried(server.put("kana@example.net"), None, stage="CONTENT", uncertain=True, note="lost")
    out = run("queue", "why", message_id).out
    assert "  reply     no reply: lost\n" in out and " · at end of the content · " in out
    assert "(RFC 1047): mx.example.net [192.0.2.10]:25 may have it already" in out


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("no route", "no route leads to example.com: add a [[domain]]"),
        ("inbox", "the developer's inbox keeps it"),
        ("the route is hold", "the settings say hold for example.com"),
        ("held by the operator", "an operator has held it"),
        ("held by the operator: ask them", "reason: held by the operator: ask them"),
        ("moon phase", "reason: moon phase"),
    ],
)
def test_why_of_a_held_one(run: Run, server: Running, note: str, said: str) -> None:
    message_id = server.put("sales@example.com", hold=note)
    out = run("queue", "why", message_id).out
    assert out.startswith("sales@example.com will not get this until somebody releases it.")
    assert f"  means     {said}" in out and "  who       you, the operator\n" in out
    assert f"  do        postroad queue release {message_id}" in out


@pytest.mark.parametrize(
    ("outcome", "reply", "more", "sender", "headline", "told"),
    [
        (Outcome.DELIVERED, TAKEN, {}, "a@b.example", "The mail for x@example.net was delivered: the next host", ""),
        (
            Outcome.DELIVERED, None, {"route": "maildir:/m/{user}"}, "a@b.example",
            "The mail for x@example.net was delivered to the mailbox.", "",
        ),
        (Outcome.FAILED, UNKNOWN, {}, "a@b.example", "x@example.net will not get this: it was refused", "the sender was told"),
        (Outcome.FAILED, UNKNOWN, {}, "", "x@example.net will not get this: it was refused", "no sender was told, for the message has"),
        (Outcome.FAILED, RATE_LIMITED, {"expired": True}, "a@b.example", "x@example.net will not get this: the time", "the sender"),
    ],
)  # fmt: skip
def test_why_of_what_has_ended(
    run: Run, server: Running, outcome: Outcome, reply: Any, more: Any, sender: str, headline: str, told: str
) -> None:
    message_id = server.tried(server.put("x@example.net", sender=sender), reply, outcome, **more)
    ended = run("queue", "why", message_id)
    assert ended.code == 0 and ended.out.startswith(headline)
    assert ("  told      " + told in ended.out) == bool(told)
    assert "postroad queue retry" not in ended.out


def test_why_of_a_reply_that_nobody_knows(run: Run, server: Running) -> None:
    message_id = server.tried(server.put("x@example.net"), Reply(599, "Hmpf"))
    out = run("queue", "why", message_id).out
    assert "599 Hmpf" in out and "only the reply's first digit tells" in out
    assert "  means     No standard defines 599." in out


def test_why_as_json_has_its_form(run: Run, server: Running) -> None:
    message_id = server.tried(server.put("kana@example.net"))
    for language in ("en", "ja"):
        FORMS.validate(run("queue", "why", message_id, "--json", "--lang", language).document)
    schema = run("queue", "why", "--schema")
    assert schema.code == 0 and schema.document["$id"] == "urn:postroad:queue:1"


def test_ids(run: Run, server: Running) -> None:
    first, second = server.put("a@example.net"), server.put("b@example.net")
    ambiguous = run("queue", "why", "0-")
    assert ambiguous.code == 64 and first in ambiguous.err and second in ambiguous.err
    for name in ("nope", "", "groups", "actions", "../inbox", "0-?x=1", "é"):
        for verb in ("why", "show"):
            ended = run("queue", verb, name)
            assert ended.code == 66 and "no message" in ended.err, name
    assert run("queue", "show", second[-6:]).out.split()[1] == second


# ── show ────────────────────────────────────────────────────────────────────


def test_show(run: Run, server: Running) -> None:
    message_id = server.put("kana@example.net", "bob@example.net", mail="BODY=8BITMIME")
    server.tried(message_id, numbers=[0], transcript="C: RCPT TO:<kana@example.net>\nS: 451 4.7.1 Greylisting")
    out = run("queue", "show", message_id).out
    assert f"message   {message_id}\n" in out and "accepted from 192.0.2.7:4321" in out
    assert "envelope  <me@example.com> BODY=8BITMIME  25 B\n" in out
    assert (
        "<kana@example.net>  deferred  1 try  next try " in out and "<bob@example.net>  waiting  not tried yet" in out
    )
    assert "mx.example.net [192.0.2.10]:25  TLSv1.3  2.1 s\n" in out
    assert "<kana@example.net>  deferred  451 4.7.1 Greylisting in action" in out and "C: RCPT" not in out
    assert "  C: RCPT TO:<kana@example.net>\n" in run("queue", "show", message_id, "--transcripts").out
    assert run("queue", "show", message_id, "--raw").out == "Subject: hello\r\n\r\nhello\r\n"
    FORMS.validate(run("queue", "show", message_id, "--json").document)


def test_show_of_a_message_that_is_gone(run: Run, server: Running) -> None:
    message_id = server.tried(server.put("kana@example.net"), UNKNOWN, Outcome.FAILED)
    out = run("queue", "show", message_id).out
    assert "<kana@example.net>  gone\n" in out and "failed  550 5.1.1 User unknown" in out


# ── actions ─────────────────────────────────────────────────────────────────


def test_something_must_say_what_is_meant(run: Run, server: Running) -> None:
    server.put("a@example.net")
    for verb in ("retry", "hold", "release", "drop", "bounce"):
        ended = run("queue", verb)
        assert ended.code == 64 and f"postroad queue {verb} ID, or a filter" in ended.err
    assert server.left() == ["a@example.net queued"]


def test_retry_hold_release(run: Run, server: Running) -> None:
    message_id = server.tried(server.put("a@example.net", "b@example.net"))
    assert run("queue", "retry", "--to", "a@", "--dry-run").out.startswith(
        "would: Try 1 recipient now\n  such as a@exam"
    )
    assert run("queue", "retry", message_id).out == "2 recipients are tried now\n"
    assert run("queue", "hold", "--to", "a@", "--note", "later").out == "1 recipient is on hold\n"
    assert server.left() == ["a@example.net held", "b@example.net queued"]
    assert "reason: later" not in run("queue", "why", message_id, "--to", "b@").out
    assert run("queue", "release", "--all", "--json").document["recipients"] == 1
    assert run("queue", "release", "--all").out == "nothing matches; nothing was done\n"


def test_drop_without_a_person_needs_yes(run: Run, server: Running) -> None:
    server.put("a@example.net")
    server.put("b@example.org")
    refused = run("queue", "drop", "--all")
    assert refused.code == 64 and "say --yes" in refused.err
    assert "would: Drop 2 recipients and tell nobody" in refused.err
    assert "  for 2 destinations\n" in refused.err and "such as a@example.net (0-" in refused.err
    assert run("queue", "drop", "--all", "--dry-run", "--json").document["dry_run"] is True
    assert len(server.left()) == 2
    assert run("queue", "drop", "--to", "a@", "--yes").out == "1 recipient is dropped; the sender is not told\n"
    assert server.left() == ["b@example.org queued"]


def test_bounce_asks_a_person(run: Run, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    message_id = server.put("a@example.net")
    answering(monkeypatch, "n\n")
    refused = run("queue", "bounce", message_id)
    assert refused.code == 1 and "Give up 1 recipient and tell the sender?" in refused.err
    assert refused.err.endswith("error: nothing was done\n")
    assert server.left() == ["a@example.net queued"]
    answering(monkeypatch, "y\n")
    assert (
        run("queue", "bounce", message_id).out == "1 recipient is given up; the sender is told, where a report is due\n"
    )
    assert server.left() == []
    assert "an operator gave it up" in run("queue", "why", message_id).out


def test_what_came_while_a_person_thought_is_not_touched(
    run: Run, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("a@example.net")
    answering(monkeypatch, "y\n")
    monkeypatch.setattr("postroad.cli.queue.confirm", lambda question, sure: server.put("b@example.net"))
    refused = run("queue", "drop", "--all")
    assert refused.code == 69 and "2 recipients match now, not 1" in refused.err
    assert "look again" in refused.err and "postroad serve" not in refused.err
    assert len(server.left()) == 2


def test_no_other_is_dropped_than_those_that_were_counted(
    run: Run, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = server.put("a@example.net")
    answering(monkeypatch, "y\n")

    def think(question: str, sure: bool) -> None:
        server.tried(counted, TAKEN, Outcome.DELIVERED)
        server.house.clock.now += 60.0
        server.put("b@example.net", ago=1.0)

    monkeypatch.setattr("postroad.cli.queue.confirm", think)
    assert run("queue", "drop", "--to", "@example.net").out == "nothing matches; nothing was done\n"
    assert server.left() == ["b@example.net queued"]


def test_an_age_of_many_days_is_a_number(run: Run, server: Running) -> None:
    server.put("old@example.net", ago=14 * DAY)
    server.put("young@example.net", ago=11 * DAY)
    server.tried(server.put("x@example.org"))
    found = run("queue", "list", "--older", "12d", "--json").document["recipients"]
    assert [row["to"] for row in found] == ["old@example.net"]
    assert run("queue", "list", "--older", "1036800.5", "--json").document["recipients"] == found
    assert "x@example.org" in run("log", "--since", "30d").out


def test_who_follows_the_log_of_a_server_that_stops_is_told(
    run: Run, server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.tried(server.put("kana@example.net"))
    (tmp_path / "spool").mkdir()
    echo, shown = click.echo, list[object]()

    def show(text: object = None, **options: object) -> None:
        shown.append(text)
        server.stop()
        (tmp_path / "control.sock").unlink(missing_ok=True)
        echo(text)

    monkeypatch.setattr("postroad.cli.log.click.echo", show)
    ended = run("log", "-f")
    assert ended.code == 69 and "the server has stopped" in ended.err and len(shown) == 1


def test_what_is_being_tried_is_said(run: Run, server: Running) -> None:
    message_id = server.put("a@example.net", "b@example.org")
    server.do(server.house.spool.take(message_id, [0], server.house.clock.now, 60.0))
    out = run("queue", "drop", message_id, "--yes").out
    assert out == (
        "1 recipient is dropped; the sender is not told\n1 more is being tried at this moment and was left alone\n"
    )


# ── log ─────────────────────────────────────────────────────────────────────


def test_log(run: Run, server: Running) -> None:
    assert run("log").err == "the journal has nothing on this\n"
    first = server.tried(server.put("kana@example.net", "bob@example.net"))
    second = server.tried(server.put("x@example.org"), None, note="lost", uncertain=True)
    lines = run("log").out.rstrip("\n").split("\n")
    assert [line.split()[2] for line in lines] == [first, first, second]
    assert "deferred   kana@example.net  " in lines[0] and lines[0].endswith("[mx.example.net [192.0.2.10]:25]")
    assert "451 4.7.1 Greylisting in action" in lines[1] and "deferred, uncertain" in lines[2]
    assert len(run("log", "--to", "bob").out.split("\n")) == 2
    assert run("log", "--message", second[-8:], "--code", "451").out == ""
    assert run("log", "--since", "30s").out == "" and len(run("log", "--since", "2m").out.split("\n")) == 4
    documents = [json.loads(line) for line in run("log", "--json").out.rstrip("\n").split("\n")]
    for document in documents:
        FORMS.validate(document)
    assert [one["to"] for one in documents] == ["kana@example.net", "bob@example.net", "x@example.org"]
    assert "再試行待ち（不確実）" in run("log", "--lang", "ja").out


def test_following_the_log(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message_id = server.tried(server.put("kana@example.net"))
    shown: list[str] = []

    def show(text: object = None, **options: object) -> None:
        shown.append(str(text))
        if len(shown) == 1:
            threading.Timer(0.05, lambda: server.tried(message_id, RATE_LIMITED)).start()
        if len(shown) == 3:
            raise KeyboardInterrupt
        if len(shown) == 2:
            threading.Timer(0.05, lambda: server.tried(message_id, NO_RET)).start()

    monkeypatch.setattr("postroad.cli.log.click.echo", show)
    assert main(["log", "-f"]) == 130
    assert [line.split("kana@example.net")[1].split()[0] for line in shown] == ["451", "421", "455"]


def test_no_server_and_no_spool(run: Run, tmp_path: Path) -> None:
    for verb in (("queue", "list"), ("queue", "why", "x"), ("queue", "retry", "x"), ("log",)):
        ended = run(*verb, "--state-dir", tmp_path / "nowhere")
        assert ended.code == 69 and "no server is running" in ended.err


def test_without_its_heavy_rooms_the_client_starts_quickly() -> None:
    import subprocess

    code = (
        "import sys, postroad.cli.queue, postroad.cli.log; "
        "print([n for n in ('asyncio', 'apsw', 'msgspec', 'starlette', 'rich', 'uvicorn') if n in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
