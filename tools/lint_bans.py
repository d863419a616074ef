#!/usr/bin/env python3
"""What our code may not do: `tools/lint_bans.py [SOURCE]` prints each place, and exits 1 on one.

In protocol rooms, where text comes from strangers: int() without a strict match, `\\d`, `$` and backtracking in
regular expressions, splitlines(), the email package. Everywhere: patterns that old Pythons get wrong, a shell, SQL put together from variables, replies
made outside of the files that own them, and decisions on a reply's code outside of the files that may take them.

Where a ban does not fit, a comment on the line (or the one above) says why: `# strict: …` for int(), `# linear: …`
for a regular expression, `# sql: …` for SQL, `# reply: …` for a code or a reply. The reason is not optional.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import regex_check

SOURCE = Path(__file__).resolve().parent.parent / "src" / "postroad"

PROTOCOL = ("smtp/*", "message/*", "replies/*", "inbound/*", "address.py", "net/smtp_client.py")
REPLY_MAKERS = (
    "replies/*",
    "smtp/refusals.py",
    "smtp/undeliverable.py",  # what the client side answers itself
    "smtp/parameters.py",  # the table of 455, 501 and 555
    "smtp/extensions/*",
    "smtp/sasl/*",
    "policy/*",
    "inbox/chaos*.py",
    "spool/coding.py",  # reads back what was stored
)
CODE_READERS = (*REPLY_MAKERS, "smtp/reactions.py", "smtp/client.py")
EXPLAINERS = ("catalogue", "comparison", "advice")

REGEX_CALLS = {"compile", "match", "fullmatch", "search", "split", "sub", "subn", "findall", "finditer"}
SQL_CALLS = {"execute", "executemany", "executescript", "cursor_execute"}
SQL = re.compile(
    r"\s*(SELECT\b.*\bFROM|INSERT\s+(OR\s+[A-Z]+\s+)?INTO|REPLACE\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM"
    r"|(CREATE|DROP|ALTER)\s+(TABLE|INDEX)|PRAGMA)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(slots=True)
class File:
    name: str  # relative to the package, with slashes
    tree: ast.Module
    lines: list[str]
    constants: dict[str, str | bytes]

    def is_in(self, patterns: tuple[str, ...]) -> bool:
        return any(fnmatch(self.name, pattern) for pattern in patterns)

    def excused(self, node: ast.AST, word: str) -> bool:
        """Whether a comment `# word: reason` stands on one of the node's lines, or alone on the one above."""
        comment = re.compile(rf"#\s*{word}: \S")
        above = self.lines[node.lineno - 2].strip() if node.lineno > 1 else ""
        own = self.lines[node.lineno - 1 : node.end_lineno]
        return bool(comment.match(above)) or any(comment.search(line) for line in own)


Finding = tuple[ast.AST, str]
Ban = Callable[[File, ast.AST], Iterator[Finding]]


def read(path: Path, source: Path, *, follow: bool = True) -> File:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, str(path))
    file = File(path.relative_to(source).as_posix(), tree, text.split("\n"), {})
    for node in tree.body:
        target, value = None, None
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0) if follow:
                known = constants_of(module, source)
                file.constants |= {each.asname or each.name: known[each.name] for each in names if each.name in known}
            case ast.Assign(targets=[ast.Name(id=target)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=target), value=value):
                pass
        folded = fold(file, value) if value else None
        if target and folded is not None:
            file.constants[target] = folded
    return file


@functools.cache
def constants_of(module: str, source: Path) -> dict[str, str | bytes]:
    """The constant texts that a module of ours lends to others."""
    package, _, name = module.partition(".")
    path = source / f"{name.replace('.', '/')}.py"
    return read(path, source, follow=False).constants if package == source.name and path.is_file() else {}


def fold(file: File, node: ast.AST | None) -> str | bytes | None:
    """The text of an expression made of constants only, else None."""
    match node:
        case ast.Constant(value=str() | bytes() as value):
            return value
        case ast.Name(id=name):
            return file.constants.get(name)
        case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
            return fold(file, inner)
        case ast.JoinedStr(values=values):
            parts = [fold(file, value) for value in values]
            return "".join(parts) if all(isinstance(part, str) for part in parts) else None
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = fold(file, left), fold(file, right)
            return first + second if type(first) is type(second) and first is not None else None
        case ast.BinOp(left=left, op=ast.Mod(), right=right) if isinstance(fold(file, left), bytes):
            values = right.elts if isinstance(right, ast.Tuple) else [right]
            folded = tuple(fold(file, value) for value in values)
            return None if None in folded else fold(file, left) % folded
    return None


def ban_int(file: File, node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Call(func=ast.Name(id="int"), args=[argument, *_]) if not isinstance(argument, ast.Constant):
            if not file.excused(node, "strict"):
                yield node, "int() takes ' 1_0' and '１０': match strictly first, and say so with `# strict: …`"


def ban_splitlines(_: File, node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Attribute(attr="splitlines"):
            yield node, "splitlines() splits at a lone CR, VT, NEL and more: split at CRLF"


def ban_email(_: File, node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Import(names=names) if any(alias.name.partition(".")[0] == "email" for alias in names):
            yield node, "the email package rewrites octets: use postroad.message"
        case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] == "email":
            yield node, "the email package rewrites octets: use postroad.message"


def ban_broken_regex(file: File, node: ast.AST) -> Iterator[Finding]:
    """In all rooms; there is no excuse for a match that is wrong."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=called), args=[pattern, *_]):
            text = fold(file, pattern) if called in REGEX_CALLS else None
            for fault in regex_check.broken(text, flags_of(node)) if text is not None else ():
                yield node, fault


def ban_regex(file: File, node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=called), args=[pattern, *_]):
            if called not in REGEX_CALLS or file.excused(node, "linear"):
                return
            text = fold(file, pattern)
            if text is None:
                if not is_compiled(file, pattern):
                    yield node, "this pattern is not made of constants and cannot be checked: say `# linear: …`"
                return
            for fault in regex_check.faults(text, flags_of(node)):
                yield node, fault
        case ast.ImportFrom(module="re"):
            yield node, "import re as a whole, so that patterns are found and checked"


def is_compiled(file: File, pattern: ast.AST) -> bool:
    return isinstance(pattern, ast.Name) and any(
        isinstance(each, ast.Assign | ast.AnnAssign)
        and isinstance(each.value, ast.Call)
        and pattern.id in {target.id for target in targets(each) if isinstance(target, ast.Name)}
        for each in file.tree.body
    )


def targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def flags_of(call: ast.Call) -> int:
    """The flags named anywhere in the call; the few of re that change how a pattern is read."""
    names = {each.attr for each in ast.walk(call) if isinstance(each, ast.Attribute)}
    verbose = re.VERBOSE if names & {"VERBOSE", "X"} else 0
    return verbose | (re.IGNORECASE if names & {"IGNORECASE", "I"} else 0)


def ban_shell(_: File, node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.keyword(arg="shell", value=value) if not (isinstance(value, ast.Constant) and value.value is False):
            yield value, "shell=True: give the program and its arguments as a list"
        case ast.Attribute(value=ast.Name(id="os"), attr="system" | "popen"):
            yield node, "os.system starts a shell: use subprocess with a list"


def ban_sql(file: File, node: ast.AST) -> Iterator[Finding]:
    suspect: ast.AST | None = None
    match node:
        case ast.Call(func=ast.Attribute(attr=called), args=[first, *_]) if called in SQL_CALLS:
            suspect = first if is_put_together(first) else None
        case ast.JoinedStr() | ast.BinOp() | ast.Call() if is_put_together(node) and SQL.match(outline(node)):
            suspect = node
    if suspect is not None and fold(file, suspect) is None and not file.excused(suspect, "sql"):
        yield suspect, "SQL is put together from variables: bind them with ? (or say `# sql: …`)"


def is_put_together(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "format_map" | "join")):
            return True
    return False


def outline(node: ast.AST) -> str:
    """The text with every variable part as one letter."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(map(outline, values))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return outline(left) + outline(right)
        case ast.BinOp(left=left, op=ast.Mod()):
            return outline(left)
        case ast.Call(func=ast.Attribute(attr="format" | "format_map", value=text)):
            return outline(text)
    return "x"


def ban_replies(file: File, node: ast.AST) -> Iterator[Finding]:
    made = "a reply is made here; replies are made only in refusals, extensions and the policies that own one"
    read_ = "a decision on a reply's code; only reactions and the client take them"
    match node:
        case ast.Call(func=ast.Name(id="Reply" | "reply") | ast.Attribute(attr="Reply")):
            if not file.is_in(REPLY_MAKERS) and not file.excused(node, "reply"):
                yield node, made
        case ast.Compare(left=left, comparators=others) if any(map(is_code, [left, *others])):
            if not file.is_in(CODE_READERS) and not file.excused(node, "reply"):
                yield node, read_
        case ast.Match(subject=subject) if is_code(subject):
            if not file.is_in(CODE_READERS) and not file.excused(subject, "reply"):
                yield subject, read_
        case ast.MatchClass(cls=ast.Name(id="Reply") | ast.Attribute(attr="Reply"), kwd_attrs=names) if "code" in names:
            if not file.is_in(CODE_READERS) and not file.excused(node, "reply"):
                yield node, read_


def is_code(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "code"


def ban_explaining(file: File, node: ast.AST) -> Iterator[Finding]:
    """The engine speaks, the catalogue explains: smtp imports the Reply types only."""
    if not file.is_in(("smtp/*",)) or not isinstance(node, ast.Import | ast.ImportFrom):
        return
    names = {alias.name for alias in node.names}
    origin = node.module or "" if isinstance(node, ast.ImportFrom) else " ".join(names)
    if "replies" in origin and any(name in names or name in origin.split(".") for name in EXPLAINERS):
        yield node, "smtp imports the catalogue's texts; it may use the Reply types only"


PROTOCOL_BANS: tuple[Ban, ...] = (ban_int, ban_splitlines, ban_email, ban_regex)
HOUSE_BANS: tuple[Ban, ...] = (ban_broken_regex, ban_shell, ban_sql, ban_replies, ban_explaining)


def problems(source: Path = SOURCE) -> list[str]:
    return [text for path in sorted(source.rglob("*.py")) for text in file_problems(path, source)]


def file_problems(path: Path, source: Path) -> list[str]:
    file = read(path, source)
    bans = (*PROTOCOL_BANS, *HOUSE_BANS) if file.is_in(PROTOCOL) else HOUSE_BANS
    found = {(place.lineno, text) for node in ast.walk(file.tree) for ban in bans for place, text in ban(file, node)}
    return [f"{source.name}/{file.name}:{line}: {text}" for line, text in sorted(found)]


def main(arguments: list[str]) -> int:
    found = problems(*(Path(argument) for argument in arguments[:1]))
    for text in found:
        print(text)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
