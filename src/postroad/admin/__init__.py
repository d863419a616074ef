"""What operators may ask of a running server, and of the spool of one that is stopped."""

from __future__ import annotations

from postroad.admin.desk import MAX_WAIT, About, Admin, Listening, Status

__all__ = ["MAX_WAIT", "About", "Admin", "Listening", "Status"]
