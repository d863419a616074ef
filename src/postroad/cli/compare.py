"""``postroad compare``: two reply codes side by side."""

from __future__ import annotations

import click

from postroad.cli.columns import as_document
from postroad.cli.explanation import Explanation
from postroad.cli.language import chosen
from postroad.cli.outcome import Exit, Failure
from postroad.cli.screen import screen
from postroad.replies.catalogue import Catalogue, catalogue
from postroad.replies.documents import Document, Documents


@click.command("compare")
@click.argument("a", metavar="CODE")
@click.argument("b", metavar="CODE")
@click.option("--lang", metavar="LANG", help="en, ja, de …; else POSTROAD_LANG, then the locale.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document (postroad.comparison/1).")
@click.option("--markdown", is_flag=True, help="Markdown.")
@click.option("--colour", "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
def compare_command(a: str, b: str, lang: str | None, as_json: bool, markdown: bool, colour: str) -> int:
    """Set two reply codes side by side: whether they can be confused, what differs, and which one is for what."""
    known = catalogue()
    language = chosen(lang, known.languages)
    found = _compared(known, _code(known, a), _code(known, b), language)
    if as_json:
        print(as_document(found))
    elif markdown:
        from postroad.reference.markdown import comparison

        print(comparison(found, known.vocabulary(language)))
    else:
        out = Explanation(screen(colour), known.vocabulary(language))
        out.comparison(found)
        print(out.screen.text())
    return Exit.OK


def _compared(known: Catalogue, a: int, b: int, language: str) -> Document:
    from postroad.reference.scenes import transcript

    if a == b:
        raise Failure(Exit.USAGE, f"{a} is one code, not two", f"postroad explain {a}")
    found = Documents(known, language).comparison(a, b)
    found["transcript"] = transcript(known.code(min(a, b)), known.code(max(a, b)))
    return found


def _code(known: Catalogue, text: str) -> int:
    for code in known.codes:
        if text == str(code):
            return code
    raise Failure(Exit.DATA, f"nothing is known of a reply code `{text}`", f"postroad explain {text}")
