"""Faults of the network itself, in a namespace of its own: dropped packets, rejections by ICMP, routes that forbid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.privileged("network")

CASES = [
    ("drop", "192.0.2.25", "connect.timeout"),
    ("reject", "192.0.2.25", "connect.refused"),
    ("prohibited", "192.0.2.25", "connect.unreachable"),
    ("host-unreachable", "192.0.2.25", "connect.unreachable"),
    ("unreachable", "192.0.2.25", "connect.unreachable"),
    ("no-route", "192.0.2.25", "connect.unreachable"),
    ("no-route", "2001:db8::25", "connect.no-family"),
    ("blackhole", "192.0.2.25", "connect.forbidden"),
    ("prohibit", "192.0.2.25", "connect.forbidden"),
]


def diagnosed(case: str, target: str) -> dict[str, Any]:
    command = ["unshare", "--net", sys.executable, "-m", "tests.diagnosis.in_namespace", case, target]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("case", "target", "expected"), CASES)
def test_what_the_network_does_is_told_apart(case: str, target: str, expected: str) -> None:
    if case in ("drop", "reject", "prohibited", "host-unreachable") and not os.access("/dev/net/tun", os.W_OK):
        pytest.skip("privileged: /dev/net/tun")
    found = diagnosed(case, target)
    told = [one for host in found["hosts"] for one in host["findings"]]
    assert [one["id"] for one in told] == [expected]
    assert told[0]["level"] == "error"
    assert told[0]["disproof"]
    assert told[0]["next"]
    assert told[0]["waited"] is not None
