"""``postroad bounce explain``: whom a mail that came back names, why, whether the address is good, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from postroad.cli.columns import as_document
from postroad.cli.language import chosen
from postroad.cli.outcome import Exit, Failure, say

if TYPE_CHECKING:
    from postroad.diagnosis.bounce_document import BounceExplainer

Document = dict[str, Any]

#: Rows of the table of a folder; the counts below it are of all.
_SHOWN: Final = 100
#: Files of a folder, and folders within it, that are looked at.
_MAX_FILES: Final = 1_000_000
_MAX_DEPTH: Final = 12
#: Octets of a line of a mailbox that are looked at in one piece.
_LINE: Final = 64 * 1024


@click.group("bounce")
def bounce_command() -> None:
    """Mail that came back: what it says and what to do."""


@bounce_command.command("explain")
@click.argument("files", nargs=-1, metavar="[FILE|-|DIR]...")
@click.option("--table", is_flag=True, help="A table for files too, as for a folder.")
@click.option("--limit", default=_SHOWN, type=click.IntRange(0), show_default=True, help="Rows of the table.")
@click.option("--lang", metavar="LANG", help="en, ja; else POSTROAD_LANG, then the locale.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a message, a line each (postroad.bounce/1).")
@click.option("--schema", is_flag=True, help="The JSON Schema of what --json prints.")
@click.option("--colour", "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
def explain_command(
    files: tuple[str, ...], table: bool, limit: int, lang: str | None, as_json: bool, schema: bool, colour: str
) -> int:
    """Explain bounces, of any mail program and in the standard form: per recipient the reason, whether the address
    is bad, what the host said, who acts and what to do. Complaints, automatic answers and ordinary mail are told apart.

    A file holds a message as it was received, or is a mailbox of many (mbox). A folder is read with all below it, and
    ends in a table. With `-`, or nothing and something piped in, the messages come from standard input.
    """
    if schema:
        import postroad

        print((Path(postroad.__file__).parent / "reference" / "schemas" / "bounce.json").read_text("utf-8"))
        return Exit.OK
    names = _names(files)
    from postroad.diagnosis.bounce_document import BounceExplainer
    from postroad.replies.catalogue import catalogue

    known = catalogue()
    explainer = BounceExplainer(known, chosen(lang, known.languages))
    show = _Shown(explainer, colour, as_json)
    if table or any(Path(name).is_dir() for name in names if name != "-"):
        return _folder(names, show, limit)
    return _each(names, show)


def _names(files: tuple[str, ...]) -> tuple[str, ...]:
    if files:
        return files
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise Failure(Exit.USAGE, "nothing to explain", "postroad bounce explain returned.eml, or pipe a message in")
    return ("-",)


class _Shown:
    """How documents are written."""

    def __init__(self, explainer: BounceExplainer, colour: str, as_json: bool) -> None:
        self.explainer = explainer
        self.colour = colour
        self.as_json = as_json

    def read(self, octets: bytes, name: str) -> Document:
        """One message."""
        from postroad.diagnosis.bounces import read_bounce

        document = self.explainer.document(read_bounce(octets))
        return {**document, "file": name} if name != "-" else document


def _each(names: tuple[str, ...], show: _Shown) -> int:
    """Every message in full."""
    from postroad.cli.bounce_shown import BounceScreen
    from postroad.cli.screen import screen

    nothing = True
    for number, (name, octets) in enumerate(message for file in names for message in _messages(file)):
        document = show.read(octets, name)
        nothing = nothing and document["form"] == "mail"
        if show.as_json:
            print(as_document(document))
            continue
        out = BounceScreen(screen(show.colour), show.explainer.words)
        if number:
            out.screen.add()
        out.message(document, name if len(names) > 1 or "#" in name else "")
        print(out.screen.text())
    return Exit.DATA if nothing else Exit.OK


def _folder(names: tuple[str, ...], show: _Shown, limit: int) -> int:
    """Folders and files: a row for each recipient, then how often each reason was found."""
    from postroad.cli.bounce_shown import Table
    from postroad.cli.progress import Progress
    from postroad.replies.catalogue import catalogue

    files = [file for name in names for file in ([name] if name == "-" else _files(Path(name)))]
    sizes = [_size(file) for file in files]
    words = show.explainer.words["summary"]
    progress = Progress(sum(sizes), catalogue().texts("logs", show.explainer.language)["progress"], names[0])
    table = Table(show.explainer, limit)
    done = 0
    for file, size in zip(files, sizes, strict=True):
        done += size
        try:
            for name, octets in _messages(file):
                document = show.read(octets, name)
                if show.as_json:
                    progress.clear()
                    print(as_document(document))
                table.take(document)
        except Failure as fault:
            progress.clear()
            say("warn", words["unreadable"].format(file=file, why=fault.message))
        progress.at(done)
    progress.clear()
    if not show.as_json:
        print(table.text())
    if not table.files:
        raise Failure(Exit.NO_INPUT, f"there is no message in {', '.join(names)}")
    return Exit.OK if table.bounces or show.as_json else Exit.DATA


def _files(path: Path, depth: int = 0) -> Iterator[str]:
    """The files below, in their order; hidden ones are left out, and no link is followed out of the folder."""
    if not path.is_dir():
        yield str(path)
        return
    try:
        below = sorted(path.iterdir())
    except OSError as fault:
        if not depth:
            raise _failure(str(path), fault) from fault
        say("warn", _failure(str(path), fault).message)  # the others are read all the same
        return
    for one in below[:_MAX_FILES]:
        if one.name.startswith(".") or one.is_symlink():
            continue
        if one.is_dir() and depth < _MAX_DEPTH:
            yield from _files(one, depth + 1)
        elif one.is_file():
            yield str(one)


def _size(name: str) -> int:
    with suppress(OSError):
        return 0 if name == "-" else Path(name).stat().st_size
    return 0


def _messages(name: str) -> Iterator[tuple[str, bytes]]:
    """The messages of a file with their names; never more of one than is read."""
    if name == "-":
        yield from _split(name, sys.stdin.buffer)
        return
    try:
        with Path(name).open("rb") as source:
            yield from _split(name, source)
    except OSError as fault:
        raise _failure(name, fault) from fault


def _split(name: str, source: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """One message, or those of a mailbox, which begin with ``From `` behind an empty line (RFC 4155)."""
    from postroad.diagnosis.bounce_mail import MAX_OCTETS

    first = source.readline(_LINE)
    if not first.startswith(b"From "):
        yield name, first + source.read(max(MAX_OCTETS + 1 - len(first), 0))
        return
    message, empty, number = bytearray(first), False, 0
    while line := source.readline(_LINE):
        if empty and line.startswith(b"From "):
            number += 1
            yield f"{name}#{number}", bytes(message)
            message.clear()
        empty = line in (b"\n", b"\r\n")
        if len(message) <= MAX_OCTETS:
            message += line
    yield f"{name}#{number + 1}" if number else name, bytes(message)


def _failure(name: str, fault: OSError) -> Failure:
    match fault:
        case FileNotFoundError():
            return Failure(Exit.NO_INPUT, f"there is no file {name}")
        case PermissionError():
            return Failure(Exit.NO_PERMISSION, f"{name} may not be read")
    return Failure(Exit.IO, f"{name} cannot be read: {fault.strerror or fault}")
