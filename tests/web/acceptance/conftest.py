"""One server with its neighbours and one browser for all tests here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests import peers
from tests.conftest import has_right
from tests.web.acceptance.eyes import Eyes, open_eyes
from tests.web.acceptance.flow import Flow, flowing
from tests.web.acceptance.pages import Tour, walk
from tools.mail_servers import Postfix


@pytest.fixture(scope="session")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    if not has_right("overlay"):
        pytest.skip("privileged: overlay")
    peers.mail_server(Postfix)
    with flowing(tmp_path_factory.mktemp("flow")) as running:
        yield running


@pytest.fixture(scope="session")
def eyes(flow: Flow) -> Iterator[Eyes]:
    with asyncio.Runner() as runner:
        found, close = open_eyes(flow, runner)
        yield found
        close()


@pytest.fixture(scope="session")
def tour(eyes: Eyes) -> Tour:
    """What every page looks like, before anything was done on any."""
    notes: list[Tour] = []

    async def work() -> None:
        notes.append(await walk(eyes))

    eyes.look(work)
    return notes[0]
