"""What somebody pasted into /explain and is more than replies: a mail that came back, or lines of a log.

It is read by ``diagnosis`` and shown in the words of ``postroad bounce explain`` and ``postroad log explain``.
"""

from __future__ import annotations

from typing import Any, Final

from postroad.diagnosis.bounce_document import BounceExplainer
from postroad.diagnosis.bounces import read_bounce
from postroad.diagnosis.logs import explain_log
from postroad.diagnosis.recognising import as_mail, kind_of
from postroad.replies.catalogue import catalogue

_GROUPS: Final = 20


def read(text: str, language: str) -> tuple[str, dict[str, Any]] | None:
    """The template that shows ``text``, and what it shows; None when it is to be explained reply by reply.

    Takes as long as reading takes: not for the event loop.
    """
    octets = text.replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    match kind_of(octets):
        case "mail":
            explainer = BounceExplainer(catalogue(), language)
            document = explainer.document(read_bounce(as_mail(octets)))
            kind = "mail" if document["kind"] == "other" else document["kind"]
            took = explainer.words["took"][kind]
            return "explain_bounce.html", {"one": document, "words": explainer.words, "took": took}
        case "log" if text.strip().count("\n"):
            document = explain_log(text, language=language, limit=_GROUPS)
            words, known = catalogue().texts("logs", language), catalogue().vocabulary(language)
            took = catalogue().texts("bounces", language)["took"]["log"]
            commands = known["commands"]
            return "explain_log.html", {"one": document, "words": words, "commands": commands, "took": took}
    return None
