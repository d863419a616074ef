"""From destinations to hosts: a stub name server in front of the whole way, as RFC 5321 section 5.1 walks it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.delivery import mx
from postroad.delivery.dialling import Dialling
from postroad.delivery.mx import Exchange, MxRouting, Site, Unroutable
from postroad.net.own_addresses import answers_on
from postroad.net.resolver import Resolver, Timeouts
from postroad.replies import Reply
from postroad.smtp import undeliverable
from tests.dns_stub import DnsStub, Fault, Zone, mail_zone

A, B, C, D = "8.8.1.1", "8.8.1.2", "8.8.1.3", "8.8.1.4"
ZONE: Zone = {
    **mail_zone({"example.test": {"10 mx1.example.test": A, "20 mx2.example.test": B}}),
    "plain.test": {"A": [A], "AAAA": ["2a00::1"]},
    "null.test": {"MX": ["0 ."], "A": [A]},
    "root-and-more.test": {"MX": ["0 .", "10 mx1.example.test."]},
    "empty.test": {"TXT": ["x"]},
    "alias.test": {"CNAME": ["example.test."]},
    "no-hosts.test": {"MX": ["10 gone.test.", "20 empty.test."]},
    "half.test": {"MX": ["10 gone.test.", "20 mx2.example.test."]},
    "names.test": {"MX": ["5 a\\010b.test.", "6 -x.test."]},
    "digits.test": {"MX": ["5 192.0.2.1."]},
    "six.test": {"MX": ["10 six-host.test."]},
    "six-host.test": {"AAAA": ["2a00::6"]},
}
QUICK = Timeouts(attempt=0.2, total=1.0, rounds=1)


def routed(
    work: Callable[[MxRouting, DnsStub], Awaitable[Any]],
    zone: Zone = ZONE,
    faults: dict[str, Fault] | None = None,
    own: Callable[[str], bool] = lambda _: False,
    allow: tuple[str, ...] = (),
    hostname: str = "me.test",
    secure: bool = False,
    **options: Any,
) -> Any:
    async def both() -> Any:
        async with DnsStub(dict(zone), faults or {}, secure=secure) as stub:
            resolver = Resolver([stub.address], timeouts=QUICK)
            routing = MxRouting(resolver, hostname, own, Dialling(allow), **options)
            try:
                return await work(routing, stub)
            finally:
                await resolver.close()

    return asyncio.run(both())


def site(destination: str, zone: Zone = ZONE, **options: Any) -> Site:
    found = routed(lambda routing, _: routing.site_of(destination), zone, **options)
    assert isinstance(found, Site)
    return found


def fault(destination: str, zone: Zone = ZONE, **options: Any) -> tuple[Reply, str]:
    try:
        found = site(destination, zone, **options)
    except Unroutable as unroutable:
        assert unroutable.permanent == unroutable.reply.is_permanent
        assert unroutable.note.isprintable()
        return unroutable.reply, unroutable.note
    raise AssertionError(f"routed to {found}")


def hosts(found: Site) -> list[str]:
    return [each.host for each in found.exchanges]


# --- the ways


def test_hosts_come_by_preference() -> None:
    found = site("example.test")
    assert found.exchanges == (
        Exchange("mx1.example.test", 25, (A,), 10),
        Exchange("mx2.example.test", 25, (B,), 20),
    )
    assert [str(each) for each in found.exchanges[0].endpoints] == [f"mx1.example.test [{A}]:25"]
    assert found.exchanges[0].endpoints[0].tls_name == "mx1.example.test"
    assert found.key == "mx1.example.test,mx2.example.test"
    assert found.notes == ()


def test_equals_take_turns() -> None:
    zone = mail_zone({"even.test": {"10 a.test": A, "10 b.test": B, "10 c.test": C, "5 best.test": D}})

    async def often(routing: MxRouting, _: DnsStub) -> list[list[str]]:
        return [hosts(await routing.site_of("even.test")) for _ in range(60)]

    orders = routed(often, zone, rng=random.Random(1))
    assert {order[0] for order in orders} == {"best.test"}
    assert set(Counter(order[1] for order in orders)) == {"a.test", "b.test", "c.test"}


def test_without_mx_the_domain_is_its_own_host() -> None:
    found = site("plain.test")
    assert found.exchanges == (Exchange("plain.test", 25, ("2a00::1", A), 0),)
    assert found.key == "plain.test"


def test_an_alias_leads_on() -> None:
    assert hosts(site("alias.test")) == ["mx1.example.test", "mx2.example.test"]


def test_another_port() -> None:
    found = site("example.test", port=2525)
    assert {each.port for each in found.exchanges} == {2525}
    assert found.key.endswith(":2525")


def test_domains_with_the_same_hosts_are_one_site() -> None:
    zone = ZONE | {"other.test": {"MX": ["1 mx2.example.test.", "1 mx1.example.test."]}}
    assert site("other.test", zone).key == site("example.test", zone).key
    assert site("half.test", zone).key != site("example.test", zone).key


def test_the_key_stays_short_and_tells_long_sets_apart() -> None:
    label = "h" * 60
    one = mail_zone({"long.test": {f"{n} {label}{n}.test": A for n in range(9)}})
    two = mail_zone({"long.test": {f"{n} {label}{n}.test": A for n in range(8)}})
    keys = {site("long.test", one).key, site("long.test", two).key}
    assert len(keys) == 2
    assert max(map(len, keys)) <= 200


def test_validated_answers_are_marked() -> None:
    assert site("example.test", secure=True).secure
    assert site("plain.test", secure=True).secure
    assert not site("example.test").secure


def test_versions_take_turns_and_are_chosen() -> None:
    zone: Zone = {"both.test": {"A": [A, B, C], "AAAA": ["2a00::1", "2a00::2", "2a00::3"]}}
    (exchange,) = site("both.test", zone).exchanges
    assert [":" in address for address in exchange.addresses] == [True, False, True, False]
    (exchange,) = site("both.test", zone, families=(4, 6)).exchanges
    assert [":" in address for address in exchange.addresses] == [False, True, False, True]
    (exchange,) = site("both.test", zone, families=(4,)).exchanges
    assert sorted(exchange.addresses) == [A, B, C]


# --- literals (RFC 5321 section 4.1.3)


def test_an_address_literal_is_the_host() -> None:
    assert site("[8.8.4.4]").exchanges == (Exchange("8.8.4.4", 25, ("8.8.4.4",)),)
    assert site("[ipv6:2A00::1]").exchanges == (Exchange("2a00::1", 25, ("2a00::1",)),)
    assert site("[IPv6:2a00:0::1]").key == site("[ipv6:2a00::1]").key


@pytest.mark.parametrize(
    "literal", ["[x400:abc]", "[]", "[1.2.3]", "[ipv6:8.8.8.8]", "[::1]", "[ipv6:fe80::1%lo]", "["]
)
def test_other_literals_lead_nowhere(literal: str) -> None:
    reply, _ = fault(literal)
    assert reply in (undeliverable.NO_DOMAIN_NAME, undeliverable.HOSTS_NOT_DIALLED)


@pytest.mark.parametrize("literal", ["[127.0.0.1]", "[10.0.0.1]", "[ipv6:::1]", "[ipv6:::ffff:127.0.0.1]", "[0.0.0.0]"])
def test_private_literals_are_not_dialled_unless_allowed(literal: str) -> None:
    assert fault(literal)[0] == undeliverable.HOSTS_NOT_DIALLED
    assert site(literal, allow=("0.0.0.0/0", "::/0")).exchanges


def test_a_literal_that_is_this_server() -> None:
    assert fault("[8.8.4.4]", own=lambda address: address == "8.8.4.4")[0] == undeliverable.LOOPS_BACK


def test_a_literal_of_a_version_that_is_not_dialled() -> None:
    assert fault("[ipv6:2a00::1]", families=(4,))[0] == undeliverable.NO_COMMON_FAMILY


# --- no way, for good


def test_null_mx() -> None:
    reply, note = fault("null.test")
    assert (reply.code, str(reply.enhanced)) == (556, "5.1.10")
    assert "null MX" in note


def test_the_root_beside_other_hosts_is_no_null_mx() -> None:
    found = site("root-and-more.test")
    assert hosts(found) == ["mx1.example.test"]
    assert found.notes == (". in an MX record is no host name",)


def test_no_such_domain() -> None:
    reply, note = fault("missing.test")
    assert (reply.code, str(reply.enhanced)) == (550, "5.1.2")
    assert note == "missing.test does not exist (NXDOMAIN)"


@pytest.mark.parametrize("name", ["1.2.3.4", "a..b", "x\ny.test", "-a.test", "ü.test", "", "a" * 300, "a_\u202e.test"])
def test_what_is_no_domain_name(name: str) -> None:
    assert fault(name)[0] == undeliverable.NO_DOMAIN_NAME


def test_an_address_without_brackets_is_explained() -> None:
    assert "user@[8.8.8.8]" in fault("8.8.8.8")[1]


def test_neither_mx_nor_address() -> None:
    reply, note = fault("empty.test")
    assert (reply.code, str(reply.enhanced)) == (550, "5.4.4")
    assert "empty.test has no A" in note or "empty.test has no AAAA" in note


def test_mx_hosts_without_addresses() -> None:
    reply, note = fault("no-hosts.test")
    assert reply == undeliverable.NO_MAIL_HOST
    assert "gone.test does not exist" in note
    assert "empty.test" in note


@pytest.mark.parametrize("destination", ["names.test", "digits.test"])
def test_mx_hosts_that_are_no_host_names(destination: str) -> None:
    reply, note = fault(destination)
    assert reply == undeliverable.NO_MAIL_HOST
    assert "no host name" in note


def test_a_host_without_address_leaves_the_others() -> None:
    found = site("half.test")
    assert hosts(found) == ["mx2.example.test"]
    assert "gone.test does not exist (NXDOMAIN)" in found.notes[0]


def test_addresses_beside_an_mx_are_not_used() -> None:
    """RFC 5321 section 5.1: MUST NOT utilize any address RRs unless they are located using the MX RRs."""
    zone: Zone = {"both.test": {"MX": ["10 gone.test."], "A": [A]}}
    assert fault("both.test", zone)[0] == undeliverable.NO_MAIL_HOST


# --- no way for now


@pytest.mark.parametrize(
    "broken", [Fault(rcode="SERVFAIL"), Fault(rcode="REFUSED"), Fault(silent=True), Fault(raw=b"x")]
)
def test_a_fault_of_the_dns_is_for_now(broken: Fault) -> None:
    reply, note = fault("example.test", faults={"example.test": broken})
    assert (reply.code, str(reply.enhanced)) == (451, "4.4.3")
    assert "example.test" in note


def test_a_fault_at_all_hosts_is_for_now_and_at_one_is_a_note() -> None:
    broken = Fault(rcode="SERVFAIL")
    both = {"mx1.example.test": broken, "mx2.example.test": broken}
    assert fault("example.test", faults=both)[0] == undeliverable.DNS_FAILED
    found = site("example.test", faults={"mx1.example.test": broken})
    assert hosts(found) == ["mx2.example.test"]
    assert "SERVFAIL" in found.notes[0]


def test_hosts_with_other_versions_only() -> None:
    reply, note = fault("six.test", families=(4,))
    assert (reply.code, str(reply.enhanced)) == (451, "4.4.4")
    assert "six-host.test has no IPv4 address" in note


# --- ourselves


OURS = mail_zone({"ours.test": {"5 best.test": A, "10 me.test": B, "10 equal.test": C, "20 worse.test": D}})


def test_the_list_ends_at_our_own_name() -> None:
    assert hosts(site("ours.test", OURS)) == ["best.test"]
    assert hosts(site("ours.test", OURS, hostname="ME.Test.")) == ["best.test"]


def test_the_list_ends_at_our_own_address() -> None:
    found = site("ours.test", OURS, hostname="else.test", own=lambda address: address == C)
    assert hosts(found) == ["best.test"]


def test_the_best_host_is_this_server() -> None:
    reply, note = fault("ours.test", OURS, hostname="best.test")
    assert (reply.code, str(reply.enhanced)) == (554, "5.4.6")
    assert "best.test" in note
    assert "local domain" in note
    reply, note = fault("ours.test", OURS, own=lambda address: address == A)
    assert reply == undeliverable.LOOPS_BACK
    assert f"[{A}]" in note


def test_an_implicit_mx_that_is_this_server() -> None:
    assert fault("plain.test", own=lambda address: address == A)[0] == undeliverable.LOOPS_BACK


def test_while_a_better_host_is_unknown_nothing_is_said_for_good() -> None:
    reply, _ = fault("ours.test", OURS, faults={"best.test": Fault(rcode="SERVFAIL")}, own=lambda address: address == C)
    assert reply == undeliverable.DNS_FAILED


def test_our_private_address_behind_nat_counts_as_ours() -> None:
    zone = mail_zone({"inside.test": {"10 inside-mx.test": "10.0.0.5", "20 backup.test": A}})
    assert fault("inside.test", zone, own=lambda address: address == "10.0.0.5")[0] == undeliverable.LOOPS_BACK


def test_loopback_in_the_dns_is_not_ours_but_not_dialled() -> None:
    zone = mail_zone({"trap.test": {"10 trap-mx.test": "127.0.0.1"}})
    reply, note = fault("trap.test", zone, own=lambda _: True)
    assert reply == undeliverable.HOSTS_NOT_DIALLED
    assert "trap-mx.test [127.0.0.1] is a loopback address" in note


# --- own addresses by the kernel


def test_behind_a_wildcard_every_address_of_the_machine_is_ours() -> None:
    listening = frozenset({("0.0.0.0", 25)})
    assert answers_on("127.0.0.1", 25, listening)
    assert not answers_on("8.8.8.8", 25, listening)
    assert not answers_on("127.0.0.1", 2525, listening)
    assert not answers_on("::1", 25, listening)


def test_only_listeners_on_the_port_count() -> None:
    listening = frozenset({("192.0.2.1", 25), ("192.0.2.2", 2525), ("2001:db8::1", 25)})
    assert answers_on("192.0.2.1", 25, listening)
    assert answers_on("2001:db8::1", 25, listening)
    assert not answers_on("192.0.2.2", 25, listening)
    assert answers_on("192.0.2.2", 2525, listening)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "224.0.0.1", "::1", "::", "ff02::1"])
def test_what_is_no_address_of_a_host_is_never_ours(address: str) -> None:
    """The kernel lets a socket have all of these."""
    zone = mail_zone({"trap.test": {"10 trap-mx.test": address}})
    listening = frozenset({("0.0.0.0", 25), ("::", 25)})
    reply, _ = fault("trap.test", zone, own=lambda each: answers_on(each, 25, listening))
    assert reply == undeliverable.HOSTS_NOT_DIALLED


# --- strangers' addresses


def test_private_hosts_are_left_out_and_said_so() -> None:
    zone = mail_zone({"mixed.test": {"10 inner.test": "192.168.0.1", "20 outer.test": A}})
    found = site("mixed.test", zone)
    assert hosts(found) == ["outer.test"]
    assert found.notes == ("inner.test [192.168.0.1] is a private address",)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::7f00:1", "2002:7f00:1::"]
)
def test_only_private_hosts_are_no_way_at_all(address: str) -> None:
    zone = mail_zone({"private.test": {"10 private-mx.test": address}})
    reply, note = fault("private.test", zone)
    assert (reply.code, str(reply.enhanced)) == (550, "5.4.4")
    assert "private-mx.test" in note
    assert site("private.test", zone, allow=("0.0.0.0/0", "::/0")).exchanges[0].addresses == (address,)


def test_a_name_that_changes_after_the_look_up_changes_nothing() -> None:
    """Rebinding: a good answer first, loopback from then on; what was vetted is what is dialled."""
    calls = 0

    def rebind(reply: dns.message.Message) -> None:
        nonlocal calls
        if not reply.answer:
            return
        calls += 1
        if calls > 1:
            reply.answer[0] = dns.rrset.from_text(reply.question[0].name, 0, "IN", "A", "127.0.0.1")
        reply.answer[0].ttl = 0

    async def often(routing: MxRouting, stub: DnsStub) -> list[str]:
        dialled: list[str] = []
        for _ in range(50):
            try:
                dialled += (await routing.site_of("plain4.test")).exchanges[0].addresses
            except Unroutable as fault:
                assert fault.reply == undeliverable.HOSTS_NOT_DIALLED
        assert stub.count("plain4.test", "A") == 50
        return dialled

    dialled = routed(often, {"plain4.test": {"A": [A]}}, {"plain4.test": Fault(alter=rebind)}, families=(4,))
    assert dialled == [A]


# --- bounds


def test_a_thousand_hosts_are_too_many() -> None:
    zone = mail_zone({"many.test": {f"{n} h{n:03}.test": A for n in range(300)}})

    async def work(routing: MxRouting, stub: DnsStub) -> tuple[Site, int]:
        return await routing.site_of("many.test"), len(stub.asked)

    found, asked = routed(work, zone)
    assert hosts(found) == sorted(hosts(found))
    assert len(found.exchanges) == mx.MAX_EXCHANGES
    assert asked <= 2 + 2 * mx.MAX_EXCHANGES


def test_addresses_are_bounded_in_all() -> None:
    zone = mail_zone({"wide.test": {f"{n} w{n}.test": A for n in range(10)}})
    for n in range(10):
        zone[f"w{n}.test"]["A"] = [f"8.8.{n}.{m}" for m in range(30)]
    found = site("wide.test", zone)
    assert sum(len(each.addresses) for each in found.exchanges) == mx.MAX_ADDRESSES
    assert all(1 <= len(each.addresses) <= mx.MAX_OF_ONE for each in found.exchanges)


def test_a_host_named_twice_is_tried_once_where_it_is_best() -> None:
    zone: Zone = {
        "twice.test": {"MX": ["20 mx1.example.test.", "10 mx1.example.test.", "15 mx2.example.test."]},
        **ZONE,
    }
    assert [(each.host, each.preference) for each in site("twice.test", zone).exchanges] == [
        ("mx1.example.test", 10),
        ("mx2.example.test", 15),
    ]


def test_notes_are_bounded() -> None:
    zone = mail_zone({"noisy.test": {f"{n} {'n' * 60}{n}.{'m' * 60}.test": "10.0.0.1" for n in range(10)}})
    assert len(fault("noisy.test", zone)[1]) <= 600


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_destination_comes_to_a_site_or_to_words(destination: str) -> None:
    class Nowhere:
        async def mx(self, name: str) -> Any:
            return await Resolver([("127.0.0.1", 1)], timeouts=Timeouts(0.05, 0.05, 1)).mx(name)

        async def addresses(self, name: str, families: Any = ()) -> Any:
            raise AssertionError("no MX, no address")

    try:
        asyncio.run(MxRouting(Nowhere(), "me.test").site_of(destination))
    except Unroutable as unroutable:
        assert unroutable.note.isprintable()


def test_the_replies_are_sound() -> None:
    own = [each for each in vars(undeliverable).values() if isinstance(each, Reply)]
    assert own
    assert all(each.enhanced is not None and not each.is_positive for each in own)


def test_each_message_has_its_own_order_among_equals() -> None:
    """RFC 5321 section 5.1: the load is spread, however long the answer of the DNS is kept."""
    hosts = [Exchange(name, 25, ("192.0.2.1",), preference) for name, preference in (("a", 10), ("b", 10), ("c", 20))]
    site = Site("k", tuple(hosts))
    seen = {tuple(one.host for one in site.in_turn(random.Random(seed))) for seed in range(50)}
    assert seen == {("a", "b", "c"), ("b", "a", "c")}
