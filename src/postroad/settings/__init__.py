"""Settings: one TOML file, read once into frozen values; everything wrong is said at once, with file, line and cure.

Only ``service`` and the command line know Settings; every room gets values.
"""

from postroad.settings.checking import create_state, password_files, read_password, verify
from postroad.settings.coherence import is_loopback, shown
from postroad.settings.hostname import default_hostname
from postroad.settings.model import (
    LOOPBACK,
    SOFTWARE,
    Account,
    Address,
    BareNewline,
    Destination,
    Dev,
    Domain,
    Journal,
    Limits,
    Listener,
    Network,
    Outbound,
    Overrides,
    Reports,
    Retry,
    Role,
    Settings,
    Smtp,
    Terms,
    Tls,
    TlsPolicy,
    Web,
    WebRole,
)
from postroad.settings.reading import default_state, development, load, load_text, read_again
from postroad.settings.tables import SettingsErrors

__all__ = [
    "LOOPBACK",
    "SOFTWARE",
    "Account",
    "Address",
    "BareNewline",
    "Destination",
    "Dev",
    "Domain",
    "Journal",
    "Limits",
    "Listener",
    "Network",
    "Outbound",
    "Overrides",
    "Reports",
    "Retry",
    "Role",
    "Settings",
    "SettingsErrors",
    "Smtp",
    "Terms",
    "Tls",
    "TlsPolicy",
    "Web",
    "WebRole",
    "create_state",
    "default_hostname",
    "default_state",
    "development",
    "is_loopback",
    "load",
    "load_text",
    "password_files",
    "read_again",
    "read_password",
    "shown",
    "verify",
]
