"""The house stands as docs/design.md draws it, and the check that says so can see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import layers


def test_every_import_runs_downhill() -> None:
    assert layers.problems() == []


HEAVY = ("asyncio", "ssl", "apsw", "sqlite3", "uvloop", "starlette", "uvicorn", "cryptography", "dns", "rich", "jinja2")


def test_the_command_line_starts_light() -> None:
    """`postroad --help` and the verbs that only explain must not pay for the server."""
    code = f"import sys, postroad.cli.main; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == ([], "")


def house(root: Path, files: dict[str, str]) -> Path:
    source = root / "postroad"
    for name, text in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return source


CLEAN = {
    "__init__.py": "from postroad.service import Service\n",
    "__main__.py": "import postroad.cli.main\n",
    "errors.py": "",
    "clock.py": "import time\n",
    "replies/__init__.py": "from postroad.replies.reply import Reply\n",
    "replies/reply.py": "from ..errors import Fault\n",
    "replies/catalogue.py": "from pathlib import Path\nopen(Path('455.toml'))\n",
    "smtp/__init__.py": "",
    "smtp/server.py": "from postroad import __version__\nfrom . import framing\nfrom postroad.replies import Reply\n",
    "smtp/framing.py": "import re\n",
    "spool/__init__.py": "import os, asyncio\n",
    "settings.py": "from postroad import errors\n",
    "service.py": "from postroad import settings, spool\n",
    "admin.py": "import postroad.service\n",
    "web/__init__.py": "import postroad.admin\n",
    "cli/main.py": "def main():\n    import postroad.web, postroad.admin, postroad.service, postroad.settings\n",
}


def test_a_clean_house_passes(tmp_path: Path) -> None:
    assert layers.problems(house(tmp_path, CLEAN)) == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("smtp/framing.py", "from postroad.spool import Spool", "smtp imports postroad.spool"),
        ("smtp/framing.py", "from postroad import spool", "smtp imports postroad.spool"),
        ("smtp/framing.py", "from .. import spool", "smtp imports postroad.spool"),
        ("smtp/framing.py", "from ..spool import Spool", "smtp imports postroad.spool"),
        ("smtp/framing.py", "import postroad.spool.sqlite as s", "smtp imports postroad.spool.sqlite"),
        ("smtp/framing.py", "def f():\n    from postroad.spool import Spool", "smtp imports postroad.spool"),
        ("smtp/framing.py", "if TYPE_CHECKING:\n    from postroad.spool import Spool", "smtp imports postroad.spool"),
        ("smtp/framing.py", "import importlib as i\ni.import_module('postroad.spool')", "smtp imports postroad.spool"),
        ("smtp/__init__.py", "from ..spool import Spool", "smtp imports postroad.spool"),
        ("smtp/sasl/plain.py", "from ...spool import Spool", "smtp imports postroad.spool"),
        ("message/header.py", "from postroad.smtp import events", "message imports postroad.smtp"),
        ("net/resolver.py", "from postroad.spool import Spool", "net imports postroad.spool"),
        ("errors.py", "from postroad.clock import Clock", "errors imports postroad.clock"),
        ("service.py", "from postroad.admin import Admin", "service imports postroad.admin"),
        ("admin.py", "from postroad.web import app", "admin imports postroad.web"),
        ("web/pages.py", "from postroad.cli import main", "web imports postroad.cli"),
        ("web/pages.py", "from postroad.settings import Settings", "web imports settings"),
        ("inbound/service.py", "from postroad.settings import Settings", "inbound imports"),
        ("utils/text.py", "", "the room 'utils' is not in the table"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    found = layers.problems(house(tmp_path, CLEAN | {file: text + "\n"}))
    assert any(complaint in each and file in each for each in found), found


@pytest.mark.parametrize(
    "name", ["asyncio", "socket", "ssl", "time", "os", "logging", "random", "pathlib", "threading"]
)
@pytest.mark.parametrize("room", ["smtp", "message"])
def test_a_pure_room_does_no_io(tmp_path: Path, room: str, name: str) -> None:
    for text in (f"import {name}", f"def f():\n    from {name} import thing"):
        found = layers.problems(house(tmp_path, CLEAN | {f"{room}/x.py": text + "\n"}))
        assert len(found) == 1
        assert f"{room} is pure and imports {name}" in found[0]


def test_only_the_catalogue_opens_files(tmp_path: Path) -> None:
    (found,) = layers.problems(house(tmp_path, CLEAN | {"replies/reply.py": "open('455.toml')\n"}))
    assert "replies is pure and opens a file" in found


def test_a_circle_is_found(tmp_path: Path) -> None:
    files = {
        "smtp/a.py": "from postroad.smtp import b\n",
        "smtp/b.py": "def f():\n    from .c import x\n",
        "smtp/c.py": "from postroad.smtp.a import y\n",
    }
    assert layers.problems(house(tmp_path, CLEAN | files)) == ["circle: smtp.a -> smtp.b -> smtp.c -> smtp.a"]


def test_a_room_does_not_go_through_its_own_door(tmp_path: Path) -> None:
    files = {"smtp/__init__.py": "from .a import X\n", "smtp/a.py": "from postroad.smtp import X\n"}
    assert layers.problems(house(tmp_path, CLEAN | files)) == ["circle: smtp -> smtp.a -> smtp"]


def test_long_files_and_functions_are_found(tmp_path: Path) -> None:
    function = "async def f():\n" + "    x = 1\n" * 40
    files = {
        "spool/long.py": "\n" * 501,
        "spool/deep.py": f"class C:\n    {function.replace(chr(10), chr(10) + '    ')}",
    }
    found = layers.problems(house(tmp_path, CLEAN | files))
    assert sorted(found) == [
        "postroad/spool/deep.py:2: f has 41 lines, at most 40",
        "postroad/spool/long.py: 501 lines, at most 500",
    ]


def test_just_long_enough_is_allowed(tmp_path: Path) -> None:
    files = {"spool/long.py": "def f():\n" + "    x = 1\n" * 39 + "\n" * 460}
    assert layers.problems(house(tmp_path, CLEAN | files)) == []


def test_our_own_tools_keep_the_sizes() -> None:
    modules = layers.read(Path(layers.__file__).parent)
    sizes = [
        text for module in modules.values() for text in layers.module_problems(module, Path(layers.__file__).parent)
    ]
    assert [text for text in sizes if "at most" in text] == []
