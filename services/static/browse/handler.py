"""``browse``: the answer for a folder without an index file."""

from __future__ import annotations

import asyncio
from functools import partial

from quantum.http.files.conditional import Verdict, evaluate
from quantum.http.files.dates import format_date
from quantum.http.headers import Field, Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.http.query import parse_query
from quantum.http.target import clean_path
from services.static.browse.listing import ORDERS, Listing, read_folder
from services.static.browse.rendering import path_for, rendering_for
from services.static.config import BrowseConfig
from services.static.paths import Hidden

_VARY = (b"vary", b"Accept, Accept-Encoding")
_ARRANGED = {"sort": ("namedirfirst", *ORDERS), "order": ("asc", "desc")}
"""What a list can be asked for, the default first."""


class Browse:
    """Lists folders. A visitor's order is remembered in cookies, a configured one goes before them (Caddy)."""

    def __init__(self, config: BrowseConfig, is_hidden: Hidden | None) -> None:
        self._is_hidden = is_hidden
        self._most = config.file_limit
        self._reveals = config.reveal_symlinks
        self._configured = dict(zip(("sort", "order"), config.sort, strict=False))
        self._cookies = {
            name: compile_template(f"{{http.request.cookie.{name}}}") for name in ("sort", "order")
        }

    async def answer(self, request: Request, root: str, name: str) -> Response:
        """List the folder ``name``. OSError when it cannot be read."""
        read = partial(
            read_folder, root, name, path_for(clean_path(request.path)),
            is_hidden=self._is_hidden, most=self._most, reveals=self._reveals,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        listing = await loop.run_in_executor(None, read)
        verdict = evaluate(request.method, request.headers, None, listing.modified)
        if verdict is not Verdict.PROCEED:
            return Response(304 if verdict is Verdict.NOT_MODIFIED else 412, Headers([_VARY]))
        cookies = self._arrange(request, listing)
        accept = b",".join(request.headers.all(b"accept"))
        # Ten thousand entries take some 90 ms to write: others are served meanwhile.
        body, fields = await loop.run_in_executor(None, rendering_for(accept), listing)
        dated = (b"last-modified", format_date(listing.modified))
        length = (b"content-length", b"%d" % len(body))
        headers = Headers([_VARY, dated, *cookies, *fields, length])
        return Response(200, headers, b"" if request.method == "HEAD" else body)

    def _arrange(self, request: Request, listing: Listing) -> list[Field]:
        """Put the listing in the order asked for; return the cookies that remember it."""
        values, _ = parse_query(request.query)
        asked = {key: (values.get(key) or [""])[0] for key in ("sort", "order", "limit", "offset")}
        cookies = []
        for key, known in _ARRANGED.items():
            asked[key] = asked[key] or self._configured.get(key, "")
            if not asked[key]:
                remembered = self._cookies[key](request)
                asked[key] = remembered if remembered in known else known[0]
            elif asked[key] in known:
                cookies.append(_cookie(request, key, asked[key]))
        listing.arrange(asked["sort"], asked["order"], asked["limit"], asked["offset"])
        return cookies


def _cookie(request: Request, name: str, value: str) -> Field:
    secure = "; Secure" if request.connection.tls is not None else ""
    return b"set-cookie", f"{name}={value}; HttpOnly{secure}; SameSite=Lax".encode()
