"""``postroad queue list|show|why|retry|hold|release|drop|bounce``: what waits, why, and what is to become of it."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import click

from postroad.cli import queue_shown as shown
from postroad.cli.arguments import confirm
from postroad.cli.client import Server, queue_server_options, segment
from postroad.cli.columns import as_document
from postroad.cli.outcome import Exit, Failure
from postroad.cli.queue_options import Speech, filters, language_option, schema_option, speech
from postroad.cli.queue_source import QueueSource

Fields = dict[str, str]

_PART: Final = re.compile(r"[0-9A-Za-z-]{1,40}\Z")
#: Seconds that a change of very many messages may take beyond the usual.
_PATIENCE: Final = 900.0
#: The same of a list: who was refused for a --reason is looked for one by one.
_LOOKING: Final = 60.0
#: What cannot be undone, or cannot be unsaid.
_FINAL: Final = ("drop", "bounce")


@click.group("queue")
def queue_command() -> None:
    """What waits, why, and what is to become of it.

    An ID may be shortened to its beginning or its end.
    """


@queue_command.command("list")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filters
@click.option(
    "--limit", default=50, type=click.IntRange(1, 1000), show_default=True, help="At most so many recipients."
)
@click.option("--after", default="", help="Go on where the page before ended.")
@click.option("--by", type=click.Choice(["destination", "reply"]), help="Count them by destination or last reply.")
@schema_option
@language_option
@queue_server_options
def list_command(
    ids: tuple[str, ...],
    fields: Fields,
    limit: int,
    after: str,
    by: str | None,
    lang: str | None,
    server: Server,
    as_json: bool,
) -> None:
    """List recipients that wait, the oldest first; --by counts them."""
    said = speech(lang)
    source = QueueSource(server)
    query: dict[str, object] = {**fields, "id": list(ids), "limit": limit}
    path, query = ("/queue/groups", query | {"by": by}) if by else ("/queue", query | {"after": after})
    found = source.get(path, query, _LOOKING)
    _say_stopped(source, said)
    if as_json:
        click.echo(as_document(found))
        return
    lines, below = shown.groups(found, said) if by else shown.rows(found, said, narrowed=bool(fields or ids))
    click.echo("\n".join(lines))
    if below:
        click.echo(below, err=True)


@queue_command.command("show")
@click.argument("message_id", metavar="ID")
@click.option("--transcripts", is_flag=True, help="What was said in each attempt.")
@click.option("--raw", is_flag=True, help="The octets as kept, trace lines included.")
@schema_option
@language_option
@queue_server_options
def show_command(
    message_id: str, transcripts: bool, raw: bool, lang: str | None, server: Server, as_json: bool
) -> None:
    """Show a message's envelope, where each recipient stands, and every attempt."""
    said = speech(lang)
    source = QueueSource(server)
    path = _path(message_id)
    if raw:
        content = source.raw(message_id)
        if sys.stdout.isatty():
            from postroad.observe.printable import printable_lines

            click.echo(printable_lines(content.decode("utf-8", "replace")))
        else:
            sys.stdout.buffer.write(content)
        return
    found = source.get(path, {"transcripts": "true" if transcripts else ""})
    _say_stopped(source, said)
    click.echo(as_document(found) if as_json else shown.message(found, said))


@queue_command.command("why")
@click.argument("message_id", metavar="ID")
@click.option("--to", default="", help="Only recipients that hold this.")
@click.option("--colour", "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@schema_option
@language_option
@queue_server_options
def why_command(message_id: str, to: str, colour: str, lang: str | None, server: Server, as_json: bool) -> None:
    """Say in words why a message is where it is, what happens next, and who has to act."""
    said = speech(lang)
    source = QueueSource(server)
    found = source.get(_path(message_id) + "/why", {"lang": said.language})
    meant = [one for one in found["recipients"] if to.casefold() in one["address"].casefold()]
    if not meant:
        raise Failure(Exit.NO_INPUT, f"no recipient of {found['id']} holds `{to}`")
    _say_stopped(source, said)
    click.echo(as_document({**found, "recipients": meant}) if as_json else shown.why(found, meant, said, colour))


def _verb(action: str, help_: str) -> None:
    """One verb that changes the queue."""

    @queue_command.command(action, help=help_)
    @click.argument("ids", nargs=-1, metavar="[ID]...")
    @filters
    @click.option("--all", "everything", is_flag=True, help="All that wait.")
    @click.option("--note", default="", help="A word for the journal.", hidden=action in ("retry", "release"))
    @click.option("--yes", is_flag=True, help="Do not ask.", hidden=action not in _FINAL)
    @click.option("--dry-run", is_flag=True, help="Only say what would be touched.")
    @schema_option
    @language_option
    @queue_server_options
    def command(
        ids: tuple[str, ...],
        fields: Fields,
        everything: bool,
        note: str,
        yes: bool,
        dry_run: bool,
        lang: str | None,
        server: Server,
        as_json: bool,
    ) -> None:
        if not (ids or fields or everything):
            hint = f"postroad queue {action} ID, or a filter such as --to @example.net, or --all"
            raise Failure(Exit.USAGE, "nothing says which messages are meant", hint)
        body = {"action": action, "ids": list(ids), "filter": fields, "all": everything, "note": note}
        done = _done(QueueSource(server), action, body, speech(lang), yes=yes, dry_run=dry_run)
        click.echo(as_document(done) if as_json else "\n".join(shown.done(done, speech(lang))))


def _done(source: QueueSource, action: str, body: dict[str, Any], said: Speech, *, yes: bool, dry_run: bool) -> Any:
    """Do it; what is final is counted first, said, and asked about unless ``yes``."""
    if dry_run:
        return source.act({**body, "dry_run": True}, _PATIENCE)
    if action in _FINAL and not yes:
        would = source.act({**body, "dry_run": True}, _PATIENCE)
        if would["recipients"]:
            click.echo("\n".join(shown.done(would, said)), err=True)
            confirm(said.waiting.counted("ask", action, would["recipients"]) + "?", yes)
        body = {**body, "at_most": would["recipients"], "as_of": would["at"]}
    return source.act(body, _PATIENCE)


def _path(message_id: str) -> str:
    """Where the API has a message; raises Failure for what is no part of any id, and may be something else there."""
    if _PART.match(message_id) is None or message_id in ("groups", "actions"):
        raise Failure(Exit.NO_INPUT, f"no message `{message_id}`", "postroad queue list and postroad log show ids")
    return f"/queue/{segment(message_id)}"


def _say_stopped(source: QueueSource, said: Speech) -> None:
    if source.stopped:
        click.echo(said.words["list"]["stopped"], err=True)


_verb("retry", "Try them now, whatever their next time is.")
_verb("hold", "Keep them here until they are released.")
_verb("release", "Let go what is on hold.")
_verb("drop", "Delete them and tell nobody.")
_verb("bounce", "Give them up now and tell their senders.")
