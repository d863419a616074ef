"""The service extensions, one file each: adding one is adding a file and naming it here.

``OFFERABLE`` are those whose every half exists; the others are read, written and tested, but announced nowhere until
their delivery half is there.
"""

from postroad.smtp.extensions.auth import auth
from postroad.smtp.extensions.binarymime import BINARYMIME
from postroad.smtp.extensions.chunking import CHUNKING
from postroad.smtp.extensions.deliverby import deliver_by
from postroad.smtp.extensions.dsn import DSN
from postroad.smtp.extensions.eightbitmime import EIGHTBITMIME
from postroad.smtp.extensions.enhancedstatuscodes import ENHANCEDSTATUSCODES
from postroad.smtp.extensions.futurerelease import future_release
from postroad.smtp.extensions.help import HELP
from postroad.smtp.extensions.limits import limits
from postroad.smtp.extensions.mtpriority import MT_PRIORITY
from postroad.smtp.extensions.pipelining import PIPELINING
from postroad.smtp.extensions.requiretls import REQUIRETLS
from postroad.smtp.extensions.size import size
from postroad.smtp.extensions.smtputf8 import SMTPUTF8
from postroad.smtp.extensions.starttls import STARTTLS

__all__ = [
    "BINARYMIME",
    "CHUNKING",
    "DSN",
    "EIGHTBITMIME",
    "ENHANCEDSTATUSCODES",
    "HELP",
    "MT_PRIORITY",
    "PIPELINING",
    "REQUIRETLS",
    "SMTPUTF8",
    "STARTTLS",
    "auth",
    "deliver_by",
    "future_release",
    "limits",
    "size",
]
