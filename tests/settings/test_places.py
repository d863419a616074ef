"""Line numbers of keys: right for every way in which TOML lets a key be written."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from postroad.settings.places import find_places

TEXT = '''\
# [not.a.table]
top = 1
"quoted key" = 2
dotted.inner = 3

[table] # a comment with [brackets]
plain = "a # b [c] = d"
list = [
  "x = 1",   # y = 2
  [ "z" ],
  { k = "]" },
]
after = 1
multi = """
fake = 1
[fake.table]
"""
literal = \'\'\'
fake = 2 \'\'\'
last = 1

[ spaced . table ]
key=1

[[many]]
a = 1
[[many]]
a = 2
[many.sub]
b = 3
[[many.deep]]
c = 4
[[many.deep]]
c = 5
[[many]]
a = 6
'''


def test_places() -> None:
    tomllib.loads(TEXT)
    found = find_places(TEXT)
    assert found == {
        "top": 2,
        "quoted key": 3,
        "dotted": 4,
        "dotted.inner": 4,
        "table": 6,
        "table.plain": 7,
        "table.list": 8,
        "table.after": 13,
        "table.multi": 14,
        "table.literal": 18,
        "table.last": 20,
        "spaced.table": 22,
        "spaced.table.key": 23,
        "many": 25,
        "many.0": 25,
        "many.0.a": 26,
        "many.1": 27,
        "many.1.a": 28,
        "many.1.sub": 29,
        "many.1.sub.b": 30,
        "many.1.deep": 31,
        "many.1.deep.0": 31,
        "many.1.deep.0.c": 32,
        "many.1.deep.1": 33,
        "many.1.deep.1.c": 34,
        "many.2": 35,
        "many.2.a": 36,
    }


@given(st.text(alphabet="a[]{}='\"#.\n \\", max_size=80))
def test_any_text_is_survived(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in find_places(text).values())
