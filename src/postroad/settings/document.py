"""Settings written back as the file would say them, every default spelled out; secrets are blanked."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from postroad.settings.coherence import shown
from postroad.settings.model import Destination, Domain, Journal, Limits, Listener, Outbound, Reports, Settings, Terms

Document = dict[str, Any]

HIDDEN: Final = "(hidden)"


def document(settings: Settings) -> Document:
    """The effective settings, shaped like the file; what is not set and has no default is left out."""
    dev = settings.dev
    found: Document = {"hostname": settings.hostname, "state": str(settings.state)}
    found |= {"user": settings.user} if settings.user else {}
    if settings.tls is not None:
        tls = settings.tls
        found["tls"] = {"cert": str(tls.cert), "key": str(tls.key), "minimum": tls.minimum}
    found["smtp"] = {"show_version": settings.smtp.show_version, "expn": settings.smtp.expn}
    found["smtp"] |= {"help_url": settings.smtp.help_url} if settings.smtp.help_url else {}
    found |= {role: _listener(one, role != "mx") for role, one in settings.listeners if role != "dev"}
    if settings.web is not None:
        found["web"] = {"listen": list(map(shown, settings.web.listen))}
        found["web"] |= {"public_url": settings.web.public_url} if settings.web.public_url else {}
    found["limits"] = _limits(settings.limits)
    if dev is not None:
        found["dev"] = {"listen": list(map(shown, dev.listener.listen)), "keep": dev.keep}
        rules = [{key: value for key, value in rule.fields().items() if value not in ("", None)} for rule in dev.chaos]
        found["dev"] |= {"chaos": rules} if rules else {}
        return found
    retry = settings.retry
    notice = False if retry.delay_notice is None else retry.delay_notice
    found["outbound"] = _outbound(settings.outbound)
    found["retry"] = {"schedule": list(retry.schedule), "expire": retry.expire, "delay_notice": notice}
    found["reports"] = _set(settings.reports)
    found["journal"] = _set(settings.journal)
    found["domain"] = list(map(_domain, settings.domains))
    found["destination"] = list(map(_destination, settings.destinations))
    found[settings.people] = [
        {"name": account.name, "password_hash": HIDDEN}
        | ({"senders": list(account.senders)} if account.senders is not None else {})
        | ({"role": account.role} if account.role is not None else {})
        for account in settings.accounts
    ]
    return {key: value for key, value in found.items() if value != []}


def _listener(listener: Listener, submission: bool) -> Document:
    return {
        "listen": list(map(shown, listener.listen)),
        "auth": listener.auth,
        "trusted_networks": list(map(str, listener.trusted_networks)),
        "greet_delay": listener.greet_delay,
        "bare_newline": listener.bare_newline,
    } | ({"hold_for": listener.hold_for} if submission else {})


def _domain(domain: Domain) -> Document:
    recipients = "*" if domain.recipients is None else list(domain.recipients)
    found: Document = {"name": domain.name, "recipients": recipients, "deliver": domain.deliver}
    return found | ({"postmaster": domain.postmaster} if domain.postmaster else {}) | _set(domain.terms)


def _destination(one: Destination) -> Document:
    written = {"name": one.name, "via": one.via, "account": one.account, "password_file": one.password_file}
    return {key: str(value) for key, value in written.items() if value} | _set(one.terms)


def _outbound(outbound: Outbound) -> Document:
    found = _set(outbound)
    found |= {"resolver": list(map(shown, outbound.resolver))} if outbound.resolver else {}
    return found | {"allow_networks": list(map(str, outbound.allow_networks))}


def _set(found: Journal | Outbound | Reports | Terms) -> Document:
    """The fields that have a value, as TOML has them."""
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    kept = {name: value for name, value in plain.items() if value not in (None, "", ())}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


def _limits(limits: Limits) -> Document:
    found: Document = {name: getattr(limits, name) for name in Limits.__slots__ if getattr(limits, name) is not None}
    found["exempt"] = list(map(str, limits.exempt))
    return found


def to_toml(found: Document) -> str:
    """A document as TOML: plain keys first, then tables, then arrays of tables."""
    return "\n".join(_table(found, "")).strip() + "\n"


def _table(found: Document, path: str) -> list[str]:
    lines = [f"{key} = {written(value)}" for key, value in found.items() if not _is_table(value)]
    for key, value in found.items():
        inner = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            lines += ["", f"[{inner}]", *_table(value, inner)]
        elif _is_table(value):
            for one in value:
                lines += ["", f"[[{inner}]]", *_table(one, inner)]
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def written(value: object) -> str:
    """The value in TOML; its basic strings are JSON's, but for U+007F."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case list():
            return f"[{', '.join(map(written, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
