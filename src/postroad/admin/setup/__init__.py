"""Whether this house is set up as the world expects it of a mail host: checks as values, and the records that mend it.

Nobody is asked but the name servers, this machine itself, and hosts that the operator names.
"""

from __future__ import annotations

from postroad.admin.setup.checks import Check, Door, Facts, Level, Record
from postroad.admin.setup.desk import Report, SetupDesk

__all__ = ["Check", "Door", "Facts", "Level", "Record", "Report", "SetupDesk"]
