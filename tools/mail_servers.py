"""Real mail servers for tests and benchmarks: Postfix, Exim, OpenSMTPD and Dovecot, each in a mount namespace of its own.

They come from `make peers`, unpacked and not installed. In the namespace the private tree lies over /usr and /etc, and
/run, /var/spool and /var/lib are empty; a PID namespace ends all of their processes when we end the first.

    with Postfix(relay_to=2525) as server:
        send(server.port)
        until(lambda: "status=sent" in server.log())
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tools import peers as provided

#: Accounts that Debian's packages would make when they are installed.
USERS = {"postfix": 901, "postdrop": 902, "opensmtpd": 903, "opensmtpq": 904, "Debian-exim": 905, "dovecot": 907}
USERS |= {"dovenull": 908, "vmail": 909}

_ALONE = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
#: $1 tree, $2 work folder, then the command.
NAMESPACE = """
set -e
tree=$1 work=$2; shift 2
mount -t proc proc /proc
mount -t overlay overlay -o lowerdir=$tree/usr:/usr /usr
mount -t overlay overlay -o lowerdir=$work/etc:$tree/etc:/etc /etc
for place in /run /var/spool /var/lib; do mount -t tmpfs tmpfs $place; done
exec "$@"
"""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MailServer:
    """One server, from ``with`` to its end; ``port`` is ready when the block begins."""

    tree: Path
    program: str

    def __init__(self) -> None:
        self.port = free_port()
        self.work = Path(tempfile.mkdtemp(prefix="postroad-peer-", dir="/var/tmp"))
        self.work.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def is_there(cls) -> bool:
        """Whether its tree was unpacked."""
        return (cls.tree / cls.program).exists()

    def command(self) -> list[str]:
        """Write the configuration below ``work``; gives the command line, which stays in the foreground."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """Of the process above all others of the server."""
        if self._process is None:
            raise provided.PeerError(f"{self.program} does not run")
        return self._process.pid

    def log(self) -> str:
        """What the server has written so far."""
        found = sorted(self.work.glob("*.log")) + sorted(self.work.glob("log/*"))
        return "".join(file.read_text("utf-8", "replace") for file in found if file.is_file())

    @property
    def mail(self) -> list[bytes]:
        """The messages that arrived."""
        return [file.read_bytes() for file in sorted(self.work.glob("mail/*/new/*"))]

    def folder(self, name: str, mode: int = 0o755, owner: str = "", group: str = "") -> Path:
        """A folder below ``work``."""
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        os.chown(path, USERS.get(owner, 0), USERS.get(group, 0))
        return path

    def __enter__(self) -> Self:
        if not self.is_there():
            raise provided.PeerError(f"{self.program} is missing", "make peers")
        etc = self.folder("etc")
        for file, line in (("passwd", "{0}:x:{1}:{1}::/:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
            known = Path("/etc", file).read_text()
            (etc / file).write_text(known + "".join(line.format(*user) for user in USERS.items()))
        command = self.command()
        self._process = subprocess.Popen(
            [*_ALONE, "sh", "-c", NAMESPACE, "sh", str(self.tree), str(self.work), *command],
            stdin=subprocess.DEVNULL,
            stdout=(self.work / "out.log").open("wb"),
            stderr=subprocess.STDOUT,
            cwd="/",
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *fault: object) -> None:
        if self._process is not None:
            self._process.kill()  # unshare takes all of the PID namespace with it
            self._process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as line:
                line.settimeout(5)
                if line.recv(4) == b"220 ":
                    return
            time.sleep(0.05)
        raise AssertionError(f"{type(self).__name__} does not greet:\n{self.log()}")


_POSTFIX_MAIN = """compatibility_level = 3.6
queue_directory = {queue}
data_directory = {work}/data
maillog_file_prefixes = {work}
maillog_file = {work}/mail.log
myhostname = mx.{domain}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {work}/mail
virtual_mailbox_maps = inline:{{ {{ kana@{domain} = kana/ }}, {{ bob@{domain} = bob/ }} }}
virtual_uid_maps = static:{vmail}
virtual_gid_maps = static:{vmail}
disable_dns_lookups = yes
smtpd_recipient_restrictions = {may}
"""
_POSTFIX_MASTER = """pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(MailServer):
    """Takes mail for ``domain`` into ``maildir``, relays all other mail to ``relay_to`` (None: refuses it)."""

    tree = provided.postfix_tree()
    program = "usr/lib/postfix/sbin/master"
    domain = "postfix.example"

    def __init__(self, relay_to: int | None = None, settings: str = "", certificate: tuple[Path, Path] | None = None):
        super().__init__()
        self._relay_to = relay_to
        self._settings = settings
        self._certificate = certificate

    def command(self) -> list[str]:
        """See MailServer."""
        queue = self.folder("queue")
        for name in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
            self.folder(f"queue/{name}", 0o700, "postfix")
        self.folder("queue/maildrop", 0o730, "postfix", "postdrop")
        self.folder("queue/public", 0o710, "postfix", "postdrop")
        self.folder("queue/pid")
        self.folder("data", 0o700, "postfix", "postfix")
        self.folder("mail", 0o700, "vmail", "vmail")
        etc = self.folder("etc/postfix")
        tls = ""
        if self._certificate is not None:
            cert, key = self._certificate
            tls = f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {cert}\nsmtpd_tls_key_file = {key}\n"
        relay = f"relayhost = [127.0.0.1]:{self._relay_to}\n" if self._relay_to else ""
        may = "permit_mynetworks, reject" if self._relay_to else "reject_unauth_destination"
        vmail = USERS["vmail"]
        main = _POSTFIX_MAIN.format(work=self.work, queue=queue, domain=self.domain, vmail=vmail, may=may)
        (etc / "main.cf").write_text(f"{main}{relay}{tls}{self._settings}\n")
        (etc / "master.cf").write_text(f"127.0.0.1:{self.port} inet n - n - - smtpd\n{_POSTFIX_MASTER}")
        return ["/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d"]


_EXIM = """exim_path = /usr/sbin/exim4
exim_user = Debian-exim
exim_group = Debian-exim
primary_hostname = mx.{domain}
spool_directory = {work}/spool
log_file_path = {work}/log/%slog
pid_file_path = {work}/exim.pid
local_interfaces = 127.0.0.1
{tls}
daemon_smtp_ports = {port}
rfc1413_query_timeout = 0s
smtp_accept_queue_per_connection = 0
host_lookup =
dsn_advertise_hosts = *
prdr_enable
acl_smtp_rcpt = rcpt
acl_smtp_data = data
{settings}
begin acl
rcpt:
  accept domains = {domain}
         local_parts = kana : bob
  deny domains = {domain}
       message = No such mailbox here
  deny message = relay not permitted
data:
  accept
begin routers
here:
  driver = accept
  domains = {domain}
  local_parts = kana : bob
  transport = box
begin transports
box:
  driver = appendfile
  maildir_format
  create_directory
  directory = {work}/mail/${{local_part_data}}
  delivery_date_add
  user = vmail
  group = vmail
begin retry
* * F,2h,15m
"""


class Exim(MailServer):
    """Takes mail for ``domain`` into ``maildir``; refuses all other mail."""

    tree = provided.exim_tree()
    program = "usr/sbin/exim4"
    domain = "exim.example"

    def __init__(self, settings: str = "", certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__()
        self._settings = settings
        self._certificate = certificate

    def _tls(self) -> str:
        """Certificate and key in a folder that Exim's own user can read."""
        if self._certificate is None:
            return "tls_advertise_hosts ="
        folder = self.folder("tls", 0o700, "Debian-exim", "Debian-exim")
        for source, name in zip(self._certificate, ("cert.pem", "key.pem"), strict=True):
            (folder / name).write_bytes(source.read_bytes())
            os.chown(folder / name, USERS["Debian-exim"], USERS["Debian-exim"])
        return f"tls_advertise_hosts = *\ntls_certificate = {folder}/cert.pem\ntls_privatekey = {folder}/key.pem"

    def command(self) -> list[str]:
        """See MailServer."""
        for name in ("spool", "log"):
            self.folder(name, 0o755, "Debian-exim", "Debian-exim")
        self.folder("mail", 0o700, "vmail", "vmail")
        etc = self.folder("etc/exim4")
        words = {"work": self.work, "domain": self.domain, "port": self.port, "tls": self._tls()}
        conf = _EXIM.format(**words, settings=self._settings)
        (etc / "exim4.conf").write_text(conf)
        return ["/usr/sbin/exim4", "-bdf"]


class Dovecot(MailServer):
    """LMTP on ``port`` and on ``socket`` for ``kana`` and ``bob`` of any domain."""

    tree = provided.dovecot_tree()
    program = "usr/sbin/dovecot"

    @property
    def socket(self) -> Path:
        """The UNIX socket."""
        return self.work / "lmtp"

    def command(self) -> list[str]:
        """See MailServer."""
        self.folder("mail", 0o700, "vmail", "vmail")
        number = USERS["vmail"]
        lines = (f"{name}::{number}:{number}::{self.work}/mail/{name}::\n" for name in ("kana", "bob"))
        (self.work / "users").write_text("".join(lines))
        config = self.work / "dovecot.conf"
        config.write_text(
            f"""protocols = lmtp
base_dir = /run/dovecot
log_path = {self.work}/dovecot.log
ssl = no
mail_location = maildir:~/
first_valid_uid = 1
auth_username_format = %n
passdb {{
  driver = passwd-file
  args = {self.work}/users
}}
userdb {{
  driver = passwd-file
  args = {self.work}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.port}
  }}
  unix_listener {self.work}/lmtp {{
    mode = 0666
  }}
}}
"""
        )
        return ["/usr/sbin/dovecot", "-F", "-c", str(config)]


class OpenSmtpd(MailServer):
    """Takes mail for ``domain`` into ``maildir``; refuses all other mail."""

    tree = provided.opensmtpd_tree()
    program = "usr/sbin/smtpd"
    domain = "opensmtpd.example"

    def command(self) -> list[str]:
        """See MailServer."""
        self.folder("mail", 0o700, "vmail", "vmail")
        config = self.work / "smtpd.conf"
        config.write_text(
            f"""table people {{ kana = vmail, bob = vmail }}
listen on 127.0.0.1 port {self.port} hostname mx.{self.domain}
action "box" maildir "{self.work}/mail/%{{dest.user}}" virtual <people>
match from any for domain "{self.domain}" action "box"
"""
        )
        config.chmod(0o644)
        start = 'mkdir -p /run/opensmtpd /var/lib/opensmtpd/empty && exec /usr/sbin/smtpd -d -f "$0"'
        return ["sh", "-c", start, str(config)]
