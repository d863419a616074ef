"""``postroad serve``: run the server until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from postroad.cli.outcome import Exit, Failure, say

_PORT = click.IntRange(0, 65535)


@click.command("serve")
@click.option(
    "--config", type=click.Path(path_type=Path), envvar="POSTROAD_CONFIG", help="The settings file. [default: dev mode]"
)
@click.option("--state", type=click.Path(path_type=Path), envvar="POSTROAD_STATE", help="Where mail is kept.")
@click.option("--host", help="Dev mode: listen on this address. [default: 127.0.0.1]")
@click.option("--port", type=_PORT, help="Dev mode: the SMTP port; 0 takes a free one. [default: 1025]")
@click.option("--web-port", type=_PORT, help="Dev mode: the port of page and API. [default: 8025]")
@click.option(
    "--open-to-network",
    is_flag=True,
    envvar="POSTROAD_OPEN_TO_NETWORK",
    help="Dev mode: permit an address that others can reach.",
)
@click.option(
    "--log-format", type=click.Choice(["auto", "json", "text"]), default="auto", help="Lines for people or programs."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def serve_command(config: Path | None, log_format: Any, log_level: Any, **options: Any) -> int:
    """Run the server until Ctrl-C or SIGTERM.

    Without --config it is a developer's inbox: it catches every mail on this machine, shows it, and answers any reply code on
    demand. Nothing ever leaves the machine.
    """
    from postroad.settings import Overrides, load, verify

    settings = load(config, Overrides(**options))
    if settings.dev is None:
        _refuse_dev_options(config, options)
    for warning in settings.warnings:
        say("warn", warning)
    verify(settings)
    from postroad.observe.log import configure

    configure(log_format, log_level)
    from postroad.daemon import announce, run

    run(settings, announce if settings.dev is not None else None)
    return Exit.OK


def _refuse_dev_options(config: Path | None, options: dict[str, Any]) -> None:
    """What only dev mode honours may not be ignored elsewhere."""
    for name in ("host", "port", "web_port", "open_to_network"):
        if options[name] not in (None, False):
            raise Failure(
                Exit.USAGE, f"--{name.replace('_', '-')} is for dev mode", f"the listeners are set in {config}"
            )
