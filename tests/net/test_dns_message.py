"""What octets of a name server are read as: any octets at all, and answers nearly right."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad.net import dns_message
from postroad.net.dns_errors import DnsError
from postroad.net.dns_names import is_host_name


def test_the_validated_bit_of_a_stranger_is_not_believed() -> None:
    asked = dns_message.question("example.test", dns.rdatatype.MX)
    reply = dns.message.make_response(dns.message.from_wire(asked.octets))
    reply.flags |= dns.flags.AD
    reply.answer.append(dns.rrset.from_text("example.test.", 1, "IN", "MX", "1 a.test."))
    answer = dns_message.read_answer(reply.to_wire(), asked)
    assert not dns_message.read_facts(answer, asked, trusted=False).secure
    assert dns_message.read_facts(answer, asked, trusted=True).secure


def well_formed(asked: dns_message.Question) -> bytes:
    reply = dns.message.make_response(dns.message.from_wire(asked.octets))
    reply.answer.append(
        dns.rrset.from_text("example.test.", 300, "IN", "MX", "10 a.example.test.", "20 b.example.test.")
    )
    reply.answer.append(dns.rrset.from_text("a.example.test.", 300, "IN", "CNAME", "c.example.test."))
    reply.authority.append(dns.rrset.from_text("test.", 60, "IN", "SOA", "a. b. 1 2 3 4 5"))
    return reply.to_wire()


ASKED = dns_message.question("example.test", dns.rdatatype.MX)
WELL_FORMED = well_formed(ASKED)


def judge(octets: bytes) -> None:
    """Facts, or one of the known exceptions; nothing else ever."""
    try:
        answer = dns_message.read_answer(octets, ASKED)
        if not answer.truncated:
            facts = dns_message.read_facts(answer, ASKED, trusted=True)
            assert facts.name.isascii()
            assert facts.name.isprintable()
            assert len(facts.records) <= dns_message.MAX_RECORDS
            assert facts.ttl >= 0
    except (dns_message.Garbled, dns_message.ServerFailure, DnsError) as fault:
        assert str(fault).isascii()
        assert str(fault).isprintable()


@given(st.binary(max_size=600))
@example(b"")
@example(b"\x00" * 12)
def test_any_octets_behind_our_id(octets: bytes) -> None:
    judge(ASKED.id.to_bytes(2, "big") + octets)
    judge(ASKED.id.to_bytes(2, "big") + b"\x84\x00\x00\x01" + octets)
    judge(WELL_FORMED[: len(ASKED.octets)] + octets)
    judge(octets)


@given(
    st.lists(st.tuples(st.integers(2, len(WELL_FORMED) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.data()
)
@settings(max_examples=300)
def test_a_good_answer_with_any_octets_changed_or_cut(changes: list[tuple[int, int]], data: st.DataObject) -> None:
    octets = bytearray(WELL_FORMED)
    for place, value in changes:
        octets[place] = value
    judge(bytes(octets))
    judge(bytes(octets[: data.draw(st.integers(0, len(octets)))]))


@given(st.text(max_size=80))
def test_no_text_passes_as_a_host_name_that_could_not_be_asked(text: str) -> None:
    if is_host_name(text):
        name = dns.name.from_text(text)
        assert name.to_text(omit_final_dot=True) == text
        dns_message.question(text, dns.rdatatype.MX, mix_case=True)


def test_names_of_many_labels_are_read_record_by_record() -> None:
    """A thousand records whose names have 120 labels each: only so many are read as are kept."""
    asked = dns_message.question("a.b", dns.rdatatype.MX)
    head = asked.octets[:2] + b"\x84\x00\x00\x01" + (1001).to_bytes(2, "big") + bytes(4)
    inner = b"\x01a" * 120 + b"\0"
    end = dns.message.from_wire(asked.octets, question_only=True).question[0].name.to_wire()
    assert end is not None
    start = 12 + len(end) + 4
    first = b"\xc0\x0c\0\x0f\0\1" + bytes(4) + (len(inner) + 2).to_bytes(2, "big") + b"\0\1" + inner
    pointer = (0xC000 | start + 14).to_bytes(2, "big")
    more = b"\xc0\x0c\0\x0f\0\1" + bytes(4) + b"\0\4\0\1" + pointer
    answer = dns_message.read_answer(head + end + b"\0\x0f\0\1" + first + more * 900, asked)
    assert len(answer.records) == dns_message.MAX_READ
    facts = dns_message.read_facts(answer, asked, trusted=False)
    assert len(facts.records) == dns_message.MAX_RECORDS
    assert len(facts.records[99].exchange.labels) == 121
