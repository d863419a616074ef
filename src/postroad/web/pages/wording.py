"""How pages say times and replies in one language."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from postroad.replies import EnhancedStatus, Reply
from postroad.replies.catalogue import catalogue
from postroad.replies.classify import classify
from postroad.replies.waiting import Waiting
from postroad.web.pages import display
from postroad.web.texts import Texts

_MONTHS: Final = {"en": "{day} {month} {time}", "ja": "{number}月{day}日 {time}"}
_TONES: Final = {2: "good", 3: "good", 4: "later", 5: "never"}


class Wording:
    """One language; ``texts`` has its sentences."""

    def __init__(self, language: str, now: Callable[[], float]) -> None:
        self.language = language
        self.texts = Texts(language)
        self._now = now
        known = catalogue()
        self._waiting = Waiting(known.texts("queue", language), known.vocabulary(language), str, lambda begin, end: 0.0)
        self._meant = lru_cache(2048)(self._read)  # most of a queue was told the same

    @staticmethod
    def is_here(path: str, href: str) -> bool:
        """Whether an entry of the menu leads to the part of the house in which ``path`` is."""
        href = href.partition("?")[0]
        return path == href if href == "/" else f"{path}/".startswith(f"{href}/")

    # ── times ───────────────────────────────────────────────────────────────

    def age(self, moment: float | None) -> str:
        """``4 min ago``, ``in 11 min``; ``""`` without a moment."""
        return "" if moment is None else self.texts.age(moment, self._now())

    def clock(self, moment: float | None) -> str:
        """``23 Nov 14:31:05`` in the server's time zone."""
        return "" if moment is None else self._dated(moment, "%H:%M:%S")

    def short_clock(self, moment: float | None) -> str:
        """For lists: ``14:31:05`` today, ``23 Nov 14:31`` this year, else ``2025-11-23``."""
        if moment is None:
            return ""
        there, now = display.local(moment), display.local(self._now())
        if there.date() == now.date():
            return f"{there:%H:%M:%S}"
        return self._dated(moment, "%H:%M") if there.year == now.year else f"{there:%Y-%m-%d}"

    def minute_clock(self, moment: float, dated: bool = False) -> str:
        """For rows of times: ``14:31``, or ``23 Nov 14:31`` when the day is to be said."""
        return self._dated(moment, "%H:%M") if dated else f"{display.local(moment):%H:%M}"

    def is_today(self, moment: float) -> bool:
        """Whether it is of the day that it is in the server's time zone."""
        return display.local(moment).date() == display.local(self._now()).date()

    def _dated(self, moment: float, form: str) -> str:
        there = display.local(moment)
        parts = {"day": there.day, "month": f"{there:%b}", "number": there.month, "time": there.strftime(form)}
        return _MONTHS[self.language].format(**parts)

    # ── replies ─────────────────────────────────────────────────────────────

    def tone(self, reply: Reply | int) -> str:
        """``good``, ``later`` or ``never``: the class of a reply."""
        code = reply if isinstance(reply, int) else reply.code
        return _TONES.get(code // 100, "")

    def meaning(self, reply: Reply | int) -> str:
        """What a reply means in a few words: the reason its text gives, else of its enhanced status, else of its code; or ``""``."""
        if isinstance(reply, int):
            return self._of_code(reply)
        return self._meant(reply)

    def _read(self, reply: Reply) -> str:
        if not reply.is_positive:
            reason = classify(reply, rules=catalogue().rules).reason
            if reason != "undefined":
                return catalogue().term_words("reasons", reason, self.language).title.replace("`", "")
        found = self._enhanced(reply.enhanced) if reply.enhanced is not None else ""
        return found.replace("`", "") or self._of_code(reply.code)

    def _of_code(self, code: int) -> str:
        known = code in catalogue().codes
        return catalogue().code_words(code, self.language).title.replace("`", "") if known else ""

    def _enhanced(self, enhanced: EnhancedStatus) -> str:
        if enhanced.detail == 0 or (enhanced.subject, enhanced.detail) == (0, 0):
            return ""  # X.y.0 says no more than the code
        name = f"X.{enhanced.subject}.{enhanced.detail}"
        return catalogue().enhanced_words(name, self.language).title if name in catalogue().enhanced else ""

    def note(self, note: str) -> str:
        """A note of ours, as far as it is known in this language."""
        return self._waiting.note(note, beside=False)

    def security(self, had: str) -> str:
        """How a session was secured."""
        return self._waiting.security(had) if had else ""

    def page_of(self, reply: Reply | int) -> str:
        """Where its code is explained; ``""`` for one that is not known."""
        code = reply if isinstance(reply, int) else reply.code
        return f"/{self.language}/codes/{code}" if code in catalogue().codes else ""
