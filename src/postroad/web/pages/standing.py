"""Where a message stands: one sentence for the whole of it, and its recipients in groups that stand alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from postroad.admin.why import Standing, Why
from postroad.replies.catalogue import catalogue
from postroad.replies.waiting import Waiting
from postroad.web.api.queue_shapes import why_shape
from postroad.web.pages.wording import Wording

#: Groups of recipients on a page, and addresses that are named of each.
GROUPS: Final = 20
NAMES: Final = 8
#: Order of the groups: first what somebody may have to act on.
_ORDER: Final = ("failed", "held", "queued", "gone", "delivered")
_TONES: Final = {"failed": "never", "held": "later", "queued": "later", "delivered": "good", "gone": ""}
#: Blocks of ``waiting`` that are told below a group; the rest stands in its line.
_BLOCKS: Final = ("uncertain", "means", "sure", "who", "changed", "others", "told", "do")


@dataclass(frozen=True, slots=True)
class Block:
    """A label with paragraphs."""

    label: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Recipients that stand alike; ``one`` speaks for all."""

    one: Standing
    numbers: tuple[int, ...]
    addresses: tuple[str, ...]
    """The first of them."""
    more: int
    state: str
    """For the chip: ``deferred`` is queued with a try behind it."""
    heard: str
    """From whom the reply came, in answer to what, how and when."""
    note: str
    blocks: tuple[Block, ...]
    commands: tuple[str, ...]
    """What an operator may type, each with what it does."""
    waiting: int
    """How many wait for the same destination with the same reply, those here among them; 0: nobody but these."""
    query: str
    """The filter that shows them."""


def speaker(say: Wording, why: Why) -> Waiting:
    """Who says it in words, on this server's clock."""

    def clock(stamp: str) -> str:
        return say.short_clock(datetime.fromisoformat(stamp).timestamp())

    def span(begin: str, end: str) -> float:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()

    known = catalogue()
    return Waiting(known.texts("queue", say.language), known.vocabulary(say.language), clock, span)


def alike(standings: Sequence[Standing]) -> list[list[Standing]]:
    """Recipients in groups that stand alike, failures first; the work is linear."""
    groups: dict[object, list[Standing]] = {}
    for one in standings:
        groups.setdefault(_likeness(one), []).append(one)
    return sorted(groups.values(), key=lambda found: _ORDER.index(found[0].state))


def _likeness(one: Standing) -> object:
    host = one.last.attempt.host if one.last is not None else ""
    moments = (one.next_due, one.gives_up_at, one.ended_at)
    said = (one.reply, one.note, one.uncertain, one.interrupted, one.expired, one.by_operator)
    return (one.state, one.destination if one.state in ("queued", "held") else "", host, one.attempts, moments, said, one.told)  # fmt: skip


def told(why: Why, groups: Sequence[Sequence[Standing]], say: Wording) -> list[Group]:
    """These groups with all that is said of them."""
    voice = speaker(say, why)
    speakers = tuple(_speaking_for(found) for found in groups)
    document = why_shape(replace(why, standings=speakers), say.language)
    return [
        _group(found, one, document, shape, voice)
        for found, one, shape in zip(groups, speakers, document["recipients"], strict=True)
    ]


def _speaking_for(found: Sequence[Standing]) -> Standing:
    """The first, with only those others counted that are not of its group."""
    one, beside = found[0], len(found) - 1
    others = replace(
        one.others,
        destination=max(one.others.destination - beside, 0),
        cause=max(one.others.cause - beside, 0),
    )
    return replace(one, others=others)


def _group(
    found: Sequence[Standing], one: Standing, document: Mapping[str, Any], shape: Mapping[str, Any], voice: Waiting
) -> Group:
    labels = catalogue().texts("queue", document["language"])["labels"]
    (said,) = voice.told(document, [shape])
    blocks = {block.label: block.paragraphs for block in said.blocks}
    acts = blocks.pop(labels["do"], ())
    if advice := tuple(one for one in acts if not one.startswith("postroad ")):
        blocks[labels["do"]] = advice
    reply = blocks.get(labels["reply"], ())
    return Group(
        one=one,
        numbers=tuple(each.number for each in found),
        addresses=tuple(each.address for each in found[:NAMES]),
        more=max(len(found) - NAMES, 0),
        state="deferred" if one.state == "queued" and one.attempts else one.state,
        heard=reply[-1] if one.last is not None and len(reply) > 1 else "",
        note=voice.note(one.note, beside=one.reply is not None) if one.note and one.state != "held" else "",
        blocks=tuple(Block(labels[name], blocks[labels[name]]) for name in _BLOCKS if labels[name] in blocks),
        commands=tuple(one for one in acts if one.startswith("postroad ")),
        waiting=one.others.cause + len(found) if one.others.cause else 0,
        query=_query(one),
    )


def _query(one: Standing) -> str:
    """The filter for who else waits there with the same reply."""
    code = one.others.key if one.reply is not None else ""
    given = {"destination": one.destination, "code": code, "state": "held" if one.state == "held" else ""}
    return urlencode({name: value for name, value in given.items() if value}, errors="replace")


# ── one sentence ────────────────────────────────────────────────────────────


def tone(why: Why) -> str:
    """``never``, ``later``, ``good`` or ``""``: the worst of it."""
    states = {one.state for one in why.standings}
    return next((_TONES[state] for state in _ORDER if state in states), "")


def sentence(why: Why, say: Wording) -> str:
    """The state of the whole message in one sentence."""
    t = say.texts
    counts = Counter(one.state for one in why.standings)
    parts: list[str] = []
    for state in ("delivered", "failed", "held", "queued", "gone"):
        if counts[state]:
            ones = [one for one in why.standings if one.state == state]
            parts.append(_counted(state, ones, len(why.standings), say))
            more = _further(state, ones, why, say)
            if state == "held" and more:
                parts[-1] += t("message.mean.colon") + more.pop()
            parts += more
    if why.case.message is None and not counts["gone"]:
        parts.append(t("message.state.not_kept"))
    return t("message.state.join").join(part for part in parts if part) + t("message.state.end")


def _counted(state: str, ones: Sequence[Standing], all_: int, say: Wording) -> str:
    t, count = say.texts, len(ones)
    name = f"message.state.{_name(state, ones)}"
    if count == all_:
        return t(name) if count == 1 else t(f"{name}.all", count=f"{count:,}")
    return t(f"{name}.part", count=f"{count:,}", all=f"{all_:,}")


def _name(state: str, ones: Sequence[Standing]) -> str:
    if state == "queued":
        return "untried" if not any(one.attempts for one in ones) else "queued"
    if state == "failed":
        if all(one.told == "dropped" for one in ones):
            return "dropped"
        if all(one.by_operator for one in ones):
            return "bounced"
        return "expired" if all(one.expired for one in ones) else "failed"
    return state


def _further(state: str, ones: Sequence[Standing], why: Why, say: Wording) -> list[str]:
    """What belongs to it: when it is tried next, why it is held, who was told."""
    t = say.texts
    if state == "queued":
        return _outlook(ones, why, say)
    if state == "held":
        notes = {one.note for one in ones}
        words = catalogue().texts("queue", say.language)["held"]
        if len(notes) > 1:
            return []
        (note,) = notes
        return [words[note].format(destination=ones[0].destination) if note in words else speaker(say, why).note(note, beside=False)]  # fmt: skip
    if state == "failed":
        how = {one.told for one in ones}
        if how == {"yes"}:
            return [t("message.state.told")]
        return [t("message.state.nobody_told")] if how and how <= {"no-sender", "not-asked", "dropped"} else []
    return []


def _outlook(ones: Sequence[Standing], why: Why, say: Wording) -> list[str]:
    t = say.texts
    due = min((max(one.next_due, one.rests_until or 0.0) for one in ones if one.next_due is not None), default=None)
    ends = min((one.gives_up_at for one in ones if one.gives_up_at is not None), default=None)
    parts = []
    if due is not None:
        parts.append(t("message.state.next", age=say.age(due)) if due > why.now else t("message.state.due"))
    if ends is not None:
        key = "will_be_told" if why.case.reverse_path else "gives_up"
        parts.append(t(f"message.state.{key}", time=say.short_clock(ends).replace(" ", "\u00a0")))
    return parts
