"""Commands run in this process, with a fake server on a UNIX socket; nothing of this machine's own server is touched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postroad.cli.main import main
from tests.cli.fake_server import Ended, FakeServer, Handler, UnixServer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    state = tmp_path / "s"
    state.mkdir()
    fake = FakeServer(state)
    monkeypatch.setenv("POSTROAD_STATE", str(state))
    with UnixServer(str(state / "control.sock"), type("Bound", (Handler,), {"fake": fake})) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield fake
        running.shutdown()


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Ended]:
    def run_one(*arguments: object) -> Ended:
        capsysbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return Ended(code, out.decode("utf-8", "surrogateescape"), err.decode())

    return run_one


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No server, config or state of the machine that runs the tests is ever touched."""
    for name in ("POSTROAD_STATE", "POSTROAD_URL", "POSTROAD_CONFIG", "POSTROAD_OPEN_TO_NETWORK", "POSTROAD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("TZ", "UTC")
