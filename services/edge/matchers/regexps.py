"""``path_regexp``, ``header_regexp`` and ``vars_regexp``: RE2, groups kept as ``{http.regexp.*}``."""

from __future__ import annotations

from collections.abc import Callable

from quantum.config.pattern import Pattern
from quantum.http.matcher import Matcher, all_of
from quantum.http.message import Request
from quantum.http.target import clean_path
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import HeaderRegexpConfig, RegexpConfig, VarsRegexpConfig
from services.edge.matchers.header import values_of
from services.edge.matchers.variables import value_of

Ask = Callable[[Request, str], bool]


def path_regexp(config: RegexpConfig, provision: Provision) -> Matcher:
    """Return the question whether the cleaned path matches."""
    ask = _capturing(config)
    return lambda request: ask(request, clean_path(request.path))


def header_regexp(config: HeaderRegexpConfig, provision: Provision) -> Matcher:
    """Return the question whether every field has a value that matches."""
    return all_of([_field(name, regexp) for name, regexp in config.root.items()])


def vars_regexp(config: VarsRegexpConfig, provision: Provision) -> Matcher:
    """Return the question whether every variable matches."""
    return all_of([_variable(name, regexp) for name, regexp in config.root.items()])


def _field(name: str, regexp: RegexpConfig) -> Matcher:
    values, ask = values_of(name), _capturing(regexp)
    return lambda request: any(
        ask(request, value.decode("utf-8", "surrogateescape")) for value in values(request)
    )


def _variable(name: str, regexp: RegexpConfig) -> Matcher:
    value, ask = value_of(name), _capturing(regexp)
    return lambda request: ask(request, value(request))


def _capturing(config: RegexpConfig) -> Ask:
    """Return a question that leaves the groups of a match in the request's variables."""
    pattern = Pattern(config.pattern)
    scopes = ["http.regexp."] + ([f"http.regexp.{config.name}."] if config.name else [])
    names = list(pattern.names.items())

    def ask(request: Request, text: str) -> bool:
        groups = pattern.search(text)
        if groups is None:
            return False
        variables = request.vars
        for scope in scopes:
            for index, group in enumerate(groups):
                variables[f"{scope}{index}"] = group
            for name, index in names:
                variables[scope + name] = groups[index]
        return True

    return ask
