"""Engines in the states from which the property tests begin."""

from __future__ import annotations

import itertools

from tests.dialogues.runner import EngineServer
from tests.dialogues.script import Given

HELLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<kana@example.org>\r\nRCPT TO:<bob@example.net>\r\n"


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
    return [octets[a:b] for a, b in itertools.pairwise(places)]
