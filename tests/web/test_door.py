"""The door's parts: tokens of programs, the limiter, the metrics, and which Host and Origin are ours."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.admin.tokens import Tokens
from postroad.errors import PostroadError
from postroad.web.door.entry import Everybody
from postroad.web.door.guard import Guard, origin_of
from postroad.web.door.limiter import FREE_FOR_CLIENT, MOST_FOR_CLIENT, MOST_FOR_LOOPBACK, MOST_FOR_NAME, Limiter, Try
from postroad.web.door.people import Role
from postroad.web.problems import Refusal
from tests.web.house import House
from tests.web.test_sign_in import PEOPLE, SetClock

Run = Callable[..., None]
API = "/api/v1"


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


# ── tokens ──────────────────────────────────────────────────────────────────


def test_a_token_is_made_used_and_removed_over_the_api(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "ann")
        made = await client.post(f"{API}/tokens", json={"name": "ci", "role": "operator", "days": 1})
        assert made.status_code == 201
        secret = made.json()["secret"]
        assert (await client.post(f"{API}/tokens", json={"name": "ci", "role": "viewer"})).status_code == 400
        async with house.client(headers=bearer(secret)) as program:
            assert (await program.put(f"{API}/conditions/SIZE", json={"available": False})).status_code == 200
            more = await program.post(f"{API}/tokens", json={"name": "own", "role": "operator"})
            assert (more.status_code, "makes no tokens" in more.text) == (403, True)
            form = await program.post("/conditions/set", data={"parameter": "SIZE", "minutes": "", "why": ""})
            assert form.status_code == 403  # forms always need the mark of a page
            (row,) = (await program.get(f"{API}/tokens")).json()["tokens"]
            assert row["last_used"] is not None
            assert "secret" not in row
            assert (await client.delete(f"{API}/tokens/ci")).status_code == 204
            assert (await program.get(f"{API}/status")).status_code == 401
        assert (await client.delete(f"{API}/tokens/ci")).status_code == 404

    in_house(work, dev=False, people=PEOPLE)


def test_a_viewer_sees_no_tokens_and_a_wrong_one_hides_behind_no_cookie(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        _, secret = house.access.tokens.add("look", "viewer")
        headers = bearer(secret)
        assert (await client.get(f"{API}/status", headers=headers)).status_code == 200
        for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/look")):
            body = {"json": {"name": "x", "role": "operator"}} if method == "POST" else {}
            assert (await client.request(method, API + path, headers=headers, **body)).status_code == 403
        await house.sign_in(client, "ann")
        for wrong in ("Bearer prt_" + "A" * 43, "Bearer ", "Bearer", "Basic YW5uOnBhc3Mgd29yZA==", f"Bearer {secret}x"):
            assert (await client.get(f"{API}/status", headers={"authorization": wrong})).status_code == 401

    in_house(work, dev=False, people=PEOPLE)


def test_a_token_ends_by_itself() -> None:
    clock = SetClock()
    tokens = Tokens(None, clock)
    _, secret = tokens.add("ci", "viewer", 1)
    clock.at += 86_399
    assert tokens.find(secret) is not None
    clock.at += 1
    assert tokens.find(secret) is None
    assert not tokens.list()
    tokens.add("ci", "viewer")  # its name is free again


@pytest.mark.parametrize(
    ("name", "role", "days"),
    [
        ("", "viewer", 1),
        ("a b", "viewer", 1),
        ("-x", "viewer", 1),
        ("a" * 65, "viewer", 1),
        ("é", "viewer", 1),
        ("a\n", "viewer", 1),
        ("a", "root", 1),
        ("a", "viewer", 0),
        ("a", "viewer", 3651),
    ],
)
def test_tokens_that_cannot_be(name: str, role: str, days: int) -> None:
    with pytest.raises(PostroadError):
        Tokens(None, SetClock()).add(name, role, days)


# ── the limiter ─────────────────────────────────────────────────────────────


def tries(limiter: Limiter, count: int, peer: str = "192.0.2.1", name: str = "ann") -> list[Try | float]:
    return [limiter.begin(peer, name, False) for _ in range(count)]


def test_many_at_once_are_no_more_than_one_after_another() -> None:
    found = tries(Limiter(SetClock()), 50)
    assert sum(isinstance(one, Try) for one in found) == FREE_FOR_CLIENT
    assert all(isinstance(one, float) and one > 0 for one in found[FREE_FOR_CLIENT:])


def test_an_ipv6_site_is_one_client() -> None:
    limiter = Limiter(SetClock())
    found = [limiter.begin(f"2001:db8::{number:x}", f"name{number}", False) for number in range(1, 20)]
    assert sum(isinstance(one, Try) for one in found) == FREE_FOR_CLIENT
    assert isinstance(limiter.begin("2001:db8:0:1::1", "other", False), Try)


@pytest.mark.parametrize(("peer", "most"), [("192.0.2.1", MOST_FOR_CLIENT), ("127.0.0.1", MOST_FOR_LOOPBACK)])
def test_a_wait_never_gets_longer_than_the_longest(peer: str, most: float) -> None:
    clock = SetClock()
    limiter = Limiter(clock)
    for _ in range(300):
        found = limiter.begin(peer, "ann", True)
        if isinstance(found, float):
            assert 0 < found <= most
            clock.at += found
    clock.at += 86_400
    assert all(isinstance(one, Try) for one in tries(limiter, FREE_FOR_CLIENT, peer))


def test_strangers_do_not_lock_somebody_out() -> None:
    clock = SetClock()
    limiter = Limiter(clock)
    for number in range(5_000):
        limiter.begin(f"198.51.{number // 256}.{number % 256}", "ann", False)
    wait = limiter.begin("192.0.2.1", "ann", False)
    assert isinstance(wait, float)
    assert wait <= MOST_FOR_NAME
    known = limiter.begin("192.0.2.1", "ann", True)  # from where she was lately signed in
    assert isinstance(known, Try)
    known.was_right()
    assert isinstance(limiter.begin("192.0.2.1", "bo", False), Try)
    clock.at += wait
    assert isinstance(limiter.begin("192.0.2.2", "ann", False), Try)


def test_what_was_right_does_not_count() -> None:
    limiter = Limiter(SetClock())
    for _ in range(50):
        (found,) = tries(limiter, 1)
        assert isinstance(found, Try)
        found.was_right()
        found.was_right()


def test_what_is_counted_is_bounded() -> None:
    limiter = Limiter(SetClock(), max_clients=10)
    for number in range(100):
        limiter.begin(f"192.0.2.{number}", f"name{number}", False)
    assert len(limiter._clients) == 10


# ── the metrics ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("192.0.2.1", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.1"}, 401),
        ("127.0.0.1", {"forwarded": "for=192.0.2.1"}, 401),
        ("127.0.0.1", {"x-forwarded-proto": "https"}, 401),
        ("127.0.0.1", {"via": "1.1 proxy"}, 401),
        ("127.0.0.1", {"x-real-ip": "127.0.0.1"}, 401),
    ],
)
def test_the_metrics_are_for_this_machine_and_for_who_may(
    in_house: Run, peer: str, headers: dict[str, str], status: int
) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        transport = httpx.ASGITransport(house.app, client=(peer, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8025") as scraper:
            assert (await scraper.get("/metrics", headers=headers)).status_code == status
            assert (await scraper.get(f"{API}/status", headers=headers)).status_code == 401
            secret = house.access.tokens.add("prometheus", "viewer")[1]
            assert (await scraper.get("/metrics", headers={**headers, **bearer(secret)})).status_code == 200

    async def exposition() -> bytes:
        return b"up 1\n"

    in_house(work, dev=False, people=PEOPLE, exposition=exposition)


# ── Host and Origin ─────────────────────────────────────────────────────────

PUBLIC = "https://web.example"
_label = st.text(ascii_lowercase + "0123456789-", min_size=1, max_size=12)


async def _nowhere(*ignored: Any) -> None:
    """No application."""


def guard(public_url: str = PUBLIC) -> Guard:
    return Guard(_nowhere, entry=Everybody(Role.OPERATOR), hosts=("mail.example",), public_url=public_url)


def passes(check: Callable[[], object]) -> bool:
    try:
        check()
    except Refusal:
        return False
    return True


def may_write(origin: str, host: str, public_url: str = PUBLIC) -> bool:
    from starlette.datastructures import Headers

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/x", "headers": []}
    headers = Headers({"origin": origin, "host": host})
    return passes(lambda: guard(public_url)._check_write(scope, headers, host))


@given(st.lists(_label, min_size=1, max_size=4).map(".".join), st.sampled_from(["", ":80", ":8025", "."]))
def test_no_name_but_ours_is_answered(name: str, rest: str) -> None:
    named = any(letter in ascii_lowercase for letter in name.rpartition(".")[2])  # else it is an address
    if named and name not in ("localhost", "mail.example", "web.example"):
        assert not passes(lambda: guard()._check_host([name + rest])) or name.endswith("localhost")
        for trick in (f"localhost.{name}.net", f"mail.example.{name}", f"{name}mail.example", f"127.0.0.1.{name}x"):
            if trick != "mail.example":
                assert not passes(lambda trick=trick: guard()._check_host([trick + rest]))  # type: ignore[misc]


@given(st.lists(st.text(max_size=40), max_size=3).filter(lambda given: len(given) != 1))
def test_one_host_header_is_needed(given_hosts: list[str]) -> None:
    assert not passes(lambda: guard()._check_host(given_hosts))


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_text_is_an_origin_of_ours_by_chance(text: str) -> None:
    if origin_of(text)[1] not in ("localhost:8025", "web.example"):
        assert not may_write(text, "localhost:8025")


@pytest.mark.parametrize(
    ("origin", "host", "public_url", "may"),
    [
        ("https://web.example", "127.0.0.1:8025", PUBLIC, True),  # a proxy that hides the Host
        ("https://web.example:443", "web.example", PUBLIC, True),
        ("https://WEB.example", "web.example", f"{PUBLIC}:443", True),
        ("http://web.example", "web.example", PUBLIC, False),  # anybody on the way can be that page
        ("http://web.example", "127.0.0.1:8025", PUBLIC, False),
        ("https://web.example:8443", "web.example", PUBLIC, False),
        ("https://web.example.evil.example", "web.example", PUBLIC, False),
        ("https://evil.example/https://web.example", "web.example", PUBLIC, False),
        ("http://localhost:8025", "localhost:8025", PUBLIC, True),
        ("http://localhost:8025", "localhost:8025", "", True),
        ("http://localhost:8026", "localhost:8025", "", False),
        ("://", "", "", False),
        ("null", "localhost:8025", "", False),
    ],
)
def test_origins(origin: str, host: str, public_url: str, may: bool) -> None:
    assert may_write(origin, host, public_url) is may
