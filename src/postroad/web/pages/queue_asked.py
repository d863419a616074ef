"""What a page of the queue is asked for: the words of ``postroad queue``, in its address, and the same as a command.

A word that cannot be understood is kept, so that its reader can mend it; nothing is shown or touched meanwhile.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from postroad.admin.queue_filter import FIELDS, QueueFilter, read_filter
from postroad.envelope import MessageId
from postroad.errors import PostroadError
from postroad.replies.classify import Rules
from postroad.web.problems import Refusal

#: Messages that may be named one by one.
MAX_IDS: Final = 1_000
_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(s|m|h|d|w|)\Z")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
#: The longest age that the command line reads, too.
_OLDEST: Final = 10 * 365 * 86_400.0
_PICKED: Final = re.compile(r"([0-9A-Za-z-]{1,40}):([0-9]{1,6})\Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter as somebody wrote it."""

    words: Mapping[str, str]
    """Of FIELDS; only what was filled in."""
    ids: tuple[str, ...]
    wanted: QueueFilter | None
    """What it means; None: it has faults."""
    faults: frozenset[str]
    """The words that cannot be understood."""

    def query(self, **more: object) -> str:
        """As the query of an address, other words in place of its own: ``""`` takes one away."""
        words = {**self.words, **{name.rstrip("_"): str(value) for name, value in more.items()}}
        return urlencode([*((name, text) for name, text in words.items() if text), *(("id", one) for one in self.ids)])

    def path(self, **more: object) -> str:
        """The address of the queue under this filter."""
        query = self.query(**more)
        return f"/queue?{query}" if query else "/queue"

    def at(self, now: float, rules: Callable[[], Rules]) -> Asked:
        """The same, with ages as of another moment (seconds since the epoch)."""
        return read_asked(self.words, self.ids, now, rules)


def read_asked(given: Mapping[str, str], ids: Iterable[str], now: float, rules: Callable[[], Rules]) -> Asked:
    """Read the words of FIELDS in ``given``; ages are those at ``now``. Raises Refusal for too many ids."""
    words = {name: text for name in FIELDS if (text := given.get(name, "").strip())}
    named = tuple(one for one in ids if one)
    if len(named) > MAX_IDS:
        raise Refusal(400, f"more than {MAX_IDS} ids are asked for at once")
    plain = {name: _seconds(text) if name == "older" else text for name, text in words.items()}
    faults = frozenset(name for name, text in plain.items() if not _readable({name: text}, rules))
    wanted = None if faults else read_filter(plain, named, now, rules)
    return Asked(words, named, wanted, faults)


def _readable(field: Mapping[str, str], rules: Callable[[], Rules]) -> bool:
    try:
        read_filter(field, (), 0.0, rules)
    except PostroadError:
        return False
    return True


def _seconds(text: str) -> str:
    """An age (``2h``) in seconds, as filters have it; what is none stays as it is."""
    found = _SPAN.match(text)
    if found is None:
        return text
    seconds = float(found[1]) * _SECONDS[found[2]]
    return f"{seconds:.3f}" if seconds <= _OLDEST else "too long"


def read_picked(values: Sequence[str]) -> list[tuple[MessageId, int]]:
    """Recipients that were ticked: ``<id>:<number>`` each; raises Refusal."""
    found = [_PICKED.match(one) for one in values[:MAX_IDS]]
    if not all(found) or len(values) > MAX_IDS:
        raise Refusal(400, "these are no recipients of the queue", "tick them on the page of the queue")
    return [(MessageId(one[1]), int(one[2])) for one in found if one is not None]


def command(verb: str, words: Mapping[str, str], ids: Sequence[str] = (), *more: str) -> str:
    """``postroad queue …`` for a shell; ``""`` for what no command should hold.

    A terminal obeys control characters even between quotes, and what cannot be seen is nothing to paste.
    """
    if not all(text.isprintable() for text in (*words.values(), *ids)):
        return ""
    parts = ["postroad", "queue", verb]
    for name in FIELDS:
        if text := words.get(name, ""):
            parts += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    parts += more
    if any(one.startswith("-") for one in ids):
        parts.append("--")
    return shlex.join([*parts, *ids])
