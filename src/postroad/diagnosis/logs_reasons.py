"""Why an event happened: the catalogue's rules on the reply, or on what the log says in its place; quick for the usual.

Rules cost a tenth of a millisecond; a log has the same words again and again with other names and numbers in them. So
words with digits or ``@`` are left out of the key by which an answer is remembered, but for those that a rule asks for.
"""

from __future__ import annotations

from typing import Final

from postroad.diagnosis.logs_event import DELIVERED, HELD, Event
from postroad.replies.catalogue import Catalogue
from postroad.replies.classify import Classification, classify

_REMEMBERED: Final = 4_096
_READ: Final = 1_000
"""Characters by which a text is understood."""
_DIGITS: Final = str.maketrans("123456789@", "0000000000")

#: What mail servers say in their logs where no reply was heard, and rules for replies cannot know: phrase -> reason.
_PHRASES: Final = (
    ("host not found, try again", "network-error"),
    ("cannot start tls", "starttls-failed"),
    ("certificate not trusted", "starttls-failed"),
    ("tls session is required", "security-error"),
    ("remote host closed connection", "network-error"),
    ("retry time not reached", "network-error"),
    ("no valid route to", "network-error"),
    ("smtp timeout", "network-error"),
    ("non-existent hosts", "host-unknown"),
    ("host lookup did not complete", "network-error"),
    ("unrouteable address", "host-unknown"),
    ("invalid domain name", "host-unknown"),
    ("loops back to myself", "mailer-error"),
    ("mail transport unavailable", "mailer-error"),
    ("user lookup error", "system-error"),
    ("cannot update mailbox", "system-error"),
    ("syntactically invalid argument", "syntax-error"),
)


class Reasons:
    """Finds reasons; bounded however many different texts there are."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._rules = rules = catalogue.rules
        self._providers = {host: name for name, one in catalogue.providers.items() for host in one.hosts}
        self._hosts: dict[str, str] = {}
        phrases = {phrase for rule in rules.rules for phrase in (*rule.any, *rule.all, *rule.not_)}
        self._with_digits = tuple(sorted(one.strip() for one in phrases if any(c.isdecimal() or c == "@" for c in one)))
        self._known: dict[tuple[str, ...], Classification] = {}
        self._simple = {
            name: Classification(name, False, facts.actor, facts.remedy, "high", "LOG-01")
            for name, facts in rules.reasons.items()
            if name in ("delivered", "expired")
        }
        # Postroad's own hold: its operator knows why
        self._simple["on-hold"] = Classification("on-hold", None, "administrator", "fix-config", "high", "LOG-01")

    def find(self, event: Event) -> Classification:
        """What an event means."""
        if event.outcome == DELIVERED:
            return self._simple["delivered"]
        if event.expired:
            return self._simple["expired"]
        if event.outcome == HELD and not event.reply:
            return self._simple["on-hold"]
        return self._found(event, self.provider(event.host))

    def provider(self, host: str) -> str:
        """Whose mail server it is: the name of a file in ``providers/``; empty for one that is not known."""
        found = self._hosts.get(host)
        if found is None:
            if len(self._hosts) >= _REMEMBERED:
                self._hosts.clear()
            labels = host.partition("[")[0].lower().rstrip(".").split(".")[-8:]
            names = (".".join(labels[place:]) for place in range(len(labels)))
            found = self._hosts[host] = next((self._providers[name] for name in names if name in self._providers), "")
        return found

    def _found(self, event: Event, provider: str) -> Classification:
        reply, text = event.reply, event.text
        key = (event.command, provider, "" if reply else event.status, *self._outline(reply or text))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._asked(event, provider)
        return found

    def _outline(self, said: str) -> tuple[str, ...]:
        """The text without what differs each time; code and status stay."""
        said = said[:_READ]
        front, _, rest = said.partition(" ")
        status, _, more = rest.partition(" ")
        words = [word for word in more.translate(_DIGITS).split(" ") if "0" not in word]
        plain = said.lower()
        asked = [one for one in self._with_digits if one in plain]
        return (front, status, " ".join(words), *asked)

    def _asked(self, event: Event, provider: str) -> Classification:
        if not event.reply:
            plain = event.text[:_READ].lower()
            reason = next((reason for phrase, reason in _PHRASES if phrase in plain), "")
            if reason:
                facts = self._rules.reasons[reason]
                return Classification(reason, facts.temporary, facts.actor, facts.remedy, "high", "LOG-02")
        said = event.reply or f"{event.status} {event.text}".lstrip()
        return classify(said[:_READ], command=event.command, provider=provider, rules=self._rules)
