"""``postroad diagnose``: look at a mail server, or at a domain and all its mail hosts; every finding explained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import postroad
from postroad.cli.arguments import seconds
from postroad.cli.language import chosen
from postroad.cli.outcome import Exit, Failure
from postroad.cli.secret import password_for

if TYPE_CHECKING:
    from postroad.diagnosis.diagnosing import Diagnosis

_FILE: Final = click.Path(path_type=Path)


@click.command("diagnose")
@click.argument("target", required=False, metavar="HOST|DOMAIN")
@click.option("--as", "role", type=click.Choice(["mx", "submission", "lmtp"]), default="mx", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), help="Else 25; as submission 587 and 465.")
@click.option("--implicit-tls", is_flag=True, help="TLS from the first octet, whatever the port (465 has it anyway).")
@click.option("--host", "host_only", is_flag=True, help="The name is a host, whatever its MX records say.")
@click.option("--rcpt", metavar="ADDRESS", default="", help="Ask whether this mailbox takes mail; nothing is sent.")
@click.option(
    "--from", "sender", metavar="ADDRESS", default="", help="The sender for that; else the null reverse-path."
)
@click.option("--probe-relay", is_flag=True, help="Ask whether it relays for strangers: for servers of your own.")
@click.option(
    "--auth",
    "user",
    metavar="USER",
    default="",
    help="Log in, inside TLS. Password: POSTROAD_PASSWORD, file or prompt.",
)
@click.option(
    "--password-file", metavar="FILE", help="The password is the first line of this file, `-` is stdin.", default=""
)
@click.option("--dkim", metavar="SELECTOR", multiple=True, help="Read the key of this selector; repeatable.")
@click.option("--ehlo", metavar="NAME", default="", help="Our name; else this machine's.")
@click.option("-4", "ipv4", is_flag=True, help="Only IPv4.")
@click.option("-6", "ipv6", is_flag=True, help="Only IPv6.")
@click.option("--tls-ca", type=_FILE, metavar="FILE", help="Trust the authorities in this PEM file.")
@click.option("--resolver", metavar="ADDRESS[:PORT]", default="", help="Ask this name server; else the system's.")
@click.option(
    "--timeout", metavar="TIME", type=seconds, help="For each wait; else 60 s for the greeting, less for others."
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warn", "never"]),
    default="error",
    show_default=True,
    help="From which level on the exit code is 1.",
)
@click.option("--transcript", is_flag=True, help="Print what was said, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document (postroad.diagnosis/1).")
@click.option("--schema", is_flag=True, help="The JSON Schema of what --json prints.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
@click.option("--lang", metavar="LANG", help="en, ja …; else POSTROAD_LANG, then the locale.")
@click.option("--colour", "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
def diagnose_command(**given: Any) -> int:
    """Look at a mail server: connect, 220, EHLO, TLS, certificate, names; of a domain also MX, SPF, DKIM and DMARC.

    No mail is ever sent: the look ends before DATA. When there is no 220, the report says which kind of silence it is,
    what would disprove that, who has to act, and the next command. The exit code is 0; 1 when something was found of the
    level of --fail-on; 64 or 66 when the command itself could not be understood or a file is missing.
    """
    if given["schema"]:
        print((Path(postroad.__file__).parent / "reference" / "schemas" / "diagnosis.json").read_text("utf-8"))
        return Exit.OK
    if not given["target"]:
        raise Failure(Exit.USAGE, "nothing to diagnose", "postroad diagnose example.com, or a host")
    from postroad.diagnosis.telling import Teller
    from postroad.replies.catalogue import catalogue

    teller = Teller(chosen(given["lang"], catalogue().languages))
    found = _found(given, teller)
    code = _exit(found, given["fail_on"])
    if given["as_json"]:
        from postroad.cli.columns import as_document

        print(as_document(teller.document(found, exit=code)))
        return code
    from postroad.cli.diagnose_report import Report
    from postroad.cli.screen import screen

    out = screen(given["colour"])
    Report(out, teller, quiet=given["quiet"]).write(found, transcript=given["transcript"])
    print(out.text())
    return code


def _found(given: Mapping[str, Any], teller: Any) -> Diagnosis:
    import asyncio

    from postroad.cli.diagnose_progress import Watcher
    from postroad.diagnosis.diagnosing import InquiryError, diagnose
    from postroad.diagnosis.targets import TargetError
    from postroad.errors import AddressSyntaxError, SettingsError

    watcher = Watcher(teller)
    try:
        wishes = _wishes(given)
        return asyncio.run(diagnose(given["target"], **wishes, listener=watcher.hear))
    except (AddressSyntaxError, InquiryError, SettingsError, TargetError) as fault:
        raise Failure(Exit.USAGE, fault.message, fault.hint) from fault
    finally:
        watcher.end()


def _exit(found: Diagnosis, fail_on: str) -> Exit:
    from postroad.diagnosis.findings import Level

    if fail_on == "never":
        return Exit.OK
    return Exit.FINDINGS if found.level >= Level[fail_on.upper()] else Exit.OK


# --- from options to arguments


def _wishes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of ``diagnose``."""
    from postroad.diagnosis.watching import Waits

    if given["ipv4"] and given["ipv6"]:
        raise Failure(Exit.USAGE, "-4 and -6 exclude each other")
    return {
        "role": given["role"],
        "port": given["port"] or 0,
        "implicit_tls": True if given["implicit_tls"] else None,
        "hello": given["ehlo"] or _own_name(),
        "rcpt": given["rcpt"],
        "sender": given["sender"],
        "probe_relay": given["probe_relay"],
        "user": given["user"],
        "password": password_for(given["user"], given["password_file"]),
        "dkim": given["dkim"],
        "host_only": given["host_only"],
        "family": 4 if given["ipv4"] else 6 if given["ipv6"] else 0,
        "tls_ca": given["tls_ca"],
        "waits": Waits() if given["timeout"] is None else Waits.of(given["timeout"]),
        "resolver": _resolver(given["resolver"]),
    }


def _own_name() -> str:
    """This machine's when it is whole; else the probe takes the address that it speaks from."""
    from postroad.sending.hello import own_name

    name = own_name("")
    return "" if name.startswith("[") or name == "localhost" else name


def _resolver(text: str) -> Any:
    if not text:
        return None
    from ipaddress import ip_address

    from postroad.diagnosis.targets import read_target
    from postroad.net.resolver import Resolver

    named = read_target(text)
    try:
        ip_address(named.host)
    except ValueError as fault:
        raise Failure(Exit.USAGE, f"no address of a name server: {text[:60]}", "--resolver 192.0.2.53") from fault
    return Resolver([(named.host, named.port or 53)])
