"""``postroad config check|show|example``: the settings file, before a server runs on it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from postroad.cli.columns import as_document
from postroad.cli.outcome import Exit, Failure, say
from postroad.errors import SettingsError

if TYPE_CHECKING:
    from postroad.settings import Settings

EXAMPLES: Final = ("mail", "relay", "dev", "all")
#: Where a file is looked for when none is named.
USUAL: Final = (Path("postroad.toml"), Path("/etc/postroad/postroad.toml"))

_file = click.argument(
    "file", required=False, type=click.Path(path_type=Path), envvar="POSTROAD_CONFIG", metavar="[FILE]"
)


@click.group("config")
def config_command() -> None:
    """The settings file, before a server runs on it."""


@config_command.command("check")
@_file
@click.option("--warn", is_flag=True, help="Exit code 1 when there are warnings.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def check_command(file: Path | None, warn: bool, as_json: bool) -> int:
    """Say everything that is wrong with FILE, with line and cure; exit code 78 when anything is.

    Without FILE: postroad.toml here, else /etc/postroad/postroad.toml.
    """
    path = file or _usual()
    errors, warnings = _judge(path)
    if as_json:
        found = [{"message": error.message, "hint": error.hint} for error in errors]
        click.echo(as_document({"file": str(path), "errors": found, "warnings": list(warnings)}))
    else:
        for error in errors:
            say("error", error.message, error.hint)
        for warning in warnings:
            say("warn", warning)
        click.echo(_summary(path, len(errors), len(warnings)))
    if errors:
        return Exit.CONFIG
    return Exit.FINDINGS if warn and warnings else Exit.OK


def _judge(path: Path) -> tuple[tuple[SettingsError, ...], tuple[str, ...]]:
    """What the file itself shows, then what only the machine can tell."""
    from postroad.settings import SettingsErrors, load, verify

    warnings: tuple[str, ...] = ()
    try:
        settings = load(path)
        warnings = settings.warnings
        verify(settings)
    except SettingsErrors as fault:
        return fault.errors, warnings
    except SettingsError as fault:
        return (fault,), warnings
    return (), warnings


def _summary(path: Path, errors: int, warnings: int) -> str:
    def counted(count: int, word: str) -> str:
        return f"{count or 'no'} {word}{'' if count == 1 else 's'}"

    found = f"{path}: {counted(errors, 'error')}, {counted(warnings, 'warning')}"
    return f"{found}. A running server keeps its present settings." if errors else found


@config_command.command("show")
@_file
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show_command(file: Path | None, as_json: bool) -> None:
    """Print the effective settings of FILE (else of dev mode) with every default; password hashes are blanked."""
    from postroad.settings.document import document, to_toml

    found = document(_settings(file))
    click.echo(as_document(found) if as_json else to_toml(found), nl=as_json)


def _settings(file: Path | None) -> Settings:
    from postroad.settings import load

    found = next((path for path in USUAL if path.exists()), None) if file is None else file
    return load(found)


@config_command.command("example")
@click.argument("kind", type=click.Choice(EXAMPLES), default="mail")
def example_command(kind: str) -> None:
    """Print an example to begin with: mail for a domain, relay for apps, dev, or all keys with their defaults."""
    click.echo(example(kind), nl=False)


def example(kind: str) -> str:
    """The text of one of EXAMPLES."""
    return (files("postroad.cli") / "examples" / f"{kind}.toml").read_text("utf-8")


def _usual() -> Path:
    found = next((path for path in USUAL if path.exists()), None)
    if found is None:
        raise Failure(
            Exit.NO_INPUT, "there is no postroad.toml here and none in /etc/postroad", "name the file to check"
        )
    return found
