"""Documents as Markdown; the same document that the page and the JSON show.

Every function takes a document and the vocabulary of its language. Texts of strangers stand in code spans and fences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Document = Mapping[str, Any]
Words = Mapping[str, Mapping[str, str]]

_ADVICE: Final = (("server_author", "choose"), ("client_author", "next"))
_TICKS = re.compile(r"`+")


def page(kind: str, doc: Document, words: Words) -> str:
    """The Markdown of a leaf of the book."""
    writers: dict[str, Callable[[Document, Words], str]] = {
        "code": code,
        "enhanced": enhanced,
        "keyword": keyword,
        "verb": verb,
        "comparison": comparison,
        "explanation": explanation,
    }
    return writers.get(kind, index)(doc, words)


def code(doc: Document, words: Words) -> str:
    """A reply code."""
    head, label = words["headings"], words["labels"]
    retry = doc["retry"]["label"] + (f" / {doc['retry']['else']['label']}" if "else" in doc["retry"] else "")
    facts = [
        (label["name"], doc["name"] if doc["name"] != doc["title"] else ""),
        (label["class"], doc["class"]["label"]),
        (label["standing"], doc["standing"]["label"]),
        (label["commands"], ", ".join(one["label"] for one in doc["commands"])),
        (label["actor"], doc["actor"]["label"]),
        (label["retry"], retry),
        (label["session"], doc["session"]["label"]),
        (label["queue"], doc["queue"]["label"]),
    ]
    enhanced_codes = [(one, kind) for kind in ("registered", "seen") for one in doc["enhanced"][kind]]
    parts = [
        f"# {doc['code']} {doc['title']}",
        doc["summary"],
        _dotless(doc, words),
        _facts(facts),
        _section(head["description"], *doc["meaning"]),
        _section(head["commands"], _list(f"**{one['label']}**: {one['meaning']}" for one in doc["commands"])),
        _section(head["when"], _list(doc["when"])),
        _section(head["transcript"], _fence(doc.get("transcript") or ())),
        _section(head["fix"], _fixes(doc["fix"], words)),
        _section(head["missing"], _steps(doc["missing"], words)),
        _section(head["retry"], doc["advice"]["retry"], _facts((head[n], doc["advice"][k]) for n, k in _ADVICE)),
        _section(head["enhanced"], _list(f"{_numbered(one)} ({label[kind]})" for one, kind in enhanced_codes)),
        _section(head["providers"], _providers(doc["providers"], words)),
        _section(head["confused"], _list(f"**{one['code']}**: {one['difference']}" for one in doc["confused"])),
        _section(head["notes"], _list(doc["notes"])),
        _section(head["related"], _list(map(_numbered, doc["related"]))),
        _section(head["history"], _list(f"{one['source']}: {one['event']}" for one in doc["history"])),
        _section(head["sources"], _list(doc["sources"])),
    ]
    return _joined(parts)


def enhanced(doc: Document, words: Words) -> str:
    """An enhanced status code."""
    head, label = words["headings"], words["labels"]
    facts = [
        (label["name"], doc["name"] if doc["name"] != doc["title"] else ""),
        (label["class"], doc["class"]["label"]),
        (label["subject"], doc["subject"]["label"]),
        (label["standing"], doc["standing"]["label"]),
        (label["actor"], doc["actor"]["label"]),
        (label["retry"], doc["retry"]["label"]),
    ]
    return _joined(
        [
            f"# {doc['code']} {doc['title']}",
            doc["summary"],
            _facts(facts),
            _section(head["description"], *doc["meaning"]),
            _section(head["fix"], _fixes(doc["fix"], words)),
            _section(label["basic"], _list(map(_numbered, doc["basic"]))),
            _section(head["providers"], _providers(doc["providers"], words)),
            _section(head["notes"], _list(doc["notes"])),
            _section(head["related"], _list(map(_numbered, doc["related"]))),
            _section(head["sources"], _list(doc["sources"])),
        ]
    )


def keyword(doc: Document, words: Words) -> str:
    """A keyword of the EHLO answer."""
    head, label = words["headings"], words["labels"]
    parameters = [
        ("EHLO", _span(f"{doc['keyword']} {doc['ehlo_parameters']}") if doc["ehlo_parameters"] else ""),
        ("MAIL", ", ".join(map(_span, doc["mail_parameters"]))),
        ("RCPT", ", ".join(map(_span, doc["rcpt_parameters"]))),
        (label["on_refusal"], doc["on_refusal"]["label"] if doc["on_refusal"] else ""),
    ]
    return _joined(
        [
            f"# {doc['keyword']}: {doc['title']}",
            doc["summary"],
            _section(head["parameters"], _facts(parameters)),
            _section(head["description"], *doc["meaning"]),
            _section(head["client_author"], doc["advice"]),
            _section(head["replies"], _list(map(_numbered, doc["replies"]))),
            _section(head["sources"], _list(doc["sources"])),
        ]
    )


def verb(doc: Document, words: Words) -> str:
    """A command."""
    head = words["headings"]
    return _joined(
        [
            f"# {doc['verb']}: {doc['title']}",
            doc["summary"],
            _section(head["syntax"], _fence([doc["syntax"]] if doc["syntax"] else ())),
            _section(head["description"], *doc["meaning"], doc["advice"]),
            _section(head["replies"], _list(map(_numbered, [*doc["positive"], *doc["negative"]]))),
            _section(head["sources"], _list(doc["sources"])),
        ]
    )


def comparison(doc: Document, words: Words) -> str:
    """Two codes side by side."""
    a, b, head, label = doc["a"], doc["b"], words["headings"], words["labels"]
    numbers = {"a": a["code"], "b": b["code"], "title_a": a["title"], "title_b": b["title"]}
    meant = _list(f"{one['a']} / {one['b']}: {one['title_a']} / {one['title_b']}" for one in doc["meant"])
    rows = [(row["label"], row["a"], row["b"]) for row in doc["rows"]]
    choose = [(one["advice"]["choose"], str(one["code"])) for one in (a, b)]
    following = [(str(one["code"]), one["advice"]["next"]) for one in (a, b)]
    parts = [
        f"# {words['site']['code_against'].format(**numbers)}",
        doc["verdict"],
        _section(head["also"], meant),
        *(_side(one, words) for one in (a, b)),
        _section(head["differences"], _table(("", str(a["code"]), str(b["code"])), rows)),
        _section(head["which"], f"### {head['server_author']}", _table((label["condition"], label["code"]), choose)),
        f"### {head['client_author']}",
        _table((label["code"], label["step"]), following),
        _section(head["retry"], *(f"{one['code']}: {one['advice']['retry']}" for one in (a, b))),
        _section(head["transcript"], _fence(doc.get("transcript") or ()) or words["sentences"]["no_server_reply"]),
    ]
    return _joined(parts)


def _side(one: Document, words: Words) -> str:
    """What a comparison says of one of its codes."""
    head = words["headings"]
    blocks = [
        f"## {one['code']} {one['title']}",
        one["summary"],
        f"### {head['description']}",
        *one["meaning"],
        f"### {head['when']}",
        _list(one["when"]),
        f"### {head['fix']}",
        _fixes(one["fix"], words, "####"),
    ]
    if one["missing"]:
        blocks += [f"### {head['missing']}", _steps(one["missing"], words)]
    return "\n\n".join(block for block in blocks if block)


def explanation(doc: Document, words: Words) -> str:
    """What was read in a text, one after the other."""
    return _joined("\n\n".join(filter(None, _item(item, words))) for item in doc["items"])


def _item(item: Document, words: Words) -> Iterable[str]:
    if item["kind"] in ("code", "enhanced", "keyword", "verb") and item["kind"] in item:
        return [page(item["kind"], item[item["kind"]], words).rstrip("\n")]
    label = words["labels"]
    blocks = [f"# {words['headings']['reading']}", _fence(str(item["text"]).splitlines())]
    if found := item.get("classification"):
        lasting = {True: "temporary", False: "permanent"}.get(found["temporary"], "")
        kind = f" ({words['sentences'][lasting]})" if lasting else ""
        facts = [
            (label["reason"], f"{found['reason']['label']}{kind}"),
            (label["actor"], found["actor"]["label"]),
            (label["remedy"], found["remedy"]["label"]),
            (label["confidence"], f"{found['confidence']['label']} ({label['rule']} `{found['rule']}`)"),
        ]
        blocks += [_facts(facts), found["reason"]["text"], found["remedy"]["text"]]
    blocks += [item.get("mismatch", ""), item.get("message", "")]
    named = [item[kind] for kind in ("code", "enhanced") if kind in item]
    return [*blocks, _list(f"{_numbered(one)}: {one['summary']}" for one in named)]


def index(doc: Document, words: Words) -> str:
    """Everything there is."""
    head = words["headings"]
    return _joined(
        [
            f"# {words['site']['title']}",
            words["site"]["lead"],
            _section(head["codes"], _list(f"{_numbered(one)}: {one['summary']}" for one in doc["codes"])),
            _section(head["verbs"], _list(f"**{one['verb']}** {one['title']}" for one in doc["verbs"])),
            _section(head["keywords"], _list(f"**{one['keyword']}** {one['title']}" for one in doc["keywords"])),
            _section(head["enhanced_codes"], _list(map(_numbered, doc["enhanced"]))),
            _section(head["pairs"], _list(f"{one['a']} / {one['b']}" for one in doc["pairs"])),
        ]
    )


def _dotless(doc: Document, words: Words) -> str:
    dotless = doc["dotless"]
    return words["sentences"]["dotless"].format(code=doc["code"], enhanced=dotless) if dotless else ""


def _numbered(one: Document) -> str:
    return f"**{one['code']}** {one['title']}".rstrip()


def _fixes(fix: Mapping[str, Any], words: Words, level: str = "###") -> str:
    return "\n\n".join(f"{level} {words['readers'][reader]}\n\n{_steps(steps, words)}" for reader, steps in fix.items())


def _steps(steps: Iterable[Document], words: Words) -> str:
    check = words["labels"]["check"]
    return "\n".join(f"{n}. {one['do']}\n   {check}: {one['check']}" for n, one in enumerate(steps, 1))


def _providers(providers: Iterable[Document], words: Words) -> str:
    label = words["labels"]
    rows = [(one["provider"], _span(one["reply"]), one["meaning"]) for one in providers]
    return _table((label["provider"], label["reply"], label["meaning"]), rows) if rows else ""


def _section(heading: str, *blocks: str) -> str:
    shown = [block for block in blocks if block]
    return "\n\n".join([f"## {heading}", *shown]) if shown else ""


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return _list(f"**{name}**: {value}" for name, value in facts if value)


def _list(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _span(text: str) -> str:
    return f"`{_TICKS.sub(chr(39), text)}`"


def _fence(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    if not text:
        return ""
    ticks = "`" * max(3, 1 + max((len(found) for found in _TICKS.findall(text)), default=0))
    return f"{ticks}text\n{text}\n{ticks}"


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
