"""The verbs and the API they were written for, together: one server on a UNIX socket, everything asked of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from postroad.admin import About, Admin, Listening
from postroad.clock import SystemClock
from postroad.envelope import Draft, NewRecipient, Origin
from postroad.errors import SpoolError
from postroad.inbox.chaos import Chaos
from postroad.inbox.inbox import Inbox
from postroad.observe.sessions import SessionLog
from postroad.policy.conditions import ConditionsBoard
from postroad.spool.memory import MemorySpool
from postroad.web.app import create_app
from tests.cli.fake_server import Ended

Run = Callable[..., Ended]


class Real:
    """A whole server but for SMTP, in a thread with a loop of its own."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.spool = MemorySpool()
        self.inbox = Inbox(self.spool)
        admin = Admin(
            spool=self.spool,
            inbox=self.inbox,
            conditions=ConditionsBoard(SystemClock(), None, ("SIZE", "SMTPUTF8", "BODY=BINARYMIME", "BODY")),
            sessions=SessionLog(),
            chaos=Chaos(),
            about=lambda: About("dev.example", "0.0", True, (Listening("dev", "127.0.0.1", 1025, auth="any"),), 500),
        )
        config = uvicorn.Config(create_app(admin, control=True), uds=str(self.socket), log_config=None, lifespan="off")
        self.server = uvicorn.Server(config)
        serving = asyncio.ensure_future(self.server.serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
        self.ready.set()
        await serving

    def put(self, subject: str, to: str = "kana@example.net") -> str:
        return asyncio.run_coroutine_threadsafe(self._put(subject, to), self.loop).result(10)

    async def _put(self, subject: str, to: str) -> str:
        done: asyncio.Future[SpoolError | None] = self.loop.create_future()
        content = self.spool.open_content()
        content.write(f"From: me@example.com\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nIt works.\r\n".encode())
        recipient = NewRecipient(to, "example.net", hold="inbox")
        origin = Origin("s1", "dev", "127.0.0.1:4000", "client.example")
        draft = Draft(self.spool.new_id(), "me@example.com", (recipient,), 1.0, origin=origin, transcript="C: QUIT")
        self.spool.accept(draft, content, done.set_result)
        assert await done is None
        return str(draft.id)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("POSTROAD_STATE", str(tmp_path))
    made = Real(tmp_path / "control.sock")
    yield made
    made.stop()


def test_inbox(run: Run, real: Real) -> None:
    assert run("inbox", "list").out == "no messages\n"
    first, second = real.put("Hello"), real.put("ようこそ", "bob@example.net")
    listed = run("inbox", "list")
    assert listed.code == 0 and [line.split()[0] for line in listed.out.split("\n")[1:3]] == [second, first]
    assert first not in run("inbox", "list", "--to", "bob", "--subject", "ようこ").out
    shown = run("inbox", "show")
    assert shown.code == 0 and "Subject: ようこそ" in shown.out and shown.out.endswith("It works.\n")
    assert run("inbox", "show", first, "--raw").out.startswith("From: me@example.com\r\n")
    assert run("inbox", "show", first, "--text").out == "It works.\n"
    assert run("inbox", "show", first, "--transcript").out == "C: QUIT"
    assert run("inbox", "show", first, "--html").code == 66
    assert run("inbox", "show", first, "--json").document["id"] == first
    assert run("inbox", "show", "no-such").code == 66


def test_wait(run: Run, real: Real) -> None:
    first = real.put("one")
    assert run("inbox", "wait", "--timeout", "1", "--json").document["id"] == first
    assert run("inbox", "wait", "--after", first, "--timeout", "50ms").code == 75
    threading.Timer(0.1, lambda: real.put("two")).start()
    assert (
        run("inbox", "wait", "--after", first, "--subject", "TWO", "--timeout", "9", "--json").document["subject"]
        == "two"
    )
    assert run("inbox", "wait", "--after", "no-such").code == 66


def test_clear(run: Run, real: Real) -> None:
    first, *_ = [real.put(f"n{number}") for number in range(4)]
    assert run("inbox", "clear", "--dry-run").out == "4 would be deleted\n"
    assert run("inbox", "clear", first).out == "1 deleted\n"
    assert run("inbox", "clear", "--subject", "n1", "--yes").out == "1 deleted\n"
    assert run("inbox", "clear", "--yes", "--json").document == {"removed": 2}


def test_chaos(run: Run, real: Real) -> None:
    assert run("chaos", "set", 455, "--to", "*@flaky.example", "--times", 2).code == 0
    assert run("chaos", "set", "--delay", "2s", "--at", "data", "--disconnect", "--id", "slow").code == 0
    listed = run("chaos", "list").out
    assert "455 at rcpt to *@flaky.example, 2 times" in listed and "after 2 s then disconnect at data to *" in listed
    bad = run("chaos", "set", 455, "--at", "rctp")
    assert bad.code == 64 and "did you mean `rcpt`?" in bad.err
    assert run("chaos", "clear", "slow").out == "1 taken away\n"
    assert run("chaos", "clear", "slow").code == 66
    assert run("chaos", "clear").out == "1 taken away\n"


def test_conditions(run: Run, real: Real) -> None:
    assert run("conditions", "set", "smtputf8", "unavailable", "--for", "10m", "--why", "old route").code == 0
    assert run("conditions", "set", "BODY=BINARYMIME", "unavailable").code == 0
    listed = run("conditions", "list").out
    assert "SMTPUTF8" in listed and "old route" in listed and "BODY=BINARYMIME" in listed
    assert run("conditions", "set", "SMTPUTF8", "available").out == "SMTPUTF8 is taken\n"
    unknown = run("conditions", "set", "SMTPUTF9", "unavailable")
    assert unknown.code == 66 and "did you mean `SMTPUTF8`?" in unknown.err
    assert run("conditions", "clear").out == "1 taken again\n"


def test_status(run: Run, real: Real) -> None:
    real.put("one")
    assert "dev mode" in run("status").out and "recipients: 1 held" in run("status").out
    assert run("status", "--ready").code == 0


def test_tokens(run: Run, real: Real) -> None:
    assert run("token", "list").out == "there are no tokens\n"
    made = run("token", "add", "ci", "--role", "viewer", "--days", "30")
    assert made.code == 0 and made.out.startswith("prt_")
    assert run("token", "add", "ci", "--role", "viewer").code != 0  # the name is taken
    listed = run("token", "list")
    assert listed.code == 0 and "ci" in listed.out and "viewer" in listed.out and made.out.strip() not in listed.out
    (row,) = run("token", "list", "--json").document["tokens"]
    assert (row["name"], row["role"], row["last_used"]) == ("ci", "viewer", None)
    assert row["ends"] > row["created"]
    assert run("token", "remove", "ci").code == 0
    assert run("token", "remove", "ci").code == 66
    assert run("token", "add", "x", "--role", "king").code == 64
