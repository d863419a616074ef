"""``postroad user hash``: a password hash for a ``[[user]]`` table; the password never stands on a command line."""

from __future__ import annotations

import sys

import click

from postroad.cli.outcome import Exit, Failure


@click.group("user")
def user_command() -> None:
    """Passwords for [[user]] tables."""


@user_command.command("hash")
def hash_command() -> None:
    """Ask for a password, or read the first line of standard input, and print its Argon2id hash."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    if not password:
        raise Failure(
            Exit.DATA, "the password is empty", "echo the password into standard input, or type it when asked"
        )
    from postroad.policy.accounts import make_hash

    click.echo(make_hash(password))
