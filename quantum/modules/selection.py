"""``certificate_selection`` of TLS policies: which of several certificates is shown (Caddy's fields).

Edge keeps the policy and the certs room looks through what it has: both know the model.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from quantum.config.model import StrictModel


def _serial(value: object) -> object:
    """Take a serial number as Caddy writes it, decimal digits in a string, or as a number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isascii() or not text.isdigit():
        raise ValueError("a serial number is decimal digits in a string")
    return str(int(text))


class CertificateSelection(StrictModel):
    """All that is given must fit; of a list, one of its entries (``all_tags``: each)."""

    serial_number: tuple[Annotated[str, BeforeValidator(_serial)], ...] = ()
    subject_organization: tuple[str, ...] = ()
    public_key_algorithm: Literal["", "rsa", "ecdsa", "ed25519"] = ""
    any_tag: tuple[str, ...] = ()
    all_tags: tuple[str, ...] = ()
