"""What the template of a transcript wants: the dialogue, and who explains its replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request

from postroad.replies import Reply
from postroad.web.pages.dialogue import Dialogue, read_dialogue
from postroad.web.pages.house import House
from postroad.web.pages.meaning import Meanings

_NOTHING: Final = Dialogue((), 0)


class Talking:
    """One for a part of the house; remembers what it has explained."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._meanings: dict[str, Meanings] = {}

    def values(self, request: Request, transcript: str) -> dict[str, Any]:
        """``dialogue``, and what ``talk`` of ``message_parts.html`` asks: here every refusal is worth unfolding."""
        say = self._house.wording(request)
        meanings = self._meanings.setdefault(say.language, Meanings(say))
        dialogue = read_dialogue(transcript) if transcript else _NOTHING
        return {"dialogue": dialogue, "meaning": meanings.of, "waits": {}, "decided": _every}


def _every(reply: Reply, came: Sequence[object]) -> bool:
    return True
