"""A host on loopback that follows a dialogue line by line, and the words in which such dialogues are written.

Each line is ``what the client says => what the host answers``. ``MAIL`` stands for ``MAIL FROM:<kana@example.net>``,
``RCPT bob`` for ``RCPT TO:<bob@example.com>``, ``.`` for the content and its final dot (``7-bit .``: made 7-bit);
``cut`` closes the connection, alone or behind a reply, ``garbage`` is no reply at all, and ``+`` stands between two
replies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from postroad.address import Mailbox
from postroad.net.carrying import carry
from postroad.net.connecting import Target
from postroad.net.smtp_client import ClientOptions, SmtpClient
from postroad.smtp.commands import read_parameters
from postroad.smtp.fitting import WISHES
from postroad.smtp.negotiation import ContentNeeds, Form, Negotiation, Wanted
from postroad.smtp.parameters import Given, Traits
from postroad.smtp.states import Verb
from tests.delivery.fixtures import Peer, host

ASCII = b"Subject: x\r\n\r\n.coffee\r\n"
EIGHT_BIT = b"Subject: x\r\n\r\n.caf\xc3\xa9\r\n"
SEVEN_BIT = b"Subject: x\r\n\r\n.caf=C3=A9\r\n"
Content = Callable[[Form], AsyncIterator[bytes]]
_EVERYTHING = Traits(tls=True, authenticated=True, submission=True)


def given(words: list[str], command: Verb) -> Given:
    found = read_parameters("".join(f" {word}" for word in words), command, WISHES, _EVERYTHING)
    assert isinstance(found, Given), found
    return found


def message(text: str, needs: ContentNeeds) -> Wanted:
    """``MAIL RET=HDRS, RCPT bob NOTIFY=NEVER, RCPT eve`` as a message."""
    mail, *rcpts = (line.split(" ") for line in text.split(", "))
    people = {
        number: (Mailbox(words[1], "example.com"), given(words[2:], Verb.RCPT)) for number, words in enumerate(rcpts)
    }
    return Wanted(Mailbox("kana", "example.net"), given(mail[1:], Verb.MAIL), people, 0, needs)


def content_of(wanted: Wanted) -> Content:
    """Content that is what the message's needs say."""

    async def content(form: Form) -> AsyncIterator[bytes]:
        yield SEVEN_BIT if form is Form.SEVEN_BIT else EIGHT_BIT if wanted.needs.eight_bit else ASCII

    return content


class Dialogue:
    """A host's part; ``heard`` and ``expected`` must be the same in the end."""

    def __init__(self, extensions: str, script: str) -> None:
        self._extensions = [word.encode() for word in extensions.split(", ") if word]
        lines = (line.strip().partition("=>") for line in script.strip().split("\n"))
        self._script = [(said.strip(), answer.strip()) for said, _, answer in lines]
        self.expected = [said for said, _ in self._script]
        self.heard: list[str] = []

    async def play(self, peer: Peer) -> None:
        await peer.greet(*self._extensions)
        for said, answer in self._script:
            if said.endswith("."):
                heard = {ASCII: ".", EIGHT_BIT: ".", SEVEN_BIT: "7-bit ."}.get(
                    await peer.hear_content(), "other content"
                )
            elif said.startswith("BDAT"):
                heard = await self._chunk(peer)
            else:
                heard = _shortened((await peer.hear()).decode())
            self.heard.append(heard)
            reply, cut = answer.removesuffix("cut").rstrip(", "), answer.endswith("cut")
            if reply:
                await peer.say("".join(f"{line.strip()}\r\n" for line in reply.split(" + ")).encode())
            if cut:
                return
        rest = (await peer.hear()).decode()
        if rest != "QUIT":
            self.heard.append(f"and then: {rest}")
        await peer.say(b"221 bye\r\n")

    @staticmethod
    async def _chunk(peer: Peer) -> str:
        line = (await peer.hear()).decode()
        octets = await peer.reader.readexactly(int(line.split(" ")[1]))
        return f"BDAT {len(octets)}{' LAST' if line.endswith('LAST') else ''}"


def _shortened(line: str) -> str:
    return line.replace(" FROM:<kana@example.net>", "").replace(" TO:<", " ").replace("@example.com>", "")


async def meet(
    dialogue: Dialogue, wanted: Wanted, *, lmtp: bool = False, content: Content | None = None, **more: Any
) -> Negotiation:
    """The client's part: one negotiation over one connection, then QUIT; ``more`` is for the negotiation."""
    async with host(dialogue.play) as (port, _):
        client = await SmtpClient.connect(Target("127.0.0.1", port, lmtp=lmtp), ClientOptions("me.example"))
        announced, limits = client.engine.announced, client.engine.limits
        negotiation = Negotiation(wanted, announced, limits=limits, lmtp=lmtp, again_after=0.01, **more)
        await carry(client, negotiation, content or content_of(wanted))
        await client.quit()
    return negotiation


def outcome(negotiation: Negotiation, wanted: Wanted) -> str:
    """``bob delivered relayed, eve failed``."""
    told = []
    for number, (path, _) in wanted.recipients.items():
        settled = negotiation.settled[number]
        flags = [word for word, so in (("relayed", settled.relayed), ("uncertain", settled.uncertain)) if so]
        told.append(" ".join([path.local_part, settled.verdict.value, *flags]))
    return ", ".join(told)
