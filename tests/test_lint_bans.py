"""The bans hold on our tree, and each of them catches what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import lint_bans, regex_check


def test_our_tree_keeps_the_bans() -> None:
    assert lint_bans.problems() == []


def problems(root: Path, file: str, text: str) -> list[str]:
    path = root / "postroad" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return lint_bans.problems(root / "postroad")


CAUGHT_IN_PROTOCOL = [
    ("int(text)", "int()"),
    ("int(text, 16)", "int()"),
    ("size = int(found[1])  # strict:", "int()"),
    ("a = int(x)  # strict: _X matched\nb = int(y)", ":2: int()"),
    ("text.splitlines()", "splitlines"),
    ("import email.message", "email package"),
    ("from email import policy", "email package"),
    ("from email.utils import parsedate", "email package"),
    (r"import re; re.compile(r'\d+')", r"\d"),
    (r"import re; re.compile(rb'[\d.]+')", r"\d"),
    ("import re; re.match('a$', text)", "$"),
    ("import re; re.compile('(?:a+b)*c')", "within a repetition"),
    ("import re; re.compile('(?:a|b*)+')", "within a repetition"),
    ("import re; re.compile('[ a-z]*( *)x')", "share characters"),
    ("import re; re.compile(text)", "cannot be checked"),
    ("import re; re.compile(f'{text}+')", "cannot be checked"),
    ("from re import compile", "import re as a whole"),
    ("import re\nA = '(?:a+)'\nB = re.compile(f'{A}*')", "within a repetition"),
    ("import re; re.compile('a # $\\n $', re.VERBOSE)", "$"),
]


@pytest.mark.parametrize(("text", "complaint"), CAUGHT_IN_PROTOCOL)
def test_protocol_rooms(tmp_path: Path, text: str, complaint: str) -> None:
    (found,) = problems(tmp_path, "smtp/framing.py", text + "\n")
    assert complaint in found
    assert found.startswith("postroad/smtp/framing.py:")


@pytest.mark.parametrize("file", ["message/a.py", "replies/a.py", "inbound/a.py", "address.py", "net/smtp_client.py"])
def test_every_protocol_room_is_looked_at(tmp_path: Path, file: str) -> None:
    assert len(problems(tmp_path, file, "int(text)\n")) == 1


@pytest.mark.parametrize("file", ["cli/send.py", "net/resolver.py", "inbox/page.py"])
def test_other_rooms_may(tmp_path: Path, file: str) -> None:
    assert problems(tmp_path, file, "import email, re\nint(text), text.splitlines(), re.compile(r'\\d$')\n") == []


ALLOWED_IN_PROTOCOL = [
    "int(found[1])  # strict: three digits by _CODE",
    "# strict: three digits by _CODE\nint(found[1])",
    "int(3.5)",
    r"import re; re.compile(r'[0-9]{1,3}\Z')",
    "import re; re.compile(rb'a\\$')",
    "import re; re.compile('(?>(?:a++b)*)c')",
    "import re; re.compile('(?:(?>a+)b)*c')",
    "import re; re.compile('(?:a{3}b)*c')",
    "import re; re.compile('[a-z]*: *x')",
    "import re; re.compile(text)  # linear: made by us of literals",
    "import re\nA = 'a++'\nB: Final = A + '(?:b)*+'\nC = re.compile(f'{A}|{B}')\nre.match(C, text)",
    "import re; re.compile('a # $ in a comment', re.VERBOSE)",
    "from emails import x",
]


@pytest.mark.parametrize("text", ALLOWED_IN_PROTOCOL)
def test_protocol_rooms_may(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, "smtp/framing.py", text + "\n") == []


CAUGHT_EVERYWHERE = [
    (r"import re; re.compile(r'a++(?:\.a++)*+')", "before 3.11.5"),
    ("subprocess.run(command, shell=True)", "shell=True"),
    ("subprocess.run(command, shell=wanted)", "shell=True"),
    ("os.system(command)", "os.system"),
    ("db.execute(f'SELECT * FROM {table}')", "SQL"),
    ("db.execute('SELECT * FROM m WHERE id = %s' % key)", "SQL"),
    ("db.execute('DELETE FROM m WHERE id = ' + key)", "SQL"),
    ("db.execute('SELECT {} FROM m'.format(key))", "SQL"),
    ("db.execute(' '.join(parts))", "SQL"),
    ("query = f'update {table} set x = 1'", "SQL"),
    ("query = 'INSERT OR IGNORE INTO ' + table", "SQL"),
    ("query = f'PRAGMA user_version = {version}'", "SQL"),
    ("Reply(550, 'no')", "a reply is made here"),
    ("replies.Reply(550, 'no')", "a reply is made here"),
    ("reply(550, 'no')", "a reply is made here"),
    ("if answer.code == 455: pass", "a decision on a reply's code"),
    ("if 400 <= answer.code < 500: pass", "a decision on a reply's code"),
    ("if answer.code in (450, 451): pass", "a decision on a reply's code"),
    ("match answer.code:\n    case 455: pass", "a decision on a reply's code"),
    ("match answer:\n    case Reply(code=455): pass", "a decision on a reply's code"),
]


@pytest.mark.parametrize("file", ["service.py", "spool/sqlite.py", "inbound/connection.py", "web/api.py"])
@pytest.mark.parametrize(("text", "complaint"), CAUGHT_EVERYWHERE)
def test_the_whole_house(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    (found,) = problems(tmp_path, file, text + "\n")
    assert complaint in found


ALLOWED_EVERYWHERE = [
    "subprocess.run(command, shell=False)",
    "db.execute('SELECT * FROM m WHERE id = ?', (key,))",
    "COLUMNS = 'a, b'\ndb.execute(f'SELECT {COLUMNS} FROM m')",
    "db.execute(f'PRAGMA user_version = {VERSION:d}')  # sql: a number of our own; PRAGMA binds nothing",
    "print(f'select one of {names}')",
    "raise ValueError(f'update {name}, please')",
    "process.code  # read, not compared",
    "if event.code == 3: pass  # reply: a key code, not a reply",
    "match answer:\n    case Reply(): pass",
]


def test_a_constant_may_come_from_a_neighbour(tmp_path: Path) -> None:
    schema = tmp_path / "postroad/spool/schema.py"
    schema.parent.mkdir(parents=True)
    schema.write_text("COLUMNS = 'a, b'\nTABLE = given()\n")
    good = "from postroad.spool.schema import COLUMNS as C\nQUERY: Final = 'SELECT ' + C + ' FROM m'\n"
    assert problems(tmp_path, "spool/sqlite.py", good) == []
    bad = "from postroad.spool.schema import TABLE\nQUERY = 'SELECT a FROM ' + TABLE\n"
    assert len(problems(tmp_path, "spool/sqlite.py", bad)) == 1


@pytest.mark.parametrize("text", ALLOWED_EVERYWHERE)
def test_the_whole_house_may(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, "service.py", text + "\n") == []


@pytest.mark.parametrize(
    "file", ["replies/reply.py", "smtp/refusals.py", "smtp/extensions/size.py", "smtp/sasl/plain.py", "policy/relaying.py",
             "inbox/chaos.py"],
)  # fmt: skip
def test_owners_make_and_read_replies(tmp_path: Path, file: str) -> None:
    assert problems(tmp_path, file, "if Reply(550, 'no').code == 550: pass\n") == []


@pytest.mark.parametrize("file", ["smtp/reactions.py", "smtp/client.py"])
def test_the_client_only_reads_codes(tmp_path: Path, file: str) -> None:
    assert problems(tmp_path, file, "if answer.code == 455: pass\n") == []
    assert len(problems(tmp_path, file, "Reply(455, 'later')\n")) == 1


@pytest.mark.parametrize(
    "text", ["from postroad.replies import catalogue", "from postroad.replies.advice import advise",
             "import postroad.replies.comparison", "from ..replies import catalogue"],
)  # fmt: skip
def test_the_engine_does_not_explain(tmp_path: Path, text: str) -> None:
    (found,) = problems(tmp_path, "smtp/server.py", text + "\n")
    assert "catalogue's texts" in found
    assert problems(tmp_path, "smtp/server.py", "from postroad.replies import Reply\n") == []


@pytest.mark.parametrize(
    "pattern", [r"(a*)*", r"(?:a+)+b", r"(?:[a-z]+\.)+", r"(.*)(.*)x", r"\s*\S*?.*,", r"(?:a|b{1,9})*"]
)
def test_backtracking_is_seen(pattern: str) -> None:
    assert regex_check.faults(pattern)
    assert regex_check.faults(pattern.encode())


@pytest.mark.parametrize(
    "pattern", [r"a*", r"(?:ab?)*+", r"(?:[a-z]++\.)*+", r"[a-z]+\.[a-z]+", r"(?>.*)x", r"[^:]*:.*", r"a{1,9}a{1,9}"]
)
def test_linear_patterns_pass(pattern: str) -> None:
    assert regex_check.faults(pattern) == []
    assert regex_check.faults(pattern.encode()) == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?:\.a++)*+",
        r"(?:=b+)?+",
        r"(?:ab{2}c)*+",
        r"(?:a(?:b|cd)e)++",
        r"(?:a(?=b)b)*+",
        r"(?:a|b{2})*+",
        r"((?:a+))*+",
    ],
)
def test_possessive_groups_that_old_pythons_get_wrong_are_seen(pattern: str) -> None:
    assert regex_check.broken(pattern)
    assert not regex_check.broken(f"(?>{pattern.removesuffix('+')})")


@pytest.mark.parametrize(
    "pattern", [r"a*+", r"[ab]++", r"(?:ab)*+", r"(?:ab|[cd]e|.)*+", r"(a(b))?+", r"(?>(?:\.a++)*)"]
)
def test_simple_possessives_pass(pattern: str) -> None:
    assert regex_check.broken(pattern) == []
