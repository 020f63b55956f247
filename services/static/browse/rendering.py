"""A listing in the form that a client asks for."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from quantum.http.headers import Field
from services.static.browse.listing import UNESCAPED, Item, Listing
from services.static.browse.page import PAGE, STYLE

TAB = 8
"""Columns of a tab: what the plain table is aligned to, as Go's tabwriter does it."""
_GO_ESCAPES = str.maketrans({
    "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029",
})  # fmt: skip
"""What Go's JSON never writes as it is."""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'self'"
)
"""The page needs its style and nothing else: no script, whatever files are called."""

Rendered = tuple[bytes, tuple[Field, ...]]


def rendering_for(accept: bytes) -> Callable[[Listing], Rendered]:
    """Return the form for an Accept field: JSON or a plain table where they are named, else a page."""
    accept = accept.lower()
    if b"application/json" in accept:
        return as_json
    return as_text if b"text/plain" in accept else as_page


def as_json(listing: Listing) -> Rendered:
    """Return Caddy's array of objects."""
    objects = [_object(item) for item in listing.items]
    text = json.dumps(objects, ensure_ascii=False, separators=(",", ":")).translate(_GO_ESCAPES)
    return _encoded(text + "\n"), ((b"content-type", b"application/json; charset=utf-8"),)


def _object(item: Item) -> dict[str, object]:
    found: dict[str, object] = {
        "name": item.name, "size": item.size, "url": item.url, "mod_time": _nanoseconds(item),
        "mode": item.go_mode, "is_dir": item.is_directory, "is_symlink": item.is_symlink,
    }  # fmt: skip
    if item.target:
        found["symlink_path"] = item.target
    return found


def _nanoseconds(item: Item) -> str:
    seconds, rest = divmod(item.modified_ns, 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def as_text(listing: Listing) -> Rendered:
    """Return a table for terminals."""
    rows = [("Name", "Size", "Modified"), ("----", "----", "--------")]
    rows += [(item.name, human_size(item.size), _date(item)) for item in listing.items]
    widths = [_to_tab(max(len(row[column]) for row in rows) + 1) for column in (0, 1)]
    lines = [
        "".join(cell + "\t" * -(-(width - len(cell)) // TAB) for cell, width in zip(row, widths, strict=False))
        + row[2]
        for row in rows
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    return _encoded(text), ((b"content-type", b"text/plain; charset=utf-8"),)


def _to_tab(width: int) -> int:
    return -(-width // TAB) * TAB


def _date(item: Item) -> str:
    at = datetime.fromtimestamp(item.modified_ns // 1_000_000_000, UTC)
    return f"{at:%B} {at.day}, {at:%Y at %H:%M:%S}"


def human_size(size: int) -> str:
    """Return a size as people read it: ``6 B``, ``4.0 KiB``, ``12 MiB``."""
    if size < 10:
        return f"{size} B"
    power = min(int(math.log2(size) // 10), 6)
    value = math.floor(size / 1024**power * 10 + 0.5) / 10
    return f"{value:.{1 if value < 10 else 0}f} {'BKMGTPE'[power]}{'iB' if power else ''}"


def as_page(listing: Listing) -> Rendered:
    """Return a page for browsers."""
    text = PAGE.format(
        style=STYLE,
        title=html.escape(unquote(listing.path)),
        crumbs=_crumbs(listing.path),
        heads="".join(_head(listing, sort, label) for sort, label in _COLUMNS),
        up=_UP if listing.path != "/" else "",
        rows="".join(_row(item) for item in listing.items),
        summary=_summary(listing),
        pages=_pages(listing),
    )
    fields = ((b"content-type", b"text/html; charset=utf-8"),
              (b"content-security-policy", POLICY.encode()))  # fmt: skip
    return _encoded(text), fields


_COLUMNS = (("namedirfirst", "Name"), ("size", "Size"), ("time", "Modified"))
_UP = '<tr><td><a href="../">Up</a></td><td></td><td></td></tr>'


def _crumbs(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    links = [f'<a href="{"../" * len(parts) or "./"}">/</a>']
    for index, part in enumerate(parts):
        to = "../" * (len(parts) - index - 1) or "./"
        links.append(f'<a href="{to}">{html.escape(unquote(part))}/</a>')
    return "".join(links)


def _head(listing: Listing, sort: str, label: str) -> str:
    is_current = listing.sort == sort
    turns = is_current and listing.order != "desc"
    direction = ("descending" if listing.order == "desc" else "ascending") if is_current else "none"
    link = f'<a href="./?sort={sort}&amp;order={"desc" if turns else "asc"}">{label}</a>'
    return f'<th scope="col" aria-sort="{direction}">{link}</th>'


def _row(item: Item) -> str:
    at = datetime.fromtimestamp(item.modified_ns // 1_000_000_000, UTC)
    size = "" if item.is_directory else human_size(item.size)
    leads = f' <span class="leads">to {html.escape(item.target)}</span>' if item.target else ""
    kind = "folder" if item.is_directory else "file"
    return (
        f'<tr class="{kind}"><td><a href="{html.escape(item.url)}">{html.escape(item.name)}</a>{leads}</td>'
        f'<td>{size}</td><td><time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M:%S}</time></td></tr>\n'
    )


def _summary(listing: Listing) -> str:
    folders = sum(item.is_directory for item in listing.items)
    files = len(listing.items) - folders
    size = human_size(sum(item.size for item in listing.items if not item.is_directory))
    shown = f"{folders} folders, {files} files, {size}"
    rest = (
        f", {len(listing.items)} of {listing.total}" if len(listing.items) < listing.total else ""
    )
    return shown + rest


def _pages(listing: Listing) -> str:
    """Return links to the rest of a list that was cut by ``limit``."""
    if not listing.limit:
        return ""
    links = []
    for label, offset in (("Previous", listing.offset - listing.limit), ("Next", listing.offset + listing.limit)):  # fmt: skip
        if -listing.limit < offset < listing.total and offset != listing.offset:
            links.append(
                f'<a href="./?limit={listing.limit}&amp;offset={max(offset, 0)}">{label}</a>'
            )
    return " ".join(links)


def _encoded(text: str) -> bytes:
    """Names on a disk may be no UTF-8: such bytes are replaced in texts, links keep them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()


def path_for(raw: str) -> str:
    """Return a folder's path as it is shown in links: clean, escaped, with a slash at its end."""
    return quote(raw, safe=UNESCAPED, errors="surrogateescape").rstrip("/") + "/"
