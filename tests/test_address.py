"""The grammar of mailboxes and paths, from RFC 5321 sections 4.1.2, 4.1.3, 4.5.1 and 4.5.3.1, RFC 6531 section 3.3."""

from __future__ import annotations

import pytest

from postroad.address import Mailbox, normal_domain, parse_domain, parse_mailbox, take_path
from postroad.errors import AddressSyntaxError

ATEXT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"

# ---------------------------------------------------------------- what is a mailbox, and what is none

GOOD = [
    # (text, local part, domain)
    ("kana@example.net", "kana", "example.net"),
    ("Kana@Example.NET", "Kana", "Example.NET"),  # kept as written: the local part is case-sensitive (section 2.4)
    ("a@b", "a", "b"),  # a domain may have one label (section 2.3.5)
    ("a.b.c@example.net", "a.b.c", "example.net"),
    ("a+tag@example.net", "a+tag", "example.net"),
    (f"{ATEXT[:64]}@example.net", ATEXT[:64], "example.net"),
    (f"{ATEXT[62:]}@example.net", ATEXT[62:], "example.net"),
    ("user%other.example@example.net", "user%other.example", "example.net"),  # opaque: no percent hack
    ("host!user@example.net", "host!user", "example.net"),  # opaque: no bang path
    ("0@0.example", "0", "0.example"),
    ("a@3com.example", "a", "3com.example"),
    ("a@a-b--c.example", "a", "a-b--c.example"),
    ("a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"),
    # quoted strings (section 4.1.2): kept without quotes
    ('""@example.net', "", "example.net"),
    ('"kana"@example.net', "kana", "example.net"),
    ('"kana tanaka"@example.net', "kana tanaka", "example.net"),
    ('"a..b"@example.net', "a..b", "example.net"),
    ('".a."@example.net', ".a.", "example.net"),
    ('"a@b"@example.net', "a@b", "example.net"),
    ('"a>b"@example.net', "a>b", "example.net"),
    ('"<>"@example.net', "<>", "example.net"),
    (r'"a\"b"@example.net', 'a"b', "example.net"),
    (r'"a\\b"@example.net', "a\\b", "example.net"),
    (r'"a\b"@example.net', "ab", "example.net"),  # a quoted pair is its second character
    (r'"\a\ \@"@example.net', "a @", "example.net"),
    ('"../../x"@example.net', "../../x", "example.net"),
    # address literals (section 4.1.3)
    ("a@[127.0.0.1]", "a", "[127.0.0.1]"),
    ("a@[0.0.0.0]", "a", "[0.0.0.0]"),
    ("a@[255.255.255.255]", "a", "[255.255.255.255]"),
    ("a@[IPv6:::1]", "a", "[IPv6:::1]"),
    ("a@[IPv6:::]", "a", "[IPv6:::]"),
    ("a@[ipv6:2001:DB8::25]", "a", "[ipv6:2001:DB8::25]"),
    ("a@[IPv6:2001:db8:1:2:3:4:5:6]", "a", "[IPv6:2001:db8:1:2:3:4:5:6]"),
    ("a@[IPv6:::ffff:192.0.2.1]", "a", "[IPv6:::ffff:192.0.2.1]"),
    ("a@[IPv6:1:2:3:4:5:6:192.0.2.1]", "a", "[IPv6:1:2:3:4:5:6:192.0.2.1]"),
    ("a@[x-tag:anything!{}~]", "a", "[x-tag:anything!{}~]"),  # General-address-literal
    # RFC 6531 section 3.3
    ("用户@例え.example", "用户", "例え.example"),
    ("jörg@bücher.example", "jörg", "bücher.example"),
    ("kana@bücher.example", "kana", "bücher.example"),
    ('"jörg müller"@example.net', "jörg müller", "example.net"),
    ("संपर्क@डाटामेल.भारत", "संपर्क", "डाटामेल.भारत"),
]

BAD = [
    "",
    "@",
    "kana",
    "kana@",
    "@example.net",
    "a@@example.net",
    "a@b@example.net",
    " kana@example.net",
    "kana@example.net ",
    "kana @example.net",
    "kana@ example.net",
    "ka na@example.net",
    "<kana@example.net>",
    "kana@example.net>",
    # dots in the wrong place
    ".a@example.net",
    "a.@example.net",
    "a..b@example.net",
    "a@.example.net",
    "a@example.net.",  # the grammar has no root dot (section 2.3.5)
    "a@example..net",
    "a@.",
    # specials that need quotes
    "a(b)@example.net",
    "a,b@example.net",
    "a:b@example.net",
    "a;b@example.net",
    "a<b@example.net",
    "a[b]@example.net",
    "a\\b@example.net",
    'a"b@example.net',
    # quoted strings
    '"@example.net',
    '"a@example.net',
    'a"@example.net',
    '"a"b@example.net',
    'b"a"@example.net',
    '"a"."b"@example.net',  # an obsolete form of RFC 5322, not of RFC 5321
    'a."b"@example.net',
    '"a\\"@example.net',
    '"a" @example.net',
    # domains
    "a@-b.example",
    "a@b-.example",
    "a@b_c.example",
    "a@b!c.example",
    "a@b/c.example",
    "a@exa mple.net",
    "a@(comment)example.net",
    # literals
    "a@[]",
    "a@[127.0.0.1",
    "a@127.0.0.1]",
    "a@[127.0.0]",
    "a@[127.0.0.1.1]",
    "a@[127.0.0.256]",
    "a@[1270.0.0.1]",
    "a@[127.0.0.-1]",
    "a@[127.0.0.1]x",
    "a@[ 127.0.0.1]",
    "a@[127.0.0.1].net",
    "a@[\u0661.0.0.1]",  # digits are ASCII digits
    "a@[::1]",  # an IPv6 literal needs its tag
    "a@[IPv6:]",
    "a@[IPv6:::g]",
    "a@[IPv6:1:2:3:4:5:6:7]",
    "a@[IPv6:1:2:3:4:5:6:7:8:9]",
    "a@[IPv6:::1::]",
    "a@[IPv6:12345::]",
    "a@[IPv6:127.0.0.1]",
    "a@[IPv6:fe80::1%eth0]",  # no zone on the wire
    "a@[IPv6:::1/64]",
    "a@[tag:]",
    "a@[-tag:x]",
    "a@[tag-:x]",
    "a@[tag:a[b]",
    "a@[tag:a\\b]",
    "a@[tag:a b]",
    # controls and invisible characters, wherever they stand
    *(f"a{c}b@example.net" for c in "\x00\x01\t\n\v\f\r\x1b\x7f"),
    *(f"a@exam{c}ple.net" for c in "\x00\t\n\r\x7f"),
    *(f'"a{c}b"@example.net' for c in "\x00\x01\t\n\r\x7f"),
    *(f'"a\\{c}b"@example.net' for c in "\x00\t\n\r\x7fé"),
    *(f"{c}a@example.net" for c in "\x80\x85\x9b\u2028\u2029"),
    *(f"a@example{c}.net" for c in "\x85\u2028\u202e"),
    *(f'"a{c}b"@example.net' for c in "\x85\x9b\u2028\u202e"),
    "kana@example.net\r\nRCPT TO:<x@example.net>",
    "kana@example.net\n",  # a regular expression's `$` would take it
    # no valid internationalized domain names
    "a@xn--\u00fc.example",
    "a@-ü.example",
    "a@ü-.example",
    "a@ü..example",
    "a@☃_.example",
    # what no decoder may give us, and no encoder can write
    "\ud800@example.net",
    "a@exa\udcffmple.net",
    '"\ud800"@example.net',
]


@pytest.mark.parametrize(("text", "local_part", "domain"), GOOD)
def test_a_mailbox_is_read(text: str, local_part: str, domain: str) -> None:
    assert parse_mailbox(text) == Mailbox(local_part, domain)
    assert take_path(f"<{text}>") == (Mailbox(local_part, domain), "")


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_mailbox_is_refused(text: str) -> None:
    with pytest.raises(AddressSyntaxError):
        parse_mailbox(text)


@pytest.mark.parametrize("text", [text for text in BAD if text])
def test_what_is_no_mailbox_makes_no_path(text: str) -> None:
    with pytest.raises(AddressSyntaxError):
        path, rest = take_path(f"<{text}>")
        # "<a@b>>" and "<<a@b>>": a path may be found, but then something stands behind it.
        if rest:
            raise AddressSyntaxError("octets behind the path")
        raise AssertionError(f"read as {path!r}")


@pytest.mark.parametrize(("text", "local_part", "domain"), GOOD)
def test_a_mailbox_is_written_as_it_may_be_read_again(text: str, local_part: str, domain: str) -> None:
    written = str(Mailbox(local_part, domain))
    assert parse_mailbox(written) == Mailbox(local_part, domain)


@pytest.mark.parametrize(
    ("mailbox", "written"),
    [
        (Mailbox("kana", "example.net"), "kana@example.net"),
        (Mailbox("a.b", "example.net"), "a.b@example.net"),
        (Mailbox("", "example.net"), '""@example.net'),
        (Mailbox("a b", "example.net"), '"a b"@example.net'),
        (Mailbox("a..b", "example.net"), '"a..b"@example.net'),
        (Mailbox('a"b', "example.net"), r'"a\"b"@example.net'),
        (Mailbox("a\\b", "example.net"), r'"a\\b"@example.net'),
        (Mailbox("a@b", "example.net"), '"a@b"@example.net'),
        (Mailbox("Postmaster", ""), "Postmaster"),
    ],
)
def test_quotes_stand_only_where_they_must(mailbox: Mailbox, written: str) -> None:
    """RFC 5321 section 4.1.2: a local part should be written without quotes when that is possible."""
    assert str(mailbox) == written


def test_quoted_and_plain_are_the_same_mailbox() -> None:
    """RFC 5321 section 4.1.2: a quoted string that need not be quoted is the same local part."""
    assert parse_mailbox('"kana"@example.net') == parse_mailbox("kana@example.net")
    assert hash(parse_mailbox('"kana"@example.net')) == hash(parse_mailbox("kana@example.net"))


def test_the_local_part_is_case_sensitive() -> None:
    assert parse_mailbox("Kana@example.net") != parse_mailbox("kana@example.net")


def test_a_mailbox_is_immutable() -> None:
    with pytest.raises(AttributeError):
        parse_mailbox("kana@example.net").domain = "other.example"  # type: ignore[misc]


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("text", "path", "rest"),
    [
        ("<>", None, ""),
        ("<> SIZE=1", None, " SIZE=1"),
        ("<kana@example.net>", Mailbox("kana", "example.net"), ""),
        ("<kana@example.net> SIZE=1 BODY=8BITMIME", Mailbox("kana", "example.net"), " SIZE=1 BODY=8BITMIME"),
        ("<kana@example.net>SIZE=1", Mailbox("kana", "example.net"), "SIZE=1"),
        ('<"a>b"@example.net> X', Mailbox("a>b", "example.net"), " X"),
        # source routes are accepted and dropped (section 4.1.1.3 and appendix C)
        ("<@a.example:kana@example.net>", Mailbox("kana", "example.net"), ""),
        ("<@a.example,@b.example:kana@example.net>", Mailbox("kana", "example.net"), ""),
        ("<@a.example,@b-c.example,@d:kana@example.net> X=1", Mailbox("kana", "example.net"), " X=1"),
        ('<@a.example:"k:a"@[127.0.0.1]>', Mailbox("k:a", "[127.0.0.1]"), ""),
        # <Postmaster> without a domain (section 4.1.1.3), in any case (section 4.5.1)
        ("<Postmaster>", Mailbox("Postmaster", ""), ""),
        ("<postmaster>", Mailbox("postmaster", ""), ""),
        ("<POSTMASTER> X", Mailbox("POSTMASTER", ""), " X"),
    ],
)
def test_a_path_is_taken_off(text: str, path: Mailbox | None, rest: str) -> None:
    assert take_path(text) == (path, rest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<",
        ">",
        "kana@example.net",
        " <kana@example.net>",
        "<kana@example.net",
        "< kana@example.net>",
        "<kana@example.net >",
        "<kana>",
        "< >",
        "<postmaster",
        "<postmasters>",
        "<postmaster@>",
        "<@example.net>",
        "<@:kana@example.net>",
        "<@a.example kana@example.net>",
        "<@a.example,:kana@example.net>",
        "<,@a.example:kana@example.net>",
        "<@a.example,b.example:kana@example.net>",
        "<@a.example, @b.example:kana@example.net>",
        "<@a.example@b.example:kana@example.net>",
        "<a.example:kana@example.net>",
        "<@a..example:kana@example.net>",
        "<@a.example:>",
        "<@a.example:@b.example>",
        "<@a.example:@b.example:kana@example.net>",
        "<<kana@example.net>>",
        "<kana@example.net\n>",
        '"Kana" <kana@example.net>',
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(AddressSyntaxError):
        take_path(text)


@pytest.mark.parametrize("local_part", ["postmaster", "Postmaster", "POSTMASTER", "pOsTmAsTeR"])
def test_postmaster_is_known_in_any_case(local_part: str) -> None:
    assert Mailbox(local_part, "").is_postmaster
    assert Mailbox(local_part, "example.net").is_postmaster


@pytest.mark.parametrize("local_part", ["postmaste", "postmaster2", "po\u017ftmaster", "", "postmaster "])
def test_nobody_else_is_postmaster(local_part: str) -> None:
    assert not Mailbox(local_part, "example.net").is_postmaster


# ---------------------------------------------------------------- limits (section 4.5.3.1)


def test_a_local_part_has_64_octets_at_most() -> None:
    assert parse_mailbox(f"{'a' * 64}@example.net").local_part == "a" * 64
    with pytest.raises(AddressSyntaxError):
        parse_mailbox(f"{'a' * 65}@example.net")


def test_quotes_count_in_the_local_part() -> None:
    """The limit is on the local part as it travels (section 4.5.3.1.1)."""
    assert parse_mailbox(f'"{"a" * 62}"@example.net').local_part == "a" * 62
    with pytest.raises(AddressSyntaxError):
        parse_mailbox(f'"{"a" * 63}"@example.net')


def test_octets_are_counted_not_characters() -> None:
    assert parse_mailbox(f"{'é' * 32}@example.net").local_part == "é" * 32
    with pytest.raises(AddressSyntaxError):
        parse_mailbox(f"{'é' * 33}@example.net")
    with pytest.raises(AddressSyntaxError):
        parse_mailbox(f'"{"é" * 32}"@example.net')


def test_a_label_has_63_octets_at_most() -> None:
    """RFC 1035 section 2.3.4."""
    assert parse_domain(f"{'a' * 63}.example") == f"{'a' * 63}.example"
    with pytest.raises(AddressSyntaxError):
        parse_domain(f"{'a' * 64}.example")


def test_a_domain_has_255_octets_at_most() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 63])  # 255
    assert len(longest) == 255
    assert parse_domain(longest) == longest
    assert parse_mailbox(f"a@{longest}").domain == longest
    with pytest.raises(AddressSyntaxError):
        parse_domain(".".join(["a" * 63] * 3 + ["b" * 61, "cc"]))


def test_a_domain_of_utf8_has_255_octets_at_most() -> None:
    """The limit counts octets; the A-labels of this name would be short enough."""
    domain = ".".join(["ü" * 30] * 5)
    assert len(domain) <= 255 < len(domain.encode())
    with pytest.raises(AddressSyntaxError):
        parse_domain(domain)


def test_a_literal_has_255_octets_at_most() -> None:
    assert parse_domain(f"[tag:{'x' * 249}]")
    with pytest.raises(AddressSyntaxError):
        parse_domain(f"[tag:{'x' * 251}]")


def test_a_path_has_256_octets_at_most() -> None:
    """Section 4.5.3.1.3: punctuation included."""
    domain = ".".join(["d" * 63] * 2 + ["e" * 61])  # 189
    local = "a" * 64
    exact = f"<{local}@{domain}>"
    assert len(exact) == 256
    assert take_path(exact) == (Mailbox(local, domain), "")
    with pytest.raises(AddressSyntaxError):
        take_path(f"<{local}@{domain}e>")


def test_a_source_route_counts_in_the_path() -> None:
    domain = ".".join(["d" * 60] * 2)
    with pytest.raises(AddressSyntaxError):
        take_path(f"<@{domain},@{domain}:kana@example.net>")


def test_a_path_of_utf8_has_256_octets_at_most() -> None:
    domain = ".".join(["ü" * 30] * 4)  # 243 octets
    take_path(f"<a@{domain}>")
    with pytest.raises(AddressSyntaxError):
        take_path(f"<{'a' * 20}@{domain}>")


# ---------------------------------------------------------------- domains


@pytest.mark.parametrize(
    "text", ["example.net", "a", "EXAMPLE.net", "3.example", "[127.0.0.1]", "[IPv6:::1]", "ü.example"]
)
def test_a_domain_is_given_back_as_it_stands(text: str) -> None:
    assert parse_domain(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a b",
        "a@b",
        "[",
        "[]",
        "[127.0.0.1",
        "a_b",
        "a\n",
        "a\x00",
        "\x85",
        "\udc80",
    ],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(AddressSyntaxError):
        parse_domain(text)


@pytest.mark.parametrize(
    ("domain", "normal"),
    [
        ("Example.NET", "example.net"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),  # the same name, decomposed
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"),
        ("", ""),
    ],
)
def test_domains_are_compared_as_lower_case_a_labels(domain: str, normal: str) -> None:
    assert normal_domain(domain) == normal
    assert Mailbox("a", domain).destination == normal


@pytest.mark.parametrize(
    ("text", "is_ascii"),
    [("a@b.example", True), ("ä@b.example", False), ("a@ü.example", False), ("a@xn--tda.example", True)],
)
def test_whether_a_path_needs_smtputf8(text: str, is_ascii: bool) -> None:
    assert parse_mailbox(text).is_ascii is is_ascii


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("kana", "@"),
        ("a..b@example.net", "dot"),
        (".a@example.net", "dot"),
        ("a@example..net", "label"),
        ("a\x01@b", "control"),
    ],
)
def test_a_human_is_told_what_to_look_at(text: str, word: str) -> None:
    with pytest.raises(AddressSyntaxError) as caught:
        parse_mailbox(text)
    assert word in caught.value.hint
