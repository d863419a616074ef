"""A reload refuses what only a restart can change, and says so, before anything is changed."""

from __future__ import annotations

import pytest

from postroad.errors import SettingsError
from postroad.service.reloading import refuse_what_needs_a_restart
from postroad.settings import load_text

BEFORE = 'hostname = "h.example"\nstate = "/tmp/s"\n[mx]\nlisten = ["127.0.0.1:2525"]\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (BEFORE.replace("2525", "2526"), "[mx] listen"),
        (BEFORE + '[submission]\nlisten = ["127.0.0.1:2587"]\n', "[submission] listen"),
        (BEFORE + '[web]\nlisten = ["127.0.0.1:8025"]\n', "[web]"),
        (BEFORE.replace("/tmp/s", "/tmp/t"), "state"),
        (BEFORE.replace("h.example", "i.example"), "hostname"),
        ('user = "mail"\n' + BEFORE, "user"),
        (BEFORE + '[outbound]\nresolver = ["192.0.2.1"]\n', "outbound.resolver"),
        (BEFORE + "[outbound]\nconnections_per_site = 3\n", "outbound.connections_per_site"),
        (BEFORE + '[reports]\nlanguage = "ja"\n', "[reports]"),
        (BEFORE + '[tls]\ncert = "/c.pem"\nkey = "/k.pem"\n', "[tls]"),
    ],
)
def test_what_needs_a_restart_is_refused(text: str, named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        refuse_what_needs_a_restart(load_text(BEFORE, "before"), load_text(text, "now"))
    assert named in refused.value.message
    assert "restart" in refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        BEFORE,
        BEFORE.replace("[mx]", '[mx]\ntrusted_networks = ["192.0.2.0/24"]'),
        BEFORE + '[[domain]]\nname = "example.com"\ndeliver = "hold"\n',
        BEFORE + "[limits]\nrecipients = 200\n",
        BEFORE + '[outbound]\nvia = "smtp:192.0.2.1:25"\ntls = "verify"\n',
        BEFORE + '[[destination]]\nname = "b.example"\nexpire = "1d"\n',
        BEFORE + '[journal]\nkeep = "1d"\n',
    ],
)
def test_the_rest_may_change(text: str) -> None:
    refuse_what_needs_a_restart(load_text(BEFORE, "before"), load_text(text, "now"))
