"""``postroad chaos set|list|clear``: which replies a developer's server gives on demand."""

from __future__ import annotations

from typing import Any

import click

from postroad.cli.arguments import seconds as as_seconds
from postroad.cli.client import Server, segment, server_options
from postroad.cli.columns import as_document, table
from postroad.cli.outcome import Exit, Failure
from postroad.inbox.chaos_rules import STAGES


@click.group("chaos")
def chaos_command() -> None:
    """Answer any reply code on demand (dev mode).

    Without any rule, an address does it: bob+455@example.com is answered with 455 at RCPT, bob+451x2@… twice, then
    accepted.
    """


@chaos_command.command("set")
@click.argument("reply", required=False, type=click.IntRange(400, 599), metavar="[CODE]")
@click.option("--to", help="Recipients like this (* and ?); at earlier stages the sender, account, name or address.")
@click.option("--from", "from_", help="Only from senders like this.")
@click.option("--at", help=f"The stage: {', '.join(STAGES)}. [default: rcpt]")
@click.option("--text", help="What the reply says.")
@click.option("--enhanced", help="Its enhanced status code, 4.7.1; - for none.")
@click.option("--times", type=click.IntRange(1), help="So often, then never again.")
@click.option("--probability", type=click.FloatRange(0, 1), help="From 0 to 1.")
@click.option("--delay", type=as_seconds, help="Wait so long before the answer: 2, 500ms, 1m.")
@click.option("--disconnect", is_flag=True, default=None, help="Close the connection then.")
@click.option("--id", help="A name of your own; a rule with the same one is replaced.")
@server_options
def set_command(reply: int | None, from_: str | None, server: Server, as_json: bool, **options: Any) -> None:
    """Add a rule in front of the others: postroad chaos set 455 --to '*@example.com' --times 2."""
    fields = {"reply": reply, "from": from_, **options}
    given = {key: value for key, value in fields.items() if value is not None}
    if not {"reply", "delay", "disconnect"} & set(given):
        raise Failure(Exit.USAGE, "a rule needs a CODE, --delay or --disconnect", "postroad chaos set 455")
    rule = server.send("POST", "/chaos", given)
    click.echo(as_document(rule) if as_json else f"{rule['id']}: {_said(rule)}")


def _said(rule: dict[str, Any]) -> str:
    """A rule in words."""
    does = [str(rule["reply"])] if rule["reply"] is not None else []
    does += [rule["enhanced"]] if rule["enhanced"] else []
    does += [f"“{rule['text']}”"] if rule["text"] else []
    does += [f"after {rule['delay']:g} s"] if rule["delay"] else []
    does += ["then disconnect"] if rule["disconnect"] else []
    when = f"at {rule['at']} to {rule['to']}" + (f" from {rule['from']}" if rule["from"] != "*" else "")
    often = f", {rule['times']} times" if rule["times"] is not None else ""
    often += f", with probability {rule['probability']:g}" if rule["probability"] < 1 else ""
    return f"{' '.join(does)} {when}{often}"


@chaos_command.command("list")
@server_options
def list_command(server: Server, as_json: bool) -> None:
    """List the rules in the order in which they are asked; the first that matches answers."""
    document = server.get("/chaos")
    if as_json:
        click.echo(as_document(document))
    elif not document["rules"]:
        click.echo("no rules; addresses like bob+455@example.com need none")
    else:
        rows = [
            (rule["id"], "spent" if rule["spent"] else str(rule["used"]), _said(rule)) for rule in document["rules"]
        ]
        click.echo(table(("ID", "USED", "RULE"), rows))


@chaos_command.command("clear")
@click.argument("rule_ids", nargs=-1, metavar="[ID]...")
@server_options
def clear_command(rule_ids: tuple[str, ...], server: Server, as_json: bool) -> None:
    """Take away the rules with these IDs, or all of them."""
    if rule_ids:
        removed = sum(server.send("DELETE", f"/chaos/{segment(rule_id)}")["removed"] for rule_id in rule_ids)
    else:
        removed = server.send("DELETE", "/chaos")["removed"]
    click.echo(as_document({"removed": removed}) if as_json else f"{removed} taken away")
