"""The cases: small Caddyfiles by name, from the files beside this one."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "cases"
IMPORTS = Path(__file__).parent / "imports"
HEADING = re.compile(r"^==== (\w+)\n", re.MULTILINE)


def read_cases() -> dict[str, str]:
    """Return the text of every case, by ``topic.name``."""
    found: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        _, *parts = HEADING.split(path.read_text())
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            key = f"{path.stem}.{name}"
            assert key not in found, f"{key} stands twice"
            found[key] = text
    return found
