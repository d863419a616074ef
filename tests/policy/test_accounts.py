"""Passwords: one answer to every failure, the same work for every name, and no flood that matters."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Mapping

import pytest
from argon2 import PasswordHasher, extract_parameters

from postroad.policy import accounts as module
from postroad.policy.accounts import (
    AUTHENTICATION_BUSY,
    AUTHENTICATION_FAILED,
    REMEMBERED_SECONDS,
    Accounts,
    AnyPassword,
    make_hash,
)
from postroad.policy.stages import Decision, Verdict
from postroad.smtp.events import AuthGiven

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASHES = {"kana": CHEAP.hash("correct horse"), "ゆき": CHEAP.hash("パスワード"), "odd": CHEAP.hash(b"nul\x00octets")}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def given(name: str, password: str, authorization_id: str = "") -> AuthGiven:
    return AuthGiven("PLAIN", authorization_id, name, password)


async def settle(decision: Decision) -> Verdict:
    return await decision if isinstance(decision, Awaitable) else decision


def answer(accounts: Accounts, auth: AuthGiven) -> Verdict:
    async def ask() -> Verdict:
        return await settle(accounts.authenticate(auth))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("name", "password", "authorization_id", "right"),
    [
        ("kana", "correct horse", "", True),
        ("kana", "correct horse", "kana", True),
        ("ゆき", "パスワード", "", True),
        ("odd", "nul\x00octets", "", True),
        ("kana", "correct horse", "ゆき", False),
        ("kana", "wrong", "", False),
        ("kana", "", "", False),
        ("kana", "correct horse ", "", False),
        ("KANA", "correct horse", "", False),
        ("nobody", "correct horse", "", False),
        ("", "", "", False),
        ("", "correct horse", "", False),
        ("kana", "\ud800", "", False),
    ],
)
def test_one_reply_for_every_failure(name: str, password: str, authorization_id: str, right: bool) -> None:
    accounts = Accounts(HASHES, Clock())
    assert answer(accounts, given(name, password, authorization_id)) is (None if right else AUTHENTICATION_FAILED)


def test_without_accounts_nobody_comes_in() -> None:
    assert answer(Accounts({}, Clock()), given("kana", "")) is AUTHENTICATION_FAILED


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that were computed."""
    computed: list[str] = []
    really = module._matches

    def note(encoded: str, password: bytes) -> bool:
        computed.append(encoded)
        return really(encoded, password)

    monkeypatch.setattr(module, "_matches", note)
    return computed


def test_an_unknown_name_costs_the_same_hash(hashed: list[str]) -> None:
    accounts = Accounts(HASHES, Clock())
    answer(accounts, given("kana", "wrong"))
    answer(accounts, given("nobody", "wrong"))
    answer(accounts, given("kana", "correct horse", "somebody else"))
    assert len(hashed) == 3
    assert len({repr(extract_parameters(encoded)) for encoded in hashed}) == 1
    assert hashed[1] not in HASHES.values()


def test_the_same_unknown_name_always_meets_the_same_strength(hashed: list[str]) -> None:
    mixed = {f"u{cost}": PasswordHasher(time_cost=cost, memory_cost=8, parallelism=1).hash("x") for cost in (1, 2, 3)}
    accounts = Accounts(mixed, Clock())
    for _ in range(3):
        answer(accounts, given("nobody", "wrong"))
    assert len(set(hashed)) == 1
    for number in range(60):
        answer(accounts, given(f"nobody{number}", "wrong"))
    assert {extract_parameters(encoded).time_cost for encoded in hashed} == {1, 2, 3}


def test_a_right_password_is_remembered_for_some_minutes(hashed: list[str]) -> None:
    clock = Clock()
    accounts = Accounts(HASHES, clock)
    assert answer(accounts, given("kana", "correct horse")) is None
    again = accounts.authenticate(given("kana", "correct horse"))
    assert again is None, "needs no task and no hash"
    assert len(hashed) == 1
    assert answer(accounts, given("kana", "wrong")) is AUTHENTICATION_FAILED
    assert answer(accounts, given("ゆき", "correct horse")) is AUTHENTICATION_FAILED
    clock.now += REMEMBERED_SECONDS
    assert answer(accounts, given("kana", "correct horse")) is None
    assert len(hashed) == 4


def test_what_is_remembered_is_bounded_and_never_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 5)
    many = {f"u{number}": CHEAP.hash(f"secret{number}") for number in range(9)}
    accounts = Accounts(many, Clock())
    for number in range(9):
        assert answer(accounts, given(f"u{number}", f"secret{number}")) is None
    assert len(accounts._remembered) == 5
    assert b"secret" not in b"".join(accounts._remembered)


def test_beyond_the_queue_we_say_454() -> None:
    async def flood() -> list[Verdict]:
        accounts = Accounts({"kana": PasswordHasher(time_cost=1, memory_cost=1024).hash("x")}, Clock(), 1, queue=4)
        decisions = [accounts.authenticate(given("kana", "wrong")) for _ in range(10)]
        assert decisions[4:] == [AUTHENTICATION_BUSY] * 6
        first = [await settle(decision) for decision in decisions]
        assert await settle(accounts.authenticate(given("kana", "x"))) is None, "the queue is free again"
        return first

    assert asyncio.run(flood())[:4] == [AUTHENTICATION_FAILED] * 4


def test_a_session_that_goes_away_frees_its_place() -> None:
    async def leave() -> None:
        accounts = Accounts({"kana": PasswordHasher(time_cost=1, memory_cost=1024).hash("x")}, Clock(), 1, queue=2)
        for _ in range(2):
            decision = accounts.authenticate(given("kana", "wrong"))
            assert inspect.isawaitable(decision)
            task = asyncio.ensure_future(settle(decision))
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0.2)
        assert await settle(accounts.authenticate(given("kana", "x"))) is None

    asyncio.run(leave())


def test_closed_accounts_say_later() -> None:
    accounts = Accounts(HASHES, Clock())
    accounts.close()
    assert answer(accounts, given("kana", "correct horse")) is AUTHENTICATION_BUSY


def test_a_broken_hash_is_a_wrong_password() -> None:
    broken: Mapping[str, str] = {"kana": "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"}
    assert answer(Accounts(broken, Clock()), given("kana", "x")) is AUTHENTICATION_FAILED


def test_a_hash_that_we_make_is_one_that_we_accept() -> None:
    made = make_hash("new password")
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert answer(Accounts({"kana": made}, Clock()), given("kana", "new password")) is None


def test_dev_mode_takes_any_password() -> None:
    assert AnyPassword().authenticate(given("anybody", "anything")) is None
