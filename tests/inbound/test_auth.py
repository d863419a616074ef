"""AUTH: who is let in, what is counted, what a session knows afterwards, and that no secret is written down."""

from __future__ import annotations

import base64
from collections.abc import Awaitable

import pytest

from postroad.inbound.passwords import Passwords
from postroad.policy.accounts import AUTHENTICATION_BUSY, AUTHENTICATION_FAILED
from postroad.policy.stages import Decision, SessionFacts, Verdict
from postroad.smtp.events import AuthGiven
from tests.inbound.house import REFUSED, Gate, House, Scripted, looped, settle
from tests.inbound.wires import BODY, TRANSACTION, Line

SECRET = "correct horse"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = f"AUTH PLAIN {encoded(f'{chr(0)}kana{chr(0)}{SECRET}')}"
WRONG = f"AUTH PLAIN {encoded(f'{chr(0)}kana{chr(0)}wrong horse')}"
LOGIN = ("AUTH LOGIN", encoded("kana"), encoded(SECRET))


class Door:
    """An authenticator that knows one secret, and the count of wrong ones."""

    def __init__(self, gate: Gate | None = None, busy: bool = False) -> None:
        self.gate = gate
        self.busy = busy
        self.failed: list[str] = []
        self.asked: list[AuthGiven] = []

    def authenticate(self, auth: AuthGiven) -> Decision:
        self.asked.append(auth)
        if self.gate is None:
            return self._judge(auth)
        return self._later(self.gate(), auth)

    async def _later(self, opened: Awaitable[Verdict], auth: AuthGiven) -> Verdict:
        await opened
        return self._judge(auth)

    def _judge(self, auth: AuthGiven) -> Verdict:
        if self.busy:
            return AUTHENTICATION_BUSY
        return None if auth.password == SECRET else AUTHENTICATION_FAILED

    def auth_failed(self, facts: SessionFacts) -> None:
        self.failed.append(facts.id)


async def at_the_door(door: Door, *before: Scripted, **changes: object) -> Line:
    house = House(*before, Passwords(door, door), auth_in_clear_on_loopback=True, **changes)  # type: ignore[arg-type]
    line = Line(house, peer=("127.0.0.1", 4321))
    await line.ask("EHLO client.example")
    return line


@pytest.mark.parametrize("sent", [(PLAIN,), ("AUTH PLAIN", PLAIN.split()[2]), LOGIN], ids=["plain", "334", "login"])
@pytest.mark.parametrize("awaited", [False, True], ids=["at once", "awaited"])
@looped
async def test_who_knows_the_secret_is_let_in(sent: tuple[str, ...], awaited: bool) -> None:
    gate = Gate() if awaited else None
    door = Door(gate)
    line = await at_the_door(door)
    codes = [await line.ask(one) for one in sent]
    if gate is not None:
        assert codes.pop() == []
        assert line.connection.facts.account == ""
        await gate.open()
        codes.append(line.codes())
    assert codes == [["334"]] * (len(sent) - 1) + [["235"]]
    assert line.connection.facts.account == "kana"
    assert door.failed == []
    await line.ask(*TRANSACTION, "DATA")
    await line.ask(BODY + b".\r\n")
    [draft] = line.house.spool.drafts
    assert draft.origin.account == "kana"
    assert b" with ESMTPA id " in draft.prefix
    assert b"kana" not in draft.prefix.partition(b" by ")[2].replace(b"kana@", b"")  # whom it was stays with us


@pytest.mark.parametrize("awaited", [False, True], ids=["at once", "awaited"])
@looped
async def test_who_does_not_is_counted_and_may_try_again(awaited: bool) -> None:
    gate = Gate() if awaited else None
    door = Door(gate)
    line = await at_the_door(door)
    for _ in range(2):
        line.say(WRONG)
        if gate is not None:
            await gate.open()
        assert line.codes() == ["535"]
    assert door.failed == [line.connection.facts.id] * 2
    assert line.connection.facts.account == ""
    line.say(PLAIN)
    if gate is not None:
        await gate.open()
    assert line.codes() == ["235"]
    assert len(door.failed) == 2


@looped
async def test_a_busy_door_is_no_wrong_password() -> None:
    door = Door(busy=True)
    line = await at_the_door(door)
    assert await line.ask(PLAIN) == ["454"]
    assert door.failed == []


@looped
async def test_a_policy_before_the_door_spares_it() -> None:
    door = Door()
    line = await at_the_door(door, Scripted(auth=REFUSED))
    assert await line.ask(PLAIN) == ["550"]
    assert (door.asked, door.failed) == ([], [])


@looped
async def test_a_door_that_fails_lets_nobody_in() -> None:
    door = Door(Gate())
    line = await at_the_door(door)
    line.say(PLAIN)
    await door.gate.open(OSError("no memory"))  # type: ignore[union-attr]
    assert line.codes() == ["451"]
    assert line.connection.facts.account == ""
    assert door.failed == []


@looped
async def test_in_clear_only_for_loopback_and_only_when_told_so() -> None:
    for peer, allowed, code in [
        ("127.0.0.1", True, "235"),
        ("::1", True, "235"),
        ("::ffff:127.0.0.1", True, "235"),
        ("127.0.0.1", False, "538"),
        ("192.0.2.1", True, "538"),
        ("", True, "538"),
    ]:
        house = House(Passwords(Door(), Door()), auth_in_clear_on_loopback=allowed)
        line = Line(house, peer=(peer, 4321))
        line.say("EHLO x")
        assert ("AUTH PLAIN LOGIN" in line.heard()) == (code == "235")
        assert await line.ask(PLAIN) == [code]


@looped
async def test_an_exchange_that_is_cancelled() -> None:
    door = Door()
    line = await at_the_door(door)
    assert await line.ask("AUTH LOGIN") == ["334"]
    assert await line.ask("*") == ["501"]
    assert door.asked == []
    assert await line.ask(PLAIN) == ["235"]


@pytest.mark.parametrize("sent", [(PLAIN,), (WRONG,), LOGIN, (*LOGIN[:2], encoded("wrong horse"))], ids=str)
@looped
async def test_no_secret_is_written_down(sent: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    """Neither in a message's transcript, nor in the session's, nor in a log."""
    caplog.set_level("DEBUG")
    line = await at_the_door(Door(), keep_transcripts=True)
    for one in sent:
        await line.ask(one)
    await line.ask(*TRANSACTION, "DATA")
    await line.ask(BODY + b".\r\n")
    await line.ask("QUIT")
    await settle()
    [record], [draft] = line.house.records, line.house.spool.drafts
    written = "\n".join((record.transcript, draft.transcript, caplog.text, *record.refusals))
    assert "AUTH" in record.transcript
    for secret in (SECRET, "wrong horse"):
        for word in (secret, encoded(secret), encoded(f"\0kana\0{secret}")):
            assert word not in written
    assert repr(Door) and "horse" not in repr(AuthGiven("PLAIN", "", "kana", SECRET))
