"""Every parameter of every extension: read, written and read again, refused when malformed, judged under conditions."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from postroad.errors import ParameterSyntaxError
from postroad.smtp import extensions
from postroad.smtp.extensions.auth import AUTH
from postroad.smtp.extensions.binarymime import is_binary, judge_binary
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.chunking import parse_bdat
from postroad.smtp.extensions.deliverby import BY, DeliverBy, may_drop
from postroad.smtp.extensions.dsn import ENVID, NOTIFY, ORCPT, RET, Notify, Ret
from postroad.smtp.extensions.futurerelease import HOLDFOR, HOLDUNTIL
from postroad.smtp.extensions.mtpriority import PRIORITY
from postroad.smtp.extensions.requiretls import TLS_REQUIRED
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.extensions.xtext import decode_xtext, encode_xtext
from postroad.smtp.parameters import (
    NOT_NOW,
    Conditions,
    Extension,
    ExtensionSet,
    Given,
    OnRefusal,
    Parameter,
    Traits,
)
from postroad.smtp.states import Verb
from tests.smtp.extension_values import ALL, BAD, GOOD, PARAMETERS, PRINTABLE, VALUES


def test_no_parameter_is_forgotten_here() -> None:
    assert set(VALUES) == set(PARAMETERS)
    assert {parameter for parameter, _, _ in GOOD} == set(PARAMETERS)
    assert {parameter for parameter, _ in BAD} == set(PARAMETERS)
    assert len(ALL) == len(extensions.__all__)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.keyword)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
def test_written_and_read_again_it_is_the_same(parameter: Parameter[Any], data: st.DataObject) -> None:
    value = data.draw(VALUES[parameter])
    text = parameter.encode(value)
    assert parameter.parse(text) == value
    # RFC 5321 section 4.1.2: an esmtp-value holds no "=", no space and no control character.
    assert text is None or re.fullmatch(r"[!-<>-~\u0080-\U0010ffff]+", text)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.keyword)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_parameter_is_no_longer_than_its_extension_says(parameter: Parameter[Any], data: st.DataObject) -> None:
    """RFC 5321 section 4.1.1.11: each extension says by how much it makes the command line longer."""
    text = parameter.encode(data.draw(VALUES[parameter]))
    written = f" {parameter.keyword}" + ("" if text is None else f"={text}")
    limit = {ENVID: 100, ORCPT: 500}.get(parameter)  # RFC 3461 section 5.4: what xtext may make longer ends here
    assume(limit is None or len(written) - 1 <= limit)
    assert len(written.encode()) <= parameter.octets


@pytest.mark.parametrize(("parameter", "text", "value"), GOOD)
def test_a_value_is_read(parameter: Parameter[Any], text: str | None, value: object) -> None:
    assert parameter.parse(text) == value


@pytest.mark.parametrize(("parameter", "text"), BAD)
def test_a_malformed_value_is_refused(parameter: Parameter[Any], text: str | None) -> None:
    with pytest.raises(ParameterSyntaxError):
        parameter.parse(text)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.keyword)
@given(text=st.one_of(st.text(max_size=40), st.text("0123456789;,+-=<>@ABDEFNRTZabc:. \r\n\x00\ud800", max_size=25)))
@settings(max_examples=60)
@example(text="\ud800")
@example(text="9" * 5000)
def test_any_text_is_read_or_refused(parameter: Parameter[Any], text: str) -> None:
    try:
        value = parameter.parse(text)
    except ParameterSyntaxError:
        return
    again = parameter.encode(value)
    assert parameter.parse(again) == value


# ---------------------------------------------------------------- xtext (RFC 3461 section 4)


@given(st.text(PRINTABLE))
def test_xtext_there_and_back(text: str) -> None:
    encoded = encode_xtext(text)
    assert decode_xtext(encoded) == text
    assert re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", encoded)


@pytest.mark.parametrize("text", ["\r", "\n", "\x00", "\x7f", "é", "\u2028", "\ud800"])
def test_only_printable_ascii_becomes_xtext(text: str) -> None:
    with pytest.raises(ValueError):
        encode_xtext(f"a{text}b")
    with pytest.raises(ParameterSyntaxError):
        decode_xtext(f"a{text}b")


# ---------------------------------------------------------------- BDAT (RFC 3030 section 2)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("0", (0, False)),
        ("0 LAST", (0, True)),
        ("86 last", (86, True)),
        ("86  Last", (86, True)),
        ("007", (7, False)),
        ("9223372036854775807", (9223372036854775807, False)),
        ("9223372036854775808", None),
        ("18446744073709551616", None),
        ("18446744073709551615 LAST", None),
        ("", None),
        (" 5", None),
        ("5 ", None),
        ("LAST", None),
        ("5LAST", None),
        ("5 LASTS", None),
        ("5 LAST ", None),
        ("5 LAST\n", None),
        ("5\n", None),
        ("-5", None),
        ("+5", None),
        ("5_0", None),
        ("0x5", None),
        ("5.0", None),
        ("\u0661", None),
        ("²", None),
        ("5 5", None),
        ("9" * 5000, None),
    ],
)
def test_a_chunk_size_is_read(text: str, read: tuple[int, bool] | None) -> None:
    assert parse_bdat(text) == read


@given(st.integers(0, 2**63 - 1), st.booleans())
def test_any_chunk_size_is_read(octets: int, last: bool) -> None:
    assert parse_bdat(f"{octets}{' LAST' if last else ''}") == (octets, last)


@given(st.text(max_size=30))
def test_any_argument_is_a_chunk_size_or_none(text: str) -> None:
    read = parse_bdat(text)
    assert read is None or read[0] >= 0


# ---------------------------------------------------------------- accommodate

FREE = Conditions()


@pytest.mark.parametrize(
    ("octets", "limit", "free", "code"),
    [
        (0, 1000, None, 0),
        (1000, 1000, None, 0),
        (1001, 1000, None, 552),
        (10**20 - 1, 1000, None, 552),
        (10**20 - 1, 0, None, 0),  # RFC 1870 section 4: 0 is no fixed limit
        (1, 0, 0, 452),
        (0, 0, 0, 0),
        (500, 1000, 500, 0),
        (501, 1000, 500, 452),
        (1001, 1000, 500, 552),  # never outweighs not now
        (1000, 1000, 5000, 0),
    ],
)
def test_size_is_judged(octets: int, limit: int, free: int | None, code: int) -> None:
    reply = SIZE.judge(octets, Conditions(free_octets=free, size_limit=limit))
    assert (reply.code if reply is not None else 0) == code
    if reply is not None:
        assert str(reply.enhanced) == {452: "4.3.1", 552: "5.3.4"}[reply.code]


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.keyword)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_nothing_stands_against_is_honoured(parameter: Parameter[Any], data: st.DataObject) -> None:
    value = data.draw(VALUES[parameter])
    assert parameter.judge(value, FREE) is None
    assert parameter.judge(value, Conditions(unavailable={"SOMETHING-ELSE": "x", "X" + parameter.keyword: "x"})) is None


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.keyword)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_is_switched_off_gets_the_code_that_its_rfc_names(parameter: Parameter[Any], data: st.DataObject) -> None:
    value = data.draw(VALUES[parameter])
    reply = parameter.judge(value, Conditions(unavailable={parameter.keyword: "the operator says so"}))
    assert reply is not None
    assert reply == parameter.not_now
    expected = (452, "4.3.1") if parameter is SIZE else (455, "4.5.4")
    assert (reply.code, str(reply.enhanced)) == expected
    assert "operator" not in reply.text  # the reason is for the operator, not for the peer


@pytest.mark.parametrize(
    ("parameter", "value", "named"),
    [
        (BODY, Body.BINARYMIME, "BODY=BINARYMIME"),
        (RET, Ret.FULL, "RET=FULL"),
        (NOTIFY, Notify.SUCCESS, "NOTIFY=SUCCESS"),
        (PRIORITY, 9, "MT-PRIORITY=9"),
    ],
)
def test_one_value_is_switched_off(parameter: Parameter[Any], value: object, named: str) -> None:
    assert parameter.judge(value, Conditions(unavailable={named: "x"})) == NOT_NOW


@pytest.mark.parametrize("value", [Body.SEVENBIT, Body.EIGHTBITMIME])
def test_other_values_stay(value: Body) -> None:
    assert BODY.judge(value, Conditions(unavailable={"BODY=BINARYMIME": "x"})) is None


def test_never_outweighs_not_now() -> None:
    """A client that is told 452 comes again, for nothing."""
    reply = SIZE.judge(1001, Conditions(size_limit=1000, unavailable={"SIZE": "x"}))
    assert reply is not None
    assert reply.code == 552


# ---------------------------------------------------------------- giving up (RFC 3461 section 5.2.2, RFC 2852, RFC 8689)


@pytest.mark.parametrize(
    ("parameter", "on_refusal"),
    [
        (SIZE, OnRefusal.OMIT),
        (AUTH, OnRefusal.OMIT),
        (PRIORITY, OnRefusal.OMIT),
        (RET, OnRefusal.OMIT_AND_REPORT),
        (ENVID, OnRefusal.OMIT_AND_REPORT),
        (NOTIFY, OnRefusal.OMIT_AND_REPORT),
        (ORCPT, OnRefusal.OMIT_AND_REPORT),
        (BODY, OnRefusal.KEEP),
        (UTF8, OnRefusal.KEEP),
        (TLS_REQUIRED, OnRefusal.KEEP),
        (HOLDFOR, OnRefusal.KEEP),
        (HOLDUNTIL, OnRefusal.KEEP),
        (BY, OnRefusal.KEEP),
    ],
)
def test_what_a_client_may_give_up(parameter: Parameter[Any], on_refusal: OnRefusal) -> None:
    assert parameter.on_refusal is on_refusal


def test_only_a_notification_of_lateness_may_be_given_up() -> None:
    assert may_drop(DeliverBy(60, False, False))
    assert not may_drop(DeliverBy(60, True, False))


# ---------------------------------------------------------------- announcing

CLEAR = Traits()
INSIDE_TLS = Traits(tls=True)
LOOPBACK = Traits(auth_in_clear=True)
SUBMISSION = Traits(submission=True)


@pytest.mark.parametrize(
    ("extension", "traits", "line"),
    [
        (extensions.size(1000), CLEAR, "SIZE 1000"),
        (extensions.size(0), CLEAR, "SIZE 0"),
        (extensions.PIPELINING, CLEAR, "PIPELINING"),
        (extensions.EIGHTBITMIME, CLEAR, "8BITMIME"),
        (extensions.SMTPUTF8, CLEAR, "SMTPUTF8"),
        (extensions.ENHANCEDSTATUSCODES, CLEAR, "ENHANCEDSTATUSCODES"),
        (extensions.CHUNKING, CLEAR, "CHUNKING"),
        (extensions.BINARYMIME, CLEAR, "BINARYMIME"),
        (extensions.HELP, CLEAR, "HELP"),
        (extensions.DSN, CLEAR, "DSN"),
        (extensions.MT_PRIORITY, CLEAR, "MT-PRIORITY"),
        (extensions.limits(recipients=100), CLEAR, "LIMITS RCPTMAX=100"),
        (extensions.limits(recipients=100, transactions=5), CLEAR, "LIMITS MAILMAX=5 RCPTMAX=100"),
        (extensions.deliver_by(), CLEAR, "DELIVERBY"),
        (extensions.deliver_by(240), CLEAR, "DELIVERBY 240"),
        (extensions.STARTTLS, CLEAR, "STARTTLS"),
        (extensions.STARTTLS, INSIDE_TLS, None),  # RFC 3207 section 4.2
        (extensions.auth(("PLAIN",)), CLEAR, None),
        (extensions.auth(("PLAIN",)), INSIDE_TLS, "AUTH PLAIN"),
        (extensions.auth(("PLAIN", "LOGIN")), LOOPBACK, "AUTH PLAIN LOGIN"),
        (extensions.REQUIRETLS, CLEAR, None),  # RFC 8689 section 2
        (extensions.REQUIRETLS, INSIDE_TLS, "REQUIRETLS"),
        (ALL[-1], CLEAR, None),  # RFC 4865 section 3: submission only
        (ALL[-1], SUBMISSION, "FUTURERELEASE 2592000 2099-01-01T00:00:00Z"),
    ],
)
def test_an_extension_is_announced(extension: Extension, traits: Traits, line: str | None) -> None:
    assert extension.line(traits) == line


def test_an_extension_set_finds_what_it_holds() -> None:
    known = ExtensionSet(ALL)
    for extension in ALL:
        assert known.named(extension.keyword) is extension
        for parameter in extension.parameters:
            assert known.find(parameter.command, parameter.keyword) == (extension, parameter)
        for verb in extension.verbs:
            assert known.of_verb(verb) is extension
    assert known.find(Verb.RCPT, "SIZE") is None
    assert known.find(Verb.MAIL, "size") is None  # keywords come in capitals
    assert known.find(Verb.MAIL, "FROB") is None
    assert known.of_verb(Verb.MAIL) is None


def test_a_parameter_is_offered_where_its_extension_is() -> None:
    known = ExtensionSet(ALL)
    assert known.offered(Verb.MAIL, "SIZE", CLEAR) is SIZE
    assert known.offered(Verb.MAIL, "AUTH", CLEAR) is None
    assert known.offered(Verb.MAIL, "AUTH", INSIDE_TLS) is AUTH
    assert known.offered(Verb.MAIL, "REQUIRETLS", CLEAR) is None
    assert known.offered(Verb.MAIL, "REQUIRETLS", INSIDE_TLS) is TLS_REQUIRED
    assert known.offered(Verb.MAIL, "HOLDFOR", CLEAR) is None
    assert known.offered(Verb.MAIL, "HOLDFOR", SUBMISSION) is HOLDFOR
    assert known.offered(Verb.RCPT, "NOTIFY", CLEAR) is NOTIFY
    assert ExtensionSet(()).offered(Verb.MAIL, "SIZE", CLEAR) is None


def test_command_lines_grow_by_what_extensions_add() -> None:
    """RFC 5321 section 4.5.3.1.4: 512 octets, and what each extension says."""
    assert set(ExtensionSet(()).line_octets.values()) == {512}
    # SIZE 26 (RFC 1870 section 3), BODY 17 (RFC 6152 section 2), SMTPUTF8 10 (RFC 6531 section 3.1), AUTH 500 (RFC 4954)
    some = ExtensionSet((ALL[0], extensions.EIGHTBITMIME, extensions.SMTPUTF8, extensions.auth(("PLAIN",))))
    assert some.line_octets[Verb.MAIL] >= 512 + 26 + 17 + 10 + 500
    assert some.line_octets[Verb.RCPT] >= 512
    # RFC 3461 section 3: RCPT grows by 500 octets and by what NOTIFY needs.
    assert ExtensionSet((extensions.DSN,)).line_octets[Verb.RCPT] >= 512 + 500 + 28


# ---------------------------------------------------------------- what was given


def test_given_keeps_order_and_writes_itself() -> None:
    given_parameters = Given({SIZE: 1000, UTF8: True, BODY: Body.EIGHTBITMIME})
    assert str(given_parameters) == "SIZE=1000 SMTPUTF8 BODY=8BITMIME"
    assert list(given_parameters) == [(SIZE, 1000), (UTF8, True), (BODY, Body.EIGHTBITMIME)]
    assert len(given_parameters) == 3
    assert given_parameters.get(SIZE) == 1000
    assert given_parameters.get(RET) is None
    assert UTF8 in given_parameters
    assert RET not in given_parameters
    assert given_parameters == Given({BODY: Body.EIGHTBITMIME, SIZE: 1000, UTF8: True})
    assert given_parameters != Given()
    assert str(Given()) == ""


def test_binary_content_needs_its_extension() -> None:
    binary, text = Given({BODY: Body.BINARYMIME}), Given({BODY: Body.EIGHTBITMIME})
    assert is_binary(binary)
    assert not is_binary(text)
    assert not is_binary(Given())
    refused = judge_binary(binary, None, CLEAR)
    assert refused is not None
    assert (refused.code, str(refused.enhanced)) == (555, "5.5.4")
    assert judge_binary(binary, extensions.BINARYMIME, CLEAR) is None
    assert judge_binary(text, None, CLEAR) is None


def test_hold_for_and_hold_until_exclude_each_other() -> None:
    """RFC 4865 section 4."""
    check = ALL[-1].check
    assert check is not None
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    refused = check(Given({HOLDFOR: timedelta(seconds=1), HOLDUNTIL: moment}))
    assert refused is not None
    assert (refused.code, str(refused.enhanced)) == (501, "5.5.4")
    assert check(Given({HOLDFOR: timedelta(seconds=1)})) is None
    assert check(Given({HOLDUNTIL: moment})) is None
    assert check(Given()) is None


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (Given({HOLDFOR: timedelta(days=30)}), False),
        (Given({HOLDFOR: timedelta(days=30, seconds=1)}), True),
        (Given({HOLDUNTIL: datetime(2099, 1, 1, tzinfo=UTC)}), False),
        (Given({HOLDUNTIL: datetime(2099, 1, 1, 0, 0, 1, tzinfo=UTC)}), True),
        (Given({HOLDUNTIL: datetime(1999, 1, 1, tzinfo=UTC)}), False),
        (Given({HOLDFOR: timedelta(seconds=60), BY: DeliverBy(61, True, False)}), False),
        (Given({HOLDFOR: timedelta(seconds=60), BY: DeliverBy(59, True, False)}), True),
        (Given({HOLDUNTIL: datetime(2098, 12, 2, 0, 1, tzinfo=UTC), BY: DeliverBy(59, False, False)}), True),
    ],
)
def test_nothing_is_held_longer_than_announced_nor_after_its_by_time(given: Given, refused: bool) -> None:
    """RFC 4865 sections 4.2 and 5.2.2; the set was told that now is 2098-12-02, and holds 30 days at most."""
    check = ALL[-1].check
    assert check is not None
    reply = check(given)
    assert (reply is not None) is refused
    assert reply is None or (reply.code, str(reply.enhanced)) == (501, "5.5.4")
