"""Each single parameter, refused by each code, with each kind of status, once or always: what the host sees, and the end.

In the expectations P is the command with its parameter, O the command without it, w the wait until a 455 is asked again,
7 the content made 7-bit, and ! the end of what the host sees before the mail is taken.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from postroad.replies import Reply
from postroad.smtp.negotiation import ContentNeeds, Negotiation, Verdict, Wanted
from tests.smtp.negotiation_host import BINARY, EIGHT_BIT, SIGNED, Host, refuses, talk, wanted

ASCII = ContentNeeds()
UTF8 = ContentNeeds(eight_bit=True, utf8_header=True)
NUL = ContentNeeds(binary=True)
NUL_SIGNED = ContentNeeds(binary=True, recodable=False)

# The parameter, its octets, what may be done with it.
PARAMETERS = [
    ("MAIL", "SIZE=100", ASCII, "free"),
    ("MAIL", "AUTH=<>", ASCII, "free"),
    ("MAIL", "MT-PRIORITY=3", ASCII, "free"),
    ("MAIL", "BODY=7BIT", ASCII, "free"),
    ("MAIL", "BODY=8BITMIME", ASCII, "free"),
    ("MAIL", "SMTPUTF8", ASCII, "free"),
    ("MAIL", "RET=HDRS", ASCII, "free"),
    ("MAIL", "ENVID=q-1", ASCII, "free"),
    ("MAIL", "BY=3600;N", ASCII, "duty"),
    ("RCPT", "NOTIFY=SUCCESS", ASCII, "duty"),
    ("RCPT", "NOTIFY=SUCCESS,FAILURE", ASCII, "duty"),
    ("RCPT", "NOTIFY=FAILURE,DELAY", ASCII, "free"),
    ("RCPT", "NOTIFY=NEVER", ASCII, "free"),
    ("RCPT", "ORCPT=rfc822;bob@example.com", ASCII, "free"),
    ("MAIL", "BODY=8BITMIME", EIGHT_BIT, "7-bit"),
    ("MAIL", "BODY=BINARYMIME", NUL, "7-bit"),
    ("MAIL", "BODY=8BITMIME", SIGNED, "needed"),
    ("MAIL", "BODY=BINARYMIME", NUL_SIGNED, "needed"),
    ("MAIL", "REQUIRETLS", ASCII, "needed"),
    ("MAIL", "HOLDFOR=60", ASCII, "needed"),
    ("MAIL", "HOLDUNTIL=2030-01-01T00:00:00Z", ASCII, "needed"),
    ("MAIL", "BY=3600;R", ASCII, "needed"),
]
CODES = [455, 555, 501, 503, 504]

# (what may be done, 455 or 5yz, refused once, always, or even without it) -> what the host sees, and the end.
# Alone, the last rung of a 455 is no pipelining: one P or O more.
EXPECTED = {
    ("free", "455", "once"): ("P w P", Verdict.DELIVERED),
    ("free", "455", "always"): ("P w P O", Verdict.DELIVERED),
    ("free", "455", "even without"): ("P w P O O !", Verdict.RETRY),
    ("free", "5yz", "once"): ("P O", Verdict.DELIVERED),
    ("free", "5yz", "always"): ("P O", Verdict.DELIVERED),
    ("free", "5yz", "even without"): ("P O !", Verdict.FAILED),
    ("7-bit", "455", "once"): ("P w P", Verdict.DELIVERED),
    ("7-bit", "455", "always"): ("P w P O 7", Verdict.DELIVERED),
    ("7-bit", "455", "even without"): ("P w P O O !", Verdict.RETRY),
    ("7-bit", "5yz", "once"): ("P O 7", Verdict.DELIVERED),
    ("7-bit", "5yz", "always"): ("P O 7", Verdict.DELIVERED),
    ("7-bit", "5yz", "even without"): ("P O !", Verdict.FAILED),
    ("needed", "455", "once"): ("P w P", Verdict.DELIVERED),
    ("needed", "455", "always"): ("P w P P !", Verdict.RETRY),
    ("needed", "455", "even without"): ("P w P P !", Verdict.RETRY),
    ("needed", "5yz", "once"): ("P !", Verdict.FAILED),
    ("needed", "5yz", "always"): ("P !", Verdict.FAILED),
    ("needed", "5yz", "even without"): ("P !", Verdict.FAILED),
}


def lines(command: str, parameter: str, expected: str) -> list[str]:
    """What the host sees, spelled out."""
    mail = ["MAIL"] if command == "RCPT" else []
    rcpt = ["RCPT bob"] if command == "MAIL" else []
    bare = "MAIL" if command == "MAIL" else "RCPT bob"
    words, saw, last = expected.split(" "), [], ""
    for word in words:
        if word == "w":
            saw.append("(5 s later)")
        elif word in "PO":
            last = f"{bare} {parameter}" if word == "P" else bare
            saw += [*mail, last]
    if "!" in words:
        return saw
    return [*saw, *rcpt, "BDAT" if "BINARYMIME" in last else "DATA", ". 7-bit" if "7" in words else "."]


@pytest.mark.parametrize("often", ["once", "always", "even without"])
@pytest.mark.parametrize("status", ["", "5.4", "1.1"])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("command", "parameter", "needs", "kind"), PARAMETERS)
def test_every_parameter_and_every_refusal(
    command: str, parameter: str, needs: ContentNeeds, kind: str, code: int, status: str, often: str
) -> None:
    reply = Reply(code, "no", f"{code // 100}.{status}" if status else None)
    keyword = parameter.partition("=")[0]
    negotiation = Negotiation(message(command, parameter, needs), BINARY)
    judge = refuses(reply, at=command) if often == "even without" else refuses(reply, keyword, times=often_times(often))
    host = Host(judge)
    talk(negotiation, host)
    if status == "1.1":  # about an address: nothing is tried, and no parameter is to blame
        saw, verdict = "P !", Verdict.RETRY if code == 455 else Verdict.FAILED
    else:
        family = "455" if code == 455 else "5yz"
        saw, verdict = EXPECTED["free" if kind == "duty" else kind, family, often]
    assert host.saw == lines(command, parameter, saw)
    settled = negotiation.settled[0]
    assert settled.verdict is verdict
    left_out = "O" in saw.split(" ")
    delivered = verdict is Verdict.DELIVERED
    assert settled.dropped == ((keyword,) if left_out else ())
    assert settled.relayed is (delivered and left_out and kind == "duty")
    assert negotiation.learnt == ({keyword} if delivered and left_out else set())
    assert [step.action for step in negotiation.steps] == actions(saw, kind)
    if not delivered:
        assert settled.reply == reply and settled.stage == command
        if status != "1.1":
            assert keyword in settled.note and "postmaster" in settled.note


def message(command: str, parameter: str, needs: ContentNeeds) -> Wanted:
    if command == "MAIL":
        return wanted(parameter, needs=needs)
    return wanted("", {"bob": parameter}, needs=needs)


def often_times(often: str) -> int:
    return 1 if often == "once" else 1_000_000


def actions(saw: str, kind: str) -> list[str]:
    """The steps between what the host sees."""
    said = [word for word in saw.split(" ") if word in "PO"]
    found = []
    for place, (before, after) in enumerate(pairwise(said)):
        if before != after:
            found.append("seven-bit" if kind == "7-bit" else "omit")
        else:
            found.append("again" if place == 0 and " w " in saw else "no-pipelining")
    return found


def test_a_refusal_at_mail_of_a_command_without_parameters_is_what_its_code_says() -> None:
    for code, verdict in ((455, Verdict.RETRY), (555, Verdict.FAILED), (503, Verdict.FAILED), (501, Verdict.FAILED)):
        negotiation, host = Negotiation(wanted(), BINARY), Host(refuses(Reply(code, "no"), at="MAIL"))
        talk(negotiation, host)
        assert host.saw == ["MAIL"]
        assert negotiation.settled[0].verdict is verdict
        assert negotiation.steps == []


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("command", "parameter", "needs", "kind"), PARAMETERS)
def test_without_adapting_the_first_refusal_is_the_last(
    command: str, parameter: str, needs: ContentNeeds, kind: str, code: int
) -> None:
    negotiation = Negotiation(message(command, parameter, needs), BINARY, adapt=False)
    host = Host(refuses(Reply(code, "no"), parameter.partition("=")[0]))
    talk(negotiation, host)
    assert host.saw == lines(command, parameter, "P !")
    assert negotiation.settled[0].verdict is (Verdict.RETRY if code == 455 else Verdict.FAILED)
    assert parameter.partition("=")[0] in negotiation.settled[0].note
    assert negotiation.steps == [] and negotiation.learnt == set()


@pytest.mark.parametrize(("command", "parameter", "needs", "kind"), PARAMETERS)
def test_what_a_host_refused_of_late_is_left_out_from_the_start(
    command: str, parameter: str, needs: ContentNeeds, kind: str
) -> None:
    keyword = parameter.partition("=")[0]
    negotiation = Negotiation(message(command, parameter, needs), BINARY, refused=frozenset({keyword, "XFOO"}))
    host = Host()
    talk(negotiation, host)
    expected = {"needed": "P", "7-bit": "O 7"}.get(kind, "O")
    assert host.saw == lines(command, parameter, expected)
    settled = negotiation.settled[0]
    assert settled.verdict is Verdict.DELIVERED
    assert settled.relayed is (kind == "duty")
    action = {"needed": [], "7-bit": ["seven-bit"]}.get(kind, ["omit"])
    assert [(s.action, s.command, s.reply) for s in negotiation.steps] == [(a, command, None) for a in action]
    assert negotiation.learnt == set()
