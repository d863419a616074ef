"""The part of a report that people read: in one language or in several one after the other, plain text without markup.

Whose mail, what happened, who has to act, what to do, then the other server's words as a quotation: what a stranger
wrote is marked as his, cleansed and cut, and decides nothing of the form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from postroad.message.report_advice import advise
from postroad.message.report_facts import Kind, Report, Reported, Returned
from postroad.message.report_octets import cleansed
from postroad.message.report_original import text_field, zone_minutes
from postroad.message.report_wrapping import WIDTH, width, wrap
from postroad.replies import Reply
from postroad.replies.catalogue import catalogue

_MAX_GROUPS: Final = 8
_MAX_ADDRESSES: Final = 20
_MAX_REPLY_LINES: Final = 10
_MAX_REPLY: Final = 1000
_INDENT: Final = "  "
_LITERAL: Final = re.compile(r"`([^`]{0,200})`")
#: Between two languages, and between two answers.
_RULE: Final = "=" * WIDTH
_THIN: Final = "-" * WIDTH

Words = Mapping[str, Mapping[str, str]]


def subject(report: Report) -> str:
    """The text of the Subject field, in the languages of the report."""
    return " / ".join(dict.fromkeys(_subject(report, catalogue().report_words(tag)) for tag in report.languages))


def _subject(report: Report, say: Words) -> str:
    who, others = cleansed(report.recipients[0].address, 100), len(report.recipients) - 1
    named = say["subject"]["more"].format(who=who, count=others) if others else who
    return say["subject"]["double" if report.double else report.kind.value].format(who=named)


def text(report: Report) -> str:
    """The whole text, lines separated by ``\\n``, wrapped by width."""
    sections = [_Section(report, tag).text() for tag in report.languages]
    return f"\n{_RULE}\n\n".join(sections)


class _Section:
    """The text in one language."""

    def __init__(self, report: Report, language: str) -> None:
        self._report = report
        self._language = catalogue().report_language(language)
        self._say: Words = catalogue().report_words(language)
        self._lines: list[str] = []

    def text(self) -> str:
        report = self._report
        many = "many" if len(report.recipients) > 1 else "one"
        opening = "double" if report.double else report.kind.value
        self._paragraph(self._say["opening"][f"{opening}_{many}"].format(hostname=report.hostname))
        self._of_message()
        groups = _grouped(report.recipients)
        for number, group in enumerate(groups[:_MAX_GROUPS]):
            self._group(number, group)
        if left := groups[_MAX_GROUPS:]:
            count = sum(map(len, left))
            self._paragraph(self._say["closing"]["more_groups"].format(count=count))
        self._ending()
        return "\n".join(self._lines)

    # What it is about

    def _of_message(self) -> None:
        report, labels = self._report, self._say["labels"]
        facts = [
            (labels["subject"], text_field(report.original.header, "Subject")),
            (labels["arrived"], self._date(report.arrived_at)),
            (labels["envelope"], cleansed(report.envelope_id, 100)),
        ]
        self._facts([(label, value) for label, value in facts if value])

    def _facts(self, facts: Iterable[tuple[str, str]]) -> None:
        colon = self._say["labels"]["colon"]
        for label, value in facts:
            lead = f"{_INDENT}{label}{colon}"
            self._lines.append(wrap(value, lead, " " * min(width(lead), 20)))
        self._lines.append("")

    def _date(self, seconds: float) -> str:
        minutes = zone_minutes(self._report.original.header)
        try:
            at = datetime.fromtimestamp(seconds, UTC) + timedelta(minutes=minutes)
        except (OverflowError, ValueError, OSError):  # no clock shows such a time
            return ""
        zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}" if minutes else "UTC"
        parts = {"year": f"{at.year}", "zone": zone}
        two = {"month": at.month, "day": at.day, "hour": at.hour, "minute": at.minute}
        return self._say["labels"]["date"].format(**parts, **{name: f"{value:02}" for name, value in two.items()})

    # One answer, and those to whom it was given

    def _group(self, number: int, group: list[Reported]) -> None:
        if number:
            self._lines.append(_THIN)
        self._addresses(group)
        one = group[0]
        if self._report.kind in (Kind.DELIVERED, Kind.RELAYED):
            self._heading("what")
            self._good_news(one)
        else:
            self._bad_news(one)
        self._said(one)

    def _addresses(self, group: list[Reported]) -> None:
        label = self._say["labels"]["recipient"]
        facts = [(label, _named(one)) for one in group[:_MAX_ADDRESSES]]
        if len(group) > _MAX_ADDRESSES:
            count = len(group) - _MAX_ADDRESSES
            facts.append((label, self._say["closing"]["more_recipients"].format(count=count)))
        self._facts(facts)

    def _good_news(self, one: Reported) -> None:
        what = self._say["what"]
        self._paragraph(what["timed" if one.timed else self._report.kind.value], _INDENT)
        if one.dropped:
            self._paragraph(what["dropped"].format(parameters=", ".join(one.dropped)), _INDENT)
            if one.refusal is not None:
                self._quotation(one.refusal)
        if one.silenced:
            self._paragraph(what["silenced"], _INDENT)
        self._heading("who")
        self._paragraph(self._say["who"]["done"], _INDENT)

    def _bad_news(self, one: Reported) -> None:
        advice = advise(self._report.kind, one, self._language)
        self._heading("what")
        self._happened(one, advice.reason, advice.likely)
        names = self._names(one)
        who = "double" if self._report.double else advice.who
        self._heading("who")
        self._paragraph(self._say["who"][who].format(**names), _INDENT)
        own = ("double",) if self._report.double else advice.own_steps
        if "until" in own and one.retry_until is None:
            own = tuple("until_unknown" if name == "until" else name for name in own)
        steps = () if self._report.double else tuple(map(self._unquoted, advice.steps))
        self._heading("do")
        for number, step in enumerate((*(self._say["do"][name].format(**names) for name in own), *steps), 1):
            self._lines.append(wrap(step, f"{_INDENT}{number}. ", " " * 5))
        self._lines.append("")

    def _happened(self, one: Reported, reason: tuple[str, ...], likely: bool) -> None:
        what, sentences = self._say["what"], []
        if one.parameter:
            sentences.append(what["parameter"].format(parameter=one.parameter))
        elif one.expired:
            sentences.append(self._tried("expired"))
        elif self._report.kind is Kind.DELAYED:
            sentences.append(self._tried("trying"))
        elif one.ended:
            sentences += [what["operator"], what["again"]][: 2 if one.earlier else 1]
        if one.reply is None and not one.ended:
            sentences.append(what["local" if one.local else "fault"])
        if not one.parameter and one.reply is not None and (likely or not reason):
            sentences.append(what["likely" if reason else "unknown"])
        self._paragraph(self._say["labels"]["sentences"].join(sentences), _INDENT)
        if reason and not one.parameter and one.reply is not None:
            words = self._unquoted(self._say["labels"]["colon"].join(reason))
            self._paragraph(words, _INDENT * 2 if sentences else _INDENT)
        if one.uncertain:
            failed = self._report.kind is Kind.FAILED
            self._paragraph(what["uncertain_failed" if failed else "uncertain"], _INDENT)

    def _tried(self, which: str) -> str:
        report = self._report
        begun = report.arrived_at if report.released_at is None else report.released_at
        return self._say["what"][which].format(time=self._time(report.now - begun))

    def _time(self, seconds: float) -> str:
        say, minutes = self._say["time"], max(1, round(seconds / 60))
        if minutes < 120:
            return say["minute" if minutes == 1 else "minutes"].format(count=minutes)
        if minutes < 72 * 60:
            return say["hours"].format(count=round(minutes / 60))
        return say["days"].format(count=round(minutes / 1440))

    def _names(self, one: Reported) -> dict[str, str]:
        theirs = f"postmaster@{cleansed(one.address.rpartition('@')[2], 255)}"
        until = "" if one.retry_until is None else self._date(one.retry_until)
        postmaster = theirs if one.parameter else self._report.postmaster
        return {"postmaster": postmaster, "parameter": one.parameter, "until": until}

    # Their words

    def _said(self, one: Reported) -> None:
        if one.reply is not None:
            self._heading("noted" if one.own else "said")
            self._paragraph(self._introduced(one), _INDENT)
            self._quotation(one.reply)
        if one.note and (one.reply is None or one.ended):
            self._heading("noted")
            self._quote([one.note])

    def _introduced(self, one: Reported) -> str:
        said = self._say["said"]
        if one.own:
            return said["own"]
        if not one.host:
            return said["remote_unknown"]
        stage = cleansed(one.stage, 20)
        command = catalogue().vocabulary(self._language)["commands"].get(stage, stage)
        return said["remote"].format(host=cleansed(one.host, 200), command=command)

    def _quotation(self, reply: Reply) -> None:
        status = f"{reply.enhanced} " if reply.enhanced is not None else ""
        self._quote([f"{reply.code} {status}{line}" for line in reply.lines])

    def _quote(self, lines: list[str]) -> None:
        left = _MAX_REPLY
        for line in lines[:_MAX_REPLY_LINES]:
            if left > 0:
                self._lines.append(wrap(cleansed(line, left), f"{_INDENT}> "))
            left -= len(line)
        if left <= 0 or len(lines) > _MAX_REPLY_LINES:
            self._lines.append(f"{_INDENT}> {self._say['said']['cut']}")
        self._lines.append("")

    # The end

    def _ending(self) -> None:
        report, attached = self._report, self._say["attached"]
        which = report.original.returned.value
        if report.double and report.original.returned is Returned.HEADER:
            which = "double"
        size = max(1, round(report.original.size / 1024))
        self._heading("attached")
        sentences = (attached[which].format(size=size), attached["technical"])
        self._paragraph(self._say["labels"]["sentences"].join(sentences), _INDENT)
        names = {"hostname": report.hostname, "postmaster": report.postmaster, "id": report.message_id}
        self._lines.append(wrap(self._say["closing"]["sender"].format(**names)))
        self._lines.append("")

    # Form

    def _heading(self, name: str) -> None:
        self._lines.append(self._say["headings"][name])

    def _paragraph(self, sentence: str, indent: str = "") -> None:
        if sentence:
            self._lines += [wrap(sentence, indent), ""]

    def _unquoted(self, sentence: str) -> str:
        """The catalogue marks literals with backticks; mail has no such marks."""
        quote = self._say["labels"]["quote"]
        quoted = _LITERAL.sub(lambda found: quote.format(text=found[1]), sentence)
        opening, closing = quote.split("{text}")
        if self._say["labels"]["sentences"]:
            return quoted
        return quoted.replace(f" {opening}", opening).replace(f"{closing} ", closing)  # Japanese puts no blanks there


def _named(one: Reported) -> str:
    """The address, and the one that the sender wrote when that was another (RFC 3461 section 4.2)."""
    address = cleansed(one.address, 320)
    if one.original is not None and one.original.address_type.lower() in ("rfc822", "utf-8"):
        original = cleansed(one.original.address, 320)
        if original.lower() != address.lower() and "\\x{" not in original:
            return f"{original} ({address})"
    return address


def _grouped(recipients: Iterable[Reported]) -> list[list[Reported]]:
    """Recipients to whom the same is to be said, in their order."""
    groups: dict[tuple[object, ...], list[Reported]] = {}
    for one in recipients:
        domain = one.address.rpartition("@")[2] if one.parameter else ""
        facts = (
            one.reply,
            one.host,
            one.own,
            one.cause,
            one.stage,
            one.note,
            one.earlier,
            one.ended,
            one.expired,
            one.uncertain,
        )
        key = (*facts, one.retry_until, one.dropped, one.timed, one.silenced, one.refusal, one.parameter, domain)
        groups.setdefault(key, []).append(one)
    return list(groups.values())
