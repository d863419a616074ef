"""``postroad inbox list|show|wait|clear``: the mail that a running server has caught or keeps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from postroad.cli.arguments import confirm
from postroad.cli.arguments import seconds as as_seconds
from postroad.cli.client import Server, segment, server_options
from postroad.cli.columns import as_document, moment, octets, table
from postroad.cli.outcome import Exit, Failure
from postroad.observe.printable import printable, printable_lines

F = TypeVar("F", bound=Callable[..., Any])

#: The server is asked to wait so long at a time; a lost server is thus noticed.
_POLL: Final = 50.0


def _filters(command: F) -> F:
    for option in (
        click.option("--subject", default="", help="The subject holds this, in any case."),
        click.option("--from", "from_", default="", help="The envelope sender holds this."),
        click.option("--to", default="", help="A recipient holds this."),
    ):
        command = option(command)
    return command


@click.group("inbox")
def inbox_command() -> None:
    """The mail that the running server has caught or keeps."""


@inbox_command.command("list")
@_filters
@click.option("--after", default=0, help="Only messages with a higher sequence number.")
@click.option("--limit", default=50, type=click.IntRange(1, 500), show_default=True, help="At most so many.")
@server_options
def list_command(to: str, from_: str, subject: str, after: int, limit: int, server: Server, as_json: bool) -> None:
    """List messages, newest first."""
    query = {"to": to, "from": from_, "subject": subject, "after": after or None, "limit": limit}
    page = server.get("/inbox", query)
    if as_json:
        click.echo(as_document(page))
        return
    rows = [
        (
            row["id"],
            moment(row["received_at"]),
            row["from"] or "<>",
            ", ".join(row["to"]),
            octets(row["size"]),
            row["subject"],
        )
        for row in page["messages"]
    ]
    if not rows:
        click.echo("no messages")
        return
    click.echo(table(("ID", "RECEIVED", "FROM", "TO", "SIZE", "SUBJECT"), rows))
    if page["before"] is not None:
        click.echo(f"the newest {len(rows)}; there are more (--limit)", err=True)


@inbox_command.command("show")
@click.argument("message_id", required=False, metavar="[ID]")
@click.option("--raw", "part", flag_value="raw", help="The octets as kept, trace lines included.")
@click.option("--text", "part", flag_value="text", help="The plain text alone.")
@click.option("--html", "part", flag_value="html", help="The HTML source.")
@click.option("--transcript", "part", flag_value="transcript", help="The SMTP session that brought it.")
@server_options
def show_command(message_id: str | None, part: str | None, server: Server, as_json: bool) -> None:
    """Show one message; without an ID the newest."""
    path = "/inbox/" + segment(message_id or _newest(server))
    if part is not None:
        content = server.octets(f"{path}/{part}")
        if sys.stdout.isatty():
            click.echo(printable_lines(content.decode("utf-8", "replace")))
        else:
            sys.stdout.buffer.write(content)
        return
    message = server.get(path)
    click.echo(as_document(message) if as_json else _shown(message))


def _newest(server: Server) -> str:
    rows = server.get("/inbox", {"limit": 1})["messages"]
    if not rows:
        raise Failure(Exit.NO_INPUT, "there is no message")
    return str(rows[0]["id"])


def _shown(message: dict[str, Any]) -> str:
    """The envelope, where each recipient stands, the headers that people read, and the text."""
    lines = [
        f"message   {message['id']}",
        f"received  {moment(message['received_at'])} from {message['peer']} ({message['tls'] or 'no TLS'})",
        f"envelope  <{message['from']}>" + (f" {message['parameters']}" if message["parameters"] else ""),
    ]
    for recipient in message["recipients"]:
        note = f": {recipient['note']}" if recipient["note"] else ""
        lines.append(f"      to  <{recipient['address']}> {recipient['state']}{note}")
    wanted = ("from", "to", "cc", "subject", "date")
    lines += [""] + [f"{name}: {value}" for name, value in message["headers"] if name.lower() in wanted]
    for each in message["attachments"]:
        lines.append(f"attachment {each['number']}: {each['name']} ({each['content_type']}, {octets(each['size'])})")
    shown = [printable(line) for line in lines]
    text = message["text"]
    if text is None:
        text = "(no plain text; --html shows the HTML)" if message["html"] is not None else "(no text)"
    return "\n".join([*shown, "", printable_lines(text).rstrip("\n")])


@inbox_command.command("wait")
@_filters
@click.option("--after", default="", help="Only mail behind this ID or sequence number.")
@click.option("--timeout", default=30.0, type=as_seconds, show_default=True, help="How long: 30, 90s, 5m.")
@server_options
def wait_command(to: str, from_: str, subject: str, after: str, timeout: float, server: Server, as_json: bool) -> None:
    """Wait for a message; exit code 75 when none came in time."""
    query = {"to": to, "from": from_, "subject": subject, "after": after}
    message = _wait(server, query, timeout)
    click.echo(as_document(message) if as_json else _shown(message))


def _wait(server: Server, query: dict[str, str], timeout: float) -> dict[str, Any]:
    end = time.monotonic() + timeout
    while True:
        begun = time.monotonic()
        share = min(max(end - begun, 0.0), _POLL)
        try:
            found: dict[str, Any] = server.get("/inbox/wait", {**query, "timeout": f"{share:.3f}"}, patience=share)
            return found
        except Failure as fault:
            if fault.exit is not Exit.NO_INPUT or time.monotonic() - begun < share * 0.9:
                raise
        if time.monotonic() >= end - 0.01:
            raise Failure(Exit.TRY_AGAIN, f"no such mail came within {timeout:g} s", "postroad inbox list")


@inbox_command.command("clear")
@click.argument("message_ids", nargs=-1, metavar="[ID]...")
@_filters
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say how many would go.")
@server_options
def clear_command(
    message_ids: tuple[str, ...],
    to: str,
    from_: str,
    subject: str,
    yes: bool,
    dry_run: bool,
    server: Server,
    as_json: bool,
) -> None:
    """Delete the messages with these IDs, those that match, or all (dev mode)."""
    query = {"to": to, "from": from_, "subject": subject}
    if message_ids and any(query.values()):
        raise Failure(Exit.USAGE, "give IDs or --to, --from, --subject, not both")
    if dry_run or not (yes or message_ids):
        count = len(message_ids) or _count(server, query)
        if dry_run:
            click.echo(as_document({"would_remove": count}) if as_json else f"{count} would be deleted")
            return
        confirm(f"Delete {count} message{'' if count == 1 else 's'}?", yes)
    if message_ids:
        for message_id in message_ids:
            server.send("DELETE", "/inbox/" + segment(message_id))
        removed = {"removed": len(message_ids)}
    else:
        removed = server.send("DELETE", "/inbox", query=query)
    click.echo(as_document(removed) if as_json else f"{removed['removed']} deleted")


def _count(server: Server, query: dict[str, str]) -> int:
    count, before = 0, None
    while True:
        page = server.get("/inbox", {**query, "limit": 500, "before": before})
        count += len(page["messages"])
        before = page["before"]
        if before is None:
            return count
