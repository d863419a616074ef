"""Every sentence of the pages, in one place and by language; a key that is missing is a fault, never shown as a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_EN: Final[Mapping[str, str]] = {
    "skip": "Skip to content",
    "nav.label": "Main",
    "nav.inbox": "Inbox",
    "nav.messages": "Messages",
    "nav.sessions": "Sessions",
    "nav.chaos": "Chaos",
    "nav.conditions": "Conditions",
    "nav.codes": "Reply codes",
    "mode.dev": "Development: nothing leaves this machine",
    "mode.production": "Production: read-only",
    "mode.unready": "Takes no mail now: {why}",
    "remove": "Remove",
    "older": "Older",
    "newest": "Newest",
    # inbox
    "inbox.title": "Inbox",
    "inbox.title.production": "Messages kept",
    "inbox.count.one": "1 message",
    "inbox.count": "{count} messages",
    "inbox.kept": "newest {keep} are kept",
    "inbox.filter": "Filter",
    "inbox.filter.to": "To",
    "inbox.filter.from": "From",
    "inbox.filter.subject": "Subject",
    "inbox.filter.go": "Filter",
    "inbox.filter.reset": "Show all",
    "inbox.clear": "Clear inbox",
    "inbox.nothing": "No message matches.",
    "inbox.subjectless": "(no subject)",
    "inbox.more": "and {count} more",
    "inbox.live": "Live",
    "inbox.paused": "Connection lost; trying again",
    "inbox.arrived": "New mail: {subject}",
    "inbox.production.empty": "No message is kept just now. What was delivered is gone from here.",
    "inbox.refused.hint": "Missing one? Sessions lists what was refused, and why.",
    # first steps
    "first.title": "Waiting for the first mail",
    "first.lead": "Give your program these settings; whatever it sends ends here and goes no further.",
    "first.host": "SMTP host",
    "first.port": "Port",
    "first.security": "Security",
    "first.security.none": "none (no TLS)",
    "first.security.starttls": "none, or STARTTLS",
    "first.security.implicit": "TLS from the start",
    "first.auth.any": "any user name and password, or none",
    "first.auth.none": "none",
    "first.auth.required": "required",
    "first.auth": "Sign-in",
    "first.curl": "From a shell",
    "first.python": "From Python",
    "first.refuse": "How does it take a refusal?",
    "first.refuse.text": "Write to {address}: the server answers 455, and takes the mail at the third try.",
    # one message
    "message.back": "Back to all",
    "message.from": "From",
    "message.to": "To",
    "message.received": "Received",
    "message.envelope": "Envelope",
    "message.session": "Session",
    "message.attachments": "Attachments",
    "message.links": "Links in this mail",
    "message.links.note": "Links inside the frame are dead; these lead to where they say.",
    "message.defects": "Worth a look",
    "message.delete": "Delete",
    "message.recipients": "Recipients",
    "message.tabs": "Views of this message",
    "message.view.html": "HTML",
    "message.view.text": "Text",
    "message.view.headers": "Headers",
    "message.view.source": "Source",
    "message.view.session": "SMTP",
    "message.html.frame": "The HTML of the mail",
    "message.html.note": "Scripts, links and everything that would be loaded from elsewhere are switched off.",
    "message.html.none": "This mail has no HTML.",
    "message.text.none": "This mail has no plain text.",
    "message.source.cut": "Only the first {size} are shown.",
    "message.source.raw": "Raw octets",
    "message.source.download": "Download .eml",
    "message.session.none": "No transcript was kept.",
    "state.queued": "queued",
    "state.held": "held",
    "state.delivered": "delivered",
    # sessions
    "sessions.title": "Sessions",
    "sessions.lead": "Who connected, what was said, and what was refused; the newest first.",
    "sessions.all": "All",
    "sessions.refused": "Refused only",
    "sessions.empty": "No session has ended yet.",
    "sessions.empty.refused": "Nothing was refused.",
    "sessions.accepted": "{count} accepted",
    "sessions.refusals": "{count} refused",
    "sessions.quiet": "no mail",
    "session.title": "Session {id}",
    "session.began": "Began",
    "session.lasted": "Lasted",
    "session.peer": "Client",
    "session.hello": "Calls itself",
    "session.ended": "Ended by",
    "session.messages": "Accepted",
    "session.refusals": "Refused with",
    "session.transcript": "What was said",
    "session.client": "client",
    "session.server": "server",
    # chaos
    "chaos.title": "Chaos: replies on demand",
    "first.chaos": "All about replies on demand",
    "chaos.lead": "Make the server refuse, wait or hang up, to see what your program does about it. The first rule that matches wins.",
    "chaos.addresses": "With no rule at all",
    "chaos.addresses.lead": "The address itself can ask for an answer:",
    "chaos.address.code": "455 at RCPT, always",
    "chaos.address.times": "455 at RCPT twice, then accepted: tests your retry",
    "chaos.address.stage": "451 at DATA (also mail-, message-)",
    "chaos.rules": "Rules",
    "chaos.none": "There is no rule.",
    "chaos.at": "At",
    "chaos.to": "Matches",
    "chaos.from": "From",
    "chaos.reply": "Answer",
    "chaos.times": "Times",
    "chaos.used": "Used",
    "chaos.spent": "used up: passes",
    "chaos.always": "always",
    "chaos.probability": "{percent} of the time",
    "chaos.delay": "after {seconds} s",
    "chaos.disconnect": "then hangs up",
    "chaos.add": "Add a rule",
    "chaos.add.to": "Matches (* and ?)",
    "chaos.add.at": "At stage",
    "chaos.add.reply": "Reply code",
    "chaos.add.times": "Times (empty: always)",
    "chaos.add.delay": "Delay, seconds",
    "chaos.add.text": "Text (empty: the usual)",
    "chaos.add.disconnect": "hang up afterwards",
    "chaos.add.go": "Add rule",
    "chaos.stage.connect": "connect",
    "chaos.stage.hello": "EHLO",
    "chaos.stage.auth": "AUTH",
    "chaos.stage.mail": "MAIL",
    "chaos.stage.rcpt": "RCPT",
    "chaos.stage.data": "DATA",
    "chaos.stage.message": "final dot",
    # conditions
    "conditions.title": "Conditions",
    "conditions.lead": "MAIL and RCPT parameters that are answered “not now” (455, or what their RFC names). They stay announced, "
    "and a client may try again later or without them.",
    "conditions.none": "Every parameter is accepted now.",
    "conditions.parameter": "Parameter",
    "conditions.why": "Why",
    "conditions.source": "By",
    "conditions.source.operator": "operator",
    "conditions.source.server": "server",
    "conditions.since": "Since",
    "conditions.until": "Until",
    "conditions.until.cleared": "cleared",
    "conditions.until.fresh": "it passes",
    "conditions.refused": "Refused",
    "conditions.last": "last",
    "conditions.add": "Switch a parameter off",
    "conditions.add.minutes": "Minutes (empty: until cleared)",
    "conditions.add.why": "Why (only you see it)",
    "conditions.add.go": "Refuse for now",
    # faults
    "error.title": "That did not work",
    "error.back": "To the inbox",
    # numbers
    "size.octets": "{count} B",
    "size.kib": "{count} KiB",
    "size.mib": "{count} MiB",
}

LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {"en": _EN}


def translator(language: str) -> Callable[..., str]:
    """The function that gives a sentence by its key, with values put in; raises KeyError for an unknown key."""
    texts = LANGUAGES[language]

    def text(key: str, **values: Any) -> str:
        return texts[key].format(**values) if values else texts[key]

    return text


def size_text(text: Callable[..., str], octets: int) -> str:
    """``12.3 KiB``."""
    if octets < 1024:
        return text("size.octets", count=octets)
    if octets < 1024 * 1024:
        return text("size.kib", count=f"{octets / 1024:.1f}")
    return text("size.mib", count=f"{octets / 1024 / 1024:.1f}")
