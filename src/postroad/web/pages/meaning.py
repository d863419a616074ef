"""What a reply means, beside the reply: short words, and on demand all that a reader needs to act."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from postroad.replies import Reply
from postroad.replies.catalogue import catalogue
from postroad.replies.explaining import Explainer
from postroad.web.pages.wording import Wording

_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class Named:
    """A code with what its entry says."""

    code: str
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """All texts are of the catalogue, in one language."""

    short: str
    """A few words, for beside the reply."""
    reason: str
    """``Greylisted: …``; ``""`` where the text tells no more than the code does."""
    named: tuple[Named, ...]
    """The code, then the enhanced status, as far as they are known."""
    remarks: tuple[str, ...]
    """Code and status that disagree, or a code that nobody knows."""
    sure: str
    rule: str
    who: str
    help: str
    page: str
    """Where the code is explained; ``""``: nowhere."""
    code: int
    against: int
    """The code that it is most often confused with; 0: none."""
    comparison: str
    """Where the two are compared."""


class Meanings:
    """Says it in one language; what was asked lately is remembered."""

    def __init__(self, say: Wording) -> None:
        self._say = say
        self._explainer = Explainer(catalogue(), say.language)
        self._words = catalogue().texts("queue", say.language)
        self._known: OrderedDict[tuple[Reply, str], Meaning] = OrderedDict()

    def of(self, reply: Reply, command: str) -> Meaning:
        """What ``reply`` means in answer to ``command`` (a verb, CONNECT, CONTENT or ``""``)."""
        key = reply, command
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._meaning(reply, command)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found

    def _meaning(self, reply: Reply, command: str) -> Meaning:
        (item,) = self._explainer.explain_reply(reply, command=command)["items"]
        found = item["classification"]
        known = found["reason"]["id"] != "undefined" and not reply.is_positive
        against = self._against(reply.code)
        low, high = sorted((reply.code, against))
        return Meaning(
            short=found["reason"]["label"] if known else self._say.meaning(reply),
            reason=f"{found['reason']['label']}: {found['reason']['text']}" if known else "",
            named=tuple(_named(item)),
            remarks=tuple(item[name] for name in ("message", "mismatch") if item.get(name)),
            sure=self._sure(found, known) if not reply.is_positive else "",
            rule=found["rule"] if known else "",
            who=found["actor"]["label"] if not reply.is_positive else "",
            help=self._help(found) if not reply.is_positive else "",
            page=self._say.page_of(reply),
            code=reply.code,
            against=against,
            comparison=f"/{self._say.language}/compare/{low}-vs-{high}" if against else "",
        )

    def _sure(self, found: dict[str, Any], known: bool) -> str:
        words = self._words["sure"]
        if not known:
            return str(words["digit"])
        return str(words["rule"].format(confidence=found["confidence"]["label"], rule=found["rule"]))

    @staticmethod
    def _help(found: dict[str, Any]) -> str:
        remedy = found["remedy"]
        return f"{remedy['label']}: {remedy['text']}".replace("`", "") if remedy["id"] != "none" else ""

    @staticmethod
    def _against(code: int) -> int:
        if code not in catalogue().codes:
            return 0
        return next(
            (int(one) for one in catalogue().code(code).confused_with if int(one) != code), 0
        )  # strict: our data


def _named(item: dict[str, Any]) -> list[Named]:
    found = [item[name] for name in ("code", "enhanced") if item.get(name)]
    return [Named(str(one["code"]), one["title"].replace("`", ""), one["summary"].replace("`", "")) for one in found]
