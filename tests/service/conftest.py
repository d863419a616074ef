"""Servers as processes, for tests of the whole: made on demand, ended when the test ends, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import ServerProcess

Serve = Callable[..., ServerProcess]


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """``serve(config)`` gives a running server; ``config`` None is dev mode. Keywords are ServerProcess's."""
    with ExitStack() as ending:

        def start(config: str | None, folder: Path | None = None, **options: Any) -> ServerProcess:
            made = ServerProcess(folder or tmp_path_factory.mktemp("server"), config, **options)
            return ending.enter_context(made)

        yield start
