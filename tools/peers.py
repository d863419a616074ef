#!/usr/bin/env python3
"""Fetches the mail programs that the tests talk to: `tools/peers.py [--best-effort]`.

Ordinary programs (swaks, msmtp, curl ...) are installed by apt-get where we are root. A mail server never is: it
would conflict with the machine's own and start a service. Postfix, Exim, OpenSMTPD and Dovecot are downloaded and
unpacked into private folders, each to be laid over /usr in a mount namespace of its own; nodemailer goes beside them.

The folder lies in the user's cache, so that a fresh clone finds it filled; $POSTROAD_PEERS names another. What is
there already is left alone. Exit status 1 says that something is missing; with --best-effort it is only told, since
each test that needs it says so itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODEMAILER = ROOT / "tests/nodemailer"
PERL_MODULES = {
    "IO::Socket::SSL": "libio-socket-ssl-perl",
    "Net::SSLeay": "libnet-ssleay-perl",
    "Authen::SASL": "libauthen-sasl-perl",
    "Net::SMTP::SSL": "libnet-smtp-ssl-perl",
    "Mail::Address": "libmailtools-perl",  # of git send-email
}
PROGRAMS = {name: name for name in ("swaks", "msmtp", "s-nail", "curl", "git", "npm", "strace", "chromium")}
PROGRAMS["node"] = "nodejs"
CJK_FONTS = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")


class PeerError(Exception):
    """Something could not be fetched; the text says what and why, the hint how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def folder() -> Path:
    """Where the private programs are kept."""
    named = os.environ.get("POSTROAD_PEERS")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(cache) / "postroad" / "peers"


def postfix_tree() -> Path:
    return folder() / "postfix"


def exim_tree() -> Path:
    return folder() / "exim4"


def dovecot_tree() -> Path:
    return folder() / "dovecot"


def opensmtpd_tree() -> Path:
    return folder() / "opensmtpd"


def postfix_environment(tree: Path) -> dict[str, str]:
    """What a program of the private Postfix needs: its own libraries, and a main.cf that is not the machine's."""
    libraries = [tree / "usr/lib/postfix", *sorted((tree / "usr/lib").glob("*-linux-gnu*"))]
    return {"LD_LIBRARY_PATH": ":".join(map(str, libraries)), "MAIL_CONFIG": str(tree / "etc/postfix")}


def postfix_runs(tree: Path) -> bool:
    program = tree / "usr/sbin/smtp-source"
    if not program.exists():
        return False
    done = run(["ldd", str(program)], env={**os.environ, **postfix_environment(tree)}, check=False)
    return done.returncode == 0 and "not found" not in done.stdout + done.stderr


def node_modules() -> Path:
    """Named after the lock file, so that a newer lock is a new installation."""
    lock = hashlib.sha256((NODEMAILER / "package-lock.json").read_bytes()).hexdigest()[:16]
    return folder() / f"nodemailer-{lock}" / "node_modules"


def git_send_email() -> Path | None:
    if not shutil.which("git"):
        return None
    program = Path(run(["git", "--exec-path"]).stdout.strip()) / "git-send-email"
    return program if program.exists() else None


def missing_packages() -> list[str]:
    """The Debian packages of the ordinary programs that this machine lacks."""
    missing = [package for name, package in PROGRAMS.items() if not shutil.which(name)]
    if not git_send_email():
        missing.append("git-email")
    if not CJK_FONTS.exists():
        missing.append("fonts-noto-cjk")
    modules = [f"-M{module}" for module in PERL_MODULES]
    if not shutil.which("perl") or run(["perl", *modules, "-e1"], check=False).returncode:
        missing += PERL_MODULES.values()
    return missing


def run(command: list[str], *, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs to the end with no input; PeerError carries what the program said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise PeerError(f"{' '.join(command)}: exit status {done.returncode}\n  " + "\n  ".join(said))
    return done


def apt_get(*arguments: str, **options: object) -> str:
    """apt-get, once more with fresh lists when the first try fails and we may renew them."""
    command = ["apt-get", "-qq", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = run(command, check=False, env=environment, **options)
    if done.returncode:
        if os.geteuid() == 0:
            run(["apt-get", "-qq", "update"], check=False, env=environment)
        done = run(command, env=environment, **options)
    return done.stdout


def install(packages: list[str]) -> None:
    """apt-get install, unless it would bring a mail server."""
    note(f"installing {' '.join(packages)} by apt-get")
    plan = apt_get("--simulate", "install", "--no-install-recommends", *packages)
    coming = {line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")}
    provides = run(["apt-cache", "showpkg", "mail-transport-agent"]).stdout.partition("Reverse Provides:")[2]
    servers = coming & {line.split()[0] for line in provides.splitlines() if line.strip()}
    if servers:
        raise PeerError(f"apt-get would install a mail server ({', '.join(sorted(servers))}): left alone")
    apt_get("install", "--no-install-recommends", *packages)


def install_programs() -> None:
    missing = missing_packages()
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        command = f"apt-get install --no-install-recommends {' '.join(missing)}"
        raise PeerError(
            f"programs of these packages are missing: {' '.join(missing)}", f"on Debian, as root: {command}"
        )
    install(missing)


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to fill, which takes its final name only when it is whole."""
    filling = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        yield filling
        if final.exists():
            shutil.rmtree(final)
        filling.rename(final)
    finally:
        shutil.rmtree(filling, ignore_errors=True)


def unpack(tree: Path, packages: list[str]) -> None:
    """Downloads Debian packages and unpacks them below `tree`; nothing of them is run or installed."""
    with tempfile.TemporaryDirectory() as downloads:
        os.chmod(downloads, 0o755)  # apt's own user writes there when we are root
        apt_get("download", *packages, cwd=downloads)
        for package in Path(downloads).glob("*.deb"):
            run(["dpkg", "-x", str(package), str(tree)])


def libraries_of(package: str) -> list[str]:
    """The libraries a package needs and this machine lacks, theirs included."""
    listing = run(["apt-cache", "depends", "--recurse", "--important", package]).stdout
    names = {line for line in listing.splitlines() if line.startswith("lib") and not line.startswith("libc6")}
    state = "${Package} ${db:Status-Status}\n"
    installed = run(["dpkg-query", "-W", "-f", state], check=False).stdout.splitlines()
    return sorted(names - {line.split()[0] for line in installed if line.endswith(" installed")})


def unpack_postfix() -> None:
    if postfix_runs(postfix_tree()):
        return
    if not shutil.which("dpkg"):
        raise PeerError("smtp-source and smtp-sink come from Debian's package postfix, and this is no Debian")
    note("unpacking postfix into a private folder (it is not installed)")
    with new_folder(postfix_tree()) as tree:
        unpack(tree, ["postfix"])
        (tree / "etc/postfix").mkdir(parents=True, exist_ok=True)
        (tree / "etc/postfix/main.cf").touch()
        if not postfix_runs(tree):
            unpack(tree, libraries_of("postfix"))
        if not postfix_runs(tree):
            raise PeerError("smtp-source was unpacked but lacks libraries", "apt-get install libicu72 libdb5.3 libnsl2")


#: A private tree -> the packages in it, and the program that must find its libraries.
SERVERS = {
    "exim4": (("exim4-base", "exim4-daemon-light"), "usr/sbin/exim4"),
    "dovecot": (("dovecot-core", "dovecot-lmtpd"), "usr/lib/dovecot/lmtp"),
    "opensmtpd": (("opensmtpd",), "usr/sbin/smtpd"),
}


def finds_its_libraries(tree: Path, program: str) -> bool:
    """As it will when the tree lies over the machine's own /usr."""
    if not (tree / program).exists():
        return False
    places = [tree / "usr/lib/dovecot", tree / "usr/lib", *sorted((tree / "usr/lib").glob("*-linux-gnu*"))]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, places))}
    done = run(["ldd", str(tree / program)], env=environment, check=False)
    return done.returncode == 0 and "not found" not in done.stdout + done.stderr


def unpack_servers() -> None:
    """Real next hops for our deliveries; they run in a mount namespace with their tree laid over /usr and /etc."""
    for name, (packages, program) in SERVERS.items():
        if finds_its_libraries(folder() / name, program):
            continue
        note(f"unpacking {name} into a private folder (it is not installed)")
        with new_folder(folder() / name) as tree:
            unpack(tree, list(packages))
            needed = sorted({library for package in packages for library in libraries_of(package)})
            if needed and not finds_its_libraries(tree, program):
                unpack(tree, needed)
            if not finds_its_libraries(tree, program):
                raise PeerError(f"{name} was unpacked but lacks libraries")


def install_nodemailer() -> None:
    if (node_modules() / "nodemailer").exists():
        return
    if not shutil.which("npm"):
        raise PeerError(
            "nodemailer needs npm", "on Debian, as root: apt-get install --no-install-recommends nodejs npm"
        )
    note("installing nodemailer by npm")
    with new_folder(node_modules().parent) as place:
        for file in ("package.json", "package-lock.json"):
            shutil.copy(NODEMAILER / file, place)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(place)], cwd=place)


def own_folder() -> None:
    """Programs are run from it: it must be ours, and nobody else may write there."""
    place = folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = place.stat()
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise PeerError(
            f"{place} belongs to somebody else or others may write there", "remove it, or set POSTROAD_PEERS"
        )


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def attempt(step: Callable[[], None], word: str) -> bool:
    """Whether the step went well; what went wrong is told."""
    try:
        step()
    except (PeerError, OSError) as error:
        note(f"{word}: {error}")
        if hint := getattr(error, "hint", ""):
            note(f"hint: {hint}")
        return False
    return True


def fetch(word: str) -> bool:
    """All of it, by one process at a time."""
    if not attempt(own_folder, word):
        return False
    with open(folder() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = [attempt(step, word) for step in (install_programs, unpack_postfix, unpack_servers, install_nodemailer)]
    return all(done)


def main(arguments: list[str]) -> int:
    if arguments == ["--best-effort"]:
        if not fetch("note"):
            note("note: tests that need what is missing are skipped (and fail where CI=true)")
        return 0
    if arguments:
        note("usage: tools/peers.py [--best-effort]")
        return 64
    return 0 if fetch("error") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
