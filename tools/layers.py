#!/usr/bin/env python3
"""Who may import whom: `tools/layers.py [SOURCE]` prints every import that runs the wrong way, and exits 1 on one.

The rooms below stand in the order of docs/design.md. A room imports only from lines above its own. Imports are read
from the syntax tree, so that type-only ones and those inside functions count too. Long files and functions, circles
and I/O in a pure room are told as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "postroad"
SOURCE = Path(__file__).resolve().parent.parent / "src" / PACKAGE

LINES: tuple[tuple[str, ...], ...] = (
    ("errors", "clock"),  # nothing but names; they know nobody and everybody may know them
    ("replies", "address"),
    ("codes",),  # the catalogue as other programs import it
    ("envelope",),
    ("smtp", "message"),
    ("net", "spool", "observe"),
    ("mailauth",),
    ("policy",),
    ("inbound", "delivery", "inbox", "diagnosis", "reference"),
    ("sending",),  # one call to send: stands on delivery's mail hosts, keeps nothing
    ("settings",),
    ("service",),
    ("admin",),
    ("web",),
    ("daemon",),  # joins service and web into a process
    ("cli",),
)
RANK = {room: rank for rank, line in enumerate(LINES) for room in line}
SETTINGS_READERS = {"service", "daemon", "cli"}  # everybody else receives values

PURE = {room for line in LINES[:5] for room in line}
IO_MODULES = set(
    "asyncio concurrent dns fcntl getpass glob http io logging mmap multiprocessing os pathlib random resource sched "
    "secrets select selectors shutil signal socket socketserver sqlite3 ssl structlog subprocess sys tempfile "
    "threading time urllib uvloop apsw starlette uvicorn importlib".split()
)
# The two exceptions: the machine's clock, and the catalogue, which reads its texts.
IO_ALLOWED = {
    "clock": {"time"},
    "replies.catalogue": {"importlib", "io", "os", "pathlib"},
}

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 40


@dataclass(frozen=True, slots=True)
class Import:
    line: int
    target: str  # absolute dotted name


@dataclass(slots=True)
class Module:
    name: str  # dotted, without the package's own name; "" is the package itself
    path: Path
    tree: ast.Module
    lines: int
    imports: list[Import] = field(default_factory=list)

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


def read(source: Path) -> dict[str, Module]:
    """All modules below `source`, by their names."""
    modules = {}
    for path in sorted(source.rglob("*.py")):
        parts = list(path.relative_to(source).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        text = path.read_text(encoding="utf-8")
        name = ".".join(parts)
        modules[name] = Module(name, path, ast.parse(text, str(path)), text.count("\n"))
    for module in modules.values():
        module.imports = list(imports_of(module, modules))
    return modules


def imports_of(module: Module, modules: dict[str, Module]) -> Iterator[Import]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(node.lineno, alias.name)
            case ast.ImportFrom(names=names):
                origin = absolute(module, node)
                for alias in names:
                    inner = f"{origin}.{alias.name}"
                    is_module = own_name(inner) in modules and own_name(inner) is not None
                    yield Import(node.lineno, inner if is_module else origin)
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]
            ):
                if called in {"import_module", "__import__"}:
                    yield Import(node.lineno, name)


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """The dotted name behind `from`, dots at its beginning resolved."""
    if not node.level:
        return node.module or ""
    here = [PACKAGE, *module.name.split(".")] if module.name else [PACKAGE]
    up = node.level - (1 if module.is_package else 0)
    base = here[: len(here) - up] if up else here
    return ".".join([*base, node.module] if node.module else base)


def own_name(target: str) -> str | None:
    """The name within the package, or None for somebody else's module."""
    if target == PACKAGE:
        return ""
    return target.removeprefix(PACKAGE + ".") if target.startswith(PACKAGE + ".") else None


def problems(source: Path = SOURCE) -> list[str]:
    modules = read(source)
    found = [text for module in modules.values() for text in module_problems(module, source)]
    return found + [f"circle: {' -> '.join(circle)}" for circle in circles(modules)]


def module_problems(module: Module, source: Path) -> Iterator[str]:
    where = module.path.relative_to(source.parent)
    if module.lines > MAX_FILE_LINES:
        yield f"{where}: {module.lines} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{where}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"
        if module.room in PURE and is_open(node) and module.name not in IO_ALLOWED:
            yield f"{where}:{node.lineno}: {module.room} is pure and opens a file"
    if module.name in {"", "__main__"}:  # the doors of the house lead anywhere
        return
    if module.room not in RANK:
        yield f"{where}: the room '{module.room}' is not in the table of tools/layers.py"
        return
    for each in module.imports:
        if reason := wrong(module, each.target):
            yield f"{where}:{each.line}: {reason}"


def is_open(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"


def wrong(module: Module, target: str) -> str | None:
    """Why this module may not import `target`, or None."""
    room, name = module.room, own_name(target)
    if name is None:
        top = target.partition(".")[0]
        if room in PURE and top in IO_MODULES - IO_ALLOWED.get(module.name, set()):
            return f"{room} is pure and imports {target}"
        return None
    other = name.partition(".")[0]
    if other in {"", room} or other not in RANK:
        return None
    if other == "settings" and room not in SETTINGS_READERS:
        return f"{room} imports settings: it must receive values"
    if RANK[other] >= RANK[room]:
        return f"{room} imports {target}, which stands on the same line or below"
    return None


def circles(modules: dict[str, Module]) -> list[list[str]]:
    """Groups of modules that import each other, each as one way round."""
    graph = {
        name: sorted(
            {own for each in module.imports if (own := own_name(each.target)) in modules and own not in {"", name}}
        )
        for name, module in modules.items()
        if name not in {"", "__main__"}
    }
    found: list[list[str]] = []
    done: set[str] = set()
    for start in graph:
        if way := way_back(graph, start, done):
            found.append(way)
            done.update(way)
        done.add(start)
    return found


def way_back(graph: dict[str, list[str]], start: str, done: set[str]) -> list[str] | None:
    """The shortest way from `start` to itself that avoids what was looked at before."""
    ways, seen = [[start]], {start}
    for way in ways:
        for following in graph.get(way[-1], []):
            if following == start:
                return [*way, start]
            if following not in seen and following not in done:
                seen.add(following)
                ways.append([*way, following])
    return None


def main(arguments: list[str]) -> int:
    found = problems(*(Path(argument) for argument in arguments[:1]))
    for text in found:
        print(text)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
