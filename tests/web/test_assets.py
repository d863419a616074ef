"""Our own files: small, fetched once, and all of them ours."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

import httpx
import pytest

from postroad.web.assets import asset_url, assets
from tests.web.house import House

InHouse = Callable[..., None]


def test_a_named_file_lasts_and_an_unnamed_one_is_asked_for(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        lasting = await client.get(asset_url("house.css"))
        assert (lasting.status_code, lasting.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert lasting.headers["content-type"] == "text/css; charset=utf-8"
        assert lasting.headers["content-encoding"] == "gzip"
        for address in ("/static/house.css", "/static/house.css?v=00000000"):
            asked = await client.get(address)
            assert (asked.headers["cache-control"], asked.text) == ("no-cache", lasting.text)
            again = await client.get(address, headers={"if-none-match": asked.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")

    in_house(work)


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("identity", False), ("gzip;q=0", False), ("", False)],
)
def test_who_cannot_take_it_gets_it_plain(in_house: InHouse, accepted: str, compressed: bool) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for address in ("/static/house.css", "/static/vendor/uPlot.iife.min.js"):
            answer = await client.get(address, headers={"accept-encoding": accepted})
            assert ("content-encoding" in answer.headers) is compressed
            assert "Accept-Encoding" in answer.headers["vary"]

    in_house(work)


def test_pages_are_compressed(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for address in ("/en/codes", "/inbox", "/api/v1/codes"):
            answer = await client.get(address, headers={"accept-encoding": "gzip"})
            assert answer.headers["content-encoding"] == "gzip", address
            assert "content-encoding" not in (await client.get(address, headers={"accept-encoding": ""})).headers

    in_house(work)


def test_nothing_else_is_served(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for name in ("", "nothing.css", "../app.py", "%2e%2e/app.py", "vendor", "vendor/", "/etc/passwd"):
            assert (await client.get(f"/static/{name}")).status_code == 404, name

    in_house(work)


def test_every_file_that_a_page_names_is_there_and_ours() -> None:
    """A stylesheet or script from elsewhere would be blocked by the policy, and one that is missing breaks the page."""
    for name, asset in assets().items():
        if name.endswith(".css"):
            assert not re.search(rb"url\(|@import", asset.octets), name
        if asset.compressed is not None:
            assert gzip.decompress(asset.compressed) == asset.octets
