"""What somebody looks for in an inbox: the words of one search box, read into a Filter and found in a message.

| in the box | finds |
|---|---|
| ``order 4711`` | both words, in any case, in sender, recipients, subject or text |
| ``"on its way"`` | these words together |
| ``from:shop`` ``to:kana@`` ``subject:order`` | in the envelope's sender, in one recipient, in the subject |
| ``has:attachment`` | mail with a file |
| ``after:2026-11-24`` ``before:2026-11-24`` | received on that day or later; earlier than it (the server's time zone) |

Everything must fit. A word with a colon that is none of these is looked for as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from html import unescape
from typing import Final

from postroad.envelope import StoredMessage
from postroad.errors import PostroadError
from postroad.inbox.message_view import Summary, readable

MAX_WORDS: Final = 12
#: Characters of a message that are searched.
MAX_SEARCHED: Final = 512 * 1024

_TERM = re.compile(r'(?:(to|from|subject|has|before|after):)?(?:"([^"]*)"?|(\S+))', re.IGNORECASE)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2})?\Z")
_TAG = re.compile(r"<[^<>]*>")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages; text is found in any case, anywhere. ``to`` and ``from_`` are of the envelope."""

    to: str = ""
    from_: str = ""
    subject: str = ""
    words: tuple[str, ...] = ()
    """Each is in sender, recipients, subject or text."""
    attachment: bool = False
    """Only with a file."""
    since: float | None = None
    """Seconds since the epoch: received then or later."""
    until: float | None = None
    """Seconds since the epoch: received earlier."""
    envelope_only: bool = False
    """Whoever looks may not read the mail: words are looked for in the envelope alone."""

    @property
    def asks_content(self) -> bool:
        """Whether the octets of the mail have to be read for it."""
        return self.attachment or (bool(self.words) and not self.envelope_only)

    @property
    def narrows(self) -> bool:
        """Whether messages have to be looked at, which the spool has not chosen."""
        return bool(self.subject or self.words or self.attachment or self.since is not None)


def read_query(text: str, already: Filter | None = None) -> Filter:
    """What is in the search box, beside what is asked ``already``; raises PostroadError for what makes no sense."""
    found = already or Filter()
    words: list[str] = []
    for match in _TERM.finditer(text):
        value = _SPACE.sub(" ", (match[2] if match[2] is not None else match[3])).strip()
        if value and match[1]:
            found = _with_operator(found, match[1].lower(), value)
        elif value:
            words.append(value)
    if len(words) > MAX_WORDS:
        raise PostroadError(f"a search has at most {MAX_WORDS} words", 'words that belong together: "on its way"')
    return replace(found, words=(*found.words, *dict.fromkeys(words)))


def _with_operator(found: Filter, name: str, value: str) -> Filter:
    match name:
        case "has":
            if not "attachments".startswith(value.lower()) or len(value) < 6:
                raise PostroadError(f"`has:{value[:40]}` is not known", "`has:attachment` finds mail with a file")
            return replace(found, attachment=True)
        case "before":
            return replace(found, until=_moment(name, value))
        case "after":
            return replace(found, since=_moment(name, value))
    if {"to": found.to, "from": found.from_, "subject": found.subject}[name]:
        raise PostroadError(f"`{name}:` stands there twice", "one of them, and the rest as plain words")
    match name:
        case "to":
            return replace(found, to=value)
        case "from":
            return replace(found, from_=value)
        case _:
            return replace(found, subject=value)


def _moment(name: str, value: str) -> float:
    try:
        if _DAY.match(value.upper()) is None:
            raise ValueError(value)
        return datetime.fromisoformat(value.upper()).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as fault:
        raise PostroadError(
            f"`{name}:` wants a day, not {value[:40]!r}", f"{name}:2026-11-24, or {name}:2026-11-24T14:30"
        ) from fault


def fits_summary(wanted: Filter, message: StoredMessage, summary: Summary) -> bool:
    """Whether what the list shows fits, words left aside."""
    if wanted.subject and wanted.subject.casefold() not in summary.subject.casefold():
        return False
    return wanted.since is None or message.received_at >= wanted.since


def missing_words(wanted: Filter, message: StoredMessage, summary: Summary) -> list[str]:
    """The words that stand neither in the envelope nor (when it may be read) in the header that a list shows."""
    paths = [message.reverse_path, *(recipient.forward_path for recipient in message.recipients)]
    if not wanted.envelope_only:
        paths += [summary.subject, summary.from_, summary.to]
    seen = "\n".join(paths).casefold()
    return [word for word in wanted.words if word.casefold() not in seen]


def fits_content(octets: bytes, words: list[str], attachment: bool) -> bool:
    """Whether a message has all these words in its text, and a file when one is asked for."""
    text, html, files = readable(octets)
    if attachment and not files:
        return False
    if not words:
        return True
    shown = unescape(_TAG.sub(" ", html[:MAX_SEARCHED])) if html else ""
    seen = _SPACE.sub(" ", "\n".join((text[:MAX_SEARCHED], shown, *files))).casefold()
    return all(word.casefold() in seen for word in words)
