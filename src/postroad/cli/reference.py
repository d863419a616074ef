"""``postroad reference``: the status reference as a static site."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from postroad.cli.outcome import Exit, Failure


@click.group("reference")
def reference_command() -> None:
    """The pages on every reply code, as files."""


@reference_command.command("build")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--base-url", metavar="URL", default="", help="Where the site will be: adds a sitemap and whole links.")
@click.option(
    "--force", is_flag=True, help="Write into a folder that is not empty; files of the same name are replaced."
)
def build_command(folder: Path, base_url: str, force: bool) -> int:
    """Write the whole reference into DIR: HTML, JSON and Markdown in all languages, links relative."""
    from postroad.reference.book import Book
    from postroad.reference.site import build, pages
    from postroad.replies.catalogue import catalogue

    if base_url and not re.fullmatch(r"https?://[A-Za-z0-9._~:/\[\]%-]{1,200}", base_url):
        raise Failure(
            Exit.USAGE, f"--base-url must be an address such as https://example.com/smtp, not {base_url[:80]!r}"
        )
    try:
        if folder.exists() and any(folder.iterdir()) and not force:
            raise Failure(Exit.USAGE, f"{folder} is not empty", "name another folder, or give --force")
        folder.mkdir(parents=True, exist_ok=True)
        book = Book(catalogue())
        if sys.stderr.isatty():
            with click.progressbar(length=pages(book), label="reference", file=sys.stderr) as bar:
                count = build(book, folder, base=base_url, step=bar.update)
        else:
            count = build(book, folder, base=base_url)
    except OSError as fault:
        raise Failure(Exit.NO_INPUT, f"{folder} cannot be written: {fault.strerror}") from fault
    print(f"{count} pages in {folder}")
    return Exit.OK
