"""Our client and our server: what the operator switched off for a time is met with 455, and the mail arrives all the same."""

from __future__ import annotations

import pytest

from postroad.smtp import extensions as ext
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Hello
from postroad.smtp.events import (
    NEED_DATA,
    ContentBlock,
    ContentEnded,
    ContentRequested,
    HelloGiven,
    RecipientGiven,
    SenderGiven,
)
from postroad.smtp.mail_transaction import Answer, MailTransaction
from postroad.smtp.negotiation import ContentNeeds, Form, Negotiation, Plan, Verdict, Wanted
from postroad.smtp.parameters import Conditions, ExtensionSet, Traits
from postroad.smtp.server import ServerEngine
from postroad.smtp.server_config import ServerConfig
from tests.smtp.negotiation_host import EIGHT_BIT, wanted

OFFERED = ExtensionSet(
    (
        ext.PIPELINING,
        ext.size(0),
        ext.EIGHTBITMIME,
        ext.SMTPUTF8,
        ext.DSN,
        ext.MT_PRIORITY,
        ext.deliver_by(),
        ext.ENHANCEDSTATUSCODES,
    )
)


class House:
    """Both engines, octet by octet; ``taken`` is what the server took: MAIL's and RCPT's parameters."""

    def __init__(self, **unavailable: str) -> None:
        conditions = Conditions(unavailable={name.replace("_", "-"): why for name, why in unavailable.items()})
        self.server = ServerEngine(ServerConfig("mx.example", OFFERED), conditions, Traits())
        self.client = ClientEngine()
        self.taken: list[str] = []
        self._offered: list[str] = []
        self.server.greet()
        self._exchange()
        self.client.send(Hello("me.example"))
        self._exchange()

    def play(self, plan: Plan) -> list[Answer]:
        transaction = MailTransaction(
            self.client, plan.reverse_path, plan.recipients, plan.parameters, pipelining=plan.pipelining
        )
        transaction.begin()
        self._exchange(transaction, b"caf=C3=A9\r\n" if plan.form is Form.SEVEN_BIT else b"caf\xc3\xa9\r\n")
        assert transaction.is_over
        return transaction.answers

    def _exchange(self, transaction: MailTransaction | None = None, content: bytes = b"") -> None:
        while True:
            said, heard = self.client.data_to_send(), self.server.data_to_send()
            if not said and not heard:
                return
            self.server.receive(said)
            self._serve()
            self.client.receive(heard)
            while (event := self.client.next_event()) is not NEED_DATA:
                if transaction is not None:
                    transaction.hear(event)
                    if transaction.wants_content:
                        transaction.send_content(content)
                        transaction.end_content()

    def _serve(self) -> None:
        while (event := self.server.next_event()) is not NEED_DATA:
            match event:
                case SenderGiven():
                    self._offered = [f"MAIL {event.parameters}".strip()]
                    self.server.accept()
                case RecipientGiven():
                    self._offered.append(f"RCPT {event.parameters}".strip())
                    self.server.accept()
                case ContentBlock(octets):
                    self._offered.append(octets.decode().strip())
                case ContentEnded():
                    self.taken = self._offered
                    self.server.accept()
                case HelloGiven() | ContentRequested():
                    self.server.accept()


def deliver(message: Wanted, house: House) -> Negotiation:
    negotiation = Negotiation(message, house.client.announced, limits=house.client.limits)
    while (plan := negotiation.next_plan()) is not None:
        negotiation.hear(plan, house.play(plan))
    return negotiation


FULL = "RET=HDRS ENVID=q BY=3600;N MT-PRIORITY=2 BODY=8BITMIME"
RCPT = "NOTIFY=SUCCESS ORCPT=rfc822;bob@example.com"


@pytest.mark.parametrize(
    ("unavailable", "taken"),
    [
        ("", ["MAIL RET=HDRS ENVID=q BY=3600;N MT-PRIORITY=2 SIZE=9 BODY=8BITMIME", f"RCPT {RCPT}", "café"]),
        ("MT_PRIORITY", ["MAIL RET=HDRS ENVID=q BY=3600;N BODY=8BITMIME", f"RCPT {RCPT}", "café"]),
        ("ENVID", ["MAIL BODY=8BITMIME", f"RCPT {RCPT}", "café"]),
        ("BY", ["MAIL BODY=8BITMIME", f"RCPT {RCPT}", "café"]),
        ("BODY", ["MAIL", f"RCPT {RCPT}", "caf=C3=A9"]),
        ("NOTIFY", ["MAIL RET=HDRS ENVID=q BY=3600;N MT-PRIORITY=2 SIZE=9 BODY=8BITMIME", "RCPT", "café"]),
    ],
)
def test_mail_arrives_without_what_is_not_to_be_had_just_now(unavailable: str, taken: list[str]) -> None:
    house = House(**({unavailable: "switched off by the test"} if unavailable else {}))
    negotiation = deliver(wanted(FULL, {"bob": RCPT}, size=9, needs=EIGHT_BIT), house)
    assert negotiation.settled[0].verdict is Verdict.DELIVERED
    assert house.taken == taken
    keyword = unavailable.replace("_", "-")
    assert negotiation.steps == [] if not unavailable else negotiation.steps[0].action == "again"
    assert not unavailable or keyword in negotiation.learnt
    assert all(str(step.reply).startswith("455 4.5.4") for step in negotiation.steps)


def test_what_is_needed_waits_for_better_times() -> None:
    house = House(BODY="switched off by the test")
    signed = ContentNeeds(eight_bit=True, recodable=False)
    negotiation = deliver(wanted("BODY=8BITMIME", needs=signed), house)
    assert negotiation.settled[0].verdict is Verdict.RETRY
    assert negotiation.settled[0].note == "MAIL with BODY was refused; ask the host's postmaster"
    assert house.taken == []
    house.server.conditions = Conditions()
    negotiation = deliver(wanted("BODY=8BITMIME", needs=signed), house)
    assert negotiation.settled[0].verdict is Verdict.DELIVERED
