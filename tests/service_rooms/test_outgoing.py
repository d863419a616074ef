"""Settings become routes: each domain's own words, else those of all mail; TLS and logins travel with the route."""

from __future__ import annotations

from pathlib import Path

from postroad.delivery.routing import Hold, Login, Mx, Route, Smtp
from postroad.net.use_tls import UseTls
from postroad.service.outgoing import holds, routes
from postroad.settings import load_text

BEGIN = 'hostname = "mail.example.com"\nstate = "/srv/p"\n[mx]\n'
DOMAINS = """
[[domain]]
name = "ours.example"
deliver = "lmtp:/run/lmtp"
[[domain]]
name = "inner.example"
deliver = "smtp:192.0.2.7:25"
tls = "require"
[[domain]]
name = "closed.example"
deliver = "hold"
[[destination]]
name = "partner.example"
tls = "verify"
[[destination]]
name = "direct.example"
via = "mx"
[[destination]]
name = "other.example"
via = "smtps:other.example:465"
account = "them"
password_file = "/etc/them"
[[destination]]
name = "never.example"
via = "hold"
"""
SMARTHOST = """
[outbound]
via = "smtp:smart.example:587"
account = "us"
password_file = "/etc/us"
tls = "require"
"""
PASSWORDS = {Path("/etc/us"): "open", Path("/etc/them"): "sesame"}


def route(text: str, domain: str) -> Route:
    return routes(load_text(BEGIN + text, "t"), PASSWORDS).of(domain)


def test_strangers_mail_goes_by_mx_unless_said_otherwise() -> None:
    assert route("", "anywhere.example") == Mx(UseTls.OPPORTUNISTIC)
    assert route('[outbound]\ntls = "never"\n', "anywhere.example") == Mx(UseTls.NEVER)
    assert isinstance(route('[outbound]\nvia = "hold"\n', "anywhere.example"), Hold)


def test_a_smarthost_gets_tls_and_login() -> None:
    smart = Smtp("smart.example", 587, tls=UseTls.REQUIRED, login=Login("us", "open"))
    assert route(SMARTHOST, "anywhere.example") == smart
    assert "open" not in repr(smart)


def test_each_domain_may_have_its_own_way_and_its_own_tls() -> None:
    text = SMARTHOST + DOMAINS
    assert route(text, "ours.example") == Smtp("", 0, lmtp=True, path="/run/lmtp", tls=UseTls.REQUIRED)
    assert route(text, "inner.example") == Smtp("192.0.2.7", 25, tls=UseTls.REQUIRED)
    assert route(text, "partner.example") == Smtp("smart.example", 587, tls=UseTls.VERIFIED, login=Login("us", "open"))
    assert route(text, "direct.example") == Mx(UseTls.REQUIRED)
    other = Smtp("other.example", 465, implicit_tls=True, tls=UseTls.REQUIRED, login=Login("them", "sesame"))
    assert route(text, "other.example") == other


def test_who_accepts_mail_knows_what_is_held() -> None:
    reason = holds(routes(load_text(BEGIN + DOMAINS, "t"), PASSWORDS))
    assert reason("anywhere.example") == ""
    assert reason("never.example") == reason("closed.example") == "the route is hold"


def test_nothing_leaves_in_dev_mode() -> None:
    found = routes(load_text('state = "/srv/p"\n[dev]\n', "t"), {})
    assert isinstance(found.default, Hold) and list(found) == []


def test_a_login_of_one_domain_is_for_the_host_of_all_mail() -> None:
    own = '[[destination]]\nname = "own.example"\naccount = "them"\npassword_file = "/etc/them"\n'
    found = route(SMARTHOST + own, "own.example")
    assert found == Smtp("smart.example", 587, tls=UseTls.REQUIRED, login=Login("them", "sesame"))
