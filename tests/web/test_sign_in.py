"""Signing in: who may, for how long, from where, and what a browser gets and keeps."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from postroad.admin.access import Resident
from postroad.admin.sign_ins import IDLE, LASTS, MAX_EACH
from postroad.clock import Clock
from tests.web.house import House, token_of

Run = Callable[..., None]
PEOPLE: dict[str, tuple[str, str]] = {"ann": ("pass word", "operator"), "bo": ("ボート", "viewer")}
SET = {"parameter": "SIZE", "minutes": "", "why": ""}


class SetClock(Clock):
    """Stands until it is moved; begins at a day of 2027."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def wall(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at - 1_700_000_000.0


async def send(client: httpx.AsyncClient, name: str, password: str, to: str = "/", **headers: str) -> httpx.Response:
    page = await client.get("/sign-in")
    fields = {"token": token_of(page), "name": name, "password": password, "to": to}
    return await client.post("/sign-in", data=fields, headers=headers)


async def is_in(client: httpx.AsyncClient) -> bool:
    status = (await client.get("/api/v1/status")).status_code
    assert status in (200, 401)
    return status == 200


def test_a_person_comes_in_and_may_what_the_role_permits(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        assert not await is_in(client)
        answer = await house.sign_in(client, "ann", "/conditions?lang=en")
        assert answer.headers["location"] == "/conditions?lang=en"
        page = await client.get("/conditions")
        assert "ann" in page.text
        assert (await client.post("/conditions/set", data={**SET, "token": token_of(page)})).status_code == 303
        assert set(house.conditions.unavailable()) == {"SIZE"}

    in_house(work, dev=False, people=PEOPLE)


def test_a_viewer_looks_and_changes_nothing(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "bo")
        page = await client.get("/conditions")
        assert page.status_code == 200
        refused = await client.post("/conditions/set", data={**SET, "token": token_of(page)})
        assert refused.status_code == 403
        put = await client.put("/api/v1/conditions/SIZE", json={"available": False})
        assert put.status_code == 403
        assert not house.conditions.unavailable()

    in_house(work, dev=False, people=PEOPLE)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong"),
        ("ann", ""),
        ("", "pass word"),
        ("nobody", "pass word"),
        ("ANN", "pass word"),
        ("carl", "known"),
        ("ann", "pass word\0"),
        ("a" * 400, "x"),
        ("ann", "x" * 2_000),
    ],
)
def test_all_failures_look_alike(in_house: Run, name: str, password: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        failed = await send(client, name, password)
        usual = await send(client, "someone", "else")
        assert failed.status_code == usual.status_code == 403
        told = re.search(r'id="told"[^>]*>([^<]+)', failed.text)
        assert told is not None
        assert told[1] in usual.text
        assert "postroad_session" not in client.cookies
        assert not await is_in(client)

    # Carl may send mail with this password, and has no role.
    async def with_carl(house: House, client: httpx.AsyncClient) -> None:
        from postroad.policy.accounts import Accounts
        from tests.web.house import _hash

        hashes = {each: one.password_hash for each, one in house.residents.items()} | {"carl": _hash("known")}
        house.accounts.close()
        house.accounts = Accounts(hashes, house.clock, threads=1)
        await work(house, client)

    in_house(with_carl, dev=False, people=PEOPLE)


def test_every_failed_name_costs_one_hash(in_house: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def work(house: House, client: httpx.AsyncClient) -> None:
        verify = house.accounts.verify

        def counted(name: str, password: str) -> Any:
            asked.append(name)
            return verify(name, password)

        monkeypatch.setattr(house.accounts, "verify", counted)
        for name in ("ann", "nobody", "bo"):
            await send(client, name, "wrong")

    in_house(work, dev=False, people=PEOPLE)
    assert asked == ["ann", "nobody", "bo"]


def test_the_cookie(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        answer = await house.sign_in(client, "ann")
        (line,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith("postroad_session=")]
        words = {word.strip().lower() for word in line.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= words
        assert "secure" not in words
        assert not any(word.startswith("domain") for word in words)
        assert re.match(r"postroad_session=[A-Za-z0-9_-]{43};", line)

    in_house(work, dev=False, people=PEOPLE)


def test_where_people_come_by_https_every_cookie_of_ours_is_secure(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        client.base_url = httpx.URL("https://web.example")
        page = await client.get("/sign-in")
        answer = await house.sign_in(client, "ann")
        for line in (*page.headers.get_list("set-cookie"), *answer.headers.get_list("set-cookie")):
            assert "secure" in line.lower()
            assert "httponly" in line.lower()
        assert await is_in(client)

    in_house(work, dev=False, people=PEOPLE, public_url="https://web.example")


def test_every_sign_in_has_a_new_cookie_and_ends_the_one_before(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        planted = "A" * 43
        client.cookies.set("postroad_session", planted, domain="localhost.local", path="/")
        answer = await house.sign_in(client, "ann")
        assert planted not in answer.headers["set-cookie"]
        client.cookies.clear()
        assert not await is_in(client)
        client.cookies.set("postroad_session", planted)
        assert not await is_in(client)
        client.cookies.clear()
        await house.sign_in(client, "ann")
        first = client.cookies["postroad_session"]
        page = await client.get("/conditions")
        door = await client.get("/sign-in?to=/queue")
        assert door.headers["location"] == "/queue"  # in already
        assert page.status_code == 200
        client.cookies.delete("postroad_session")
        await house.sign_in(client, "ann")
        assert client.cookies["postroad_session"] != first

    in_house(work, dev=False, people=PEOPLE)


def test_signing_out_ends_it_on_the_server(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "bo")
        cookie = client.cookies["postroad_session"]
        assert (await client.post("/sign-out", data={"token": "guess"})).status_code == 403
        assert (await client.get("/sign-out")).status_code == 405
        assert await is_in(client)
        out = await client.post("/sign-out", data={"token": token_of(await client.get("/conditions"))})
        assert (out.status_code, out.headers["location"]) == (303, "/sign-in?out=1")
        assert "postroad_session" not in client.cookies
        client.cookies.set("postroad_session", cookie)
        assert not await is_in(client)

    in_house(work, dev=False, people=PEOPLE)


def test_a_form_of_another_sign_in_is_not_obeyed(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "ann")
        token = token_of(await client.get("/conditions"))
        async with house.client() as other:
            await house.sign_in(other, "ann")
            assert (await other.post("/conditions/set", data={**SET, "token": token})).status_code == 403
        assert not house.conditions.unavailable()

    in_house(work, dev=False, people=PEOPLE)


@pytest.mark.parametrize(
    ("steps", "step", "still"), [(1, IDLE - 1, True), (1, IDLE + 1, False), (14, IDLE - 60, False)]
)
def test_an_end_comes_by_idling_and_by_itself(in_house: Run, steps: int, step: float, still: bool) -> None:
    clock = SetClock()

    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "ann")
        began = clock.at
        for _ in range(steps):
            clock.at += step
            found = await is_in(client)
            if clock.at - began < LASTS and step < IDLE:
                assert found
        clock.at = max(clock.at, began + steps * step)
        if steps > 1:
            clock.at = began + LASTS
        assert await is_in(client) is still

    in_house(work, dev=False, people=PEOPLE, clock=clock)


def test_a_restart_signs_nobody_out_and_the_files_tell_nothing(in_house: Run, tmp_path: Path) -> None:
    kept: dict[str, str] = {}
    clock = SetClock()

    async def before(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "ann")
        kept["cookie"] = client.cookies["postroad_session"]
        kept["hash"] = house.residents["ann"].password_hash
        kept["token"] = house.access.tokens.add("ci", "viewer")[1]

    async def after(house: House, client: httpx.AsyncClient) -> None:
        house.residents["ann"] = Resident("operator", kept["hash"])
        client.cookies.set("postroad_session", kept["cookie"])
        assert await is_in(client)
        client.cookies.clear()
        client.headers["authorization"] = f"Bearer {kept['token']}"
        assert await is_in(client)

    in_house(before, dev=False, people=PEOPLE, folder=tmp_path, clock=clock)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["sign-ins.json", "tokens.json"]
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        text = file.read_text()
        assert kept["cookie"] not in text
        assert kept["token"] not in text
        assert kept["token"][4:] not in text
        assert kept["hash"] not in text
    clock.at += 3_600
    in_house(after, dev=False, people=PEOPLE, folder=tmp_path, clock=clock)


@pytest.mark.parametrize("name", ["sign-ins.json", "tokens.json"])
@pytest.mark.parametrize("octets", [b"", b"{", b"[1]", b'[{"sha256": 1}]', b"[[[", b"\xff", b'{"a": 1}'])
def test_a_spoilt_file_lets_nobody_in_and_is_no_fault(in_house: Run, tmp_path: Path, name: str, octets: bytes) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        client.cookies.set("postroad_session", "A" * 43)
        assert not await is_in(client)
        client.cookies.clear()
        await house.sign_in(client, "ann")
        assert await is_in(client)

    (tmp_path / name).write_bytes(octets)
    in_house(work, dev=False, people=PEOPLE, folder=tmp_path)


@pytest.mark.parametrize("change", ["password", "role", "gone"])
def test_who_is_changed_in_the_settings_is_out_at_once(in_house: Run, change: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "ann")
        was = house.residents["ann"]
        assert await is_in(client)
        if change == "gone":
            del house.residents["ann"]
        else:
            role = "viewer" if change == "role" else was.role
            house.residents["ann"] = Resident(role, was.password_hash + ("x" if change == "password" else ""))
        assert not await is_in(client)
        async with house.client() as other:
            await house.sign_in(other, "bo")
            assert await is_in(other)

    in_house(work, dev=False, people=PEOPLE)


def test_one_person_has_a_bounded_number_of_sign_ins(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.sign_in(client, "bo")
        clients = [house.client() for _ in range(MAX_EACH + 1)]
        for each in clients:
            await house.sign_in(each, "ann")
        ins = [await is_in(each) for each in clients]
        assert ins.count(True) == MAX_EACH
        assert ins[-1]
        assert await is_in(client)
        assert [len(one.sign_ins) for one in house.access.people()] == [MAX_EACH, 1]

    in_house(work, dev=False, people=PEOPLE)


# ── forms of other sites ────────────────────────────────────────────────────


def test_nobody_is_signed_in_by_another_site(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        mine = token_of(await client.get("/sign-in"))
        fields = {"name": "ann", "password": "pass word", "to": "/"}
        async with house.client() as victim:  # the attacker's token in a browser that has no cookie, or its own
            assert (await victim.post("/sign-in", data={**fields, "token": mine})).status_code == 403
            await victim.get("/sign-in")
            assert (await victim.post("/sign-in", data={**fields, "token": mine})).status_code == 403
            assert "postroad_session" not in victim.cookies
        for token in ("", "x", "0" * 80):
            assert (await client.post("/sign-in", data={**fields, "token": token})).status_code == 403
        for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            refused = await client.post("/sign-in", data={**fields, "token": mine}, headers=headers)
            assert refused.status_code == 403
        assert (await client.post("/sign-in", data={**fields, "token": mine})).status_code == 303

    in_house(work, dev=False, people=PEOPLE)


LOCAL = [
    "/",
    "/queue?to=a%40b&state=held",
    "/message/x#t",
    "/en/codes/455",
    "/%2f%2fevil.example",
    "/a//b",
    "/?to=//evil",
]
FOREIGN = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "https://evil.example/",
    "http:evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    " //evil.example",
    "/a\\b",
    "/a\r\nSet-Cookie: x=y",
    "/日本",
    "/" + "a" * 3_000,
    "/sign-in?to=/",
    "/sign-out",
]


@pytest.mark.parametrize("to", [*LOCAL, *FOREIGN])
def test_the_way_on_leads_nowhere_else(in_house: Run, to: str) -> None:
    expected = to if to in LOCAL else "/"

    async def work(house: House, client: httpx.AsyncClient) -> None:
        page = await client.get("/sign-in", params={"to": to})
        written = re.search(r'name="to" value="([^"]*)"', page.text)
        assert written is not None
        assert written[1].replace("&amp;", "&") == expected
        assert (await send(client, "ann", "pass word", to)).headers["location"] == expected
        assert (await client.get("/sign-in", params={"to": to})).headers["location"] == expected

    in_house(work, dev=False, people=PEOPLE)


@pytest.mark.parametrize(
    ("path", "way"),
    [
        ("/queue?to=%40example.org&state=held", "/sign-in?to=/queue%3Fto%3D%2540example.org%26state%3Dheld"),
        ("/", "/sign-in"),
        ("/inbox/%2e%2e/x", "/sign-in?to=/inbox/%252e%252e/x"),
    ],
)
def test_browsers_are_led_to_the_sign_in_and_back(in_house: Run, path: str, way: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        led = await client.get(path, headers={"accept": "text/html,application/xhtml+xml"})
        assert (led.status_code, led.headers["location"]) == (303, way)
        page = await client.get(led.headers["location"])
        fields = {"token": token_of(page), "name": "ann", "password": "pass word"}
        written = re.search(r'name="to" value="([^"]*)"', page.text)
        assert written is not None
        answer = await client.post("/sign-in", data={**fields, "to": written[1].replace("&amp;", "&")})
        assert answer.headers["location"] == path

    in_house(work, dev=False, people=PEOPLE)


def test_programs_get_401_and_a_problem(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for path in ("/api/v1/status", "/api/v1/queue", "/queue"):
            refused = await client.get(path)
            assert refused.status_code == 401
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.headers["www-authenticate"].startswith("Bearer")
        for path in ("/api/v1/status", "/metrics"):
            asked = await client.get(path, headers={"accept": "text/html", "x-forwarded-for": "192.0.2.1"})
            assert asked.status_code == 401

    async def exposition() -> bytes:
        return b"up 1\n"

    in_house(work, dev=False, people=PEOPLE, exposition=exposition)


# ── too many tries ──────────────────────────────────────────────────────────


def test_wrong_passwords_wait_longer_and_longer(in_house: Run) -> None:
    clock = SetClock()

    async def work(house: House, client: httpx.AsyncClient) -> None:
        waits = []
        while len(waits) < 4:
            answer = await send(client, "bo", "wrong")
            if answer.status_code == 429:
                waits.append(int(answer.headers["retry-after"]))
                assert "postroad_session" not in client.cookies
                assert 'id="told"' in answer.text
                right = await send(client, "bo", PEOPLE["bo"][0])
                assert right.status_code == 429  # not even the right one is looked at
                clock.at += waits[-1]
            else:
                assert answer.status_code == 403
        assert waits == sorted(waits)
        assert waits[-1] > waits[0]
        assert (await send(client, "bo", PEOPLE["bo"][0])).status_code == 303

    in_house(work, dev=False, people=PEOPLE, clock=clock)


def test_the_log_has_one_line_for_each_failure(in_house: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await send(client, "evil\u202e\nname", "secret word", **{"x-forwarded-for": "203.0.113.9, 192.0.2.77"})

    in_house(work, dev=False, people=PEOPLE)
    (record,) = [one for one in caplog.records if one.getMessage() == "sign-in failed"]
    from postroad.observe.log import JsonLines

    line = JsonLines().format(record)
    assert '"peer":"192.0.2.77"' in line
    assert "evil\\\\u202e\\\\nname" in line or "evil\\u202e\\nname" in line
    assert "\n" not in line
    assert "secret word" not in line


# ── a developer's inbox that the network can reach ──────────────────────────


def test_one_password_for_any_name(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        led = await client.get("/inbox", headers={"accept": "text/html"})
        assert (led.status_code, led.headers["location"]) == (303, "/sign-in?to=/inbox")
        assert (await send(client, "whoever", "wrong")).status_code == 403
        assert (await send(client, "whoever", "secret", "/inbox")).headers["location"] == "/inbox"
        page = await client.get("/conditions")
        assert "whoever" in page.text
        assert (await client.post("/conditions/set", data={**SET, "token": token_of(page)})).status_code == 303
        assert (await client.post("/sign-out", data={"token": token_of(page)})).status_code == 303
        assert not await is_in(client)

    in_house(work, password="secret")


def test_a_form_token_of_a_stranger_serves_no_browser_that_knows_the_password(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        token = token_of(await client.get("/sign-in"))
        done = await client.post("/conditions/set", data={**SET, "token": token}, auth=("x", "secret"))
        assert done.status_code == 403
        assert not house.conditions.unavailable()

    in_house(work, password="secret")


def test_where_nobody_has_to_sign_in_the_page_leads_on(in_house: Run) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        assert (await client.get("/sign-in?to=/inbox")).headers["location"] == "/inbox"
        assert (await client.post("/sign-in", data={"name": "x", "password": "y"})).headers["location"] == "/"

    in_house(work)
