"""Asking the running server: JSON over HTTP, through the socket in its state folder or to a URL."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

import click

from postroad.cli.outcome import Exit, Failure

F = TypeVar("F", bound=Callable[..., Any])

API: Final = "/api/v1"
_SYSTEM_STATE: Final = Path("/var/lib/postroad")
#: HTTP status -> how the command ends; other 4yz are a wrong argument, other 5yz a bug of the server.
_EXITS: Final = {
    401: Exit.NO_PERMISSION, 403: Exit.NO_PERMISSION, 404: Exit.NO_INPUT, 409: Exit.UNAVAILABLE,
    421: Exit.USAGE, 429: Exit.TRY_AGAIN, 503: Exit.TRY_AGAIN,
}  # fmt: skip


class _UnixConnection(http.client.HTTPConnection):
    """HTTP through a UNIX socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Server:
    """The server that a command talks to; every fault comes as a Failure with its exit code."""

    def __init__(self, url: str = "", path: Path | None = None, timeout: float = 10.0) -> None:
        self.url = url
        self.path = path
        self.timeout = timeout

    @property
    def name(self) -> str:
        """How messages call it, without the password."""
        if not self.url:
            return str(self.path)
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def get(self, path: str, query: Mapping[str, object] | None = None, patience: float = 0.0) -> Any:
        """The JSON document at ``path``; ``patience``: seconds that the server may think beyond the usual."""
        return self._json(*self._ask("GET", path, query, patience=patience))

    def octets(self, path: str) -> bytes:
        """What stands at ``path``, as it is."""
        return self._ask("GET", path)[1]

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        patience: float = 0.0,
    ) -> Any:
        """Change something; gives the answer's document, None when it has none; ``patience`` as for ``get``."""
        status, octets = self._ask(method, path, query, body, patience)
        return self._json(status, octets) if octets else None

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        patience: float = 0.0,
    ) -> tuple[int, bytes]:
        given = {key: value for key, value in (query or {}).items() if value not in (None, "", [])}
        try:
            target = API + path + (f"?{urlencode(given, doseq=True)}" if given else "")
            octets = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as fault:
            raise Failure(Exit.USAGE, "an argument is no text in UTF-8") from fault
        connection, headers = self._connection(self.timeout + patience)
        if method in ("POST", "PUT"):
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, octets, headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        except Exception as fault:
            raise self._failure(fault) from fault
        finally:
            connection.close()
        if status >= 400:
            raise self._refusal(status, content)
        return status, content

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        headers = {"Accept": "application/json"}
        if not self.url:
            return _UnixConnection(self.path or Path("control.sock"), timeout), headers
        parts = urlsplit(self.url)
        if parts.password is not None:
            pair = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif token := os.environ.get("POSTROAD_TOKEN", ""):
            if not token.isascii() or not token.isprintable():
                raise Failure(Exit.USAGE, "POSTROAD_TOKEN holds no token", "postroad token add prints one")
            headers["Authorization"] = f"Bearer {token}"
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=timeout), headers

    def _json(self, status: int, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError as fault:
            raise self._stranger(f"answered {status} without JSON") from fault

    def _stranger(self, what: str) -> Failure:
        return Failure(Exit.PROTOCOL, f"{self.name} {what}", "is that Postroad's web address?")

    def _failure(self, fault: Exception) -> Failure:
        match fault:
            case TimeoutError():
                return Failure(Exit.TRY_AGAIN, f"{self.name} did not answer within {self.timeout:g} s")
            case PermissionError():
                hint = "ask as the account that the server runs as, or use --url"
                return Failure(Exit.NO_PERMISSION, f"{self.name} may not be opened by this account", hint)
            case FileNotFoundError() | ConnectionRefusedError():
                hint = "start one with: postroad serve (or name another with --state or --url)"
                return Failure(Exit.UNAVAILABLE, f"no server is running at {self.name}", hint)
            case http.client.RemoteDisconnected() | ConnectionResetError():
                hint = "was it stopped just now? postroad status tells"
                return Failure(Exit.PROTOCOL, f"{self.name} ended the connection without an answer", hint)
            case http.client.HTTPException() | ConnectionError():
                return self._stranger(f"broke off or does not speak HTTP ({type(fault).__name__})")
            case OSError():
                return Failure(Exit.UNAVAILABLE, f"{self.name} cannot be reached: {fault.strerror or fault}")
        raise fault

    def _refusal(self, status: int, content: bytes) -> Failure:
        try:
            problem = json.loads(content)
            detail, hint = str(problem.get("detail") or problem.get("title") or ""), str(problem.get("hint") or "")
        except (ValueError, AttributeError):
            return self._stranger(f"answered {status} without saying why")
        code = _EXITS.get(status, Exit.USAGE if status < 500 else Exit.SOFTWARE)
        return Failure(code, detail or f"{self.name} answered {status}", hint)


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def server_options(command: F) -> F:
    """The options of every verb that asks the server; the verb gets ``server`` and ``as_json``."""
    return _server_options(command, ("--state", "--state-dir"))


def queue_server_options(command: F) -> F:
    """The same where ``--state`` is a state of recipients."""
    return _server_options(command, ("--state-dir",))


def _server_options(command: F, folder: tuple[str, ...]) -> F:
    import functools

    @functools.wraps(command)
    def with_server(
        *args: Any, url: str, state: Path | None, config: Path | None, answer_timeout: float, **options: Any
    ) -> Any:
        return command(*args, server=find_server(url, state, config, answer_timeout), **options)

    for option in reversed(
        (
            click.option("--url", default="", envvar="POSTROAD_URL", help="Ask this server: http://127.0.0.1:8025"),
            click.option(
                *folder, "state", type=click.Path(path_type=Path), envvar="POSTROAD_STATE", help="Its state folder."
            ),
            click.option("--config", type=click.Path(path_type=Path), envvar="POSTROAD_CONFIG", help="Its config."),
            click.option(
                "--answer-timeout", type=click.FloatRange(0.01), default=10.0, help="Seconds to wait for an answer."
            ),
            click.option("--json", "as_json", is_flag=True, help="Print the API's document."),
        )
    ):
        with_server = option(with_server)
    return with_server  # type: ignore[return-value]


def find_server(url: str, state: Path | None, config: Path | None, seconds: float = 10.0) -> Server:
    """The server that the options name, else the one of this account, else the one of this machine."""
    if url:
        if not _is_address(url):
            hint = "for example --url http://127.0.0.1:8025"
            raise Failure(Exit.USAGE, f"`{url.rpartition('@')[2]}` is no address of a server", hint)
        return Server(url.rstrip("/"), timeout=seconds)
    if state is not None:
        return Server(path=state / "control.sock", timeout=seconds)
    from postroad.settings import default_state, load

    if config is not None:
        return Server(path=load(config).control_socket, timeout=seconds)
    own = default_state(dev_mode=True) / "control.sock"
    system = _SYSTEM_STATE / "control.sock"
    return Server(path=system if not own.exists() and os.path.exists(system) else own, timeout=seconds)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a bracket without its other
        return False
