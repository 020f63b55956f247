"""Matches the URL of a request, and leaves groups as ``{http.url_pattern.<component>.<name>}``.

The only door to the ``urlpattern`` package (the standard's algorithm with Rust's regular expressions: linear time). The
path is matched escaped, without dot segments and with slashes merged, so that what other matchers see is what this one sees.
"""

from __future__ import annotations

import re
from typing import Any

from urlpattern import URLPattern

from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.http.target import check_path, normalise
from quantum.modules.lifetime import Provision
from services.edge.url_pattern.config import UrlPatternConfig

SCOPE = "http.url_pattern."
COMPONENTS = ("protocol", "username", "password", "hostname", "port", "pathname", "search", "hash")
ANYWHERE = "http://localhost"
"""The base that a relative pattern is read with, when what it says of a base is not used."""

_OTHER = re.compile(r"[^\x21-\x7e]+")


def url_pattern(config: UrlPatternConfig, provision: Provision) -> Matcher:
    """Return the question whether the URL matches. ValueError for a pattern that is none."""
    pattern = _compiled(config)

    def matches(request: Request) -> bool:
        try:
            found: Any = pattern.exec(_url(request))
        except ValueError:  # a Host that no URL can have
            return False
        if found is None:
            return False
        variables = request.vars
        for component in COMPONENTS:
            for name, value in found[component]["groups"].items():
                variables[f"{SCOPE}{component}.{name}"] = value or ""
        return True

    return matches


def _compiled(config: UrlPatternConfig) -> Any:
    if config.base_url:
        return URLPattern(config.pattern, config.base_url)
    if not config.pattern.startswith("/"):
        try:
            return URLPattern(config.pattern)
        except ValueError as error:
            if "relative" not in str(error):
                raise
        return URLPattern({"pathname": config.pattern})
    read = URLPattern(config.pattern, ANYWHERE)
    parts: Any = {"pathname": read.pathname, "search": read.search, "hash": read.hash}
    return URLPattern(parts)


def _url(request: Request) -> str:
    check_path(request.path)
    path = normalise(request.path) if "//" in request.path or "/." in request.path else request.path
    query = "" if request.query is None else f"?{request.query}"
    whole = f"{request.connection.scheme}://{request.authority}{path}{query}"
    return whole if whole.isascii() else _OTHER.sub(_escaped, whole)


def _escaped(found: re.Match[str]) -> str:
    data = found[0].encode("utf-8", "surrogateescape")
    return "".join(f"%{byte:02X}" for byte in data)
