"""Why a message is where it is, in words: a ``postroad.queue.why/1`` document as labelled paragraphs in one language.

Pure, so that terminal and page say the same; whoever shows it says how a moment is written on the reader's clock. Texts
of peers come back as they are: who shows them makes them harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Document = Mapping[str, Any]
Words = Mapping[str, Mapping[str, str]]
Clock = Callable[[str], str]
"""A moment of the API (RFC 3339) as the reader writes it."""
Span = Callable[[str, str], float]
"""Seconds from one moment of the API to another."""

_MAX_NAMES: Final = 3
_DOMAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-[]:")
#: What an address may hold that stands in a command line as it is.
_PLAIN: Final = (_DOMAIN - frozenset("[]")) | frozenset("@_+=")
#: Stages that the vocabulary knows by another name.
_MOMENTS: Final = {"CONNECTION": "CONNECT"}
#: Notes that say no more than the reply's own digits do.
_REFUSED: Final = ("refused at ", "refused for now at ")
#: What may be done, by state.
_CHOICES: Final = {"queued": ("wait", "retry", "hold", "bounce"), "held": ("release", "bounce", "drop")}


@dataclass(frozen=True, slots=True)
class Block:
    """Paragraphs under a label in the margin."""

    label: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of recipients that stand alike."""

    headline: str
    blocks: tuple[Block, ...]


class Waiting:
    """Says it in one language."""

    def __init__(self, words: Words, vocabulary: Words, clock: Clock, span: Span) -> None:
        """``words`` are of queue.toml, ``vocabulary`` of vocabulary.toml."""
        self._words = words
        self._vocabulary = vocabulary
        self._clock = clock
        self._span = span

    def told(self, why: Document, meant: Sequence[Document] | None = None) -> list[Told]:
        """The recipients that are ``meant`` (None: all), those that stand alike together."""
        return [self._told(why, alike) for alike in _alike(why["recipients"] if meant is None else meant)]

    def counted(self, table: str, name: str, n: int, **more: object) -> str:
        """A sentence that counts: its form for exactly one, where it has one."""
        words = self._words[table]
        return words.get(f"{name}_{n}", words[name]).format(n=n, **more)

    def span(self, seconds: float) -> str:
        """``3h20m``, ``3時間20分``."""
        words = self._words["spans"]
        whole = max(int(seconds), 0)  # strict: a number already
        if whole < 120:
            return words["seconds"].format(n=whole)
        if whole < 7200:
            return words["minutes"].format(n=whole // 60)
        if whole < 172800:
            return words["hours"].format(n=whole // 3600, m=whole % 3600 // 60)
        return words["days"].format(n=whole // 86400)

    def note(self, note: str, *, beside: bool) -> str:
        """A note of ours in this language, as far as it is known; a peer's text in it stays.

        ``beside`` a reply, one that says no more than the reply's digits do is left out.
        """
        if beside and note.startswith(_REFUSED):
            return ""
        for known, said in self._words["notes"].items():
            if note == known or note.startswith(f"{known} at "):  # the stage is told apart
                return said
            if note.startswith(f"{known}: "):
                return f"{said}: {note[len(known) + 2 :]}"
            if known.endswith(" to") and note.startswith(f"{known} "):  # whom, and why not
                return f"{said} {note[len(known) + 1 :]}"
        return note

    def security(self, had: str) -> str:
        """How a session was secured, in this language; names of TLS and why there is none stay as they are."""
        words = self._words["security"]
        had, _, more = had.partition(", ")
        since, why = more.startswith("since "), more.removeprefix("since ")
        said = words.get(had, had)
        if since:
            return words["since"].format(had=said, why=why)
        return self._vocabulary["language"]["separator"].join([said, *([words.get(more, more)] if more else [])])

    # ── one group of recipients ─────────────────────────────────────────────

    def _told(self, why: Document, alike: Sequence[Document]) -> Told:
        one = alike[0]
        blocks = (
            ("now", [self._now(why, one)]),
            ("reply", self._reply(one)),
            ("uncertain", self._uncertain(one)),
            ("means", self._means(one)),
            ("sure", self._sure(one)),
            ("who", self._who(one)),
            ("changed", [self.step(step) for step in one["steps"]]),
            ("others", self._others(one, len(alike) - 1)),
            ("told", [self._words["told"][one["told"]]] if one["told"] else []),
            ("do", self._do(why, alike)),
        )
        label = self._words["labels"]
        return Told(self._headline(alike), tuple(Block(label[name], tuple(said)) for name, said in blocks if said))

    def _headline(self, alike: Sequence[Document]) -> str:
        names = [str(one["address"]) for one in alike[:_MAX_NAMES]]
        to = self._vocabulary["language"]["separator"].join(names)
        if len(alike) > len(names):
            to = self._words["headline"]["more"].format(to=to, n=len(alike) - len(names))
        words, ending = self._words["headline"], _ending(alike[0])
        many = words.get(f"{ending}_many", words[ending])
        return (many if len(alike) > 1 else words[ending]).format(to=to)

    def _now(self, why: Document, one: Document) -> str:
        words = self._words["now"]
        state = self._words["states"]["deferred" if one["state"] == "queued" and one["attempts"] else one["state"]]
        if one["state"] not in _CHOICES:
            at = one["ended_at"]
            parts = [words["at"].format(state=state, time=self._clock(at)) if at else state]
            return self._joined([*parts, self.counted("now", "tries", one["attempts"])])
        parts = [words["since"].format(state=state, age=self.span(self._span(why["received_at"], why["now"])))]
        parts.append(self.counted("now", "tries", one["attempts"]))
        if one["next_due"]:
            left = self._span(why["now"], one["next_due"])
            time = self._clock(one["next_due"])
            parts.append(words["next"].format(time=time, span=self.span(left)) if left > 0 else words["due"])
        if one["rests_until"] and self._span(why["now"], one["rests_until"]) > 0:
            parts.append(words["rests"].format(time=self._clock(one["rests_until"])))
        if one["gives_up_at"]:
            parts.append(words["ends"].format(time=self._clock(one["gives_up_at"])))
        if one["delay_told"]:
            parts.append(words["delay_told"])
        return self._joined(parts)

    def _reply(self, one: Document) -> list[str]:
        words, last = self._words["reply"], one["last"]
        if one["state"] == "held" and not one["reply"] and not last:
            return []
        if one["reply"]:
            said = list(_lines(one["reply"]))
        elif one["note"] and last:
            said = [words["no_reply"].format(note=self.note(one["note"], beside=False))]
        else:
            return []
        if one["reply"] and one["state"] != "held" and (note := self.note(one["note"], beside=True)):
            said.append(note)
        return [*said, self._heard(last, bool(one["reply"]))] if last else said

    def _heard(self, last: Document, answered: bool) -> str:
        """From whom the reply came, to what, how, and when."""
        words = self._words["reply"]
        parts = [words["from"].format(host=last["host"])] if last["host"] else []
        if last["stage"]:
            name = str(last["stage"])
            stage = self._vocabulary["commands"].get(_MOMENTS.get(name, name), name)
            parts.append(words["stage" if answered else "at"].format(stage=stage))
        parts += [self.security(last["security"])] if last["security"] else []
        return " · ".join([*parts, self._clock(last["at"])])

    def _uncertain(self, one: Document) -> list[str]:
        if not one["uncertain"] or one["state"] == "held":
            return []
        host = one["last"]["host"] or one["destination"] if one["last"] else one["destination"]
        kind = "interrupted" if one["interrupted"] else "queued"
        return [self._words["uncertain"][kind if one["state"] == "queued" else "over"].format(host=host)]

    def _means(self, one: Document) -> list[str]:
        if one["state"] == "held" and not one["reply"]:
            words = self._words["held"]
            why = words.get(one["note"], words["other"])
            return [why.format(destination=one["destination"], note=self.note(one["note"], beside=False))]
        found = one["explanation"]
        if found is None or one["state"] == "delivered":
            return []
        reason = found["reason"]
        known = reason["id"] != "undefined"
        said = [f"{reason['label']}: {reason['text']}"] if known else []
        named = [found[name] for name in ("enhanced", "code") if found[name]]
        said += [f"{each['code']} {each['title']}: {each['summary']}" for each in named[: 0 if known else 2]]
        return said + [found[name] for name in ("message", "mismatch") if found.get(name)]

    def _sure(self, one: Document) -> list[str]:
        found = one["explanation"]
        if found is None or one["state"] == "delivered":
            return []
        if found["reason"]["id"] == "undefined":
            return [self._words["sure"]["digit"]]
        return [self._words["sure"]["rule"].format(confidence=found["confidence"]["label"], rule=found["rule"])]

    def _who(self, one: Document) -> list[str]:
        words, found = self._words["who"], one["explanation"]
        if one["state"] == "held":
            return [words["operator"]]
        if one["state"] == "delivered":
            return []
        if one["by_operator"]:
            return [words["over"]]
        if found is None:
            return [words["client"]] if one["state"] == "queued" else []
        remedy = found["remedy"]
        help_ = f"{remedy['label']}: {remedy['text']}" if remedy["id"] != "none" else ""
        actor = found["actor"]["id"]
        if actor in ("nobody", "client"):
            if one["state"] == "queued":
                return [words[actor]]
            return [help_] if help_ else [words["over"]]
        said = words["other"].format(actor=found["actor"]["label"])
        return [said, help_] if help_ else [said]

    def step(self, step: Document) -> str:
        """One rung of the parameter ladder."""
        words = self._words["steps"]
        parameters = self._vocabulary["language"]["separator"].join(step["parameters"])
        span = self.span(step["waited"])
        said = words.get(step["action"], words["other"])
        said = said.format(parameters=parameters, span=span, action=step["action"])
        if step["reply"] is None:
            return words["remembered"].format(step=said)
        return words["after"].format(step=said, command=step["command"], reply=" ".join(_lines(step["reply"])))

    def _others(self, one: Document, told: int) -> list[str]:
        """Who else waits, beside ``told`` that the headline names."""
        to, found = one["destination"], one["others"]
        others = {name: max(found[name] - told, 0) for name in ("destination", "cause")} | {
            "elsewhere": found["elsewhere"]
        }
        if one["state"] not in _CHOICES:
            return []
        said = []
        if others["cause"]:
            name = "held" if one["state"] == "held" else "cause"
            said.append(self.counted("others", name, others["cause"], destination=to))
        if others["destination"] > others["cause"] and one["state"] == "queued":
            said.append(self.counted("others", "destination", others["destination"], destination=to))
        if others["elsewhere"]:
            name = "held_elsewhere" if one["state"] == "held" else "elsewhere"
            said.append(self.counted("others", name, others["elsewhere"]))
        none = "none_held" if one["state"] == "held" else "none"
        return said or [self._words["others"][none].format(destination=to)]

    # ── what one may do ─────────────────────────────────────────────────────

    def _do(self, why: Document, alike: Sequence[Document]) -> list[str]:
        one = alike[0]
        words, choices = self._words["do"], _CHOICES.get(one["state"], ())
        these = f"{why['id']}{_only(why['recipients'], alike)}"
        commands = [(f"postroad queue {choice} {these}", choice) for choice in choices if choice != "wait"]
        if one["others"]["destination"] >= 1 and _is_name(one["destination"]):
            commands.append((f"postroad queue list --destination {one['destination']}", "list"))
        if one["reply"] and one["state"] != "delivered":
            commands.append((f"postroad explain {_number(one['reply'])}", "explain"))
        cells = max((len(command) for command, _ in commands), default=0)
        said = [f"{command:{cells}}  {words[name]}" for command, name in commands]
        return [words["wait"]] * ("wait" in choices) + said + self._postmaster(one)

    def _postmaster(self, one: Document) -> list[str]:
        """Who to ask when a host refuses parameters for a time, and the time does not end (RFC 5321 section 4.1.1.11)."""
        found = one["explanation"]
        if one["state"] != "queued" or found is None or found["reason"]["id"] != "parameters-refused":
            return []
        words, names = self._words["do"], one["refused_parameters"]
        parameters = self._vocabulary["language"]["separator"].join(names)
        by_mx = one["last"] and one["last"]["route"].startswith("mx")
        if by_mx and _is_name(one["destination"]):
            key = "postmaster" if names else "postmaster_any"
            return [words[key].format(destination=one["destination"], parameters=parameters)]
        if one["last"] and one["last"]["host"]:  # a smarthost, or a host of our own
            key = "host" if names else "host_any"
            return [words[key].format(host=one["last"]["host"], parameters=parameters)]
        return []

    def _joined(self, parts: Iterable[str]) -> str:
        return self._vocabulary["language"]["separator"].join(parts)


def _alike(recipients: Sequence[Document]) -> list[list[Document]]:
    """Recipients in groups that stand alike, in their order."""
    groups: dict[str, list[Document]] = {}
    for one in recipients:
        same = {key: value for key, value in one.items() if key not in ("number", "address", "others")}
        groups.setdefault(repr(sorted(same.items(), key=lambda pair: pair[0])), []).append(one)
    return list(groups.values())


def _only(recipients: Sequence[Document], alike: Sequence[Document]) -> str:
    """The option that keeps a command from the other recipients of the message that wait; empty: there are none.

    Empty as well where no option can tell them apart: what a command would touch is said before it does.
    """
    numbers = {one["number"] for one in alike}
    others = [one for one in recipients if one["state"] in _CHOICES and one["number"] not in numbers]
    if not others:
        return ""
    address, destination = str(alike[0]["address"]), alike[0]["destination"]
    unlike = not any(address.casefold() in one["address"].casefold() for one in others)
    if len(alike) == 1 and unlike and set(address) <= _PLAIN and not address.startswith("-"):
        return f" --to {address}"
    apart = all(one["destination"] != destination for one in others)
    return f" --destination {destination}" if apart and _is_name(destination) else ""


def _ending(one: Document) -> str:
    """Which headline fits."""
    if one["state"] == "queued" and not one["attempts"]:
        return "untried"
    if one["state"] == "failed":
        if one["told"] == "dropped":
            return "dropped"
        return "expired" if one["expired"] else "bounced" if one["by_operator"] else "failed"
    if one["state"] == "delivered" and one["last"] and str(one["last"]["route"]).startswith("maildir:"):
        return "delivered_here"
    return str(one["state"])


def _lines(reply: Document) -> list[str]:
    """A reply as it was said, a line each."""
    head = _number(reply)
    return [f"{head} {text}".rstrip() for text in reply["text"]] or [head]


def _number(reply: Document) -> str:
    return f"{reply['code']} {reply['enhanced']}" if reply["enhanced"] else str(reply["code"])


def _is_name(destination: str) -> bool:
    """Whether it may stand in a command line and an address as it is."""
    return bool(destination) and set(destination) <= _DOMAIN and not destination.startswith("-")
