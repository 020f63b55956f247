"""Cases for lists of folders: ``browse`` of ``file_server``."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.caddy.differential import Case

FILES = {
    "a.txt": 5, "Big.bin": 30_000, "b.txt": 1, "q?#ü:&<x>.txt": 12, "(1)!*'.md": 999, "sub/one": 10, "sub/two": 2_000_000,
    "B dir/x": 0, "hidden/x": 1, "old.bak": 7, "with/index.html": 3,
}  # fmt: skip
LINKS = {"to a dir": "sub", "nowhere": "not there"}
FIRST = 1_700_000_000
JSON, TEXT = (("Accept", "application/json"),), (("Accept", "text/plain, */*"),)
COOKIES = (("Cookie", "sort=time; order=desc"),)
STALE = (("If-Modified-Since", "Fri, 01 Jan 2010 00:00:00 GMT"),)
FRESH = (("If-Modified-Since", "Fri, 01 Jan 2038 00:00:00 GMT"),)

ASKED = [
    ("/", JSON), ("/", TEXT), ("/sub/", JSON), ("/B%20dir/", JSON), ("/with/", JSON), ("/to%20a%20dir/", JSON),
    ("/?sort=name", JSON), ("/?sort=name&order=desc", JSON),
    ("/?sort=size", JSON), ("/?sort=size&order=desc", TEXT), ("/?sort=time&order=asc", JSON), ("/?sort=namedirfirst&order=desc", JSON),
    ("/?limit=2", JSON), ("/?limit=2&offset=3", JSON), ("/?limit=0&offset=-1", JSON), ("/?limit=1000&offset=1000", JSON),
    ("/?limit=x", JSON), ("/", (*COOKIES, *JSON)), ("/?sort=size", (*COOKIES, *JSON)), ("/", (*STALE, *JSON)), ("/", (*FRESH, *JSON)),
    ("/", (*FRESH, *TEXT)), ("/sub//", JSON), ("/./sub/", JSON),
]  # fmt: skip
"""Targets and fields."""


def make_folder(root: Path) -> Path:
    """Make a folder whose entries have different times."""
    for name, size in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    for index, name in enumerate(sorted(path.name for path in root.iterdir())):
        times = (FIRST + index * 977, FIRST + index * 977 + index * 0.125)
        os.utime(root / name, times, follow_symlinks=False)
    os.utime(root, (FIRST, FIRST))
    return root


def listing_cases(root: Path) -> list[Case]:
    """Return what ``browse`` is tried with."""
    base = {"handler": "file_server", "root": str(root), "hide": ["hidden", "*.bak"]}
    browses = [
        {},
        {"reveal_symlinks": True},
        {"sort": ["size", "desc"]},
        {"sort": ["time"]},
        {"sort": ["name", "asc"]},
    ]
    asked = [("GET", target, fields, "example.com") for target, fields in ASKED]
    cases = [Case(f"browse {b}", [{"handle": [{**base, "browse": b}]}], asked) for b in browses]
    return [*cases, Case("browse not canonical", [{"handle": [{**base, "browse": {}, "canonical_uris": False}]}], asked)]  # fmt: skip
