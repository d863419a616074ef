"""``postroad token add|list|remove``: with a token a program may use the API of a server whose people sign in."""

from __future__ import annotations

from typing import Any

import click

from postroad.cli.client import Server, segment, server_options
from postroad.cli.columns import as_document, moment, table


@click.group("token")
def token_command() -> None:
    """Tokens with which programs use the API; they are made and removed by the running server, at once."""


@token_command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator"]), required=True, help="What it permits.")
@click.option("--days", type=click.IntRange(1, 3650), help="End by itself. [default: when it is removed]")
@server_options
def add_command(name: str, role: str, days: int | None, server: Server, as_json: bool) -> None:
    """Make a token and print it, this once: Authorization: Bearer prt_…"""
    body: dict[str, Any] = {"name": name, "role": role} | ({"days": days} if days is not None else {})
    made = server.send("POST", "/tokens", body)
    click.echo(as_document(made) if as_json else made["secret"])


@token_command.command("list")
@server_options
def list_command(server: Server, as_json: bool) -> None:
    """List names, roles, and when each was made, was last used and ends."""
    document = server.get("/tokens")
    if as_json:
        click.echo(as_document(document))
    elif not document["tokens"]:
        click.echo("there are no tokens")
    else:
        rows = [
            (
                row["name"],
                row["role"],
                moment(row["created"]),
                moment(row["last_used"]) or "never",
                moment(row["ends"]) or "when removed",
            )
            for row in document["tokens"]
        ]
        click.echo(table(("NAME", "ROLE", "CREATED", "LAST USED", "ENDS"), rows))


@token_command.command("remove")
@click.argument("name")
@server_options
def remove_command(name: str, server: Server, as_json: bool) -> None:
    """Remove a token: it lets nobody in any more."""
    server.send("DELETE", f"/tokens/{segment(name)}")
    click.echo(as_document({"removed": name}) if as_json else f"{name} is removed")
