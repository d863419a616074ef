"""What HELP answers about a code, a keyword or a command: the catalogue's words, as lines for the wire."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from postroad.replies.catalogue import catalogue
from postroad.replies.explaining import Explainer

_MAX_TOPIC: Final = 40
#: RFC 5321 section 4.5.3.1.5 gives a reply line 512 octets; this leaves room for code and status.
_LINE: Final = 480


@lru_cache(maxsize=512)
def help_topic(topic: str) -> str | None:
    """Title, summary and next step, in ASCII; None for a topic that the catalogue does not know."""
    if len(topic) > _MAX_TOPIC:
        return None
    found = Explainer(catalogue(), "en").explain(topic)["items"][0]
    one = found.get(found["kind"])
    if one is None or found["kind"] == "reply":
        return None
    name = one.get("code") or one.get("keyword") or one.get("verb")
    advice = one.get("advice") or ""
    lines = [f"{name} {one['title']}", one["summary"], advice["next"] if isinstance(advice, dict) else advice]
    return "\n".join(_ascii(line) for line in lines if line)


def _ascii(text: str) -> str:
    plain = text.replace("`", "").replace("…", "...").replace("–", "-").replace("—", "-").replace("’", "'")
    return plain.encode("ascii", "replace").decode()[:_LINE]
