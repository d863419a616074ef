"""``postroad version``."""

from __future__ import annotations

import platform

import click

from postroad import __version__


@click.command("version")
def version_command() -> None:
    """Print which release this is, and on which Python it runs."""
    click.echo(f"postroad {__version__} ({platform.python_implementation()} {platform.python_version()})")
