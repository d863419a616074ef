"""One chaos rule as a value: which command gets which answer, how often, how late; read and written as plain fields.

The same fields stand in ``[[dev.chaos]]``, in the API's JSON and in the options of ``postroad chaos set``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from postroad.errors import PostroadError
from postroad.replies import Reply, ReplySyntaxError

#: The stages of a session, in their order.
STAGES: Final = ("connect", "hello", "auth", "mail", "rcpt", "data", "message")
_OTHER_NAMES: Final = {"ehlo": "hello", "helo": "hello", "dot": "message", "end": "message", "bdat": "data"}

MAX_DELAY: Final = 3_600.0
MAX_TEXT: Final = 500
MAX_PATTERN: Final = 320
MAX_TIMES: Final = 1_000_000

_ID = re.compile(r"[A-Za-z0-9_-]{0,40}\Z")

#: Code -> (text, enhanced status): what is said when a rule names only the code. RFC 5321 section 4.2.3 and others.
_TEXTS: Final[Mapping[int, tuple[str, str]]] = {
    421: ("Service not available, closing transmission channel", "4.3.2"),
    432: ("A password transition is needed", "4.7.12"),
    450: ("Requested mail action not taken: mailbox unavailable", "4.2.0"),
    451: ("Requested action aborted: local error in processing", "4.3.0"),
    452: ("Requested action not taken: insufficient system storage", "4.3.1"),
    454: ("Temporary authentication failure", "4.7.0"),
    455: ("Server unable to accommodate parameters", "4.5.4"),
    500: ("Syntax error, command unrecognized", "5.5.2"),
    501: ("Syntax error in parameters or arguments", "5.5.4"),
    502: ("Command not implemented", "5.5.1"),
    503: ("Bad sequence of commands", "5.5.1"),
    504: ("Command parameter not implemented", "5.5.4"),
    521: ("Host does not accept mail", "5.3.2"),
    523: ("Encryption needed", "5.7.10"),
    525: ("User account disabled", "5.7.13"),
    530: ("Authentication required", "5.7.0"),
    534: ("Authentication mechanism is too weak", "5.7.9"),
    535: ("Authentication credentials invalid", "5.7.8"),
    538: ("Encryption required for requested authentication mechanism", "5.7.11"),
    550: ("Requested action not taken: mailbox unavailable", "5.1.1"),
    551: ("User not local", "5.1.6"),
    552: ("Requested mail action aborted: exceeded storage allocation", "5.2.2"),
    553: ("Requested action not taken: mailbox name not allowed", "5.1.3"),
    554: ("Transaction failed", "5.0.0"),
    555: ("MAIL FROM/RCPT TO parameters not recognized or not implemented", "5.5.4"),
    556: ("Domain does not accept mail", "5.1.10"),
}
_OTHERWISE: Final = {
    4: ("Requested action not taken, try again later", "4.0.0"),
    5: ("Requested action not taken", "5.0.0"),
}


@dataclass(frozen=True, slots=True)
class ChaosRule:
    """What happens at one stage to those whom the patterns name; made by ``read_rule``, which checks it."""

    id: str
    to: str = "*"
    """Glob (``*``, ``?``; any case) on the recipient at rcpt, any recipient at data and message, else on what the stage
    names: client address at connect, hello name at hello, account at auth, sender at mail."""
    at: str = "rcpt"
    """One of STAGES."""
    reply: int | None = None
    """400 to 599; None: only delay or disconnect."""
    text: str = ""
    """What the reply says; empty: the standard sentence of the code."""
    enhanced: str = ""
    """``4.5.4``; empty: what suits the code; ``-``: none."""
    times: int | None = None
    """So often, then never again; None: always."""
    probability: float = 1.0
    delay: float = 0.0
    """Seconds to wait before the answer."""
    disconnect: bool = False
    """Close the connection after the reply, or without any when ``reply`` is None."""
    from_: str = "*"
    """Glob on the sender, from mail on; ``""`` names the null reverse-path."""

    @property
    def answer(self) -> Reply | None:
        """The reply that is given."""
        if self.reply is None:
            return None
        return reply_for(self.reply, self.text, self.enhanced, bare=self.at in ("connect", "hello"))

    def fields(self) -> dict[str, Any]:
        """As ``read_rule`` reads them, those with a default value included."""
        return {
            "id": self.id,
            "to": self.to,
            "from": self.from_,
            "at": self.at,
            "reply": self.reply,
            "text": self.text,
            "enhanced": self.enhanced,
            "times": self.times,
            "probability": self.probability,
            "delay": self.delay,
            "disconnect": self.disconnect,
        }


def reply_for(code: int, text: str = "", enhanced: str = "", bare: bool = False) -> Reply:
    """The reply with this code, with its standard sentence and status where none is given.

    ``bare``: without a status of its own accord, for greetings and EHLO answers have none (RFC 2034 section 4).
    """
    usual_text, usual_status = _TEXTS.get(code) or _OTHERWISE[code // 100]
    status = enhanced or ("-" if bare else usual_status)
    return Reply(code, text or usual_text, None if status == "-" else status)


def read_rule(fields: Mapping[str, Any], id: str = "") -> ChaosRule:
    """A rule from plain fields (TOML, JSON, options); raises PostroadError that says what is wrong and what is right.

    Fields: ``to``, ``from``, ``at``, ``reply``, ``text``, ``enhanced``, ``times``, ``probability``, ``delay``,
    ``disconnect`` and ``id``; None counts as absent.
    """
    given = {key: value for key, value in fields.items() if value is not None}
    for key in given:
        if key not in _READERS:
            near = difflib.get_close_matches(key, sorted(_READERS), n=1)
            raise PostroadError(
                f"a chaos rule has no `{key[:40]}`",
                f"did you mean `{near[0]}`?" if near else ", ".join(sorted(_READERS)),
            )
    read: dict[str, Any] = {_NAMES.get(key, key): _READERS[key](key, value) for key, value in given.items()}
    read.setdefault("id", id)
    rule = ChaosRule(**read)
    if rule.reply is None and not rule.delay and not rule.disconnect:
        raise PostroadError("a chaos rule needs `reply`, `delay` or `disconnect`", "reply = 455")
    if rule.reply is None and (rule.text or rule.enhanced):
        raise PostroadError("`text` and `enhanced` need `reply`", "reply = 455")
    return _check_answer(rule)


def _check_answer(rule: ChaosRule) -> ChaosRule:
    try:
        _ = rule.answer
    except ReplySyntaxError as fault:
        raise PostroadError(f"`enhanced`: {fault}", 'enhanced = "4.5.4", or "-" for none') from fault
    except ValueError as fault:
        raise PostroadError(f"`enhanced`: {fault}", f"its first digit is that of the code {rule.reply}") from fault
    return rule


def _id(key: str, value: Any) -> str:
    if not isinstance(value, str) or _ID.match(value) is None:
        raise PostroadError(f"`{key}` must be at most 40 letters, digits, `-` or `_`", "leave it out to get one")
    return value


def _text(key: str, value: Any) -> str:
    limit = MAX_TEXT if key == "text" else MAX_PATTERN
    if not isinstance(value, str) or len(value) > limit:
        raise PostroadError(f"`{key}` must be text of at most {limit} characters")
    return value


def _stage(key: str, value: Any) -> str:
    word = _text(key, value).lower()
    word = _OTHER_NAMES.get(word, word)
    if word not in STAGES:
        near = difflib.get_close_matches(word, STAGES, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "one of " + ", ".join(STAGES)
        raise PostroadError(f"`at`: no such stage: {word[:40]!r}", hint)
    return word


def _code(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 599:
        raise PostroadError(f"`{key}` must be a code from 400 to 599, not {str(value)[:40]!r}", "reply = 455")
    return value


def _times(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TIMES:
        raise PostroadError(f"`{key}` must be a whole number from 1 to {MAX_TIMES}", "leave it out for always")
    return value


def _number(key: str, value: Any) -> float:
    limit = 1.0 if key == "probability" else MAX_DELAY
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        raise PostroadError(f"`{key}` must be a number from 0 to {limit:g}", "delay is in seconds")
    return float(value)


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise PostroadError(f"`{key}` must be true or false")
    return value


_NAMES: Final = {"from": "from_"}
_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "id": _id,
    "to": _text,
    "from": _text,
    "at": _stage,
    "reply": _code,
    "text": _text,
    "enhanced": _text,
    "times": _times,
    "probability": _number,
    "delay": _number,
    "disconnect": _flag,
}


def glob_matches(pattern: str, text: str) -> bool:
    """``*`` for any characters, ``?`` for one, any case; at most len(pattern) x len(text) steps, no regex."""
    pattern, text = pattern.lower(), text.lower()
    p = t = 0
    star = mark = -1
    while t < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, mark = p, t
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", text[t]):
            p += 1
            t += 1
        elif star >= 0:
            mark += 1
            p, t = star + 1, mark
        else:
            return False
    return pattern[p:].strip("*") == ""
