"""Names of header fields as Go writes them."""

from __future__ import annotations

import re

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")


def canonical(name: str) -> str:
    """Return ``name`` with capitals after hyphens; unchanged when it is no field name."""
    if TOKEN.fullmatch(name) is None:
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))
