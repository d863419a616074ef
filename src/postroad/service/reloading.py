"""What a reload can change, and what only a restart can."""

from __future__ import annotations

from postroad.errors import SettingsError
from postroad.settings import Settings


def refuse_what_needs_a_restart(before: Settings, now: Settings) -> None:
    """Raise SettingsError for a change of what was opened, bound or become at the start."""
    changed = [name for name, was, is_now in _fixed(before, now) if was != is_now]
    if changed:
        verb = "needs" if len(changed) == 1 else "need"
        raise SettingsError(
            f"a change of {', '.join(changed)} {verb} a restart", "nothing was changed; restart, or undo it"
        )


def _fixed(before: Settings, now: Settings) -> list[tuple[str, object, object]]:
    fixed: list[tuple[str, object, object]] = [
        ("hostname", before.hostname, now.hostname),  # delivery and its reports bear it
        ("state", before.state, now.state),
        ("user", before.user, now.user),
        ("[tls]", before.tls, now.tls),  # the files themselves may be other ones
        ("[dev]", before.dev is None, now.dev is None),
        ("[web]", before.web, now.web),
        ("limits.min_free", before.limits.min_free, now.limits.min_free),
    ]
    opened = ("resolver", "allow_networks", "source", "port", "ipv4", "ipv6")
    for name in (*opened, "connections", "connections_per_site", "rate"):
        fixed.append((f"outbound.{name}", getattr(before.outbound, name), getattr(now.outbound, name)))
    fixed.append(("[reports]", before.reports, now.reports))
    was, is_now = dict(before.listeners), dict(now.listeners)
    for role in dict.fromkeys((*was, *is_now)):
        first, second = was.get(role), is_now.get(role)
        fixed.append((f"[{role}] listen", first and first.listen, second and second.listen))
    return fixed
