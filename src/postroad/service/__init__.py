"""The one place that joins the rooms: Settings in, a running Postroad out."""

from postroad.service.service import Service

__all__ = ["Service"]
