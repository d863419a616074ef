"""What only the machine can tell: files, rights and accounts. Done at start and by ``postroad config check``."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from postroad.errors import SettingsError
from postroad.settings.model import Settings, Tls
from postroad.settings.tables import SettingsErrors


def verify(settings: Settings) -> None:
    """Check the settings against this machine; raises SettingsErrors with everything that is wrong."""
    faults: list[SettingsError] = []
    if settings.tls is not None:
        faults += _check_tls(settings, settings.tls)
    if settings.user:
        faults += _check_user(settings)
    faults += _check_passwords(settings)
    faults += _check_state(settings)
    if faults:
        raise SettingsErrors(faults)


def password_files(settings: Settings) -> dict[str, Path]:
    """Where passwords for other hosts are: ``outbound.password_file`` -> its path."""
    files = {"outbound.password_file": settings.outbound.password_file}
    files |= {f"destination.{n}.password_file": one.password_file for n, one in enumerate(settings.destinations)}
    return {key: path for key, path in files.items() if path is not None}


def read_password(path: Path) -> str:
    """The first line of a file that only its owner and group may read; raises SettingsError."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            octets = file.read(4097)
    except OSError as fault:
        raise SettingsError(f"{path}: {os.strerror(fault.errno or 0)}") from fault
    if mode & stat.S_IROTH:
        raise SettingsError(f"{path} is readable by everyone (mode {mode:04o})", f"chmod 600 {path}")
    try:
        password = octets.partition(b"\n")[0].removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as fault:
        raise SettingsError(f"{path} is not UTF-8 text") from fault
    if not password or len(octets) > 4096 or not password.isprintable():
        raise SettingsError(f"{path} has no password in its first line", "one line, at most 4096 octets")
    return password


def create_state(path: Path) -> None:
    """Make the state folder, for its owner only; raises SettingsError when that cannot be done."""
    try:
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
    except OSError as fault:
        raise SettingsError(
            f"state {path} cannot be made: {os.strerror(fault.errno or 0)}", "choose another with --state or state ="
        ) from fault
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise SettingsError(f"state {path} is not a folder that we may write", "choose another with --state or state =")


def _fault(settings: Settings, key: str, message: str, hint: str = "") -> SettingsError:
    place = settings.places.get(key, settings.path.name if settings.path is not None else "")
    return SettingsError(f"{place}: {key}: {message}" if place else f"{key}: {message}", hint)


def _check_tls(settings: Settings, tls: Tls) -> list[SettingsError]:
    faults = []
    for key, path in (("tls.cert", tls.cert), ("tls.key", tls.key)):
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        except OSError as fault:
            faults.append(_fault(settings, key, f"{path}: {os.strerror(fault.errno or 0)}"))
            continue
        if key == "tls.key" and mode & stat.S_IROTH:
            faults.append(_fault(settings, key, f"file is readable by everyone (mode {mode:04o})", f"chmod 600 {path}"))
    return faults or _check_pair(settings, tls)


def _check_passwords(settings: Settings) -> list[SettingsError]:
    faults = []
    for key, path in password_files(settings).items():
        try:
            read_password(path)
        except SettingsError as fault:
            shown = ".".join(part for part in key.split(".") if not part.isdecimal())
            place = settings.places.get(key, "")
            faults.append(SettingsError(f"{place}: {shown}: {fault.message}".removeprefix(": "), fault.hint))
    return faults


def _check_pair(settings: Settings, tls: Tls) -> list[SettingsError]:
    """The two files are PEM and belong together."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password=_no_password)
    except ssl.SSLError as fault:
        if "MISMATCH" in (fault.reason or ""):
            return [_fault(settings, "tls.key", "the key does not belong to the certificate")]
        return [_fault(settings, "tls.cert", f"no usable PEM certificate and key ({fault.reason or fault})")]
    except SettingsError as fault:
        return [_fault(settings, "tls.key", fault.message, fault.hint)]
    return []


def _no_password() -> str:
    raise SettingsError("the key has a passphrase, and nobody is there to type it", "keep it without, mode 0600")


def _check_user(settings: Settings) -> list[SettingsError]:
    try:
        entry = pwd.getpwnam(settings.user)
    except KeyError:
        return [_fault(settings, "user", f"there is no system account {settings.user!r}")]
    if os.geteuid() not in (0, entry.pw_uid):
        return [_fault(settings, "user", f"only root can become {settings.user!r}", "start as root, or remove user =")]
    return []


def _check_state(settings: Settings) -> list[SettingsError]:
    """The state folder exists or can be made."""
    nearest = settings.state
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        return [_fault(settings, "state", f"{nearest} is not a folder")]
    if not os.access(nearest, os.W_OK | os.X_OK):
        return [_fault(settings, "state", f"{nearest} is not writable for {pwd.getpwuid(os.geteuid()).pw_name}")]
    return []
