"""``http.handlers.rewrite``: another method, another target, decided before the chain goes on.

Order as in Caddy: method, uri, prefix, suffix, substrings, path expressions, query. Only the parts
that ``uri`` names are changed: ``/x`` leaves the query, ``?a=b`` the path, ``?`` empties the query.
Deviations, on purpose: a changed path is always absolute and free of dot segments, so that a file server and an
upstream see what the rule meant; and a decoded placeholder (``{http.request.uri.path.0}``) cannot bring in a
query or an escape of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quantum.config.pattern import Pattern
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.placeholders import Template, compile_template
from quantum.http.placeholders.request import decoded
from quantum.http.query import escape
from quantum.modules.lifetime import Provision
from services.edge.handlers.config import PathReplacementConfig, RewriteConfig, SubstringConfig
from services.edge.handlers.paths import (
    changed,
    cleaned,
    escape_path,
    settled,
    without_prefix,
    without_suffix,
)
from services.edge.handlers.query_operations import compile_query_operations, set_query

Step = Callable[[Request], None]

_PATH_KEYS = ("http.request.uri.path.", "http.request.orig_uri.path", "http.matchers.file.")


class Rewrite:
    """Changes the request in place; ``Request.original`` keeps what it was."""

    def __init__(self, config: RewriteConfig, provision: Provision) -> None:
        self.steps: list[Step] = []
        if config.method:
            self.steps.append(_method(config.method))
        if config.uri:
            self.steps.extend(_target(config.uri))
        if config.strip_path_prefix:
            self.steps.append(_stripped_prefix(config.strip_path_prefix))
        if config.strip_path_suffix:
            self.steps.append(_stripped_suffix(config.strip_path_suffix))
        self.steps.extend(_substring(change) for change in config.uri_substring if change.find)
        self.steps.extend(_path_regexp(change) for change in config.path_regexp)
        if config.query is not None:
            self.steps.append(compile_query_operations(config.query))

    def rewrite(self, request: Request) -> None:
        """Carry out the steps; HttpError 400 for a path that has no safe reading afterwards."""
        request.keep_original()
        for step in self.steps:
            step(request)

    def link(self, following: Next) -> Next:
        """Return the link."""
        rewrite = self.rewrite

        def rewriting(request: Request) -> Awaitable[Response]:
            rewrite(request)
            return following(request)

        return rewriting


def _method(text: str) -> Step:
    expand = compile_template(text)

    def change(request: Request) -> None:
        request.method = expand(request).upper()

    return change


def _target(uri: str) -> list[Step]:
    """Split the configured target into its parts; both read the request as it was before."""
    path, mark, query = uri.partition("#")[0].partition("?")
    new_path = compile_template(path, change=_in_path) if path else None
    new_query = _query(query) if mark else None

    def change(request: Request) -> None:
        injected: str | None = None
        target = request.path
        if new_path is not None:
            text, found, rest = new_path(request).partition("#")[0].partition("?")
            injected = rest if found and not query else None
            target = settled(escape_path(decoded(text)))
        if injected is not None:
            set_query(request, _tidied(injected))
        elif new_query is not None:
            set_query(request, new_query(request))
        request.path = target

    return [change]


def _in_path(key: str, value: str, request: Request) -> str:
    """Insert a path as it was sent, other decoded parts of one so that they stay one part."""
    if key == "http.request.uri.path":
        return request.path
    return escape_path(value) if key.startswith(_PATH_KEYS) else value


def _query(configured: str) -> Template:
    """Return what builds the query: each key and value expands apart, and is escaped where needed."""
    pairs: list[tuple[Template, Template | None]] = []
    for pair in _without_last_equals(configured).split("&"):
        key, equals, value = pair.partition("=")
        pairs.append((
            compile_template(key, change=_in_query_key),
            compile_template(value, change=_in_query_value) if equals else None,
        ))  # fmt: skip

    def build(request: Request) -> str:
        built: list[str] = []
        for key, value in pairs:
            text = key(request) + ("" if value is None else f"={value(request)}")
            if text:
                built.append(text)
        return "&".join(built)

    return build


def _tidied(injected: str) -> str:
    """Return a query that came with a value: what looks like a placeholder in it is text."""
    text = injected.replace("{", "%7B").replace("}", "%7D")
    return _without_last_equals("&".join(pair for pair in text.split("&") if pair))


def _without_last_equals(query: str) -> str:
    """Drop the ``=`` of a last pair that has no value, as Caddy writes it."""
    is_bare = query.endswith("=") and query.rpartition("&")[2].count("=") == 1
    return query[:-1] if is_bare else query


def _in_query_key(key: str, value: str, request: Request) -> str:
    return value if key == "http.request.uri.query" else escape(value)


def _in_query_value(key: str, value: str, request: Request) -> str:
    return escape(value)


def _stripped_prefix(text: str) -> Step:
    expand = compile_template(text)

    def strip(request: Request) -> None:
        prefix = expand(request)
        if not prefix.startswith("/"):
            prefix = "/" + prefix
        request.path = changed(request.path, lambda p: without_prefix(cleaned(p, prefix), prefix))

    return strip


def _stripped_suffix(text: str) -> Step:
    expand = compile_template(text)

    def strip(request: Request) -> None:
        suffix = expand(request)
        if suffix:
            request.path = changed(
                request.path, lambda p: without_suffix(cleaned(p, suffix), suffix)
            )

    return strip


def _substring(config: SubstringConfig) -> Step:
    find, replace = compile_template(config.find), compile_template(config.replace)
    limit = config.limit if config.limit > 0 else -1

    def change(request: Request) -> None:
        old, new = find(request), replace(request)
        if not old:
            return
        request.path = changed(
            request.path, lambda p: cleaned(p, config.find).replace(old, new, limit)
        )
        if request.query:
            set_query(request, request.query.replace(old, new, limit))

    return change


def _path_regexp(config: PathReplacementConfig) -> Step:
    pattern, replace = Pattern(config.find), compile_template(config.replace)

    def change(request: Request) -> None:
        template = replace(request)
        request.path = changed(request.path, lambda p: pattern.replace(p, template))

    return change
