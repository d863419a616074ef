"""How every command begins and ends: help, unknown verbs, exit codes, broken pipes, and how little is imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from postroad import __version__
from postroad.cli import main as module
from postroad.cli.outcome import Exit, exit_code
from postroad.errors import NotFound, PostroadError, RemoteProtocolError, SettingsError, SpoolError, StorageFull
from tests.cli.fake_server import Ended, FakeServer

Run = Callable[..., Ended]


def test_the_overview(run: Run) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        ended = run(*arguments)
        assert ended.code == 0
        assert all(f"\n  {verb} " in ended.out for verb in module.VERBS)


@pytest.mark.parametrize("verb", module.VERBS)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    ended = run(verb, "--help")
    assert ended.code == 0 and ended.out.startswith(f"Usage: postroad {verb}")


def test_version(run: Run) -> None:
    assert run("version").out.startswith(f"postroad {__version__} (")
    assert run("--version").out == run("version").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sreve",), "error: no verb `sreve`, did you mean `serve`?\n  hint: postroad --help\n"),
        (("frobnicate",), "error: no verb `frobnicate`\n  hint: postroad --help\n"),
        (("--frobnicate",), "error: no such option"),
        (("serve", "--prot", "1"), "error: no such option"),
        (("serve", "--port", "x"), "error: invalid value for '--port'"),
        (("serve", "--port", "65536"), "error: invalid value for '--port'"),
        (("serve", "extra"), "error: got unexpected extra argument"),
        (("inbox", "lst"), "error: no such command 'lst'"),
        (("inbox", "list", "--limit", "0"), "error: invalid value for '--limit'"),
        (("config", "example", "x"), "error: invalid value for "),
    ],
)
def test_wrong_usage_ends_with_64(run: Run, arguments: tuple[str, ...], message: str) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (64, "")
    assert ended.err.startswith(message) and "\n  hint: postroad" in ended.err


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (SettingsError("x"), 78),
        (NotFound("x"), 66),
        (StorageFull("x"), 73),
        (SpoolError("x"), 74),
        (RemoteProtocolError("x"), 76),
        (PostroadError("x"), 69),
    ],
)
def test_faults_have_their_rows(fault: PostroadError, code: int) -> None:
    assert exit_code(fault) == code


def with_verb(monkeypatch: pytest.MonkeyPatch, action: Callable[[], Any]) -> None:
    """The verb ``version`` does something else."""
    command = click.Command("version", callback=action)
    monkeypatch.setattr(module.Verbs, "get_command", lambda self, ctx, name: command)


def test_a_bug_is_named_and_ends_with_70(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    with_verb(monkeypatch, broken)
    ended = run("version")
    assert ended.code == 70
    assert ended.err.startswith("error: this is our bug: ZeroDivisionError at cli/test_main.py:")
    assert "secret detail" not in ended.err and "POSTROAD_DEBUG" in ended.err
    monkeypatch.setenv("POSTROAD_DEBUG", "1")
    assert "secret detail" in run("version").err


@pytest.mark.parametrize("fault", [KeyboardInterrupt, click.Abort])
def test_an_interruption_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]) -> None:
    def interrupted() -> None:
        raise fault

    with_verb(monkeypatch, interrupted)
    assert run("version").code == 130


def postroad(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "postroad", *arguments], capture_output=True, text=True, check=False, **options
    )


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    script = f"{sys.executable} -m postroad config example all | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("0\n", "")


def test_the_module_is_the_command() -> None:
    assert postroad("version").stdout.startswith("postroad ")
    assert postroad("sreve").returncode == 64


#: Verb -> what it must not import, for it would not start quickly.
LIGHT = {
    ("--help",): ("asyncio", "ssl", "sqlite3", "apsw", "rich", "structlog", "starlette", "postroad.settings"),
    ("version",): ("asyncio", "ssl", "sqlite3", "apsw", "rich", "structlog", "starlette", "postroad.settings"),
    ("config", "example"): ("asyncio", "ssl", "apsw", "rich", "structlog", "starlette"),
    ("config", "show"): ("asyncio", "ssl", "apsw", "rich", "structlog", "starlette"),
    ("inbox", "list"): ("asyncio", "apsw", "rich", "structlog", "starlette"),
    ("chaos", "list"): ("asyncio", "apsw", "rich", "structlog", "starlette"),
    ("queue", "list"): ("asyncio", "apsw", "rich", "structlog", "starlette"),
    ("log",): ("asyncio", "apsw", "rich", "structlog", "starlette"),
}


@pytest.mark.parametrize("arguments", LIGHT)
def test_light_verbs_import_little(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys; from postroad.cli.main import main; main(sys.argv[1:]);"
        "print(*sorted(sys.modules), sep='\\n', file=open(sys.argv[0] and '/dev/stderr', 'w'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    imported = set(ended.stderr.split("\n"))
    assert "postroad.cli.main" in imported
    assert imported & set(LIGHT[arguments]) == set()


# ── serve ───────────────────────────────────────────────────────────────────


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The settings that the service was run with."""
    import postroad.daemon

    ran: list[Any] = []

    def run(settings: Any, ready: Callable[..., None] | None) -> None:
        assert ready is (postroad.daemon.announce if settings.dev is not None else None)
        ran.append(settings)

    monkeypatch.setattr(postroad.daemon, "run", run)
    monkeypatch.setattr("postroad.observe.log.configure", lambda *arguments: ran.append(arguments))
    return ran


def test_serve_without_a_config_is_dev_mode(run: Run, served: list[Any], tmp_path: Path) -> None:
    state = tmp_path / "state"
    ended = run("serve", "--port", 0, "--web-port", 0, "--state", state, "--log-format", "json")
    assert (ended.code, ended.err) == (0, "")
    log, settings = served
    assert log == ("json", "info")
    assert settings.dev.listener.listen == (("127.0.0.1", 0),)
    assert settings.web.listen == (("127.0.0.1", 0),)
    assert settings.state == state


def test_serve_on_the_network_only_when_told(run: Run, served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run("serve", "--host", "0.0.0.0")
    assert ended.code == 78 and "--open-to-network" in ended.err and served == []
    assert run("serve", "--host", "0.0.0.0", "--open-to-network").code == 0
    monkeypatch.setenv("POSTROAD_OPEN_TO_NETWORK", "1")
    assert run("serve", "--host", "0.0.0.0").code == 0
    assert served[-1].dev.open_to_network


def test_serve_with_a_config(run: Run, served: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text(f'hostname = "h.example"\nstate = "{tmp_path}"\n[mx]\n')
    ended = run("serve", "--config", file)
    assert ended.code == 0 and ended.err.startswith("warn: postroad.toml:3: [mx] is on but no [[domain]]")
    assert served[-1].hostname == "h.example" and served[-1].path == file
    ended = run("serve", "--config", file, "--port", "2525")
    assert (ended.code, ended.err) == (
        64,
        f"error: --port is for dev mode\n  hint: the listeners are set in {file}\n",
    )


def test_serve_with_a_dev_config(run: Run, served: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text("[dev]\nkeep = 7\n")
    assert run("serve", "--config", file, "--port", 2525).code == 0
    assert served[-1].dev.keep == 7 and served[-1].dev.listener.listen == (("127.0.0.1", 2525),)


def test_serve_with_a_bad_config(run: Run, served: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text("[mx]\nx = 1\ny = 2\n")
    ended = run("serve", "--config", file)
    assert ended.code == 78 and ended.err.count("error: postroad.toml:") == 2 and served == []
    assert run("serve", "--config", tmp_path / "none").code == 78


def test_a_taken_port_is_said_with_its_option(run: Run, served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import postroad.daemon

    def taken(settings: object, ready: object) -> None:
        raise SettingsError("port 1025 on 127.0.0.1 is taken", "choose another with --port")

    monkeypatch.setattr(postroad.daemon, "run", taken)
    ended = run("serve")
    assert (ended.code, ended.err) == (
        78,
        "error: port 1025 on 127.0.0.1 is taken\n  hint: choose another with --port\n",
    )


def test_the_exit_codes_are_never_renumbered() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "FINDINGS": 1,
        "USAGE": 64,
        "DATA": 65,
        "NO_INPUT": 66,
        "NO_USER": 67,
        "NO_HOST": 68,
        "UNAVAILABLE": 69,
        "SOFTWARE": 70,
        "CANNOT_CREATE": 73,
        "IO": 74,
        "TRY_AGAIN": 75,
        "PROTOCOL": 76,
        "NO_PERMISSION": 77,
        "CONFIG": 78,
        "INTERRUPTED": 130,
    }


def test_a_permission_is_said(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(self: object, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    class Refusing(socket.socket):
        connect = refuse  # type: ignore[assignment]

    monkeypatch.setattr(socket, "socket", Refusing)
    assert run("status").code == 77
