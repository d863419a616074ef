"""The real mail programs that tests talk to, as `make test` and `make peers` provide them.

Whoever asks for a program that is missing ends the test: a clear skip on a developer's machine, a failure where
CI=true, for there a hole in the coverage must not look like success.

    source = peers.smtp_source()
    subprocess.run([*source.argv, "-c", "-m", "10", "127.0.0.1:2525"], env=source.env, check=True)
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tools import peers as provided
from tools.mail_servers import MailServer


@dataclass(frozen=True, slots=True)
class Command:
    """The start of a command line and the environment to run it in."""

    argv: list[str]
    env: dict[str, str]


def missing(what: str) -> NoReturn:
    reason = f"{what} is missing: `make peers` installs it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of an ordinary program: swaks, msmtp, s-nail, curl, git, git-send-email, node, strace, chromium."""
    path = provided.git_send_email() if name == "git-send-email" else shutil.which(name)
    return str(path) if path else missing(name)


def axe_script() -> Path:
    """axe-core as one script, to be run in a page."""
    script = provided.node_modules() / "axe-core" / "axe.min.js"
    return script if script.is_file() else missing("axe-core")


def nodemailer_dir() -> Path:
    """The node_modules folder with nodemailer in it, to be given to `node` as NODE_PATH."""
    folder = provided.node_modules()
    return folder if (folder / "nodemailer").is_dir() else missing("nodemailer")


def smtp_source() -> Command:
    """Postfix's load generator: append its options and HOST:PORT."""
    return _postfix("smtp-source")


def smtp_sink() -> Command:
    """Postfix's null server: append its options, HOST:PORT and a backlog. It refuses to run as root without -u."""
    command = _postfix("smtp-sink")
    return Command([*command.argv, "-u", "nobody"], command.env) if os.geteuid() == 0 else command


def _postfix(name: str) -> Command:
    tree = provided.postfix_tree()
    path = tree / "usr/sbin" / name
    if not path.exists():
        missing(name)
    return Command([str(path)], {**os.environ, **provided.postfix_environment(tree)})


def mail_server(kind: type[MailServer]) -> type[MailServer]:
    """A server of tools/mail_servers.py that was fetched; its test needs the kernel right ``overlay``."""
    return kind if kind.is_there() else missing(kind.__name__)
