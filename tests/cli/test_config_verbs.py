"""``config`` and ``user``: what an operator does before the server runs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postroad import settings
from postroad.cli.config import EXAMPLES, example
from postroad.settings import document as writing
from postroad.settings import load_text
from postroad.settings.tables import Table
from tests.cli.fake_server import Ended
from tests.settings.test_reading import HASH, WHOLE

Run = Callable[..., Ended]

BAD = """hostname = "mail.example.com"
submision = 1
[mx]
listen = ["25"]
"""


def test_check_says_everything(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text(BAD)
    ended = run("config", "check", file)
    assert ended.code == 78
    assert ended.err == (
        "error: postroad.toml:2: unknown key `submision`, did you mean `submission`?\n"
        "error: postroad.toml:4: mx.listen: '25' is no HOST:PORT\n"
        '  hint: name the addresses too: ["0.0.0.0:25", "[::]:25"] for all, "127.0.0.1:25" for this machine\n'
    )
    assert ended.out == f"{file}: 2 errors, no warnings. A running server keeps its present settings.\n"


def test_check_looks_at_the_machine_too(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text(f'hostname = "h.example"\nstate = "{tmp_path}"\n[mx]\n[tls]\ncert = "/no/c"\nkey = "/no/k"\n')
    ended = run("config", "check", file, "--json")
    assert ended.code == 78
    assert [error["message"] for error in ended.document["errors"]] == [
        "postroad.toml:5: tls.cert: /no/c: No such file or directory",
        "postroad.toml:6: tls.key: /no/k: No such file or directory",
    ]
    assert ended.document["warnings"] == ["postroad.toml:3: [mx] is on but no [[domain]] is set: all mail is refused"]


def test_check_of_a_good_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text(f'hostname = "h.example"\nstate = "{tmp_path}"\n[mx]\n')
    ended = run("config", "check", file)
    assert (ended.code, ended.out) == (0, f"{file}: no errors, 1 warning\n")
    assert ended.err.startswith("warn: postroad.toml:3: [mx] is on but no [[domain]] is set")
    assert run("config", "check", file, "--warn").code == 1


def test_check_finds_the_usual_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "postroad.toml").write_text("[dev]\n")
    assert run("config", "check").code == 0
    monkeypatch.setenv("POSTROAD_CONFIG", str(tmp_path / "other.toml"))
    ended = run("config", "check")
    assert ended.code == 78 and "No such file" in ended.err


def test_check_without_any_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from postroad.cli import config

    monkeypatch.setattr(config, "USUAL", (tmp_path / "none.toml",))
    assert run("config", "check").code == 66


def keys_read(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], set[str]]:
    """The keys that the readers know in the tables of a text, and those that stand in it."""
    known: set[str] = set()
    given: set[str] = set()
    really = Table.close

    def note(table: Table) -> None:
        path = ".".join(part for part in table.path.split(".") if not part.isdecimal())
        known.update(f"{path}.{key}" for key in table._known)
        given.update(f"{path}.{key}" for key in table._values)
        really(table)

    monkeypatch.setattr(Table, "close", note)
    load_text(text, "example")
    return known, given


@pytest.mark.parametrize("kind", EXAMPLES)
def test_examples_are_accepted(run: Run, kind: str) -> None:
    ended = run("config", "example", kind)
    assert ended.code == 0
    found = load_text(ended.out, kind)
    assert found.warnings == ()


def test_the_full_example_names_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    known, given = keys_read(example("all"), monkeypatch)
    later = {".workers", ".language", ".dev"}
    of_others = {"destination": ("account", "password_file", "schedule", "expire", "connections", "rate")}
    of_others["outbound"] = ("resolver", "port", "allow_networks")  # those of MX delivery, beside a smarthost
    later |= {f"{table}.{key}" for table, keys in of_others.items() for key in keys}
    later |= {f"{role}.proxy_protocol" for role in ("mx", "submission", "submissions")}
    assert known - given == later


def test_the_full_example_tells_the_defaults() -> None:
    found = load_text(example("all"), "all")
    usual = settings.Limits(exempt=found.limits.exempt, min_free=2**30)
    assert found.limits == usual
    assert found.retry == settings.Retry()
    assert replace(found.smtp, help_url="") == settings.Smtp()
    assert found.mx is not None and found.submissions is not None
    plain = load_text('hostname = "h.example"\n[mx]\n[submissions]\n[tls]\ncert="/c"\nkey="/k"\n', "plain")
    assert replace(found.mx, optional=True) == plain.mx
    assert replace(found.submissions, optional=True) == plain.submissions


def test_examples_are_short_enough_to_read() -> None:
    for kind in ("mail", "relay", "dev"):
        lines = [line for line in example(kind).split("\n") if line.strip() and not line.startswith("#")]
        assert len(lines) <= 20


@pytest.mark.parametrize("text", [WHOLE, *map(example, EXAMPLES), "[dev]\n"], ids=["whole", *EXAMPLES, "plain dev"])
def test_show_says_what_the_file_could_say(run: Run, text: str, tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text(text)
    ended = run("config", "show", file)
    assert ended.code == 0
    shown = ended.out.replace('"(hidden)"', f'"{HASH}"')
    before, after = load_text(text, "x"), load_text(shown, "x")

    def without(found: settings.Settings) -> Any:
        accounts = tuple(replace(account, password_hash="") for account in found.accounts)
        stripped = replace(found, accounts=accounts, warnings=())
        for role in ("mx", "submission", "submissions"):
            listener = getattr(stripped, role)
            if listener is not None:
                stripped = replace(stripped, **{role: replace(listener, optional=False)})
        rules = () if found.dev is None else tuple(found.dev.chaos)
        return stripped, rules

    assert without(after) == without(before)
    assert run("config", "show", file, "--json").document == tomllib.loads(ended.out)


def test_show_tells_no_secret(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "postroad.toml"
    file.write_text(WHOLE)
    for arguments in ((), ("--json",)):
        assert "argon2id" not in run("config", "show", file, *arguments).out


def test_show_of_dev_mode(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert 'listen = ["127.0.0.1:1025"]' in run("config", "show").out


@pytest.mark.parametrize("value", ['quote " \\ back', "tab\tline\n", "\x7f\x00\x1b", "日本語", "'single'"])
def test_any_text_survives_the_writing(value: str) -> None:
    assert tomllib.loads(writing.to_toml({"k": value})) == {"k": value}


# ── user hash ───────────────────────────────────────────────────────────────


def user_hash(octets: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "postroad", "user", "hash"], input=octets, capture_output=True, check=False
    )


def test_a_hash_from_standard_input() -> None:
    from argon2 import PasswordHasher

    ended = user_hash("pässword with spaces \r\nnot this\n".encode())
    assert ended.returncode == 0 and ended.stderr == b""
    made = ended.stdout.decode().strip()
    assert PasswordHasher().verify(made, "pässword with spaces ")
    account = f'hostname="h.example"\n[submission]\n[[account]]\nname="k"\npassword_hash="{made}"\n'
    assert load_text(account, "x").accounts[0].password_hash == made


def test_no_password_no_hash() -> None:
    ended = user_hash(b"\n")
    assert ended.returncode == 65
    assert ended.stderr.startswith(b"error: the password is empty\n  hint: ")


def test_on_a_terminal_it_is_asked_for_twice_and_not_shown() -> None:
    master, slave = pty.openpty()
    arguments = [sys.executable, "-m", "postroad", "user", "hash"]
    with subprocess.Popen(arguments, stdin=slave, stdout=subprocess.PIPE, stderr=slave, start_new_session=True) as run:
        os.close(slave)
        seen = b""
        for _ in range(2):
            while not seen.rstrip().endswith(b":"):
                seen += os.read(master, 1000)
            os.write(master, b"hidden secret\n")
            seen += b"|"
        out = run.communicate()[0]
    os.close(master)
    assert b"$argon2id$" in out and b"hidden secret" not in seen + out


def test_json_is_json(run: Run) -> None:
    assert json.loads(run("config", "show", "--json").out)["dev"]["keep"] == 500
