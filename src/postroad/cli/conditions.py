"""``postroad conditions list|set|clear``: which MAIL and RCPT parameters the server refuses just now (455), and why."""

from __future__ import annotations

from typing import Any

import click

from postroad.cli.arguments import seconds as as_seconds
from postroad.cli.client import Server, segment, server_options
from postroad.cli.columns import as_document, moment, span, table, until
from postroad.cli.outcome import Exit, Failure


@click.group("conditions")
def conditions_command() -> None:
    """Which parameters are refused just now (455), why, since when and how often."""


@conditions_command.command("list")
@server_options
def list_command(server: Server, as_json: bool) -> None:
    """List what is refused just now, by the operator's word or by what the server knows."""
    document = server.get("/conditions")
    if as_json:
        click.echo(as_document(document))
    elif not document["conditions"]:
        click.echo("every parameter is accommodated")
    else:
        rows = [
            (
                row["parameter"],
                row["source"],
                moment(row["since"]),
                until(row["until"]) or "until cleared",
                row["refused"],
                row["why"],
            )
            for row in document["conditions"]
        ]
        click.echo(table(("PARAMETER", "BY", "SINCE", "ENDS", "REFUSED", "WHY"), rows))


@conditions_command.command("set")
@click.argument("parameter")
@click.argument("wanted", type=click.Choice(["unavailable", "available"]))
@click.option("--for", "seconds", type=as_seconds, help="End by itself: 10m, 4h. [default: until cleared]")
@click.option("--why", default="", help="For operators; clients never see it.")
@server_options
def set_command(parameter: str, wanted: str, seconds: float | None, why: str, server: Server, as_json: bool) -> None:
    """Refuse PARAMETER (SMTPUTF8, BODY=BINARYMIME …) for a time, or take it again."""
    if wanted == "available" and (seconds is not None or why):
        raise Failure(Exit.USAGE, "--for and --why go with unavailable")
    body: dict[str, Any] = {"available": wanted == "available"}
    body |= {"seconds": seconds} if seconds is not None else {}
    body |= {"why": why} if why else {}
    answer = server.send("PUT", f"/conditions/{segment(parameter)}", body)
    if as_json:
        click.echo(as_document(answer))
    elif wanted == "available":
        click.echo(f"{parameter.upper()} is taken" + ("" if answer["removed"] else "; it was not switched off"))
    else:
        ends = f"for {span(seconds)}" if seconds is not None else "until cleared"
        click.echo(f"{answer['parameter']} is refused {ends}")


@conditions_command.command("clear")
@click.argument("parameter", required=False)
@server_options
def clear_command(parameter: str | None, server: Server, as_json: bool) -> None:
    """Take PARAMETER again, or all of them."""
    path = "/conditions" + (f"/{segment(parameter)}" if parameter else "")
    removed = server.send("DELETE", path)
    click.echo(as_document(removed) if as_json else f"{removed['removed']} taken again")
