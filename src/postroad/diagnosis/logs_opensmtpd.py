"""Lines of OpenSMTPD, by the format strings of its ``mta_log``, ``mda_log``, ``queue_log`` and ``smtp_session.c``.

6.x and 7.x: ``… mta delivery evpid=… to=<…> … result="Ok" stat="…"``; 5.x: ``relay: Ok for …: …, to=<…>, …, stat=…``.
"""

from __future__ import annotations

import re
from typing import Final

from postroad.diagnosis.logs_event import (
    DEFERRED,
    DELIVERED,
    FAILED,
    MAX_FIELD,
    REFUSED,
    Event,
    Stamps,
    domain_of,
    is_reply,
    verb,
)

_RESULTS: Final = {"Ok": DELIVERED, "TempFail": DEFERRED, "PermFail": FAILED, "Loop": FAILED, "Expired": FAILED}
_NEW = re.compile(r" (mta|mda|bounce) (?:event=)?delivery evpid=([0-9a-f]{1,16}) ")
_OLD = re.compile(r"(?:\A| )(relay|delivery): ([A-Za-z]{2,10}) for ([0-9a-f]{1,16}): ")
_RELAY = re.compile(r'[ ,"]relay="?([0-9A-Fa-f.:]{2,45}) \(([^ ()"]{0,300})\)')
_RESULT = re.compile(r' result="?([A-Za-z]{2,10})"? stat=')
_DELAY = re.compile(r"[ ,]delay=([0-9dhms]{1,30})")
_COMMAND = re.compile(r' (?:failed-command|event=failed-command) .{0,700}?command="')
_CLIENT = re.compile(r" address=([0-9A-Fa-f.:]{2,45}) host=(\S{1,300}) ")


class OpenSmtpdReader:
    """See ``Reader``."""

    name: str = "opensmtpd"
    marks: tuple[bytes, ...] = (b"delivery", b"relay: ", b"failed-command", b"Failed command")

    def knows(self, line: bytes) -> bool:
        """By its name in syslog; Postfix's daemon of that name has a folder before it."""
        return b" smtpd[" in line[:160] or b" delivery evpid=" in line[:160]

    def read(self, line: str, stamps: Stamps) -> Event | None:
        """See ``Reader``."""
        head = line[:300]
        if found := _NEW.search(head):
            return _new(line, found, stamps)
        if found := _OLD.search(head):
            return _old(line, found, stamps)
        return _refusal(line, stamps)


def _new(line: str, found: re.Match[str], stamps: Stamps) -> Event | None:
    result = _RESULT.search(line, found.end())
    if result is None or result[1] not in _RESULTS:
        return None
    stat = line[result.end() :]
    if stat.startswith('"'):
        stat = stat[1:].removesuffix('"')
    facts = line[found.end() : result.start()]
    return _event(line, stamps, found[1], _RESULTS[result[1]], found[2], facts, stat)


def _old(line: str, found: re.Match[str], stamps: Stamps) -> Event | None:
    if found[2] not in _RESULTS:
        return None
    facts, _, stat = line[found.end() :].partition(", stat=")
    agent = "mta" if found[1] == "relay" else "mda"
    return _event(line, stamps, agent, _RESULTS[found[2]], found[3], f" {facts}", stat)


def _event(line: str, stamps: Stamps, agent: str, outcome: str, message: str, facts: str, stat: str) -> Event:
    to = facts.partition(" to=<")[2]
    for mark in (">, rcpt=<", "> rcpt=<", "> user=", ">, "):
        if mark in to:
            to = to.partition(mark)[0]
            break
    else:
        to = to.partition(">")[0]
    relay = _RELAY.search(facts)
    host = f"{relay[2]}[{relay[1]}]" if relay else ("mda" if agent == "mda" else "")
    delay = _DELAY.search(facts)
    to = to[:MAX_FIELD]
    reply = stat if is_reply(stat) else ""
    waited = delay[1] if delay else ""
    text = "" if reply else stat
    return Event(outcome, stamps.read(line), to, domain_of(to), host, "", reply, text, "", message, waited)


def _refusal(line: str, stamps: Stamps) -> Event | None:
    """``smtp failed-command command="RCPT TO:<…>" result="550 …"``, ``Failed command on session …: "…" => 550 …``"""
    if found := _COMMAND.search(line):
        command, _, reply = line[found.end() :].partition('" result="')
        reply = reply.removesuffix('"')
    else:
        command, _, reply = line.partition("Failed command on session ")[2].partition('" => ')
        command = command.partition('"')[2]
    if not is_reply(reply):
        return None
    to = command.partition("<")[2].partition(">")[0][:MAX_FIELD] if command[:4].upper() == "RCPT" else ""
    client = _CLIENT.search(line[:900])
    host = f"{client[2]}[{client[1]}]" if client else ""
    return Event(REFUSED, stamps.read(line), to, domain_of(to), host, verb(command), reply)
