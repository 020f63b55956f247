"""What a directive is handed: its tokens, the matchers it may name, and where results go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.language.tokens import Segment
from quantum.caddyfile.modules import matchers
from quantum.caddyfile.modules.matchers import MatcherSet
from quantum.caddyfile.routes import Groups, Route, Subroute, Value, build
from quantum.caddyfile.values.encoding import module

ALIASES = {"handle_path": "handle"}
"""Directives that are sorted and grouped as another."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell the author; the JSON is made all the same."""

    file: str
    line: int
    directive: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return the warning as Caddy's admin API gives it."""
        found = {"file": self.file, "line": self.line, "directive": self.directive}
        return {**{name: item for name, item in found.items() if item}, "message": self.message}


@dataclass(slots=True)
class State:
    """What one adaptation shares: options, the table of directives, notices, named routes."""

    options: dict[str, Any]
    table: dict[str, Callable[[Context], list[Value]]]
    order: list[str]
    notices: list[Notice] = field(default_factory=list)
    invoked: set[str] = field(default_factory=set)
    log_count: int = 0
    certificate_tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Context:
    """One directive at its place."""

    d: Dispenser
    state: State
    groups: Groups
    known: dict[str, MatcherSet]
    files: tuple[str, ...]

    @property
    def options(self) -> dict[str, Any]:
        """The global options."""
        return self.state.options

    def inside(self, segment: Segment, known: dict[str, MatcherSet]) -> Context:
        """Return the context of a directive inside this one."""
        return replace(self, d=Dispenser(segment), known=known)

    def warn(self, message: str) -> None:
        """Tell the author something about this place."""
        self.state.notices.append(Notice(self.d.file, self.d.line, self.d.val, message))

    def take_matcher(self) -> MatcherSet | None:
        """Take the matcher token after the directive's name, and go back to before the name."""
        d = self.d
        found = None
        if d.next_arg():
            found, is_matcher = matchers.of_token(d.token, self.known)
            if is_matcher:
                d.delete()
        d.reset()
        return found

    def route(self, match: MatcherSet | None, name: str, handler: dict[str, Any]) -> list[Value]:
        """Return the route that has this one handler."""
        return [Value("route", make_route(match, name, handler))]

    def unordered(self) -> Subroute:
        """Read a block of directives and keep their order."""
        return build(self.values(), self.groups, None)

    def subroute(self) -> Subroute:
        """Read a block of directives as routes in the usual order."""
        return build(self.values(), self.groups, self.state.order)

    def values(self) -> list[Value]:
        """Read a block of directives; return all they give."""
        found: list[Value] = []
        d = self.d
        while d.next():
            if d.next_arg():
                raise d.arg_error()
            segments = [d.segment() for _ in d.block()]
            known = dict(self.known)
            for segment in segments:
                if segment[0].text.startswith("@"):
                    matchers.define(Dispenser(segment), known)
            for segment in segments:
                if not segment[0].text.startswith("@"):
                    found += self._directive(segment, known)
        return found

    def _directive(self, segment: Segment, known: dict[str, MatcherSet]) -> list[Value]:
        name = segment[0].text
        read = self.state.table.get(name)
        if read is None:
            raise self.d.error(
                f"unrecognized directive: {name} - are you sure your Caddyfile structure "
                "(nesting and braces) is correct?"
            )
        try:
            values = read(self.inside(segment, known))
        except CaddyfileError as error:
            problem = f"parsing caddyfile tokens for '{name}': {error.problem}"
            raise self.d.error(problem) from None
        for value in values:
            value.directive = ALIASES.get(name, name)
        return values


def make_route(match: MatcherSet | None, name: str, handler: dict[str, Any]) -> Route:
    """Return a route with one handler module."""
    return Route([match] if match is not None else None, [module(handler, "handler", name)])


Directive = Callable[[Context], list[Value]]
ReadHandler = Callable[[Context], dict[str, Any]]


def handler(name: str, read: ReadHandler) -> Directive:
    """Return the directive of one handler: an optional matcher, then what ``read`` reads."""

    def directive(context: Context) -> list[Value]:
        if not context.d.next():
            raise context.d.arg_error()
        match = context.take_matcher()
        return context.route(match, name, read(context))

    return directive
