"""The resolver against a stub server that is right, slow, silent, broken or a liar."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
import uvloop

from postroad.clock import SystemClock
from postroad.errors import SettingsError
from postroad.net import dns_message, dns_servers, dns_transport
from postroad.net.dns_names import is_host_name
from postroad.net.resolver import (
    AddressAnswer,
    BadName,
    DnsError,
    DnsTemporary,
    MxAnswer,
    MxRecord,
    NameNotFound,
    NoData,
    Resolver,
    Timeouts,
)
from tests.dns_stub import DnsStub, Fault, Zone

ZONE: Zone = {
    "example.test": {"MX": ["10 MX1.example.test.", "20 mx2.example.test."]},
    "mx1.example.test": {"A": ["192.0.2.1", "192.0.2.2"], "AAAA": ["2001:db8::1"]},
    "mx2.example.test": {"A": ["192.0.2.3"]},
    "null.test": {"MX": ["0 ."]},
    "empty.test": {"TXT": ["x"]},
    "alias.test": {"CNAME": ["example.test."]},
    "dangling.test": {"CNAME": ["nowhere.test."]},
    "alias-of-empty.test": {"CNAME": ["empty.test."]},
    "loop-a.test": {"CNAME": ["loop-b.test."]},
    "loop-b.test": {"CNAME": ["loop-a.test."]},
    "odd.test": {"MX": ["5 a\\010b.test.", "6 -x.test.", "7 ok.test."]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["mx1.example.test.", "evil\\010line.test."]},
}
QUICK = Timeouts(attempt=0.2, total=2.0, rounds=2)

Loop = Callable[[Coroutine[Any, Any, Any]], Any]


class HandClock(SystemClock):
    """Monotonic time that a test moves."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Loop:
    return asyncio.run if request.param == "asyncio" else uvloop.run


async def caught(work: Awaitable[Any]) -> DnsError:
    try:
        answer = await work
    except DnsError as fault:
        return fault
    raise AssertionError(f"no fault but {answer!r}")


def with_stub(
    work: Callable[[DnsStub, Resolver], Awaitable[Any]], run: Loop = asyncio.run, zone: Zone = ZONE, **options: Any
) -> Any:
    """``work`` with a stub (its fields by their names) and a resolver (its options as ``resolver``)."""
    resolver_options = {"timeouts": QUICK, **options.pop("resolver", {})}

    async def both() -> Any:
        async with DnsStub(dict(zone), **options) as stub:
            resolver = Resolver([stub.address], **resolver_options)
            try:
                return await work(stub, resolver)
            finally:
                await resolver.close()

    return run(both())


# --- right answers


def test_mx_records_come_with_preference_and_lower_case_host(run: Loop) -> None:
    answer = with_stub(lambda _, resolver: resolver.mx("example.test"), run)
    assert isinstance(answer, MxAnswer)
    assert answer.name == "example.test"
    assert set(answer.records) == {MxRecord(10, "mx1.example.test"), MxRecord(20, "mx2.example.test")}


def test_addresses_of_both_versions_in_the_order_asked(run: Loop) -> None:
    six = with_stub(lambda _, resolver: resolver.addresses("mx1.example.test"), run)
    assert six.name == "mx1.example.test"
    assert six.addresses[0] == "2001:db8::1"
    assert set(six.addresses[1:]) == {"192.0.2.1", "192.0.2.2"}
    four = with_stub(lambda _, resolver: resolver.addresses("MX1.Example.TEST", (4, 6)), run)
    assert len(four.addresses) == 3
    assert four.addresses[2] == "2001:db8::1"


def test_one_version_is_enough() -> None:
    assert with_stub(lambda _, r: r.addresses("mx2.example.test")).addresses == ("192.0.2.3",)
    fault = with_stub(lambda _, r: caught(r.addresses("mx2.example.test", (6,))))
    assert isinstance(fault, NoData)


def test_null_mx_is_the_root() -> None:
    assert with_stub(lambda _, r: r.mx("null.test")).records == (MxRecord(0, ""),)


@pytest.mark.parametrize("chase", [True, False])
def test_an_alias_is_followed(chase: bool) -> None:
    answer = with_stub(lambda _, r: r.mx("alias.test"), chase=chase)
    assert answer.name == "example.test"
    assert len(answer.records) == 2


@pytest.mark.parametrize("chase", [True, False])
def test_an_alias_of_nothing(chase: bool) -> None:
    fault = with_stub(lambda _, r: caught(r.mx("dangling.test")), chase=chase)
    assert isinstance(fault, NameNotFound)
    assert "nowhere.test" in str(fault)


def test_an_alias_of_a_name_without_the_type() -> None:
    fault = with_stub(lambda _, r: caught(r.mx("alias-of-empty.test")))
    assert isinstance(fault, NoData)
    assert str(fault) == "alias-of-empty.test, an alias of empty.test, has no MX record"


@pytest.mark.parametrize("chase", [True, False])
def test_an_endless_alias_is_a_fault_with_words(chase: bool) -> None:
    stubbed: list[int] = []

    async def work(stub: DnsStub, resolver: Resolver) -> DnsError:
        fault = await caught(resolver.mx("loop-a.test"))
        stubbed.append(len(stub.asked))
        return fault

    fault = with_stub(work, chase=chase)
    assert isinstance(fault, DnsTemporary)
    assert "alias" in str(fault)
    assert stubbed[0] <= 8


def test_no_such_name_and_no_such_type_are_told_apart() -> None:
    missing = with_stub(lambda _, r: caught(r.mx("missing.test")))
    assert type(missing) is NameNotFound
    assert str(missing) == "missing.test does not exist (NXDOMAIN)"
    empty = with_stub(lambda _, r: caught(r.mx("empty.test")))
    assert type(empty) is NoData
    assert str(empty) == "empty.test has no MX record"


def test_hosts_that_are_no_host_names_come_as_printable_text() -> None:
    records = sorted(with_stub(lambda _, r: r.mx("odd.test")).records, key=lambda each: each.preference)
    assert [each.host for each in records] == ["a\\010b.test", "-x.test", "ok.test"]
    assert not is_host_name(records[0].host)


def test_pointers_leave_out_what_is_no_host_name() -> None:
    assert with_stub(lambda _, r: r.ptr("192.0.2.1")) == ("mx1.example.test",)


def test_the_validated_bit_is_believed_from_loopback() -> None:
    assert with_stub(lambda _, r: r.mx("example.test"), secure=True).secure
    assert with_stub(lambda _, r: r.addresses("mx1.example.test"), secure=True).secure
    assert not with_stub(lambda _, r: r.mx("example.test")).secure
    assert with_stub(lambda _, r: caught(r.mx("empty.test")), secure=True).secure


# --- names that are never asked


@pytest.mark.parametrize(
    "name",
    ["", ".", "a..b", "-a.test", "a-.test", "a b.test", "a\nb.test", "a\x00.test", "ü.test", "1.2.3.4", "a.123", "x" * 64,
     ".".join(["a" * 50] * 6), "example.test.", "a/b.test", "%.test", "[192.0.2.1]", "::1", "a\u2028b.test"],
)  # fmt: skip
def test_no_host_name_is_refused_before_anybody_is_asked(name: str) -> None:
    asked: list[int] = []

    async def work(stub: DnsStub, resolver: Resolver) -> DnsError:
        fault = await caught(resolver.mx(name))
        asked.append(len(stub.asked))
        return fault

    fault = with_stub(work)
    assert isinstance(fault, BadName)
    assert asked == [0]
    assert str(fault).isascii()
    assert str(fault).isprintable()


@pytest.mark.parametrize("name", ["localhost", "x.localhost", "a.onion", "b.invalid"])
def test_reserved_names_are_not_told_to_strangers(name: str) -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> tuple[DnsError, int]:
        return await caught(resolver.addresses(name)), len(stub.asked)

    fault, asked = with_stub(work)
    assert isinstance(fault, NameNotFound)
    assert asked == 0


@pytest.mark.parametrize(
    "name", ["a", "a.b", "_dmarc.example", "xn--p1ai", "a" * 63 + ".test", "0.a", "a--b.c", "a_b.c"]
)
def test_host_names(name: str) -> None:
    assert is_host_name(name)


# --- faults of servers


def test_servfail_is_temporary_and_says_so(run: Loop) -> None:
    fault = with_stub(lambda _, r: caught(r.mx("example.test")), run, faults={"example.test": Fault(rcode="SERVFAIL")})
    assert type(fault) is DnsTemporary
    assert "no usable answer about the MX records of example.test" in str(fault)
    assert "SERVFAIL" in str(fault)
    assert fault.hint


def test_a_failed_validation_is_named() -> None:
    def bogus(reply: dns.message.Message) -> None:
        option = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "evil\ntext")
        reply.use_edns(0, options=[option])

    fault = with_stub(
        lambda _, r: caught(r.mx("example.test")), faults={"example.test": Fault(rcode="SERVFAIL", alter=bogus)}
    )
    assert "SERVFAIL, DNSSEC validation fails" in str(fault)
    assert "evil" not in str(fault)


def test_a_lost_packet_is_sent_again(run: Loop) -> None:
    answer = with_stub(lambda _, r: r.mx("example.test"), run, faults={"example.test": Fault(silent_times=1)})
    assert len(answer.records) == 2


def test_silence_ends() -> None:
    fault = with_stub(
        lambda _, r: caught(r.mx("example.test")),
        faults={"example.test": Fault(silent=True)},
        resolver={"timeouts": Timeouts(attempt=0.05, total=0.3, rounds=2)},
    )
    assert isinstance(fault, DnsTemporary)
    assert "no answer in time" in str(fault)


def test_a_server_that_is_not_there_is_told_and_the_next_one_asked(run: Loop) -> None:
    async def work() -> tuple[MxAnswer, DnsError]:
        async with DnsStub(ZONE) as gone:
            nobody = gone.address
        async with DnsStub(ZONE) as stub:
            both = Resolver([nobody, stub.address], timeouts=QUICK)
            none = Resolver([nobody], timeouts=QUICK)
            return await both.mx("example.test"), await caught(none.mx("example.test"))

    answer, fault = run(work())
    assert len(answer.records) == 2
    assert "onnection refused" in str(fault)


def test_the_next_server_answers_for_one_that_fails() -> None:
    async def work() -> MxAnswer:
        async with DnsStub(ZONE, {"example.test": Fault(rcode="REFUSED")}) as first, DnsStub(ZONE) as second:
            return await Resolver([first.address, second.address], timeouts=QUICK).mx("example.test")

    assert len(asyncio.run(work()).records) == 2


def test_a_truncated_answer_is_fetched_by_tcp(run: Loop) -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> tuple[MxAnswer, list[bool]]:
        return await resolver.mx("example.test"), [each.tcp for each in stub.asked]

    answer, by_tcp = with_stub(work, run, faults={"example.test": Fault(truncate=True)})
    assert len(answer.records) == 2
    assert by_tcp == [False, True]


@pytest.mark.parametrize("fault", [Fault(truncate=True, silent_tcp=True), Fault(truncate=True, close_tcp=True)])
def test_tcp_that_fails_is_a_temporary_fault(fault: Fault) -> None:
    got = with_stub(lambda _, r: caught(r.mx("example.test")), faults={"example.test": fault})
    assert isinstance(got, DnsTemporary)


def test_an_answer_too_large_is_refused() -> None:
    many = {"big.test": {"MX": [f"{n} host-with-a-long-name-{n}.{'x' * 60}.test." for n in range(500)]}}
    faults, patient = {"big.test": Fault(truncate=True)}, {"timeouts": Timeouts()}
    fault = with_stub(lambda _, r: caught(r.mx("big.test")), zone=many, faults=faults, resolver=patient)
    assert "more than 16384 octets" in str(fault)


def test_at_most_a_hundred_records_are_kept() -> None:
    many = {"big.test": {"A": [f"192.0.2.{n}" for n in range(200)]}}
    answer = with_stub(lambda _, r: r.addresses("big.test", (4,)), zone=many, faults={"big.test": Fault(truncate=True)})
    assert len(answer.addresses) == dns_message.MAX_RECORDS


def test_without_edns_for_a_server_that_does_not_know_it() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> tuple[MxAnswer, list[bool]]:
        return await resolver.mx("example.test"), [each.edns for each in stub.asked]

    answer, edns = with_stub(work, faults={"example.test": Fault(no_edns=True)})
    assert len(answer.records) == 2
    assert edns == [True, False]


# --- lies (RFC 5452)


def test_forged_datagrams_are_passed_over(run: Loop) -> None:
    answer = with_stub(lambda _, r: r.mx("example.test"), run, faults={"example.test": Fault(forged_first=5)})
    assert len(answer.records) == 2


@pytest.mark.parametrize("fault", [Fault(wrong_id=True), Fault(wrong_question=True)])
def test_an_answer_to_something_else_is_none(fault: Fault) -> None:
    got = with_stub(lambda _, r: caught(r.mx("example.test")), faults={"example.test": fault})
    assert isinstance(got, DnsTemporary)


def test_a_flood_of_forgeries_drives_the_question_to_tcp() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> tuple[MxAnswer, list[bool]]:
        return await resolver.mx("example.test"), [each.tcp for each in stub.asked]

    flood = Fault(forged_first=dns_transport.MAX_STRANGERS + 5, wrong_id=True)
    answer, by_tcp = with_stub(work, faults={"example.test": flood})
    assert len(answer.records) == 2
    assert by_tcp == [False, True]


def test_records_of_other_names_in_the_answer_are_nobodys() -> None:
    def poison(reply: dns.message.Message) -> None:
        reply.answer.append(dns.rrset.from_text("mx2.example.test.", 300, "IN", "A", "203.0.113.66"))
        reply.additional.append(dns.rrset.from_text("mx2.example.test.", 300, "IN", "A", "203.0.113.67"))

    async def work(stub: DnsStub, resolver: Resolver) -> AddressAnswer:
        await resolver.mx("example.test")
        return await resolver.addresses("mx2.example.test")

    answer = with_stub(work, faults={"example.test": Fault(alter=poison)})
    assert answer.addresses == ("192.0.2.3",)


def test_mixed_case_is_checked_and_a_server_that_lowers_it_is_asked_by_tcp() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> list[tuple[bool, str]]:
        assert len((await resolver.mx("example.test")).records) == 2
        return [(each.tcp, each.text) for each in stub.asked]

    kept = with_stub(work, resolver={"mix_case": True})
    assert [by_tcp for by_tcp, _ in kept] == [False]
    lowered = with_stub(work, resolver={"mix_case": True}, faults={"example.test": Fault(lower_case=True)})
    sent_lower = lowered[0][1] == "example.test"  # one chance in two thousand
    assert sent_lower or [by_tcp for by_tcp, _ in lowered] == [False, True]


def test_ids_and_ports_cannot_be_guessed() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> tuple[set[int], set[int]]:
        for number in range(40):
            await caught(resolver.mx(f"n{number}.test"))
        return {each.id for each in stub.asked}, {each.port for each in stub.asked}

    ids, ports = with_stub(work)
    assert len(ids) > 30
    assert len(ports) > 30


# --- the cache


def test_answers_and_denials_are_kept_for_their_time() -> None:
    clock = HandClock()

    async def work(stub: DnsStub, resolver: Resolver) -> None:
        for _ in range(3):
            await resolver.mx("example.test")
            await caught(resolver.mx("empty.test"))
            await caught(resolver.mx("missing.test"))
            await caught(resolver.addresses("missing.test"))  # NXDOMAIN is about all types
        assert [stub.count(name) for name in ("example.test", "empty.test", "missing.test")] == [1, 1, 1]
        clock.ahead = 59
        await caught(resolver.mx("empty.test"))
        assert stub.count("empty.test") == 1
        clock.ahead = 61
        await caught(resolver.mx("empty.test"))
        await resolver.mx("example.test")
        assert (stub.count("empty.test"), stub.count("example.test")) == (2, 1)
        clock.ahead = 301
        await resolver.mx("example.test")
        assert stub.count("example.test") == 2

    with_stub(work, resolver={"clock": clock})


def test_a_denial_without_soa_is_not_kept() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> int:
        await caught(resolver.mx("missing.test"))
        await caught(resolver.mx("missing.test"))
        return stub.count("missing.test")

    assert with_stub(work, negative_ttl=None) == 2


def test_a_failure_is_kept_for_seconds_only() -> None:
    clock = HandClock()

    async def work(stub: DnsStub, resolver: Resolver) -> None:
        await caught(resolver.mx("example.test"))
        await caught(resolver.mx("example.test"))
        assert stub.count("example.test") == 1
        stub.faults.clear()
        clock.ahead = 6
        await resolver.mx("example.test")

    with_stub(work, faults={"example.test": Fault(rcode="SERVFAIL")}, resolver={"clock": clock})


@pytest.mark.parametrize(("ttl", "asked"), [(0, 2), (0x80000000, 2), (0xFFFFFFFF, 2), (1, 1)])
def test_odd_times_to_live(ttl: int, asked: int) -> None:
    """A TTL with its highest bit set is 0 (RFC 2181 section 8)."""

    def set_ttl(reply: dns.message.Message) -> None:
        reply.answer[0].ttl = ttl

    async def work(stub: DnsStub, resolver: Resolver) -> int:
        await resolver.mx("example.test")
        await resolver.mx("example.test")
        return stub.count("example.test")

    assert with_stub(work, faults={"example.test": Fault(alter=set_ttl)}) == asked


def test_a_day_is_the_longest_that_anything_is_kept() -> None:
    clock = HandClock()

    async def work(stub: DnsStub, resolver: Resolver) -> int:
        await resolver.mx("example.test")
        clock.ahead = 86_401
        await resolver.mx("example.test")
        return stub.count("example.test")

    assert with_stub(work, ttl=2_000_000, resolver={"clock": clock}) == 2


def test_the_cache_is_bounded_and_drops_what_was_least_used() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> None:
        await resolver.mx("example.test")
        for number in range(20):
            await caught(resolver.mx(f"n{number}.test"))
            await resolver.mx("example.test")
        assert len(resolver._cache) == 5
        assert stub.count("example.test") == 1
        await caught(resolver.mx("n0.test"))
        assert stub.count("n0.test") == 2

    with_stub(work, resolver={"cache_size": 5})


def test_exceptions_from_the_cache_gather_no_traceback() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> int:
        for _ in range(20):
            fault = await caught(resolver.mx("missing.test"))
        frames, trace = 0, fault.__traceback__
        while trace is not None:
            frames, trace = frames + 1, trace.tb_next
        return frames

    assert with_stub(work) < 10


# --- many at once


def test_the_same_question_is_under_way_once(run: Loop) -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> int:
        answers = await asyncio.gather(*(resolver.mx("example.test") for _ in range(50)))
        assert all(answer == answers[0] for answer in answers)
        return stub.count("example.test")

    assert with_stub(work, run, faults={"example.test": Fault(delay=0.05)}) == 1


def test_one_who_goes_away_does_not_take_the_others_answer(run: Loop) -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> MxAnswer:
        first = asyncio.ensure_future(resolver.mx("example.test"))
        second = asyncio.ensure_future(resolver.mx("example.test"))
        await asyncio.sleep(0.01)
        first.cancel()
        return await second

    assert len(with_stub(work, run, faults={"example.test": Fault(delay=0.1)}).records) == 2


def test_close_gives_up_what_is_under_way() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> DnsError:
        asked = asyncio.ensure_future(caught(resolver.mx("example.test")))
        await asyncio.sleep(0.02)
        await resolver.close()
        return await asked

    fault = with_stub(work, faults={"example.test": Fault(delay=5)}, resolver={"timeouts": Timeouts()})
    assert isinstance(fault, DnsTemporary)
    assert "closing" in str(fault)


def test_no_more_in_flight_than_allowed() -> None:
    async def work(stub: DnsStub, resolver: Resolver) -> int:
        asked = [asyncio.ensure_future(caught(resolver.mx(f"n{number}.test"))) for number in range(12)]
        await asyncio.sleep(0.1)
        waiting = len(stub.asked)
        for each in asked:
            each.cancel()
        return waiting

    faults = {f"n{number}.test": Fault(silent=True) for number in range(12)}
    assert with_stub(work, faults=faults, resolver={"max_in_flight": 4, "timeouts": Timeouts()}) == 4


def test_a_fault_that_nobody_waits_for_leaves_no_complaint(run: Loop) -> None:
    complaints: list[dict[str, Any]] = []

    async def work(stub: DnsStub, resolver: Resolver) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        asked = asyncio.ensure_future(resolver.mx("example.test"))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await asyncio.sleep(0.1)
        gc.collect()

    with_stub(work, run, faults={"example.test": Fault(rcode="SERVFAIL", delay=0.05)})
    assert complaints == []


# --- any octets


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x84\x00", b"\x84\x00" + b"\xff" * 8, b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\xc0\x0c", random.Random(1).randbytes(500)],
)  # fmt: skip
def test_garbage_on_the_wire_is_a_temporary_fault(raw: bytes, run: Loop) -> None:
    fault = with_stub(lambda _, r: caught(r.mx("example.test")), run, faults={"example.test": Fault(raw=raw)})
    assert isinstance(fault, DnsTemporary)


def test_txt_records_are_joined_from_their_strings(run: Loop) -> None:
    zone = {"example.test": {"TXT": ['"v=spf1 " "-all"', '"other"']}}

    async def work() -> tuple[bytes, ...]:
        async with DnsStub(zone) as stub:
            return (await Resolver([stub.address]).txt("Example.test")).records

    assert sorted(run(work())) == [b"other", b"v=spf1 -all"]


# --- which servers


def test_resolv_conf_as_the_system_reads_it() -> None:
    text = "# c\nnameserver 192.0.2.53 x\nnameserver\nnameserver junk\nsearch a\nnameserver 2001:db8::53\n" * 2
    found = dns_servers.servers_in(text + "nameserver 192.0.2.54\nnameserver 192.0.2.55\n")
    assert [str(each) for each in found] == ["192.0.2.53", "[2001:db8::53]", "192.0.2.54"]


def test_resolv_conf_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path, clock = tmp_path / "resolv.conf", HandClock()
    servers = dns_servers.Servers((), clock, path)
    assert servers.now() == dns_servers.LOOPBACK
    path.write_text("nameserver 192.0.2.1\n")
    clock.ahead = 11
    assert [each.address for each in servers.now()] == ["192.0.2.1"]
    path.unlink()
    clock.ahead = 22
    assert [each.address for each in servers.now()] == ["192.0.2.1"]


@pytest.mark.parametrize("server", [("dns.example", 53), ("192.0.2.1", 0), ("", 53), ("192.0.2.1", 65536)])
def test_a_resolver_is_given_by_its_address(server: tuple[str, int]) -> None:
    with pytest.raises(SettingsError):
        Resolver([server])
