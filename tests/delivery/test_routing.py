"""Routes as the settings write them."""

import pytest

from postroad.delivery.routing import NO_ROUTE, Hold, Login, Maildir, Mx, Routes, Smtp, parse_route
from postroad.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "route", "again"),
    [
        ("hold", Hold(), "hold"),
        ("mx", Mx(), "mx"),
        ("smtps:hub.example.net", Smtp("hub.example.net", 465, implicit_tls=True), "smtps:hub.example.net:465"),
        ("maildir:/srv/mail/{domain}/{user}", Maildir("/srv/mail/{domain}/{user}"), ""),
        ("maildir:/srv/inbox/", Maildir("/srv/inbox"), "maildir:/srv/inbox"),
        ("maildir:/srv/{domain}/x-{user}/Maildir", Maildir("/srv/{domain}/x-{user}/Maildir"), ""),
        ("smtp:192.0.2.1:2525", Smtp("192.0.2.1", 2525), ""),
        ("smtp:mx.example.net", Smtp("mx.example.net", 25), "smtp:mx.example.net:25"),
        ("smtp:[2001:db8::1]:25", Smtp("2001:db8::1", 25), ""),
        ("lmtp:localhost:24", Smtp("localhost", 24, lmtp=True), ""),
        ("lmtp:/run/lmtp.sock", Smtp("", 0, lmtp=True, path="/run/lmtp.sock"), ""),
    ],
)
def test_what_can_be_read(text: str, route: object, again: str) -> None:
    assert parse_route(text) == route
    assert str(parse_route(text)) == (again or text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hold",
        "hold:x",
        "mx:25",
        "smtps:/run/socket",
        "maildir:",
        "maildir:/",
        "maildir:relative/{user}",
        "maildir:/srv/../{user}",
        "maildir:/srv/./{user}",
        "maildir:/srv/{name}",
        "maildir:/srv/{user",
        "maildir:/srv/user}",
        "maildir:/srv/{{user}}",
        "maildir:/srv/\x00/{user}",
        "smtp:",
        "smtp:host:",
        "smtp:host:0",
        "smtp:host:65536",
        "smtp:host:１２",
        "smtp:host:25 ",
        "smtp:host:25\n",
        "smtp:2001:db8::1:25",
        "smtp:/run/socket",
        "smtp:-host:25",
        "lmtp:host",
        "lmtp:host:25",
        "uucp:host",
    ],
)
def test_what_is_no_route_says_how_to_write_one(text: str) -> None:
    with pytest.raises(SettingsError) as fault:
        parse_route(text)
    assert fault.value.message


def test_destinations() -> None:
    routes = Routes.parse({"Example.COM": "smtp:a:25", "例え.jp": "hold"})
    assert routes.of("example.com") == Smtp("a", 25)
    assert routes.of("xn--r8jz45g.jp") == Hold()
    assert routes.of("sub.example.com") == Hold(NO_ROUTE)
    assert dict(routes) == {"example.com": Smtp("a", 25), "xn--r8jz45g.jp": Hold()}
    assert Routes.parse({}, "smtp:hub:25").of("anything.example") == Smtp("hub", 25)


def test_a_password_is_not_shown() -> None:
    route = Smtp("hub.example", 587, login=Login("kana", "secret"))
    assert "secret" not in f"{route} {route!r}"
