"""What needs the operator, in sentences: for a page, and as plain text for programs."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from postroad.admin.attention import Need
from postroad.web.pages import display
from postroad.web.pages.visible import visible, visible_plain
from postroad.web.pages.wording import Wording

#: Of a reply or a fault, so many characters; all of it is on the page that is led to.
_MOST = 160
_NAME = Markup("<b><bdi>{}</bdi></b>")
_TIME = Markup('<time datetime="{}">{}</time>')


def sentence(need: Need, say: Wording) -> Markup:
    """For a page: peers' words are marked as such, and harmless."""
    values = _values(need, say) | {"subject": _NAME.format(visible(need.subject))}
    for name in ("since", "until"):
        moment = getattr(need, name)
        if moment is not None:
            values[name] = _TIME.format(display.iso(moment), values[name])
    return Markup(_template(need, say)).format(**values)  # noqa: S704  # our own sentences


def words(need: Need, say: Wording) -> str:
    """For programs: with what was said."""
    text = _template(need, say).format(**_values(need, say))
    return visible_plain(f"{text} {told(need, say)}".rstrip())


def told(need: Need, say: Wording) -> str:
    """What was said, or the fault in words; ``""``: nothing. A peer's text is to the letter but for its length."""
    text = " ".join((str(need.reply) if need.reply is not None else say.note(need.note)).split())
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"


def action(need: Need, say: Wording) -> str:
    """What its link is called."""
    return say.texts(f"dashboard.go.{need.kind}")


def _template(need: Need, say: Wording) -> str:
    key = f"dashboard.need.{need.kind}"
    if need.kind == "condition" and not need.count:
        key += ".none"
    elif need.count == 1 and f"{key}.one" in say.texts:
        key += ".one"
    return say.texts(key)


def _values(need: Need, say: Wording) -> dict[str, Any]:
    return {
        "subject": need.subject,
        "count": f"{need.count or 0:,}",
        "since": _moment(need.since, say),
        "until": _moment(need.until, say),
        "left": say.age(need.until),
        "size": "" if need.octets is None else say.texts.size(need.octets),
    }


def _moment(moment: float | None, say: Wording) -> str:
    """``14:31`` today, else with its day."""
    if moment is None:
        return ""
    return say.minute_clock(moment, not say.is_today(moment))
