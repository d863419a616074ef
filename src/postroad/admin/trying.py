"""What a client would be answered under the conditions of now: our own engine is asked, no connection is made.

Nothing is counted and nothing is kept, so that trying changes nothing of what it shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from postroad.errors import PostroadError
from postroad.replies import Reply
from postroad.smtp import extensions
from postroad.smtp.events import NEED_DATA, AwaitingEvent
from postroad.smtp.parameters import Conditions, Extension, ExtensionSet, Traits
from postroad.smtp.server import ServerConfig, ServerEngine

MAX_TRIED: Final = 300
_SENDER: Final = "MAIL FROM:<ann@example.com>"
_RECIPIENT: Final = "RCPT TO:<kana@example.net>"
_WORDS: Final = re.compile(r"[!-~]+(?: +[!-~]+)*\Z")

#: A value for each parameter that wants one.
_EXAMPLES: Final[Mapping[str, str]] = {
    "SIZE": "SIZE=1000000",
    "BODY": "BODY=8BITMIME",
    "RET": "RET=HDRS",
    "ENVID": "ENVID=QQ314159",
    "AUTH": "AUTH=<>",
    "NOTIFY": "NOTIFY=FAILURE",
    "ORCPT": "ORCPT=rfc822;kana@example.net",
    "BY": "BY=3600;R",
    "MT-PRIORITY": "MT-PRIORITY=3",
    "HOLDFOR": "HOLDFOR=600",
    "HOLDUNTIL": "HOLDUNTIL=2026-12-31T23:59:59Z",
}
_OF_RECIPIENT: Final = frozenset(("NOTIFY", "ORCPT"))


@dataclass(frozen=True, slots=True)
class Tried:
    """A dialogue that was not held."""

    parameters: str
    """As they stand behind the path."""
    transcript: str
    """``C: `` and ``S: `` lines from MAIL on."""
    reply: Reply
    """The last one: what came of the parameters."""


def all_extensions(now: float, size_limit: int = 0) -> tuple[Extension, ...]:
    """Every extension with parameters that this program knows; ``now`` in seconds since the epoch."""
    return (
        extensions.size(size_limit),
        extensions.EIGHTBITMIME,
        extensions.SMTPUTF8,
        extensions.ENHANCEDSTATUSCODES,
        extensions.CHUNKING,
        extensions.BINARYMIME,
        extensions.DSN,
        extensions.deliver_by(),
        extensions.MT_PRIORITY,
        extensions.REQUIRETLS,
        extensions.future_release(timedelta(days=1), lambda: datetime.fromtimestamp(now, UTC)),
        extensions.auth(("PLAIN",)),
    )


def keyword_of(parameter: str) -> str:
    """The EHLO keyword of the extension to which a parameter belongs: ``DSN`` for ``RET``; ``""`` for a foreign one."""
    name = parameter.partition("=")[0]
    if parameter == "BODY=BINARYMIME":
        return extensions.BINARYMIME.keyword
    for extension in all_extensions(0.0):
        if any(each.keyword == name for each in extension.parameters):
            return extension.keyword
    return ""


def example_of(parameter: str) -> str:
    """A parameter as a client would write it: ``RET=HDRS`` for ``RET``."""
    return parameter if "=" in parameter else _EXAMPLES.get(parameter, parameter)


def is_of_recipient(parameters: str) -> bool:
    """Whether these stand behind RCPT, not MAIL."""
    return parameters.partition("=")[0].upper() in _OF_RECIPIENT


def try_parameters(
    parameters: str,
    hostname: str,
    known: Iterable[str],
    unavailable: Mapping[str, str],
    free_octets: int | None,
    now: float,
) -> Tried:
    """MAIL (or RCPT, for what belongs there) with these parameters; raises PostroadError for what is no such text."""
    text = parameters.strip()
    if len(text) > MAX_TRIED or _WORDS.match(text) is None:
        raise PostroadError("not parameters: printable ASCII, separated by spaces", "SIZE=1000000 SMTPUTF8")
    words = {word.partition("=")[0] for word in known}
    offered = [each for each in all_extensions(now) if not each.parameters or _is_offered(each, words)]
    config = ServerConfig(hostname, ExtensionSet(tuple(offered)))
    engine = ServerEngine(
        config, Conditions(free_octets, 0, unavailable), Traits(tls=True, authenticated=True, submission=True)
    )
    engine.greet()
    _settle(engine)
    _say(engine, "EHLO client.example.com")
    lines = [_SENDER, f"{_RECIPIENT} {text}"] if is_of_recipient(text) else [f"{_SENDER} {text}"]
    told: list[str] = []
    replies: list[Reply] = []
    for line in lines:
        said = _say(engine, line)
        told += [f"C: {line}", *(f"S: {each.decode('ascii', 'replace')}" for each in said)]
        replies.append(Reply.parse(said))
    return Tried(text, "\n".join(told), replies[-1])


def _is_offered(extension: Extension, words: set[str]) -> bool:
    return not words or any(each.keyword in words for each in extension.parameters)


def _say(engine: ServerEngine, line: str) -> Sequence[bytes]:
    engine.receive(f"{line}\r\n".encode("ascii"))
    return _settle(engine).removesuffix(b"\r\n").split(b"\r\n")


def _settle(engine: ServerEngine) -> bytes:
    """Say yes to whatever is asked; gives what the server said."""
    while (event := engine.next_event()) is not NEED_DATA:
        if isinstance(event, AwaitingEvent):
            engine.accept()
    return engine.data_to_send()
