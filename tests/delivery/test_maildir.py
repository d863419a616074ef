"""Maildirs: hostile names stay inside, links are not followed, and no part of a message is ever in ``new``."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.address import Mailbox
from postroad.delivery import maildir
from postroad.delivery.maildir import MaildirFile, expand
from postroad.delivery.maildir_transport import MaildirTransport
from postroad.delivery.path_encoding import MAX_OCTETS, encode_component
from postroad.delivery.routing import Maildir
from postroad.delivery.transport import Consignment, Fate, Report
from tests.delivery.fixtures import CONTENT, HandClock, blocks, message

HOSTILE = [
    "../../x",
    "..",
    ".",
    "...",
    "../",
    "/",
    "/etc/passwd",
    "a/b",
    "a/../../b",
    ".hidden",
    "%2e%2e",
    "%2E%2E%2F",
    "%2f",
    "~",
    "~root",
    "$HOME",
    "`id`",
    "$(id)",
    "|id",
    "a;b",
    "a b",
    " ",
    "",
    "\\..\\x",
    "*",
    "?",
    "-rf",
    "new",
    "tmp",
    "cur",
    "a\\b",
    '"',
    "con:",
    "あ" * 20,
    "é",
    "e\u0301",
    "x" * 64,
    "{domain}",
    "{user}",
    "S=1,",
    ":2,S",
]


def literal(text: str) -> bool:
    return re.fullmatch(r"(?!\.)[A-Za-z0-9._+=-]{1,200}", text) is not None


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_one_plain_component(text: str) -> None:
    name = encode_component(text)
    assert re.fullmatch(r"[A-Za-z0-9_+=%~-][A-Za-z0-9._+=%~-]*", name)
    assert name not in ("", ".", "..")
    assert len(name) <= MAX_OCTETS
    assert (name == text) == literal(text)


def test_no_two_of_them_are_the_same() -> None:
    assert len({encode_component(text) for text in HOSTILE}) == len(HOSTILE)
    assert encode_component("x" * 201) != encode_component("x" * 202)
    assert encode_component("%41") != encode_component("A")


@given(st.text(max_size=300), st.text(max_size=300))
def test_injective_plain_and_short(one: str, other: str) -> None:
    names = [encode_component(one), encode_component(other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert 1 <= len(name.encode()) <= MAX_OCTETS
        assert not name.startswith(".")
        assert "/" not in name
        assert "\x00" not in name


def test_what_is_opened_by_name_and_what_is_not() -> None:
    assert expand("/srv/mail/{domain}/{user}", "../b", "a.example") == ("/srv/mail", ("a.example", "%2E.%2Fb"))
    assert expand("/srv/{user}.d/Maildir", "b", "a") == ("/srv", ("b.d", "Maildir"))
    assert expand("/srv/inbox", "b", "a") == ("/srv/inbox", ())
    assert expand("/{domain}", "{user}", "{user}") == ("/", ("%7Buser%7D",))


def transport() -> MaildirTransport:
    return MaildirTransport("host.example", HandClock(1_000_000.25))


def deliver(
    template: str,
    *recipients: str,
    sender: str = "kana@example.net",
    content: tuple[bytes, ...] = (CONTENT,),
    **more: Any,
) -> Report:
    async def work() -> Report:
        way = more.get("way") or transport()
        report = await way.deliver(
            Consignment(message(*recipients, sender=sender), Maildir(template), blocks(*content))
        )
        await way.close()
        return report

    return asyncio.run(work())


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_one_message(tmp_path: Path) -> None:
    report = deliver(f"{tmp_path}/mail/{{domain}}/{{user}}", "Bob+x@Example.com")
    (handed,) = report.handed
    assert (handed.fate, handed.reply, handed.note) == (Fate.DELIVERED, None, "stored in maildir")
    (file,) = files(tmp_path)
    assert file.parent == tmp_path / "mail" / "example.com" / "Bob+x" / "new"
    stored = file.read_bytes()
    assert stored == b"Return-Path: <kana@example.net>\n" + CONTENT.replace(b"\r\n", b"\n")
    assert re.fullmatch(
        rf"1000000\.M250000P{os.getpid()}Q[0-9]+R[0-9a-f]{{16}}\.host\.example,S={len(stored)}", file.name
    )
    assert file.stat().st_mode & 0o777 == 0o600
    for folder in (file.parent, file.parent.parent, file.parent.parent / "tmp", file.parent.parent / "cur"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_null_reverse_path_and_every_case_of_postmaster(tmp_path: Path) -> None:
    template = f"{tmp_path}/{{domain}}/{{user}}"
    deliver(template, "PostMaster@example.com", sender="")
    deliver(template, "postmaster@example.com", sender="")
    assert [file.parent.parent.name for file in files(tmp_path)] == ["postmaster"] * 2
    assert files(tmp_path)[0].read_bytes().startswith(b"Return-Path: <>\n")


def test_the_case_of_other_local_parts_is_kept(tmp_path: Path) -> None:
    deliver(f"{tmp_path}/{{user}}", "Bob@example.com", "bob@example.com")
    assert {file.parent.parent.name for file in files(tmp_path)} == {"Bob", "bob"}


@pytest.mark.parametrize("local", [text for text in HOSTILE if text.isascii()])
def test_hostile_local_parts_stay_inside(tmp_path: Path, local: str) -> None:
    inside = tmp_path / "mail"
    report = deliver(f"{inside}/{{domain}}/{{user}}", str(Mailbox(local, "example.com")))
    assert [one.fate for one in report.handed] == [Fate.DELIVERED]
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]
    (file,) = files(tmp_path)
    assert file.parent.parent.parent == inside / "example.com"


@pytest.mark.parametrize("content", [(b"a\r", b"\nb\r\n"), (b"a\r\n", b"b\r\n"), (b"", b"a\r\nb", b"\r\n")])
def test_line_ends_across_blocks(tmp_path: Path, content: tuple[bytes, ...]) -> None:
    deliver(f"{tmp_path}/{{user}}", "bob@example.com", content=content)
    assert files(tmp_path)[0].read_bytes().endswith(b">\na\nb\n")


def test_large_content(tmp_path: Path) -> None:
    content = ((b"x" * 998 + b"\r\n") * 64,) * 50
    deliver(f"{tmp_path}/{{user}}", "bob@example.com", content=content)
    (file,) = files(tmp_path)
    assert file.read_bytes().partition(b"\n")[2] == b"".join(content).replace(b"\r\n", b"\n")
    assert file.name.endswith(f",S={file.stat().st_size}")


# --- links and other things in the way


@pytest.mark.parametrize(
    "level", ["example.com", "example.com/bob", *[f"example.com/bob/{d}" for d in ("tmp", "new", "cur")]]
)
@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
def test_nothing_is_written_through_a_link(tmp_path: Path, level: str, kind: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "mail"
    outside.mkdir()
    for name in ("tmp", "new", "cur"):
        (outside / name).mkdir()
    place = inside / level
    place.parent.mkdir(parents=True)
    if kind == "file":
        place.write_bytes(b"")
    else:
        place.symlink_to(outside if kind == "link" else outside / "nothing")
    report = deliver(f"{inside}/{{domain}}/{{user}}", "bob@example.com")
    (handed,) = report.handed
    assert handed.fate is Fate.NOT_NOW
    assert "symbolic link" in handed.note
    assert not handed.uncertain
    assert not [file for file in files(tmp_path) if file.stat().st_size]


def test_links_of_the_operator_are_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "mail").symlink_to(tmp_path / "disk")
    assert deliver(f"{tmp_path}/mail/{{user}}", "bob@example.com").handed[0].fate is Fate.DELIVERED
    assert len(files(tmp_path / "disk")) == 1


def test_one_recipient_is_in_the_way_and_the_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"")
    report = deliver(f"{tmp_path}/{{user}}", "a@example.com", "b@example.com", "c@example.com")
    assert [one.fate for one in report.handed] == [Fate.DELIVERED, Fate.NOT_NOW, Fate.DELIVERED]


# --- faults


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "mkdir", "open"])
def test_a_fault_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    handles = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(maildir.os, call, full)
        report = deliver(f"{tmp_path}/{{user}}", "bob@example.com")
    assert report.handed[0].fate is Fate.NOT_NOW
    assert "No space left on device" in report.handed[0].note
    assert files(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) <= handles


def test_a_directory_that_cannot_be_synced_is_uncertain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(f"{tmp_path}/{{user}}", "bob@example.com")
    calls: list[int] = []

    def second_fails(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(maildir.os, "fsync", second_fails)
    (handed,) = deliver(f"{tmp_path}/{{user}}", "bob@example.com").handed
    assert (handed.fate, handed.uncertain) == (Fate.NOT_NOW, True)


def test_the_file_is_synced_before_it_is_seen_and_its_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(f"{tmp_path}/{{user}}", "bob@example.com")
    acts: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(handle: int) -> None:
        acts.append("file" if "/tmp/" in os.readlink(f"/proc/self/fd/{handle}").removeprefix(str(tmp_path)) else "new")
        fsync(handle)

    def renamed(*names: Any, **handles: Any) -> None:
        acts.append("rename")
        rename(*names, **handles)

    monkeypatch.setattr(maildir.os, "fsync", synced)
    monkeypatch.setattr(maildir.os, "rename", renamed)
    deliver(f"{tmp_path}/{{user}}", "bob@example.com")
    assert acts == ["file", "rename", "new"]


def test_content_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    async def work() -> None:
        async def broken() -> Any:
            yield b"a" * 2_000_000
            raise RuntimeError("the spool is gone")

        way = transport()
        with pytest.raises(RuntimeError):
            await way.deliver(Consignment(message("bob@example.com"), Maildir(f"{tmp_path}/{{user}}"), broken))
        await way.close()

    asyncio.run(work())
    assert files(tmp_path) == []


def test_discarded(tmp_path: Path) -> None:
    file = MaildirFile(str(tmp_path), ("bob",), "h/o:st", 1.0)
    file.write(b"half")
    (found,) = files(tmp_path)
    assert found.parent.name == "tmp"
    assert "h\\057o\\072st" in found.name
    file.discard()
    assert files(tmp_path) == []


def test_aborted(tmp_path: Path) -> None:
    way = transport()
    way.abort("we are stopping")
    report = deliver(f"{tmp_path}/{{user}}", "bob@example.com", way=way)
    assert (report.handed[0].fate, report.handed[0].note) == (Fate.NOT_NOW, "we are stopping")
