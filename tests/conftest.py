"""What holds for every test: kernel rights are asked for by name, and what was skipped for them is counted.

`@pytest.mark.privileged("mount")` skips a test where the right is missing. A test that finds out only while it runs
says `pytest.skip("privileged: …")`. Missing software is another matter: see tests/peers.py.
"""

from __future__ import annotations

import collections
import functools
import os
import subprocess

import pytest
from hypothesis import HealthCheck, settings

# No test asserts a duration, property tests neither. Where CI=true, hypothesis has a profile of its own that says so.
settings.register_profile("postroad", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if os.environ.get("CI") != "true":
    settings.load_profile("postroad")

PROBES = {
    "mount": ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
    "overlay": ["unshare", "--mount", "mount", "-t", "overlay", "none", "-o", "lowerdir=/etc:/usr", "/mnt"],
    "network": ["unshare", "--net", "ip", "link", "set", "lo", "up"],
    "ptrace": ["strace", "-qq", "-o", "/dev/null", "true"],
}


@functools.cache
def has_right(name: str) -> bool:
    if name == "root":
        return os.geteuid() == 0
    try:
        return subprocess.run(PROBES[name], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("privileged"):
        for name in mark.args or ("root",):
            if not has_right(name):
                pytest.skip(f"privileged: {name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    rights = [reason.partition("privileged: ")[2] for reason in reasons if "privileged: " in reason]
    if rights:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(collections.Counter(rights).items()))
        terminalreporter.write_line(f"privileged: {len(rights)} skipped for want of a kernel right ({counts})")
