"""``postroad log``: the attempt journal, the newest line last; ``-f`` follows it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from postroad.cli.arguments import seconds
from postroad.cli.client import Server, server_options
from postroad.cli.columns import as_document, cut, moment, terminal_width, width
from postroad.cli.log_explain import explain_command
from postroad.cli.outcome import Exit, Failure
from postroad.cli.queue_options import Speech, language_option, plain_number, schema_option, speech
from postroad.cli.queue_shown import reply_text, short
from postroad.cli.queue_source import QueueSource
from postroad.observe.printable import printable

Document = Mapping[str, Any]

#: The server is asked to wait so long at a time; a lost server is thus noticed.
_POLL: Final = 50.0
_ADDRESS: Final = 28


def _unless_another(command: Callable[..., None]) -> Callable[..., None]:
    """Nothing is asked of a server when one of the verbs below was meant."""

    @functools.wraps(command)
    def alone(*args: Any, **options: Any) -> None:
        if click.get_current_context().invoked_subcommand is None:
            command(*args, **options)

    return alone


@click.group("log", invoke_without_command=True)
@_unless_another
@click.option("-f", "--follow", is_flag=True, help="Go on as attempts are made.")
@click.option("--message", default="", metavar="ID", help="Only of this message.")
@click.option("--to", default="", help="Only recipients that hold this.")
@click.option("--code", default="", help="Only replies like 451, '4*', '4.7.*'.")
@click.option("--since", type=seconds, help="Only of the last 90s, 2h, 3d.")
@click.option("--limit", default=100, type=click.IntRange(1, 1000), show_default=True, help="The newest so many lines.")
@schema_option
@language_option
@server_options
def log_command(
    follow: bool,
    message: str,
    to: str,
    code: str,
    since: float | None,
    limit: int,
    lang: str | None,
    server: Server,
    as_json: bool,
) -> None:
    """Show what was tried and what came of it, a line for each attempt and recipient, the newest last.

    With --json one document a line (postroad.log/1). `postroad log explain FILE` explains the log of a mail server.
    """
    said = speech(lang)
    source = QueueSource(server)
    query: dict[str, object] = {"message": message, "to": to, "code": code, "limit": limit}
    page = source.get("/log", {**query, "since": None if since is None else plain_number(since)})
    if follow and source.stopped:
        raise Failure(Exit.UNAVAILABLE, "no server is running, so nothing is added", "without -f its journal is shown")
    if source.stopped:
        click.echo(said.words["list"]["stopped"], err=True)
    _show(page["entries"], said, as_json)
    if not page["entries"] and not follow and not as_json:
        click.echo(said.words["log"]["none"], err=True)
    while follow:
        page = source.get("/log", {**query, "after": page["next"], "wait": f"{_POLL:g}"}, patience=_POLL)
        if source.stopped:  # its spool answers at once, and for ever
            _show(page["entries"], said, as_json)
            raise Failure(Exit.UNAVAILABLE, "the server has stopped", "postroad log shows what its journal has")
        _show(page["entries"], said, as_json)


log_command.add_command(explain_command)


def _show(entries: list[Document], said: Speech, as_json: bool) -> None:
    for one in entries:
        click.echo(as_document(one) if as_json else _line(one, said))


def _line(one: Document, said: Speech) -> str:
    """Time, id, outcome, recipient, reply or fault, host."""
    words = said.words["outcomes"]
    ended = words[one["outcome"]]
    ended = words["uncertain"].format(outcome=ended) if one["uncertain"] else ended
    cells = max(width(words[name]) for name in ("delivered", "deferred", "held", "failed"))
    note = said.waiting.note(one["note"], beside=bool(one["reply"]))
    text = "  ".join(part for part in (reply_text(one["reply"]), note) if part)
    host = f"[{one['host']}]" if one["host"] else ""
    parts = (moment(one["at"]), short(one["message"]), _padded(ended, cells), _padded(one["to"], _ADDRESS), text, host)
    line = printable("  ".join(part for part in parts if part))
    room = terminal_width()
    return cut(line, room) if room else line


def _padded(text: str, cells: int) -> str:
    return text + " " * max(cells - width(text), 0)
