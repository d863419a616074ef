"""``postroad send``: send a mail and see the dialogue, every refusal with its meaning and what we do about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import postroad
from postroad.cli.language import chosen
from postroad.cli.outcome import Exit, Failure
from postroad.cli.secret import password_for
from postroad.cli.send_options import send_options
from postroad.errors import AddressSyntaxError, PostroadError

if TYPE_CHECKING:
    from postroad.cli.send_dialogue import Printer
    from postroad.sending import SendError, SendResult

#: Stages of --quit-after before anybody is named.
_NAMELESS = ("connect", "ehlo", "tls", "auth")


@click.command("send")
@send_options
def send_command(**given: Any) -> int:
    """Send a mail; what is said is shown as it happens, every refusal explained.

    Without --data a small test message is made. The exit code is 0 when every recipient was accepted, 1 when some
    were, 67 unknown recipients, 68 no such host, 69 refused for good, 75 try again, 76 no SMTP or no TLS, 77 login.
    Secrets never appear, neither here nor in the transcript.
    """
    if given["schema"]:
        print((Path(postroad.__file__).parent / "reference" / "schemas" / "send.json").read_text("utf-8"))
        return Exit.OK
    from postroad.cli.send_dialogue import Printer, report_fault, report_refused
    from postroad.cli.send_report import exit_of
    from postroad.replies.catalogue import catalogue
    from postroad.sending import SendError

    known = catalogue()
    language = chosen(given["lang"], known.languages)
    words = known.texts("send", language)
    arguments, message = _arguments(given), _message(given)
    found: SendResult | SendError
    printer = Printer(_screen(given), words, language) if not (given["quiet"] or given["as_json"]) else None
    try:
        found = result = _sent(message, arguments, printer)
        if given["quiet"]:
            report_refused(result, language)
    except SendError as fault:
        report_fault(fault, words, language)
        found = fault
    code = exit_of(found)
    if given["as_json"]:
        from postroad.cli.columns import as_document
        from postroad.cli.send_report import document

        print(as_document(document(found, language, code)))
    return code


def _sent(message: Any, arguments: dict[str, Any], printer: Printer | None) -> SendResult:
    from postroad.sending import MessageError, OptionError, ParameterError, ServerError, send_sync

    try:
        result = send_sync(message, **arguments, listener=None if printer is None else printer.hear)
    except MessageError as fault:
        raise Failure(Exit.DATA, fault.message, fault.hint) from fault
    except (AddressSyntaxError, OptionError, ParameterError, ServerError) as fault:
        raise Failure(Exit.USAGE, fault.message, fault.hint) from fault
    if printer is not None:
        printer.ended(result)
    return result


def _screen(given: Mapping[str, Any]) -> Any:
    from postroad.cli.screen import screen

    return screen(given["colour"])


# --- from options to arguments


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of ``sending.send``."""
    if given["ipv4"] and given["ipv6"]:
        raise Failure(Exit.USAGE, "-4 and -6 exclude each other")
    server, lmtp = _server(given)
    return {
        "server": server,
        "lmtp": lmtp,
        "tls": given["tls"],
        "tls_ca": given["tls_ca"],
        "user": given["user"],
        "password": password_for(given["user"], given["password_file"]),
        "mechanism": given["auth_mechanism"],
        "parameters": given["param"],
        "adapt": not given["no_adapt"],
        "retry": given["retry"],
        "pause": given["retry_pause"],
        "hello": given["ehlo"],
        "source": given["source"],
        "family": 4 if given["ipv4"] else 6 if given["ipv6"] else 0,
        "timeout": given["timeout"],
        "pipelining": given["pipeline"],
        "bdat": given["bdat"],
        "stop_after": given["quit_after"] or "",
        **_envelope(given),
    }


def _server(given: Mapping[str, Any]) -> tuple[str, bool]:
    named = [name for name in ("server", "via", "socket") if given[name]]
    if len(named) > 1:
        raise Failure(Exit.USAGE, f"--{named[0]} and --{named[1]} exclude each other", "name one server")
    if given["socket"]:
        return f"lmtp:{os.path.abspath(given['socket'])}", True
    if given["via"].lower() == "mx":
        return "", given["lmtp"]
    return given["server"] or given["via"], given["lmtp"]


def _envelope(given: Mapping[str, Any]) -> dict[str, Any]:
    from postroad.cli.send_letter import addresses

    to, cc, bcc = (addresses(given[name]) for name in ("to", "cc", "bcc"))
    nameless = given["quit_after"] in _NAMELESS
    if given["data"] is None and not (to or cc or bcc or nameless):
        raise Failure(Exit.USAGE, "nobody to send to", "--to ADDRESS, or --data FILE with a To field")
    sender = given["sender"]
    if sender is not None and sender.strip() in ("", "<>"):
        sender = ""
    if sender is None and given["data"] is None:
        sender = _own_address()
    named = [*to, *cc] or None
    if named is None and given["data"] is None:
        named = []
    return {"sender": sender, "to": named, "bcc": bcc}


def _own_address() -> str:
    import getpass

    from postroad.sending.hello import own_name

    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        account = "postmaster"
    return f"{account}@{own_name('')}"


def _message(given: Mapping[str, Any]) -> Any:
    from postroad.cli.send_letter import addresses, letter
    from postroad.sending import read_address

    try:
        sender = given["sender"] if given["sender"] is not None else _own_address()
        shown = "" if sender.strip() in ("", "<>") else str(read_address(sender))
        to, cc = ([str(read_address(one)) for one in addresses(given[name])] for name in ("to", "cc"))
    except PostroadError as fault:
        raise Failure(Exit.USAGE, fault.message, fault.hint) from fault
    if given["data"] is None and not (to or cc or given["bcc"]):
        return b""  # nobody is named before MAIL
    return letter(given, shown or _own_address(), to, cc)
