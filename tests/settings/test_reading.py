"""The file as operators write it: what is accepted, what it becomes, and what is said about everything else."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from postroad import settings
from postroad.delivery.schedule import Schedule
from postroad.errors import SettingsError
from postroad.policy.rates import RateLimits
from postroad.settings import LOOPBACK, Listener, Settings, SettingsErrors, development, load, load_text

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

WHOLE = f"""
hostname = "Mail.Example.COM"
state = "/srv/postroad"
user = "postroad"
workers = 1
language = "en"

[tls]
cert = "/etc/tls/cert.pem"
key = "/etc/tls/key.pem"
minimum = "1.3"

[smtp]
show_version = true
expn = true

[mx]
listen = ["192.0.2.1:25", "[2001:db8::1]:25"]
greet_delay = "2s"
proxy_protocol = false

[submission]
listen = ["10.0.0.5:587"]
trusted_networks = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"]
bare_newline = "normalize"

[submissions]
auth = true

[web]
listen = ["127.0.0.1:0"]
public_url = "https://mail.example.com/"

[[domain]]
name = "EXAMPLE.com"
recipients = ["kana", "Bob", "info@example.com"]
postmaster = "kana@Example.com"
deliver = "maildir:/var/mail/{{domain}}/{{user}}"

[[domain]]
name = "bücher.example"
recipients = "*"
deliver = "smtp:[::1]:2525"

[[domain]]
name = "[192.0.2.1]"
deliver = "hold"

[[account]]
name = "kana"
password_hash = "{HASH}"
senders = ["Kana@Example.com", "@NEWS.example"]
role = "operator"

[retry]
schedule = ["1m", 300, "1.5h"]
expire = "4d"
delay_notice = false

[limits]
message_size = "10MiB"
min_free = "1GiB"
command_timeout = "5m"
connections = 50
"""


def read(text: str, **overrides: object) -> Settings:
    return load_text(text, "postroad.toml", overrides=settings.Overrides(**overrides))  # type: ignore[arg-type]


def faults(text: str, **overrides: object) -> list[str]:
    with pytest.raises(SettingsErrors) as caught:
        read(text, **overrides)
    return [error.message.removeprefix("postroad.toml:").strip() for error in caught.value.errors]


def hints(text: str) -> list[str]:
    with pytest.raises(SettingsErrors) as caught:
        read(text)
    return [error.hint for error in caught.value.errors]


MX = 'hostname = "mail.example.com"\n[mx]\n'


def test_a_whole_file() -> None:
    found = read(WHOLE)
    assert found.hostname == "mail.example.com"
    assert (found.state, found.user) == (Path("/srv/postroad"), "postroad")
    assert found.control_socket == Path("/srv/postroad/control.sock")
    assert found.tls == settings.Tls(Path("/etc/tls/cert.pem"), Path("/etc/tls/key.pem"), "1.3")
    assert found.smtp == settings.Smtp(True, True)
    assert found.mx == Listener((("192.0.2.1", 25), ("2001:db8::1", 25)), False, greet_delay=2.0)
    trusted = (ip_network("10.0.0.0/8"), ip_network("192.0.2.7/32"), ip_network("fd00::/8"))
    assert found.submission == Listener(
        (("10.0.0.5", 587),), True, trusted, hold_for=2592000.0, bare_newline="normalize"
    )
    assert found.submissions == Listener((("0.0.0.0", 465), ("::", 465)), True, hold_for=2592000.0, optional=True)
    assert found.web == settings.Web((("127.0.0.1", 0),), "https://mail.example.com")
    assert [domain.name for domain in found.domains] == ["example.com", "xn--bcher-kva.example", "[192.0.2.1]"]
    assert found.domains[0].recipients == ("kana", "Bob", "info")
    assert found.domains[0].postmaster == "kana@example.com"
    assert found.domains[1].recipients is None
    assert found.accounts == (settings.Account("kana", HASH, ("kana@example.com", "@news.example"), "operator"),)
    assert found.retry == settings.Retry((60.0, 300.0, 5400.0), 345600.0, None)
    assert (found.limits.message_size, found.limits.min_free, found.limits.connections) == (10 * 2**20, 2**30, 50)
    assert found.limits.exempt == LOOPBACK + trusted
    assert [role for role, _ in found.listeners] == ["mx", "submission", "submissions"]
    assert found.dev is None and found.warnings == ()
    assert found.places["tls.key"] == "postroad.toml:10"
    assert HASH not in repr(found)


def test_roles_are_switched_on_by_their_tables() -> None:
    found = read(MX + '[submission]\n[[domain]]\nname = "example.com"\ndeliver = "hold"\n')
    assert found.mx == Listener((("0.0.0.0", 25), ("::", 25)), False, optional=True)
    assert found.submission == Listener((("0.0.0.0", 587), ("::", 587)), True, hold_for=2592000.0, optional=True)
    assert found.submissions is None and found.web is None and found.tls is None


def test_the_defaults_are_those_of_the_rooms() -> None:
    limits = read(MX).limits
    rates = RateLimits()
    for name in RateLimits.__slots__:
        assert getattr(limits, name) == getattr(rates, name), name
    assert settings.Retry() == settings.Retry(Schedule().steps, Schedule().expire)


def test_no_file_is_dev_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = load(None)
    assert found.dev is not None and found.web is not None
    assert found.dev.listener == Listener((("127.0.0.1", 1025),), True)
    assert found.web.listen == (("127.0.0.1", 8025),)
    assert (found.dev.keep, found.dev.keep_octets, found.dev.open_to_network) == (500, 2**30, False)
    assert found.state == tmp_path / "postroad" and not found.state.exists()
    assert found.hostname == "localhost" and found.warnings == ()
    assert [role for role, _ in found.listeners] == ["dev"]
    assert found == development()


def test_the_command_line_moves_dev_mode(tmp_path: Path) -> None:
    found = development(port=0, web_port=0, state=tmp_path / "s")
    assert found.dev is not None and found.web is not None
    assert found.dev.listener.listen == found.web.listen == (("127.0.0.1", 0),)
    assert found.state == tmp_path / "s"
    found = development(host="::1", port=2525)
    assert found.dev is not None and found.web is not None
    assert found.dev.listener.listen == (("::1", 2525),)
    assert found.web.listen == (("::1", 8025),)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_dev_mode_stays_on_this_machine_unless_told(host: str) -> None:
    with pytest.raises(SettingsErrors, match="would show every mail to the network"):
        development(host=host)
    found = development(host=host, open_to_network=True)
    assert found.dev is not None and found.dev.open_to_network


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert development(host=host).dev is not None


def test_dev_mode_with_a_file() -> None:
    found = read('[dev]\nkeep = 2000\n[[dev.chaos]]\nto = "*+455@*"\nat = "rcpt"\nreply = 455\ntimes = 2\n')
    assert found.dev is not None and found.dev.keep == 2000
    (rule,) = found.dev.chaos
    assert (rule.to, rule.at, rule.reply, rule.times) == ("*+455@*", "rcpt", 455, 2)


def test_dev_mode_can_speak_tls() -> None:
    found = read(
        '[dev]\nlisten = ["127.0.0.1:2025"]\n[submissions]\nlisten = ["127.0.0.1:4650"]\n[tls]\ncert="/a"\nkey="/b"\n'
    )
    assert [role for role, _ in found.listeners] == ["submissions", "dev"]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('[[domain]]\nname="a.example"\ndeliver="hold"', "2: [[domain]] beside [dev]"),
        (f'[[account]]\nname="k"\npassword_hash="{HASH}"', "2: [[account]] beside [dev]"),
        ("[retry]", "2: retry beside [dev]"),
        ("[outbound]", "2: outbound beside [dev]"),
        ('[mx]\nlisten=["0.0.0.0:25"]', "3: dev mode on 0.0.0.0:25 would show"),
        ('[web]\nlisten=["192.0.2.1:80"]', "3: dev mode on 192.0.2.1:80 would show"),
    ],
)
def test_dev_mode_ignores_nothing(table: str, fault: str) -> None:
    (found,) = faults(f"[dev]\n{table}\n")
    assert found.startswith(fault)


def test_everything_wrong_is_said_at_once_in_the_order_of_the_lines() -> None:
    text = """hostname = "mail.example.com."
submision = 1
[mx]
listen = ["25", "::1:25"]
trusted_networks = ["0.0.0.0/0", "10.1.2.3/8"]
[submissions]
[[domain]]
name = "a.example"
deliver = "pigeon:/x"
recipents = '''
[limits]
'''
[[domain]]
name = "a.example"
[limits]
command_timeout = "5 min"
"""
    found = faults(text)
    expected = [
        "1: hostname: not a domain",
        "2: unknown key `submision`, did you mean `submission`?",
        "4: mx.listen: '25' is no HOST:PORT",
        "4: mx.listen: '::1:25' is no HOST:PORT",
        "5: mx.trusted_networks: 0.0.0.0/0 is the open internet",
        "5: mx.trusted_networks: '10.1.2.3/8' is no network",
        "6: [submissions] speaks TLS from the first octet: [tls] is missing",
        "9: domain.deliver: no route",
        "10: unknown key `recipents` in [domain], did you mean `recipients`?",
        "13: domain.deliver is missing",
        "14: domain.name: 'a.example' is already set at postroad.toml:7",
        "16: limits.command_timeout: '5 min' is no duration",
    ]
    assert [line.startswith(start) for line, start in zip(found, expected, strict=True)] == [True] * len(expected), (
        found
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("workers = 2", "1: workers: more than one worker is not available yet"),
        ("language = 'ja'", "1: language: another language than English on the wire is not available yet"),
    ],
)
def test_what_does_not_exist_yet_is_refused_not_ignored(text: str, fault: str) -> None:
    (found, *others) = faults(f"{text}\n[mx]\n")
    assert found.startswith(fault) and others == []


def test_the_proxy_protocol_is_refused() -> None:
    assert faults(MX + "proxy_protocol = true\n") == [
        "3: mx.proxy_protocol: the PROXY protocol is not available yet",
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("listen = '0.0.0.0:25'", "mx.listen: must be a list, not text"),
        ("listen = []", "mx.listen: the list must not be empty"),
        ("listen = [25]", "mx.listen: must be text in quotes, not a number"),
        ("listen = ['0.0.0.0:65536']", "mx.listen: port 65536 does not exist"),
        ("listen = ['0.0.0.0:-1']", "mx.listen: '0.0.0.0:-1' is no HOST:PORT"),
        ("listen = ['0.0.0.0:２５']", "mx.listen: '0.0.0.0:２５' is no HOST:PORT"),
        ("listen = ['0.0.0.0: 25']", "mx.listen: '0.0.0.0: 25' is no HOST:PORT"),
        ("listen = ['1.2.3:25']", "mx.listen: '1.2.3' is no IP address"),
        ("listen = ['[::g]:25']", "mx.listen: '[::g]:25' is no HOST:PORT"),
        ("listen = ['[1:2]:25']", "mx.listen: '1:2' is no IP address"),
        ("listen = ['192.0.2.1:25', '192.0.2.1:25']", "mx.listen: 192.0.2.1:25 is listed twice"),
        ("auth = 'yes'", "mx.auth: must be true or false, not text"),
        ("auth = 1", "mx.auth: must be true or false, not a number"),
        ("greet_delay = '5'", "mx.greet_delay: '5' is no duration"),
        ("greet_delay = 61", "mx.greet_delay: 61 is not"),
        ("greet_delay = true", "mx.greet_delay: must be a number, not true/false"),
        ("greet_delay = -1", "mx.greet_delay: -1 is not"),
        ("greet_delay = nan", "mx.greet_delay: nan is not"),
        ("bare_newline = 'accept'", 'mx.bare_newline: \'accept\' is not one of "reject", "normalize"'),
        ("trusted_networks = ['::/0']", "mx.trusted_networks: ::/0 is the open internet"),
        ("trusted_networks = ['0.0.0.0/1']", "mx.trusted_networks: 0.0.0.0/1 is the open internet"),
        ("trusted_networks = ['128.0.0.0/1']", "mx.trusted_networks: 128.0.0.0/1 is the open internet"),
        ("trusted_networks = ['2000::/3']", "mx.trusted_networks: 2000::/3 is the open internet"),
        ("trusted_networks = ['::ffff:0.0.0.0/96']", "mx.trusted_networks: 0.0.0.0/0 is the open internet"),
        ("trusted_networks = ['::ffff:128.0.0.0/97']", "mx.trusted_networks: 128.0.0.0/1 is the open internet"),
        ("trusted_networks = ['nonsense']", "mx.trusted_networks: 'nonsense' is no network"),
        ("trusted_networks = ['10.0.0.0/33']", "mx.trusted_networks: '10.0.0.0/33' is no network"),
        ("listn = ['0.0.0.0:25']", "unknown key `listn` in [mx], did you mean `listen`?"),
        ("zzz = 1", "unknown key `zzz` in [mx]"),
    ],
)
def test_listener_faults(line: str, fault: str) -> None:
    (found,) = faults(MX + line + "\n")
    assert found.startswith(f"3: {fault}")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("listen = '0.0.0.0:25'", 'write it as a list: ["0.0.0.0:25"]'),
        (
            "listen = ['25']",
            'name the addresses too: ["0.0.0.0:25", "[::]:25"] for all, "127.0.0.1:25" for this machine',
        ),
        ("listen = ['::1:25']", "an IPv6 address stands in brackets: [::1]:25"),
        ("trusted_networks = ['10.1.2.3/8']", "did you mean 10.0.0.0/8?"),
        ("zzz = 1", "known here: auth, bare_newline, greet_delay, listen, proxy_protocol, trusted_networks"),
    ],
)
def test_hints_say_what_to_write(line: str, hint: str) -> None:
    assert hints(MX + line + "\n") == [hint]


@pytest.mark.parametrize(
    "line",
    [
        "trusted_networks = ['10.0.0.0/8', '127.0.0.0/8', 'fc00::/7', '2001:db8::/32', '203.0.113.0/24']",
        "listen = ['localhost:25', '[::1]:0', '127.0.0.1:0', '127.0.0.1:0']",
        "greet_delay = 0.5",
        "greet_delay = '250ms'",
    ],
)
def test_listener_values(line: str) -> None:
    assert read(MX + line + "\n").mx is not None


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("deliver = 'hold'", "3: domain.name is missing"),
        ("name = 'a.example'", "3: domain.deliver is missing"),
        ("name = 'a@b.example'\ndeliver = 'hold'", "4: domain.name: not a domain"),
        ("name = ''\ndeliver = 'hold'", "4: domain.name: must not be empty"),
        ("name = 'a..example'\ndeliver = 'hold'", "4: domain.name: not a domain"),
        ("name = 'a.example'\ndeliver = 'smtp:[::1'", "5: domain.deliver: no HOST:PORT"),
        ("name = 'a.example'\ndeliver = 'maildir:relative'", "5: domain.deliver: the path of a maildir must begin"),
        ("name = 'a.example'\ndeliver = 'maildir:/m/{name}'", "5: domain.deliver: unknown placeholder"),
        ("name = 'a.example'\ndeliver = 'hold'\nrecipients = 'kana'", "6: domain.recipients: must be a list, not text"),
        (
            "name = 'a.example'\ndeliver = 'hold'\nrecipients = ['k@b.example']",
            "6: domain.recipients: 'k@b.example' is",
        ),
        ("name = 'a.example'\ndeliver = 'hold'\nrecipients = ['a b']", "6: domain.recipients: 'a b' is no local part"),
        ("name = 'a.example'\ndeliver = 'hold'\nrecipients = ['k', 'K']", "6: domain.recipients: 'K' is listed twice"),
        ("name = 'a.example'\ndeliver = 'hold'\nrecipients = ['*']", '6: domain.recipients: "*" stands alone'),
        ("name = 'a.example'\ndeliver = 'hold'\npostmaster = 'kana'", "6: domain.postmaster: not a mailbox"),
    ],
)
def test_domain_faults(lines: str, fault: str) -> None:
    (found,) = faults(MX + "[[domain]]\n" + lines + "\n")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("name = 'k'", "3: account.password_hash is missing"),
        ("name = 'k'\npassword_hash = 'secret'", "5: account.password_hash: is no Argon2id hash"),
        ("name = 'k'\npassword_hash = '$2b$12$xx'", "5: account.password_hash: is no Argon2id hash"),
        (f"name = 'k'\npassword_hash = '{HASH.replace('19456', '9999999')}'", "5: account.password_hash: m=9999999"),
        (f"name = 'k\\u0000'\npassword_hash = '{HASH}'".replace("'k\\u0000'", '"k\\u0000"'), "4: account.name: holds"),
        (f"name = 'k'\npassword_hash = '{HASH}'\nsenders = []", "6: account.senders: the list must not be empty"),
        (f"name = 'k'\npassword_hash = '{HASH}'\nsenders = ['x']", "6: account.senders: not a mailbox"),
        (f"name = 'k'\npassword_hash = '{HASH}'\nsenders = ['@']", "6: account.senders: must not be empty"),
    ],
)
def test_account_faults(lines: str, fault: str) -> None:
    (found,) = faults('hostname = "h.example"\n[submission]\n[[account]]\n' + lines + "\n")
    assert found.startswith(fault)
    assert "secret" not in found


def test_users_may_be_called_accounts_beside_the_system_account() -> None:
    tables = f'name = "k"\npassword_hash = "{HASH}"\n'
    start = 'hostname = "h.example"\n[submission]\n'
    by_user, by_account = read(f"{start}[[user]]\n{tables}"), read(f'user = "mail"\n{start}[[account]]\n{tables}')
    assert by_user.accounts == by_account.accounts == (settings.Account("k", HASH, None),)
    assert (by_user.user, by_account.user) == ("", "mail")
    (found,) = faults(f"{start}[[user]]\nname = 'k'\n")
    assert found.startswith("3: user.password_hash is missing")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hostname = 'h.example'\nmx = 1", "2: mx must be a table, not a number"),
        ("hostname = 'h.example'\n[mx]\n[domain]\nname = 'a'", "3: domain must be an array of tables"),
        ("hostname = 'h.example'", "nothing to listen on"),
        ("hostname = 'h.example'\nstate = 'relative'\n[mx]", "2: state: 'relative' must begin with /"),
        (f"hostname = 'h.example'\nstate = '/{'x' * 100}'\n[mx]", "2: state: the path is"),
        ("hostname = 'h.example'\n[mx]\n[web]\nlisten = ['0.0.0.0:80']", "4: web.listen: 0.0.0.0:80: the network"),
        ("hostname = 'h.example'\n[mx]\n[web]\npublic_url = 'mail.example.com'", "4: web.public_url:"),
        (
            "hostname = 'h.example'\n[mx]\nlisten=['127.0.0.1:80']\n[web]\nlisten = ['127.0.0.1:80']",
            "5: web.listen: 127",
        ),
        ("hostname = 'h.example'\n[tls]\ncert = '/c'\n[mx]", "2: tls.key is missing"),
        ("hostname = 'h.example'\n[tls]\ncert = '/c'\nkey = '/k'\nminimum = 1.2\n[mx]", "5: tls.minimum: 1.2 is not"),
        ("hostname = 'h.example'\n[mx]\n[limits]\nrecipients = 0", "4: limits.recipients: 0 is not between"),
        ("hostname = 'h.example'\n[mx]\n[limits]\nmessage_size = '25M'", "4: limits.message_size: '25M' is no size"),
        ("hostname = 'h.example'\n[mx]\n[limits]\nmessage_size = 2.5", "4: limits.message_size: must be a whole"),
        ("hostname = 'h.example'\n[mx]\n[limits]\nrecipient = 5", "4: unknown key `recipient` in [limits], did you"),
        ("hostname = 'h.example'\n[mx]\n[retry]\nschedule = []", "4: retry.schedule: the list must not be empty"),
    ],
)
def test_other_faults(text: str, fault: str) -> None:
    (found, *_) = faults(text + "\n")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("text", "place"),
    [("a = ", "postroad.toml:1: "), ("[mx]\n[mx]\n", "postroad.toml:2: "), ('x = 1\ny = "\n', "postroad.toml:2: ")],
)
def test_text_that_is_no_toml(text: str, place: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(text)
    assert caught.value.message.startswith(place)


FAR = MX + "[web]\nlisten = ['192.0.2.1:80']\n"
SOMEBODY = f"[[user]]\nname = 'ann'\npassword_hash = '{HASH}'\n"


def test_the_page_leaves_the_machine_when_somebody_can_sign_in() -> None:
    assert hints(FAR) == ['give somebody a role: role = "operator" (or "viewer") in a [[user]], or listen on 127.0.0.1']
    assert faults(FAR + SOMEBODY) == faults(FAR)
    assert any("in clear" in one for one in read(FAR + SOMEBODY + "role = 'viewer'").warnings)
    safe = FAR + "public_url = 'https://web.example'\n" + SOMEBODY + "role = 'operator'"
    assert not any("web" in one for one in read(safe).warnings)
    assert [one.role for one in read(safe).accounts] == ["operator"]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("'operater'", 'did you mean "operator"?'),
        ("'Viewer'", 'did you mean "viewer"?'),
        ("'root'", "leave it out"),
        ("7", "leave it out"),
        ("['viewer']", 'did you mean "viewer"?'),
    ],
)
def test_a_role_that_is_none(written: str, hint: str) -> None:
    text = MX + SOMEBODY + f"role = {written}"
    assert faults(text)[0].startswith("6: user.role: ")
    assert hints(text)[0].startswith(hint)


def test_a_role_is_of_use_with_the_page_only_and_the_page_with_a_role() -> None:
    assert any("there is no [web]" in one for one in read(MX + SOMEBODY + "role = 'viewer'").warnings)
    assert any("nobody can sign in to [web]" in one for one in read(MX + "[web]\n" + SOMEBODY).warnings)
    of_use = read(MX + "[web]\n" + SOMEBODY + "role = 'viewer'").warnings
    assert not any("[web]" in one or "of no use" in one for one in of_use)


def test_warnings() -> None:
    found = read(f'hostname = "localhost"\n[mx]\n[submission]\n[[account]]\nname="k"\npassword_hash="{HASH}"\n')
    assert found.warnings == (
        'postroad.toml:1: other hosts cannot tell one "localhost" from another: set hostname',
        "postroad.toml:2: [mx] is on but no [[domain]] is set: all mail is refused",
        "postroad.toml:3: [submission] without [tls]: only clients on this machine can authenticate",
    )
    found = read(
        MX + "[[domain]]\nname='a.example'\ndeliver='hold'\n[limits]\nrecipients=9\nreceived=5\nmessage_size=2000"
    )
    assert len(found.warnings) == 4


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"hostname = '\xfc'")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def test_a_file_knows_its_path(tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text(MX)
    assert load(file).path == file


def test_reading_again_keeps_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text("[dev]\nkeep = 5\n")
    first = load(file, settings.Overrides(host="0.0.0.0", port=0, open_to_network=True, state=tmp_path))
    file.write_text("[dev]\nkeep = 6\n")
    again = settings.read_again(first)
    assert first.dev is not None and again.dev is not None
    assert again == replace(first, dev=replace(first.dev, keep=6))
    assert settings.read_again(development(port=0)) == development(port=0)
