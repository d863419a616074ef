"""When a certificate ends, read from its PEM file."""

from __future__ import annotations

from pathlib import Path


def expires_at(cert: Path) -> float | None:
    """The end of the first certificate in ``cert``, seconds since the epoch; None when it cannot be read."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return None
