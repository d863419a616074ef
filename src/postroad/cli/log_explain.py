"""``postroad log explain``: what the log of a mail server says of the mail that did not arrive, and what to do."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import click

from postroad.cli.columns import as_document
from postroad.cli.language import chosen
from postroad.cli.outcome import Exit, Failure

if TYPE_CHECKING:
    from postroad.cli.log_shown import LogScreen
    from postroad.diagnosis.logs_digest import Digest, Told

FORMATS: Final = ("auto", "postfix", "exim", "opensmtpd", "postroad")

_SHOWN: Final = 20
_MOST: Final = 20_000
_PAUSE: Final = 0.3


def moment_or_age(value: str | float) -> float:
    """The type of ``--since``: an age (``2h``, ``3d``) or a moment (``2026-11-24``, ``2026-11-24T05:31``); an epoch."""
    from postroad.cli.arguments import seconds

    if not isinstance(value, str):
        return float(value)
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(value).timestamp()
    return time.time() - seconds(value)


@click.command("explain")
@click.argument("files", nargs=-1, metavar="[FILE|-]...")
@click.option("--format", "kind", type=click.Choice(FORMATS), default="auto", show_default=True, help="Who wrote it.")
@click.option("--since", type=moment_or_age, default=0.0, help="Only of the last 2h, 3d, or from 2026-11-24T05:31 on.")
@click.option("--destination", default="", help="Only recipients whose domain holds this.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), help="So many groups, the greatest.  [default: 20; --json: all]"
)
@click.option("--lines", is_flag=True, help="Every line that tells of a recipient, with its fields, instead of groups.")
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows, also when it is rotated.")
@click.option("--lang", metavar="LANG", help="en, ja; else POSTROAD_LANG, then the locale.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line (postroad.log.group/1, …).")
@click.option("--schema", is_flag=True, help="The JSON Schema of what --json prints.")
@click.option("--colour", "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
def explain_command(
    files: tuple[str, ...],
    kind: str,
    since: float,
    destination: str,
    limit: int | None,
    lines: bool,
    follow: bool,
    lang: str | None,
    as_json: bool,
    schema: bool,
    colour: str,
) -> int:
    """Explain logs of Postfix, Exim, OpenSMTPD or Postroad: where mail did not go, how often, why, and what to do.

    The format is found by itself; gzip is unpacked. With `-`, or nothing and something piped in, the log comes from
    standard input. Memory stays the same however long it is.
    """
    if schema:
        import postroad

        print((Path(postroad.__file__).parent / "reference" / "schemas" / "logs.json").read_text("utf-8"))
        return Exit.OK
    if follow and len(files) > 1:
        raise Failure(Exit.USAGE, "only one log can be followed", "start one for each")
    show = _Shown(lang, colour, as_json, lines, limit or (_MOST if as_json else _SHOWN))
    work = _Work(show.digest(destination, since, "" if kind == "auto" else kind), show)
    return work.follow(_names(files)[0]) if follow else work.read(_names(files))


def _names(files: tuple[str, ...]) -> tuple[str, ...]:
    if files:
        return files
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise Failure(Exit.USAGE, "nothing to explain", "postroad log explain /var/log/mail.log, or pipe a log in")
    return ("-",)


class _Shown:
    """How the outcome is written."""

    def __init__(self, lang: str | None, colour: str, as_json: bool, lines: bool, limit: int) -> None:
        from postroad.diagnosis.logs_documents import Describing
        from postroad.replies.catalogue import catalogue

        self.catalogue = catalogue()
        self.language = chosen(lang, self.catalogue.languages)
        self.words = self.catalogue.texts("logs", self.language)
        self.as_json, self.lines, self.limit, self.colour = as_json, lines, limit, colour
        self.describing = Describing(self.catalogue, self.language)

    def digest(self, destination: str, since: float, kind: str) -> Digest:
        """An empty one."""
        from postroad.diagnosis.logs_digest import Digest, Wanted

        return Digest(self.catalogue, Wanted(destination, since, kind))

    @cached_property
    def out(self) -> LogScreen:
        """Where people read."""
        from postroad.cli.log_shown import LogScreen
        from postroad.cli.screen import screen

        return LogScreen(screen(self.colour), self.words, self.catalogue.vocabulary(self.language)["commands"])

    def line(self, told: Told, advice: bool = False) -> None:
        """One event."""
        document = self.describing.line(told)
        print(as_document(document) if self.as_json else self.out.line(document, advice))

    def result(self, digest: Digest, name: str) -> None:
        """All groups and the summary."""
        summary = self.describing.summary(digest, self.limit)
        groups = self.describing.groups(digest, self.limit)
        if self.as_json:
            for document in (*groups, summary):
                print(as_document(document))
            return
        out = self.out
        out.head(name, summary)
        if summary["rest"]:
            out.reasons(summary["reasons"])
        for one in groups:
            out.group(one)
        out.rest(summary["rest"])
        print(out.screen.text())

    def note(self, key: str, /, **values: object) -> None:
        """A remark on standard error."""
        from postroad.observe.printable import printable

        print(printable(self.words["notes"][key].format(**values)), file=sys.stderr)


class _Work:
    """Reads the logs that were named."""

    def __init__(self, digest: Digest, show: _Shown) -> None:
        self._digest = digest
        self._show = show

    def read(self, names: tuple[str, ...]) -> int:
        """Each to its end."""
        for name in names:
            self._one(name)
        shown = ", ".join(_shown_name(name) for name in names)
        if not self._digest.formats:
            raise self._unknown(shown)
        if not self._show.lines:
            self._show.result(self._digest, shown)
        elif self._show.as_json:
            print(as_document(self._show.describing.summary(self._digest, 0)))
        if not self._digest.events:
            self._show.note("none_match")
        return Exit.OK

    def _unknown(self, shown: str) -> Failure:
        formats = ", ".join(self._show.words["formats"].values())
        text = self._show.words["notes"]["unknown"].format(name=shown, formats=formats)
        return Failure(Exit.DATA, text, "--format says which it is")

    def _one(self, name: str) -> None:
        from postroad.cli.progress import Progress
        from postroad.diagnosis.logs_files import LogFault, LogStream

        with _opened(name) as (source, size, changed):
            stream = LogStream(source)
            progress = Progress(size, self._show.words["progress"], _shown_name(name))
            self._digest.begin(changed)
            try:
                for block in stream.blocks():
                    self._take(self._digest.feed(block))
                    progress.at(stream.position)
            except LogFault as fault:
                raise Failure(Exit.IO, f"{name}: {fault.message}") from fault
            finally:
                progress.clear()
            self._take(self._digest.finish())
        if stream.damaged:
            self._show.note("damaged", name=_shown_name(name))

    def _take(self, events: Iterator[Told]) -> None:
        for told in events:
            if self._show.lines:
                self._show.line(told)

    def follow(self, name: str) -> int:
        """What is there, then each line as it comes; a pipe is followed from its first line on."""
        from postroad.diagnosis.logs_files import LogStream, follow

        with _opened(name) as (source, _, _):
            live = name == "-"
            self._digest.begin(time.time())
            for block in LogStream(source).blocks() if live else follow(Path(name)):
                if not block:
                    live = live or self._caught_up(name)
                    time.sleep(_PAUSE)
                    continue
                self._digest.renew(time.time())
                for told in self._digest.feed(block):
                    if self._show.lines or (live and told.event.outcome != "delivered"):
                        self._show.line(told, advice=live)
                if live:
                    sys.stdout.flush()
            self._take(self._digest.finish())
        return Exit.OK

    def _caught_up(self, name: str) -> bool:
        if not self._show.lines:
            self._show.result(self._digest, _shown_name(name))
        sys.stdout.flush()
        self._show.note("following", name=_shown_name(name))
        return True


@contextmanager
def _opened(name: str) -> Iterator[tuple[BinaryIO, int | None, float]]:
    """The octets, how many there are (None: unknown), and when the log ends."""
    if name == "-":
        yield sys.stdin.buffer, None, time.time()
        return
    path = Path(name)
    try:
        source = path.open("rb", buffering=0)
        facts = path.stat()
    except OSError as fault:
        raise _failure(name, fault) from fault
    with source:
        is_file = path.is_file()
        binary = cast("BinaryIO", source)
        yield binary, facts.st_size if is_file else None, facts.st_mtime if is_file else time.time()


def _failure(name: str, fault: OSError) -> Failure:
    match fault:
        case FileNotFoundError():
            return Failure(Exit.NO_INPUT, f"there is no file {name}")
        case PermissionError():
            return Failure(Exit.NO_PERMISSION, f"{name} may not be read", "logs of mail often need root")
        case IsADirectoryError():
            return Failure(Exit.NO_INPUT, f"{name} is a folder", "name the files in it")
    return Failure(Exit.IO, f"{name} cannot be read: {fault.strerror or fault}")


def _shown_name(name: str) -> str:
    return "-" if name == "-" else Path(name).name
