"""Whatever a host answers: an end comes, everybody is settled once, and what the mail needs is never left out."""

from __future__ import annotations

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from postroad.replies import Reply
from postroad.smtp.mail_transaction import Answer, Stage
from postroad.smtp.negotiation import ContentNeeds, Negotiation, Plan, Verdict, Wanted
from tests.smtp.negotiation_host import BINARY, Host, wanted

CODES = st.sampled_from([421, 450, 451, 452, 455, 500, 501, 503, 504, 550, 552, 554, 555])
STATUS = st.sampled_from(["", "5.4", "5.3", "1.1", "3.2", "2.2", "7.1"])
REPLIES = st.builds(lambda code, status: Reply(code, "x", f"{code // 100}.{status}" if status else None), CODES, STATUS)
#: What a hostile host says next: None is consent.
WHIMS = st.lists(st.none() | REPLIES, min_size=1, max_size=40)
MAILS = st.lists(
    st.sampled_from(["RET=HDRS", "ENVID=q", "AUTH=<>", "MT-PRIORITY=1", "SMTPUTF8", "REQUIRETLS", "BODY=8BITMIME"]),
    unique=True,
).map(" ".join)
RCPTS = st.lists(
    st.sampled_from(["", "NOTIFY=SUCCESS", "NOTIFY=NEVER", "ORCPT=rfc822;x", "NOTIFY=FAILURE ORCPT=rfc822;y"]),
    min_size=1,
    max_size=12,
)
NEEDS = st.builds(ContentNeeds, st.booleans(), st.just(False), st.just(False), st.booleans())


class Whimsical(Host):
    """Goes round its list of whims, for ever."""

    def __init__(self, whims: list[Reply | None]) -> None:
        super().__init__(lambda line: self._next())
        self._whims = whims
        self._place = 0

    def _next(self) -> Reply | None:
        self._place += 1
        return self._whims[self._place % len(self._whims)]


def messages(mail: str, rcpts: list[str], needs: ContentNeeds) -> Wanted:
    return wanted(mail, {f"r{number}": text for number, text in enumerate(rcpts)}, size=9, needs=needs)


def play(negotiation: Negotiation, host: Host, people: int) -> list[Plan]:
    """To the end, which comes soon; nobody who is settled is heard of again."""
    plans: list[Plan] = []
    before: dict[int, Verdict] = {}
    while (plan := negotiation.next_plan()) is not None:
        plans.append(plan)
        assert len(plans) <= people + 25
        assert not set(plan.numbers) & set(negotiation.settled)
        assert len(plan.numbers) == len(set(plan.numbers)) == len(plan.recipients) > 0
        assert 0.0 <= plan.wait <= 30.0
        negotiation.hear(plan, host.play(plan))
        now = {number: settled.verdict for number, settled in negotiation.settled.items()}
        assert {number: now[number] for number in before} == before
        before = now
    assert sorted(negotiation.settled) == list(range(people))
    return plans


@settings(max_examples=400, deadline=None)
@for_all(MAILS, RCPTS, NEEDS, WHIMS, st.booleans(), st.sets(st.sampled_from(["RET", "NOTIFY", "BODY", "SMTPUTF8"])))
def test_an_end_comes(
    mail: str, rcpts: list[str], needs: ContentNeeds, whims: list[Reply | None], adapt: bool, refused: set[str]
) -> None:
    message = messages(mail, rcpts, needs)
    negotiation = Negotiation(message, BINARY, refused=frozenset(refused), adapt=adapt, chunking=len(mail) % 2 == 0)
    host = Whimsical(whims)
    plans = play(negotiation, host, len(rcpts))
    assert len(host.saw) <= 20 * (len(rcpts) + 5)
    for plan in plans:
        said = {parameter.keyword for parameter, _ in plan.parameters}
        assert ("REQUIRETLS" in said) == ("REQUIRETLS" in mail)
        if needs.eight_bit and not needs.recodable:
            assert "BODY" in said
        assert ("BODY" in said or plan.form.name == "SEVEN_BIT") or not needs.eight_bit
    delivered = {number for number, _, _ in host.taken}
    assert delivered == {n for n, settled in negotiation.settled.items() if settled.verdict is Verdict.DELIVERED}
    for number, _, line in host.taken:
        owed = "SUCCESS" in rcpts[number] and "NOTIFY" not in line
        assert negotiation.settled[number].relayed is owed
    assert sum(step.action == "again" for step in negotiation.steps) <= 2 * len(rcpts) if adapt else not plans[2:]


@settings(max_examples=200, deadline=None)
@for_all(MAILS, RCPTS, NEEDS)
def test_a_host_that_only_minds_parameters_gets_all_mail_that_may_go_without(
    mail: str, rcpts: list[str], needs: ContentNeeds
) -> None:
    """It answers 555 to every MAIL and RCPT with a parameter."""
    refusal = Reply(555, "no parameters here", "5.5.4")
    negotiation = Negotiation(messages(mail, rcpts, needs), BINARY)
    host = Host(
        lambda line: refusal if line.startswith(("MAIL ", "RCPT ")) and line.count(" ") > line.startswith("R") else None
    )
    play(negotiation, host, len(rcpts))
    needed = "REQUIRETLS" in mail or (needs.eight_bit and not needs.recodable)
    expected = Verdict.FAILED if needed else Verdict.DELIVERED
    assert {settled.verdict for settled in negotiation.settled.values()} == {expected}


@settings(max_examples=200, deadline=None)
@for_all(RCPTS, st.lists(st.sampled_from(list(Stage)), min_size=1), st.lists(st.none() | REPLIES, min_size=1))
def test_answers_that_fit_no_transaction_do_no_harm(
    rcpts: list[str], stages: list[Stage], replies: list[Reply | None]
) -> None:
    """An answer at any stage with any reply or none, even in an order that no host can bring about."""
    negotiation = Negotiation(messages("RET=HDRS", rcpts, ContentNeeds()), BINARY)
    place = 0
    for _ in range(len(rcpts) + 25):
        plan = negotiation.next_plan()
        if plan is None:
            break
        answers = []
        for _ in plan.numbers:
            place += 1
            answers.append(Answer(stages[place % len(stages)], replies[place % len(replies)], "fault"))
        negotiation.hear(plan, answers)
    assert sorted(negotiation.settled) == list(range(len(rcpts)))
