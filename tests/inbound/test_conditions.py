"""Conditions reach every session at its next command, whoever changes them; and what they refuse is counted and logged."""

from __future__ import annotations

import pytest

from postroad.inbound.reception import ConditionsNow
from postroad.policy.conditions import ConditionsBoard
from tests.inbound.house import Board, Gate, HandClock, House, Scripted, looped
from tests.inbound.wires import TRANSACTION, greeted

UTF8 = "MAIL FROM:<a@b.example> SMTPUTF8"
EIGHT = "MAIL FROM:<a@b.example> BODY=8BITMIME"
BINARY = "MAIL FROM:<a@b.example> BODY=BINARYMIME"


@looped
async def test_a_switch_is_felt_at_once_by_running_sessions(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "postroad.inbound")
    house = House()
    first, second = await greeted(house), await greeted(house)
    assert await first.ask(UTF8, "RSET") == ["250", "250"]
    house.board.set("SMTPUTF8")
    assert await first.ask(UTF8) == ["455"]
    assert await second.ask(UTF8) == ["455"]
    assert await second.ask("MAIL FROM:<a@b.example>", "RSET") == ["250", "250"]
    house.board.set()
    assert await first.ask(UTF8) == ["250"]
    assert house.board.counted == ["SMTPUTF8", "SMTPUTF8"]
    logged = [record.fields for record in caplog.records if record.msg == "parameter refused for a time"]  # type: ignore[attr-defined]
    assert [one["session"] for one in logged] == [first.connection.facts.id, second.connection.facts.id]
    assert logged[0]["parameter"] == "SMTPUTF8"
    assert logged[0]["command"] == "MAIL"
    assert logged[0]["peer"] == "192.0.2.1"
    assert logged[0]["reply"].startswith("455 4.5.4 ")


@looped
async def test_a_switch_that_is_thrown_while_commands_wait() -> None:
    gate = Gate()
    house = House(Scripted(hello=gate))
    line = await greeted(house)
    await gate.open()
    line.heard()
    line.say("EHLO again.example", UTF8)
    house.board.set("SMTPUTF8")
    await gate.open()
    assert line.codes() == ["250", "455"]


@looped
async def test_one_value_only() -> None:
    house = House()
    house.board.set("BODY=BINARYMIME")
    line = await greeted(house)
    assert await line.ask(BINARY, EIGHT) == ["455", "250"]
    assert house.board.counted == ["BODY"]


@looped
async def test_parameters_of_rcpt_too() -> None:
    house = House()
    house.board.set("NOTIFY")
    line = await greeted(house, TRANSACTION[0])
    assert await line.ask("RCPT TO:<bob@example.net> NOTIFY=NEVER") == ["455"]
    assert await line.ask(TRANSACTION[1]) == ["250"]
    assert house.board.counted == ["NOTIFY"]


@looped
async def test_want_of_room_is_counted_too() -> None:
    house = House()
    house.reception.conditions.measure(100, 25_000_000)
    line = await greeted(house)
    assert await line.ask("MAIL FROM:<a@b.example> SIZE=101") == ["452"]
    house.reception.conditions.measure(0, 25_000_000)
    assert await line.ask("MAIL FROM:<a@b.example>") == ["452"]
    house.reception.conditions.measure(None, 25_000_000)
    assert await line.ask("MAIL FROM:<a@b.example> SIZE=101") == ["250"]
    assert house.board.counted == ["SIZE"]


@looped
async def test_a_real_board_whose_time_runs_out() -> None:
    clock = HandClock()
    board = ConditionsBoard(clock)
    house = House(conditions=ConditionsNow(board, 0))
    line = await greeted(house)
    board.set("SMTPUTF8", "under repair", seconds=60)
    assert await line.ask(UTF8) == ["455"]
    assert [(one.parameter, one.refused) for one in board.list()] == [("SMTPUTF8", 1)]
    clock.now += 60
    assert await line.ask(UTF8) == ["250"]


def test_a_value_is_made_anew_only_when_something_changed() -> None:
    board = Board()
    now = ConditionsNow(board, 1000)
    first = now.current
    assert now.renew() is first
    now.measure(None, 1000)
    assert now.current is first
    now.measure(500, 1000)
    assert (now.current.free_octets, now.current.size_limit) == (500, 1000)
    second = now.renew()
    assert second is now.current
    board.set("SIZE")
    third = now.renew()
    assert (third.free_octets, third.size_limit, dict(third.unavailable)) == (500, 1000, {"SIZE": "a test"})
    now.measure(400, 1000)
    assert dict(now.current.unavailable) == {"SIZE": "a test"}
    assert now.renew() is now.current
