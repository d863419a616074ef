"""A host for negotiations without octets: it answers each command of a plan and keeps what it saw, a line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from postroad.address import Mailbox
from postroad.replies import Reply
from postroad.smtp.commands import read_parameters
from postroad.smtp.fitting import WISHES
from postroad.smtp.mail_transaction import Answer, Stage
from postroad.smtp.negotiation import ContentNeeds, Form, Negotiation, Plan, Wanted
from postroad.smtp.parameters import Given, Traits
from postroad.smtp.states import Verb

#: What a modern host announces.
ALL = dict.fromkeys(
    (
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        "SMTPUTF8",
        "DSN",
        "AUTH",
        "MT-PRIORITY",
        "DELIVERBY",
        "REQUIRETLS",
        "FUTURERELEASE",
    ),
    "",
)
BINARY = {**ALL, "CHUNKING": "", "BINARYMIME": ""}
KANA = Mailbox("kana", "example.net")
EIGHT_BIT = ContentNeeds(eight_bit=True)
SIGNED = ContentNeeds(eight_bit=True, recodable=False)

#: Hears a line (``MAIL RET=HDRS``, ``RCPT bob NOTIFY=NEVER``, ``DATA``, ``.``); None: the host is content with it.
Judge = Callable[[str], Reply | None]


def given(text: str, command: Verb) -> Given:
    """Parameters as a sender wrote them."""
    found = read_parameters(f" {text}" if text else "", command, WISHES, Traits(True, True, True, True))
    assert not isinstance(found, Reply), found
    return found


def wanted(
    mail: str = "",
    rcpt: Mapping[str, str] | Sequence[str] = ("bob",),
    *,
    size: int = 0,
    needs: ContentNeeds = ContentNeeds(),
    sender: Mailbox | None = KANA,
) -> Wanted:
    """A message: ``rcpt`` is local part -> parameters, or local parts."""
    named = rcpt if isinstance(rcpt, Mapping) else dict.fromkeys(rcpt, "")
    people = {
        number: (Mailbox(name.partition("@")[0], name.partition("@")[2] or "example.com"), given(text, Verb.RCPT))
        for number, (name, text) in enumerate(named.items())
    }
    return Wanted(sender, given(mail, Verb.MAIL), people, size, needs)


class Host:
    """Plays plans; ``saw`` is what it heard, a transaction after the other."""

    def __init__(self, judge: Judge = lambda line: None, *, room: int = 1000) -> None:
        self.saw: list[str] = []
        self.transactions = 0
        self.taken: list[tuple[int, str, str]] = []
        """Recipient number, the MAIL and the RCPT that its mail was taken with."""
        self._judge = judge
        self._room = room

    def play(self, plan: Plan) -> list[Answer]:
        """One transaction."""
        self.transactions += 1
        if plan.wait:
            self.saw.append(f"({plan.wait:g} s later)")
        mail = self._line("MAIL" if plan.reverse_path is not None else "MAIL <>", plan.parameters)
        refused = self._hear(mail)
        if refused is not None:
            return [Answer(Stage.MAIL, refused)] * len(plan.numbers)
        answers: list[Answer | None] = []
        lines = []
        for path, parameters in plan.recipients:
            lines.append(self._line(f"RCPT {path.local_part}", parameters))
            refused = self._hear(lines[-1])
            if refused is None and answers.count(None) >= self._room:
                refused = Reply(452, "too many", "4.5.3")
            answers.append(None if refused is None else Answer(Stage.RCPT, refused))
        if None not in answers:
            return [answer for answer in answers if answer is not None]
        rest = self._content(plan)
        if rest.accepted:
            self.taken += [
                (number, mail, line)
                for number, line, answer in zip(plan.numbers, lines, answers, strict=True)
                if answer is None
            ]
        return [rest if answer is None else answer for answer in answers]

    def _content(self, plan: Plan) -> Answer:
        refused = self._hear("BDAT" if plan.bdat else "DATA")
        if refused is not None:
            return Answer(Stage.DATA, refused)
        refused = self._hear("." if plan.form is Form.AS_IS else ". 7-bit")
        return Answer(Stage.CONTENT, refused if refused is not None else Reply(250, "taken"))

    def _hear(self, line: str) -> Reply | None:
        self.saw.append(line)
        return self._judge(line)

    @staticmethod
    def _line(command: str, parameters: Given) -> str:
        return f"{command} {parameters}" if len(parameters) else command


def talk(negotiation: Negotiation, host: Host, most: int = 5000) -> list[Plan]:
    """Until everybody is settled; gives the plans."""
    plans = []
    while (plan := negotiation.next_plan()) is not None:
        plans.append(plan)
        assert len(plans) <= most, "no end"
        negotiation.hear(plan, host.play(plan))
    return plans


def refuses(reply: Reply, *keywords: str, at: str = "", times: int = 1_000_000) -> Judge:
    """Answers ``reply`` to lines that carry one of ``keywords`` (none: to any), ``times`` times; ``at``: the command."""
    left = times

    def judge(line: str) -> Reply | None:
        nonlocal left
        words = [word.partition("=")[0] for word in line.split(" ")]
        if left and words[0] == (at or words[0]) and (not keywords or any(k in words[1:] for k in keywords)):
            left -= 1
            return reply
        return None

    return judge
