"""What a bounce says, before anybody explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["bounce", "feedback", "vacation", "other"]
Form = Literal["dsn", "text", "arf", "auto-reply", "mdn", "challenge", "mail"]
Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]

#: Actions that tell of something good (RFC 3464 section 2.3.3).
GOOD = ("delivered", "relayed", "expanded")


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one recipient."""

    address: str
    action: Action = "failed"
    status: str = ""
    """Enhanced status code, ``""`` when there is none."""
    code: str = ""
    """Reply code of the host, ``""`` when no reply is quoted."""
    text: str = ""
    """The reply without its code, or what else is said of the cause; several lines are separated by ``\\n``."""
    context: str = ""
    """What the text says to all, for a recipient about whom it says nothing more."""
    host: str = ""
    """Who said it."""
    command: str = ""
    """The verb that was answered (CONTENT: the end of the content; CONNECT: the greeting)."""
    at: str = ""
    """When, in RFC 3339; ``""`` when it is not told."""
    expired: bool = False
    """It was given up because time was over."""
    final: str = ""
    """The address that the failing host knows, where it is another one than the sender's."""
    evidence: str = ""
    """Where it was found: ``status``, ``status+text``, ``text``."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """A complaint or another feedback report (RFC 5965)."""

    type: str
    recipients: tuple[str, ...] = ()
    sender: str = ""
    source: str = ""
    reporter: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A mail that was read."""

    kind: Kind
    form: Form
    family: str = ""
    """Who writes so, as far as it could be told: the id of a family in families.toml."""
    recipients: tuple[Said, ...] = ()
    reporter: str = ""
    """The host that wrote the report."""
    at: str = ""
    sender: str = ""
    """From of this mail."""
    subject: str = ""
    returned: Mapping[str, str] = field(default_factory=dict)
    """Header of the message that it is about, names in lower case."""
    feedback: Feedback | None = None
    defects: tuple[str, ...] = ()
