"""Documents of the queue as lines for a terminal, in one language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from postroad.cli.columns import moment, octets, table, terminal_width, width
from postroad.cli.queue_options import Speech, between, clock
from postroad.cli.screen import Screen, screen
from postroad.observe.printable import printable, printable_lines

Document = Mapping[str, Any]

#: Characters of an id that a terminal shows: its end, which is chance and thus enough to name it.
_SHORT: Final = 8


# ── lists ───────────────────────────────────────────────────────────────────


def rows(page: Document, said: Speech, narrowed: bool) -> tuple[list[str], str]:
    """The recipients under their heads, and the line below them."""
    words = said.words["list"]
    if not page["recipients"]:
        return [words["none_match" if narrowed else "none"]], ""
    heads = said.words["heads"]
    cells = [_row(one, page["now"], said) for one in page["recipients"]]
    names = ("id", "age", "tries", "next", "to", "reply")
    return [table([heads[name] for name in names], cells)], _below(page, said)


def _row(one: Document, now: str, said: Speech) -> tuple[str, ...]:
    reply = reply_text(one["reply"]) or said.waiting.note(one["note"], beside=False) or said.words["list"]["untried"]
    age = said.waiting.span(between(one["received_at"], now))
    return (short(one["id"]), age, str(one["attempts"]), _next(one, now, said), one["to"], reply)


def _next(one: Document, now: str, said: Speech) -> str:
    words = said.words["list"]
    if one["state"] != "queued":
        return said.words["states"][one["state"]]
    left = max(between(now, one["next_due"]), between(now, one["rests_until"]))
    return words["in"].format(span=said.waiting.span(left)) if left >= 1 else words["now"]


def _below(page: Document, said: Speech) -> str:
    words, count = said.words["list"], len(page["recipients"])
    matching = page["matching"]
    if not page["next"]:
        return said.waiting.counted("list", "all", count, shown=count)
    if matching["recipients"] is None:
        return words["more_unknown"].format(shown=count, next=page["next"])
    return said.waiting.counted("list", "more", matching["destinations"], shown=count, all=matching["recipients"])


def groups(found: Document, said: Speech) -> tuple[list[str], str]:
    """The groups under their heads."""
    if not found["groups"]:
        return [said.words["list"]["none"]], ""
    heads, span = said.words["heads"], said.waiting.span
    cells = []
    for one in found["groups"]:
        left = between(found["now"], one["next_due"]) if one["next_due"] else 0.0
        later = said.words["list"]["in"].format(span=span(left)) if left >= 1 else said.words["list"]["now"]
        due = later if one["next_due"] else said.words["states"]["held"]
        cells.append((str(one["recipients"]), span(between(one["oldest"], found["now"])), due, one["key"]))
    key = heads["destination" if found["by"] == "destination" else "cause"]
    return [table([heads["recipients"], heads["oldest"], heads["next"], key], cells)], ""


def reply_text(reply: Document | None) -> str:
    """A reply on one line."""
    if reply is None:
        return ""
    head = f"{reply['code']} {reply['enhanced']}" if reply["enhanced"] else str(reply["code"])
    return f"{head} {' '.join(reply['text'])}".rstrip()


def short(message_id: str) -> str:
    """An id as a terminal shows it; whole where a program may read it."""
    return message_id[-_SHORT:] if terminal_width() else message_id


# ── what was done ───────────────────────────────────────────────────────────


def done(document: Document, said: Speech) -> list[str]:
    """What an action touched, or would touch."""
    count, action = document["recipients"], document["action"]
    words = said.words["act"]
    if not count and not document["busy"]:
        return [words["nothing"]]
    if not document["dry_run"]:
        lines = [said.waiting.counted("act", action, count)]
        return lines + ([said.waiting.counted("act", "busy", document["busy"])] if document["busy"] else [])
    what = said.waiting.counted("ask", action, count)
    lines = [said.words["ask"]["would"].format(what=what)]
    if count > 1:
        lines.append("  " + said.waiting.counted("act", "extent", document["destinations"]))
    lines += ["  " + printable(words["such_as"].format(**one)) for one in document["examples"]]
    return lines


# ── one message ─────────────────────────────────────────────────────────────


def why(document: Document, meant: Sequence[Document], said: Speech, colour: str) -> str:
    """Why a message is where it is: a sentence for recipients that stand alike, and what belongs to it."""
    out = screen(colour)
    indent = max(width(label) for label in said.words["labels"].values()) + 4
    for number, told in enumerate(said.waiting.told(document, meant)):
        if number:
            out.add()
        out.hang("", told.headline, 0)
        for block in told.blocks:
            out.block("  " + block.label, block.paragraphs, indent)
    return out.text()


def message(document: Document, said: Speech) -> str:
    """Envelope, recipients and attempts."""
    out = screen("never")
    labels = said.words["labels"]
    indent = max(width(labels[name]) for name in ("message", "received", "envelope", "to", "attempt")) + 2
    kept = document["message"]
    out.block(labels["message"], [document["id"]], indent)
    if kept is not None:
        came = said.words["log"]["received"].format(peer=kept["peer"])
        out.block(labels["received"], [f"{moment(kept['received_at'])}  {came}  {kept['tls']}".rstrip()], indent)
    envelope = f"<{document['from']}>"
    if kept is not None:
        envelope = f"{envelope} {kept['parameters']}".rstrip() + f"  {octets(kept['size'])}"
    out.block(labels["envelope"], [envelope], indent)
    out.block(labels["to"], _recipients(document, said), indent)
    for attempt in document["attempts"]:
        _attempt(out, attempt, document["recipients"], said, indent)
    return out.text()


def _recipients(document: Document, said: Speech) -> list[str]:
    if document["message"] is None:
        gone = said.words["states"]["gone"]
        return [f"<{path}>  {gone}" for path in document["recipients"].values()]
    lines = []
    for one in document["message"]["recipients"]:
        state = "deferred" if one["state"] == "queued" and one["attempts"] else one["state"]
        parts = [f"<{one['address']}>", said.words["states"][state]]
        parts.append(said.waiting.counted("now", "tries", one["attempts"]))
        if one["next_due"]:
            left = between(document["now"], one["next_due"])
            words = said.words["now"]
            due = words["next"].format(time=clock(one["next_due"]), span=said.waiting.span(left))
            parts.append(due if left > 0 else words["due"])
        parts.append(said.waiting.note(one["note"], beside=bool(one["reply"])))
        lines.append("  ".join(part for part in parts if part))
    return lines


def _attempt(out: Screen, attempt: Document, paths: Mapping[str, str], said: Speech, indent: int) -> None:
    seconds = f"{attempt['seconds']:.1f} s" if attempt["seconds"] else ""
    had = said.waiting.security(attempt["security"]) if attempt["security"] else ""
    facts = (moment(attempt["at"]), attempt["host"] or attempt["route"], had, seconds)
    lines = ["  ".join(part for part in facts if part)]
    lines += [f"<{paths.get(str(one['number']), '')}>  {outcome(one, said)}" for one in attempt["results"]]
    lines += [said.waiting.step(step) for step in attempt["steps"]]
    out.block(said.words["labels"]["attempt"], lines, indent)
    if attempt.get("transcript"):
        for line in printable_lines(attempt["transcript"]).split("\n"):
            out.add(" " * indent + "  " + line)


def outcome(one: Document, said: Speech) -> str:
    """What an attempt came to for one recipient, and what was said."""
    words = said.words["outcomes"]
    ended = words[one["outcome"]]
    ended = words["uncertain"].format(outcome=ended) if one["uncertain"] else ended
    note = said.waiting.note(one["note"], beside=bool(one["reply"]))
    return "  ".join(part for part in (ended, reply_text(one["reply"]), note) if part)
