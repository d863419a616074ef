"""The limit of open files is raised as far as it may be, and no further."""

from __future__ import annotations

import subprocess
import sys

import pytest

RAISE = "from postroad.net import descriptors as d; print(d.open_at_most(), d.allow_many())"


def limits(soft: int, hard: int) -> list[int]:
    """What a process with these limits says before and after."""
    script = f"ulimit -S -n {soft} && ulimit -H -n {hard} && exec {sys.executable} -c '{RAISE}'"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(("soft", "hard", "after"), [(200, 700, 700), (300, 300, 300)])
def test_the_soft_limit_becomes_the_hard_one(soft: int, hard: int, after: int) -> None:
    assert limits(soft, hard) == [soft, after]
