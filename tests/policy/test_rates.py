"""What one client may take, what is said beyond it, and that counting costs a bounded memory."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from postroad.address import Mailbox
from postroad.policy.clients import Networks, client_of
from postroad.policy.rates import (
    TOO_MANY_CONNECTIONS,
    TOO_MANY_FAILURES,
    TOO_MANY_FROM_CLIENT,
    TOO_MANY_MESSAGES,
    TOO_MANY_RECIPIENTS,
    TOO_MANY_TLS_STARTS,
    RateLimits,
    Rates,
)
from postroad.policy.stages import Act, Policies, SessionFacts, Transaction
from postroad.smtp.events import AuthGiven, RecipientGiven, SenderGiven
from postroad.smtp.parameters import NOTHING_GIVEN

SENDER = SenderGiven(None, NOTHING_GIVEN)
RECIPIENT = RecipientGiven(Mailbox("kana", "example.net"), NOTHING_GIVEN)
AUTH = AuthGiven("PLAIN", "", "kana", "x")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class House:
    """Rates with sessions that come and go."""

    def __init__(self, max_clients: int = 1000, exempt: str = "", **limits: int) -> None:
        self.clock = Clock()
        networks = [ip_network(exempt)] if exempt else []
        self.rates = Rates(RateLimits(**limits), self.clock, networks, max_clients)
        self.number = 0

    def session(self, host: str) -> SessionFacts:
        self.number += 1
        return SessionFacts(f"s{self.number}", "mx", (host, 1), ("192.0.2.1", 25))

    def admitted(self, host: str) -> SessionFacts:
        facts = self.session(host)
        assert self.rates.on_connect(facts) is None
        return facts

    def refused(self, host: str) -> object:
        return self.rates.on_connect(self.session(host))


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("/run/postroad.sock", "/run/postroad.sock"),
        ("", ""),
    ],
)
def test_who_counts_as_one_client(host: str, client: str) -> None:
    assert client_of(host) == client


def test_networks() -> None:
    networks = Networks([ip_network("10.0.0.0/8"), ip_network("192.0.2.7"), ip_network("2001:db8::/32")])
    inside = ["10.1.2.3", "192.0.2.7", "2001:db8:ffff::1", "::ffff:10.0.0.1"]
    outside = ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::ffff:11.0.0.1", "nonsense", "", "::10.0.0.1"]
    assert all(host in networks for host in inside)
    assert not any(host in networks for host in outside)
    assert not Networks() and "10.0.0.1" not in Networks()


def test_connections_in_all() -> None:
    house = House(connections=3, connections_per_client=0, exempt="10.0.0.0/8")
    first = house.admitted("192.0.2.1")
    house.admitted("192.0.2.2")
    house.admitted("10.0.0.1")
    assert house.refused("192.0.2.3") is TOO_MANY_CONNECTIONS
    assert house.refused("10.0.0.1") is TOO_MANY_CONNECTIONS
    house.rates.disconnected(first)
    house.admitted("192.0.2.3")
    assert house.rates.connections == 3


def test_connections_of_one_client() -> None:
    house = House(connections_per_client=2)
    one = house.admitted("192.0.2.1")
    house.admitted("::ffff:192.0.2.1")
    assert house.refused("192.0.2.1") is TOO_MANY_FROM_CLIENT
    house.admitted("192.0.2.2")
    house.rates.disconnected(one)
    house.admitted("192.0.2.1")


def test_an_ipv6_site_is_one_client() -> None:
    house = House(connections_per_client=2)
    house.admitted("2001:db8:1:2::1")
    house.admitted("2001:db8:1:2:ffff::9")
    assert house.refused("2001:db8:1:2:1:2:3:4") is TOO_MANY_FROM_CLIENT
    house.admitted("2001:db8:1:3::1")


def test_a_refused_session_is_not_counted_and_an_end_counts_once() -> None:
    house = House(connections_per_client=1)
    kept = house.admitted("192.0.2.1")
    refused = house.session("192.0.2.1")
    assert house.rates.on_connect(refused) is TOO_MANY_FROM_CLIENT
    house.rates.disconnected(refused)
    assert house.refused("192.0.2.1") is TOO_MANY_FROM_CLIENT
    house.rates.disconnected(kept)
    house.rates.disconnected(kept)
    house.admitted("192.0.2.1")
    assert house.refused("192.0.2.1") is TOO_MANY_FROM_CLIENT
    assert house.rates.connections == 1


def test_messages_a_minute() -> None:
    house = House(messages_per_minute=3)
    one, other = house.admitted("192.0.2.1"), house.admitted("192.0.2.1")
    stranger = house.admitted("192.0.2.2")
    assert [house.rates.on_sender(facts, SENDER) for facts in (one, other, one)] == [None] * 3
    assert house.rates.on_sender(other, SENDER) is TOO_MANY_MESSAGES
    assert house.rates.on_sender(stranger, SENDER) is None
    house.clock.now += 59.9
    assert house.rates.on_sender(one, SENDER) is TOO_MANY_MESSAGES
    house.clock.now += 0.1
    assert house.rates.on_sender(one, SENDER) is None


def test_counts_outlive_the_connection() -> None:
    house = House(messages_per_minute=1)
    first = house.admitted("192.0.2.1")
    assert house.rates.on_sender(first, SENDER) is None
    house.rates.disconnected(first)
    assert house.rates.on_sender(house.admitted("192.0.2.1"), SENDER) is TOO_MANY_MESSAGES


def test_recipients_a_minute() -> None:
    house = House(recipients_per_minute=2)
    facts = house.admitted("192.0.2.1")
    transaction = Transaction(SENDER, [])
    answers = [house.rates.on_recipient(facts, transaction, RECIPIENT) for _ in range(3)]
    assert answers == [None, None, TOO_MANY_RECIPIENTS]


def test_wrong_passwords_a_minute() -> None:
    house = House(auth_failures_per_minute=2)
    facts = house.admitted("192.0.2.1")
    for _ in range(2):
        assert house.rates.on_auth(facts, AUTH) is None
        house.rates.auth_failed(facts)
    closing = Act(TOO_MANY_FAILURES, close=True)
    assert house.rates.on_auth(facts, AUTH) == closing
    assert house.rates.on_auth(house.admitted("192.0.2.1"), AUTH) == closing
    house.clock.now += 60
    assert house.rates.on_auth(facts, AUTH) is None


def test_tls_starts_a_minute() -> None:
    house = House(tls_starts_per_minute=1)
    facts = house.admitted("192.0.2.1")
    assert house.rates.on_tls(facts) is None
    assert house.rates.on_tls(facts) == Act(TOO_MANY_TLS_STARTS, close=True)


def test_exempt_clients_are_not_counted() -> None:
    house = House(
        exempt="127.0.0.0/8",
        connections_per_client=1,
        messages_per_minute=1,
        recipients_per_minute=1,
        auth_failures_per_minute=1,
        tls_starts_per_minute=1,
    )
    facts, *_ = [house.admitted("127.0.0.1") for _ in range(5)]
    for _ in range(5):
        house.rates.auth_failed(facts)
        assert house.rates.on_auth(facts, AUTH) is None
        assert house.rates.on_tls(facts) is None
        assert house.rates.on_sender(facts, SENDER) is None
        assert house.rates.on_recipient(facts, Transaction(SENDER, []), RECIPIENT) is None
    assert len(house.rates) == 0


def test_zero_means_no_limit() -> None:
    house = House(connections_per_client=0, messages_per_minute=0, auth_failures_per_minute=0, tls_starts_per_minute=0)
    facts, *_ = [house.admitted("192.0.2.1") for _ in range(100)]
    for _ in range(2000):
        house.rates.auth_failed(facts)
        assert house.rates.on_auth(facts, AUTH) is None
        assert house.rates.on_tls(facts) is None
        assert house.rates.on_sender(facts, SENDER) is None


def test_memory_is_bounded_and_connected_clients_are_kept() -> None:
    house = House(max_clients=10, messages_per_minute=1)
    steady = house.admitted("192.0.2.1")
    house.rates.on_sender(steady, SENDER)
    for number in range(1000):
        house.rates.disconnected(house.admitted(f"198.51.{number // 250}.{number % 250}"))
    assert len(house.rates) == 10
    assert house.rates.on_sender(steady, SENDER) is TOO_MANY_MESSAGES


def test_reloaded_limits_hold_for_running_sessions() -> None:
    house = House(messages_per_minute=1)
    facts = house.admitted("192.0.2.1")
    house.rates.on_sender(facts, SENDER)
    assert house.rates.on_sender(facts, SENDER) is TOO_MANY_MESSAGES
    house.rates.renew(RateLimits(messages_per_minute=10), [ip_network("192.0.2.0/24")])
    assert house.rates.on_sender(facts, SENDER) is None
    assert house.rates._sessions[house.admitted("192.0.2.1").id] is None


def test_the_replies_are_those_of_the_table() -> None:
    replies = (TOO_MANY_CONNECTIONS, TOO_MANY_FROM_CLIENT, TOO_MANY_MESSAGES, TOO_MANY_FAILURES, TOO_MANY_TLS_STARTS)
    assert [f"{reply.code} {reply.enhanced}" for reply in replies] == [
        "421 4.3.2",
        "421 4.7.0",
        "450 4.7.1",
        "421 4.7.0",
        "421 4.7.0",
    ]


def test_the_policy_finds_its_stages() -> None:
    rates = House().rates
    found = Policies.of(rates)
    assert found.connect == found.auth == found.sender == found.recipient == (rates,)
    assert found.hello == found.content == found.message == ()
