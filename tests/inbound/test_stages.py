"""Every stage and every verdict: passed, refused, delayed, cut off, awaited, and a policy that fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from postroad.policy.stages import Act, Verdict
from postroad.replies import Reply
from tests.inbound.conftest import Run
from tests.inbound.house import REFUSED, Gate, House, Scripted, looped, settle, until
from tests.inbound.wires import BODY, TRANSACTION, Line, calling

PLAIN_KANA = "AUTH PLAIN AGthbmEAc2VjcmV0"
EHLO = "EHLO client.example"


@dataclass(frozen=True)
class Stage:
    """How a session comes to a stage, and what is said when it passes."""

    name: str
    before: tuple[str | bytes, ...]
    at: tuple[str | bytes, ...]
    passed: str

    def __str__(self) -> str:
        return self.name


CONTENT = BODY + b".\r\n"
STAGES = [
    Stage("hello", (), (EHLO,), "250"),
    Stage("auth", (EHLO,), (PLAIN_KANA,), "235"),
    Stage("sender", (EHLO,), (TRANSACTION[0],), "250"),
    Stage("recipient", (EHLO, TRANSACTION[0]), (TRANSACTION[1],), "250"),
    Stage("content", (EHLO, *TRANSACTION), ("DATA",), "354"),
    Stage("message", (EHLO, *TRANSACTION, "DATA"), (CONTENT,), "250"),
    Stage("message", (EHLO, *TRANSACTION), (f"BDAT {len(BODY)} LAST", BODY), "250"),
]
each_stage = pytest.mark.parametrize("stage", STAGES, ids=str)


async def at(stage: Stage, *policies: Scripted, **more: object) -> Line:
    """A line whose next command meets the stage."""
    house = House(*policies, auth_in_clear_on_loopback=True, **more)  # type: ignore[arg-type]
    line = Line(house, peer=("127.0.0.1", 4321))
    for one in stage.before:
        await line.ask(one)
    line.heard()
    return line


@each_stage
@looped
async def test_pass(stage: Stage) -> None:
    policy = Scripted()
    line = await at(stage, policy)
    assert await line.ask(*stage.at) == [stage.passed]
    assert policy.asked.count(stage.name) == 1
    assert line.connection._task is None


@each_stage
@looped
async def test_passing_costs_no_task_and_one_write(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    line = await at(stage, Scripted(), Scripted())
    before, tasks = len(line.wire.writes), asyncio.all_tasks()
    with monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "create_task", None)
        assert await line.ask(*stage.at) == [stage.passed]
    assert len(line.wire.writes) == before + 1
    assert asyncio.all_tasks() == tasks


@each_stage
@pytest.mark.parametrize("verdict", [REFUSED, Act(REFUSED)], ids=["reply", "act"])
@looped
async def test_refuse(stage: Stage, verdict: Verdict) -> None:
    line = await at(stage, Scripted(**{stage.name: verdict}))
    assert await line.ask(*stage.at) == ["550"]
    assert await line.ask("NOOP") == ["250"]
    assert line.house.spool.open == 0
    assert await line.house.contents() == []


@each_stage
@looped
async def test_refuse_now_and_pass_later(stage: Stage) -> None:
    """The session stands where it stood: asked again, it goes on."""
    verdicts: list[Verdict] = [REFUSED, None]
    line = await at(stage, Scripted(**{stage.name: lambda *given: verdicts.pop(0)}))
    assert await line.ask(*stage.at) == ["550"]
    again = stage.at if stage.name != "message" else (*TRANSACTION, "DATA", CONTENT)
    for one in again[:-1] if stage.name == "message" else ():
        await line.ask(one)
    assert await line.ask(again[-1] if stage.name == "message" else again[0]) == [stage.passed]


@each_stage
@looped
async def test_an_act_that_does_nothing_passes(stage: Stage) -> None:
    line = await at(stage, Scripted(**{stage.name: Act()}))
    assert await line.ask(*stage.at) == [stage.passed]


@each_stage
@pytest.mark.parametrize("reply", [None, REFUSED], ids=["pass", "refuse"])
@looped
async def test_delay(stage: Stage, reply: Reply | None) -> None:
    line = await at(stage, Scripted(**{stage.name: Act(reply, delay=0.02)}))
    assert await line.ask(*stage.at) == []
    await until(lambda: line.connection.engine.awaiting is None)
    await settle()
    assert line.codes() == [stage.passed if reply is None else "550"]


@each_stage
@pytest.mark.parametrize("awaited", [False, True], ids=["at once", "awaited"])
@pytest.mark.parametrize("reply", [None, REFUSED], ids=["silent", "said"])
@looped
async def test_close(stage: Stage, reply: Reply | None, awaited: bool) -> None:
    gate = Gate()
    verdict = Act(reply, close=True)
    line = await at(stage, Scripted(**{stage.name: gate if awaited else verdict}))
    line.say(*stage.at)
    if awaited:
        await gate.open(verdict)
    await settle()
    assert line.codes() == ([] if reply is None else ["550"])
    assert line.is_gone
    assert line.house.spool.open == 0
    assert line.house.counts.gone == [line.connection.facts.id]


@each_stage
@looped
async def test_delay_then_close(stage: Stage) -> None:
    line = await at(stage, Scripted(**{stage.name: Act(REFUSED, delay=0.01, close=True)}))
    line.say(*stage.at)
    await until(lambda: line.is_gone)
    assert line.codes() == ["550"]


@pytest.mark.parametrize(
    "stage", [one for one in STAGES if isinstance(one.at[-1], str) and one.at != ("DATA",)], ids=str
)
@looped
async def test_what_is_pipelined_behind_a_close_is_not_obeyed(stage: Stage) -> None:
    """The peer hears no reply to it, so nothing of it may happen: above all no mail may be accepted twice."""
    asked = ("RSET", *TRANSACTION, f"BDAT {len(BODY)} LAST", BODY)
    verdicts = {stage.name: lambda *given: Act(REFUSED, close=True)}
    policy = Scripted(**verdicts)
    line = await at(stage, policy)
    asked_before = len(policy.asked)
    line.say(b"".join(one if isinstance(one, bytes) else one.encode() + b"\r\n" for one in (*stage.at, EHLO, *asked)))
    await settle()
    assert line.codes() == ["550"]
    assert len(policy.asked) == asked_before + 1
    assert await line.house.contents() == []


@each_stage
@pytest.mark.parametrize("verdict", [None, REFUSED], ids=["pass", "refuse"])
@looped
async def test_an_awaited_verdict(stage: Stage, verdict: Verdict) -> None:
    gate = Gate()
    line = await at(stage, Scripted(**{stage.name: gate}))
    assert await line.ask(*stage.at) == []
    assert line.seconds_left == float("inf")  # our own decision has no deadline
    await gate.open(verdict)
    assert line.codes() == [stage.passed if verdict is None else "550"]
    assert line.connection._task is None
    assert line.seconds_left == 300
    assert line.house.spool.open == (1 if stage.passed == "354" and verdict is None else 0)


@each_stage
@pytest.mark.parametrize("awaited", [False, True], ids=["at once", "awaited"])
@looped
async def test_a_policy_that_fails(stage: Stage, awaited: bool, caplog: pytest.LogCaptureFixture) -> None:
    """451 with a number that stands in the log with the traceback; the session goes on."""
    gate = Gate()
    line = await at(stage, Scripted(**{stage.name: gate if awaited else ZeroDivisionError("a bug")}))
    line.say(*stage.at)
    if awaited:
        await gate.open(ZeroDivisionError("a bug"))
    reply = line.heard()
    assert reply.startswith("451 4.3.0 ")
    [incident] = [record for record in caplog.records if record.msg == "incident"]
    fields = incident.fields  # type: ignore[attr-defined]
    assert f"(incident {fields['number']})" in reply
    assert fields["session"] == line.connection.facts.id
    assert incident.exc_info is not None
    assert incident.exc_info[0] is ZeroDivisionError
    assert line.house.spool.open == 0
    assert await line.ask("NOOP") == ["250"]
    assert await line.house.contents() == []


@each_stage
@looped
async def test_the_client_goes_while_we_decide(stage: Stage) -> None:
    gate = Gate()
    line = await at(stage, Scripted(**{stage.name: gate}))
    await line.ask(*stage.at)
    line.wire.lose(ConnectionResetError())
    await settle()
    assert gate.waiting[0].cancelled()
    assert line.is_gone
    assert line.house.spool.open == 0
    assert await line.house.contents() == []
    assert line.house.counts.gone == [line.connection.facts.id]


# --- several policies


@each_stage
@looped
async def test_policies_are_asked_in_order_and_the_first_verdict_wins(stage: Stage) -> None:
    log: list[tuple[str, str]] = []
    second = Reply(553, "The second says no", "5.7.1")
    third = Reply(554, "The third says no", "5.7.1")
    policies = [
        Scripted("a", log),
        Scripted("b", log, **{stage.name: second}),
        Scripted("c", log, **{stage.name: third}),
    ]
    line = await at(stage, *policies)
    log.clear()
    assert await line.ask(*stage.at) == ["553"]
    asked = [name for name, where in log if where == stage.name]
    assert asked == ["a", "b"]


@looped
async def test_awaiting_policies_follow_each_other() -> None:
    first, second, log = Gate(), Gate(), []  # type: ignore[var-annotated]
    line = Line(
        House(
            Scripted("a", log, sender=first),
            Scripted("b", log, sender=Act(delay=0)),
            Scripted("c", log, sender=second),
            Scripted("d", log, sender=REFUSED),
            Scripted("e", log),
        )
    )
    await line.ask(EHLO)
    log.clear()
    assert await line.ask(TRANSACTION[0]) == []
    assert log == [("a", "sender")]
    await first.open()
    assert [name for name, _ in log] == ["a", "b", "c"]
    assert line.codes() == []
    await second.open()
    assert line.codes() == ["550"]
    assert [name for name, _ in log] == ["a", "b", "c", "d"]


@looped
async def test_a_coroutine_is_as_good_as_a_future() -> None:
    async def later(verdict: Verdict) -> Verdict:
        await asyncio.sleep(0)
        return verdict

    line = Line(House(Scripted(sender=lambda *given: later(None), recipient=lambda *given: later(REFUSED))))
    await line.ask(EHLO)
    assert await line.ask(*TRANSACTION) == ["250", "550"]


@looped
async def test_an_awaited_act_may_delay_too() -> None:
    gate = Gate()
    line = Line(House(Scripted(sender=gate)))
    await line.ask(EHLO)
    await line.ask(TRANSACTION[0])
    await gate.open(Act(REFUSED, delay=0.02))
    assert line.codes() == []
    await until(lambda: line.codes() == ["550"])


# --- pipelining


@looped
async def test_pipelined_commands_wait_for_the_decision_and_keep_their_order() -> None:
    gate = Gate()
    line = Line(House(Scripted(sender=gate, recipient=gate)))
    await line.ask(EHLO)
    before = len(line.wire.writes)
    group = (TRANSACTION[0], "RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>", "NOOP", "VRFY x", "QUIT")
    assert await line.ask("".join(f"{one}\r\n" for one in group).encode()) == []
    await gate.open()
    assert line.codes() == ["250"]
    await gate.open(REFUSED)
    assert line.codes() == ["550"]
    await gate.open()
    assert line.codes() == ["250", "250", "252", "221"]
    assert len(line.wire.writes) == before + 3  # what a decision set free leaves in one piece


@looped
async def test_replies_of_one_batch_are_written_once() -> None:
    line = Line(House(Scripted()))
    await line.ask(EHLO)
    before = len(line.wire.writes)
    group = [*TRANSACTION, *(f"RCPT TO:<r{n}@example.net>" for n in range(50)), "DATA"]
    assert await line.ask("".join(f"{one}\r\n" for one in group).encode()) == ["250"] * 52 + ["354"]
    assert len(line.wire.writes) == before + 1


def test_over_the_wire_too(run: Run) -> None:
    async def work() -> None:
        gate = Gate()
        async with calling(House(Scripted(recipient=gate, message=gate))) as called:
            caller = await called.greeted()
            caller.say(*TRANSACTION, "RCPT TO:<c@example.net>", "DATA")
            assert (await caller.hear())[:3] == "250"
            await until(lambda: gate.waiting)
            await gate.open()
            assert (await caller.hear())[:3] == "250"
            await until(lambda: gate.waiting)
            await gate.open(REFUSED)
            assert (await caller.hear())[:3] == "550"
            assert (await caller.hear())[:3] == "354"
            caller.say(BODY + b".\r\n", "QUIT")
            await until(lambda: gate.waiting)
            await gate.open()
            assert (await caller.hear())[:3] == "250"
            assert (await caller.hear())[:3] == "221"
            assert await caller.rest() == b""
            assert len(await called.house.contents()) == 1

    run(work())
