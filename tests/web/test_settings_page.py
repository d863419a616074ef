"""The settings that run, on their page and over the API: sources, changes in the file, and nothing of a secret."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from postroad.service.effective import Effective, Reloaded, effective, on_disk
from postroad.settings import Overrides, Settings, load, load_text
from postroad.settings.sources import sourced
from postroad.web.door.people import Role
from postroad.web.pages.settings import _meaning
from postroad.web.texts import LANGUAGES, Texts
from tests.web.browser import Visit, Window
from tests.web.house import House, token_of

InHouse = Callable[..., None]
SERVED: dict[str, Any] = {"dev": False, "role": Role.OPERATOR}
ALL = (files("postroad.cli") / "examples" / "all.toml").read_text("utf-8")
SALT = "YW4gZXhhbXBsZSBzYWx0"


def furnish(house: House, settings: Settings, reloaded: Reloaded | None = None) -> None:
    async def known() -> Effective:
        return await effective(settings, reloaded)

    house.admin._settings = known


def written(folder: Path, text: str = ALL) -> Path:
    path = folder / "postroad.toml"
    path.write_text(text, "utf-8")
    return path


def sources(settings: Settings) -> dict[str, tuple[str, str]]:
    return {one.key: (one.source, one.place) for one in sourced(settings)}


def test_where_each_value_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTROAD_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    text = 'hostname = "mail.example.org"\nsmtp = { expn = true }\n[limits]\nrecipients = 7\n[mx]\n[[domain]]\nname = "a.test"\n'
    found = sources(load_text(text + 'deliver = "hold"\n', "postroad.toml"))
    assert found["hostname"] == ("file", "postroad.toml:1")
    assert found["smtp.expn"] == ("file", "postroad.toml:2")
    assert found["smtp.show_version"] == ("default", "")
    assert found["limits.recipients"] == ("file", "postroad.toml:4")
    assert found["limits.errors"] == ("default", "")
    assert found["domain.0.name"] == ("file", "postroad.toml:7")
    assert found["domain.0.recipients"] == ("default", "")
    assert found["state"] == ("default", "")
    assert sources(load_text("[mx]\n", "x"))["hostname"] == ("machine", "")


def test_command_line_and_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POSTROAD_STATE", raising=False)
    found = sources(load(None, Overrides(port=0, web_port=0, state=tmp_path)))
    assert found["dev.listen"] == ("command line", "--port")
    assert found["web.listen"] == ("command line", "--web-port")
    assert found["state"] == ("command line", "--state")
    monkeypatch.setenv("POSTROAD_STATE", str(tmp_path))
    assert sources(load(None, Overrides(state=tmp_path)))["state"] == ("environment", "POSTROAD_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert sources(load(None))["state"] == ("environment", "XDG_STATE_HOME")


def test_a_default_stands_beside_what_replaced_it() -> None:
    found = {one.key: one.default for one in sourced(load_text("[mx]\n[limits]\nrecipients = 7\n", "x"))}
    assert found["limits.recipients"] == "1000"
    assert found["limits.errors"] == ""


def test_the_file_against_what_runs(tmp_path: Path) -> None:
    path = written(tmp_path)
    runs = load(path)
    assert on_disk(runs).state == "same"
    path.write_text(ALL.replace("recipients = 1000 ", "recipients = 900 "))
    told = on_disk(runs)
    assert (told.state, told.restart) == ("differs", "")
    assert [(one.key, one.runs, one.is_now) for one in told.changes] == [("limits.recipients", "1000", "900")]
    path.write_text(ALL.replace('"mail.example.com" ', '"other.example.com" '))
    assert "hostname" in on_disk(runs).restart
    path.write_text("[mx]\n[limits]\nrecipient = 5\n")
    assert on_disk(runs).state == "faulty"
    assert "postroad.toml:3" in on_disk(runs).faults[0]
    path.unlink()
    assert on_disk(runs).state == "faulty"
    assert on_disk(load(None)).state == "none"


def test_another_password_is_told_without_either(tmp_path: Path) -> None:
    path = written(tmp_path)
    runs = load(path)
    path.write_text(ALL.replace(SALT, "YW5vdGhlciBzYWx0IGhlcmU"))
    (change,) = on_disk(runs).changes
    assert (change.key, change.runs, change.is_now) == ("account.0.password_hash", "(hidden)", "(hidden)")


def test_every_key_has_a_meaning_in_every_language() -> None:
    plain = load_text(ALL, "x")
    dev = load_text("[dev]\n[[dev.chaos]]\nreply = 455\n", "x")
    for one in (*sourced(plain), *sourced(dev)):
        table, _, key = one.key.rpartition(".")
        for tag in LANGUAGES:
            assert f"settings.is.{_meaning(table, key)}" in Texts(tag), one.key


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page(in_house: InHouse, tmp_path: Path, lang: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        path = written(tmp_path)
        furnish(house, load(path), Reloaded(house.clock.wall() - 60, "no <b>reload</b>", "restart"))
        page = await client.get("/settings", params={"lang": lang})
        assert page.status_code == 200
        assert "postroad.toml:4" in page.text
        assert "[limits]" in page.text
        assert Texts(lang)("settings.same") in page.text
        assert "<b>reload" not in page.text
        assert f'href="/{lang}/codes/452"' in page.text
        few = await client.get("/settings", params={"lang": lang, "show": "set"})
        assert "allow_networks" in page.text
        assert "allow_networks" not in few.text
        assert (await client.get("/settings?show=x")).status_code == 400

    in_house(work, **SERVED)


def test_no_secret_leaves(in_house: InHouse, tmp_path: Path) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        path = written(tmp_path)
        furnish(house, load(path))
        path.write_text(ALL.replace(SALT, "YW5vdGhlciBzYWx0IGhlcmU") + "\n[limit]\n")
        _, secret = house.access.tokens.add("ci", "viewer", 30)
        for address in ("/settings", "/api/v1/settings"):
            text = (await client.get(address)).text
            assert "(hidden)" in text
            for hidden in ("argon2id", SALT, "YW5vdGhlciBzYWx0IGhlcmU", secret):
                assert hidden not in text

    in_house(work, **SERVED)


def test_hostile_values_are_text(in_house: InHouse, tmp_path: Path) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        path = written(
            tmp_path, '[mx]\n[outbound]\naccount = "<script>x</script>"\nvia = "smtp:s.test:25"\npassword_file = "/x"\n'
        )
        runs = load(path)
        path.write_text('[mx]\n[outbound]\nvia = "<img src=x>"\n')
        furnish(house, runs)
        page = (await client.get("/settings")).text
        assert "&lt;script&gt;" in page
        assert "<script>x" not in page
        assert "<img src=x" not in page

    in_house(work, **SERVED)


def test_the_api(in_house: InHouse, tmp_path: Path) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        assert (await client.get("/api/v1/settings")).status_code == 404
        furnish(house, load(written(tmp_path)))
        found = (await client.get("/api/v1/settings")).json()
        assert found["schema"] == "postroad.settings/1"
        assert found["on_disk"]["state"] == "same"
        assert {"key": "limits.errors", "value": "20", "source": "file"}.items() <= next(
            one for one in found["settings"] if one["key"] == "limits.errors"
        ).items()

    in_house(work, dev=False)


def test_people_and_tokens(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        house.access.tokens.add("ci", "viewer", 30)
        assert (await client.get("/settings")).status_code in (303, 401)
        await house.sign_in(client, "kana")
        page = await client.get("/settings")
        assert "kana" in page.text
        answer = await client.post("/settings/tokens/remove", data={"token": token_of(page), "name": "ci"})
        assert answer.status_code == 303
        assert house.access.tokens.list() == []
        gone = await client.post("/settings/tokens/remove", data={"token": token_of(page), "name": "ci"})
        assert gone.status_code == 404

    async def viewer(house: House, client: httpx.AsyncClient) -> None:
        house.access.tokens.add("ci", "viewer", 30)
        await house.sign_in(client, "mika")
        page = await client.get("/settings")
        assert "/settings/tokens/remove" not in page.text
        answer = await client.post("/settings/tokens/remove", data={"token": token_of(page), "name": "ci"})
        assert answer.status_code == 403
        assert len(house.access.tokens.list()) == 1

    people = {"kana": ("a long password", "operator"), "mika": ("another password", "viewer")}
    in_house(work, dev=False, people=people)
    in_house(viewer, dev=False, people=people)


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    path = written(tmp_path)
    runs = load(path)
    path.chmod(0)
    if not os.access(path, os.R_OK):
        assert on_disk(runs).state == "faulty"
    path.chmod(0o600)


def test_no_scrolling_aside(window: Window, tmp_path: Path) -> None:
    async def work(visit: Visit) -> None:
        furnish(visit.house, load(written(tmp_path)))
        for width in (360, 1280):
            async with visit.page(viewport={"width": width, "height": 800}) as page:
                await page.goto(f"{visit.base}/settings")
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                await page.get_by_role("link", name="Only what was set").click()
                await page.wait_for_url("**/settings?show=set")

    window.visit(work, **SERVED)
