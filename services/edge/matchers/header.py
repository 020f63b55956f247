"""``http.matchers.header``: fields are ANDed, the values of one field ORed."""

from __future__ import annotations

from collections.abc import Callable

from quantum.http.matcher import Matcher, all_of
from quantum.http.message import Request
from quantum.http.placeholders import compile_template, constant
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import HeaderConfig

Values = Callable[[Request], list[bytes]]
Test = Callable[[bytes], bool]


def values_of(name: str) -> Values:
    """Return what gives the values of a field; Host is the authority, whatever the version."""
    field = name.lower().encode()
    if field == b"host":
        return lambda request: [request.authority.encode("utf-8", "surrogateescape")]
    return lambda request: request.headers.all(field)


def header(config: HeaderConfig, provision: Provision) -> Matcher:
    """Return the question whether every field is as wanted."""
    return all_of([_field(name, wanted) for name, wanted in config.root.items()])


def _field(name: str, wanted: list[str] | None) -> Matcher:
    values = values_of(name)
    if wanted is None:
        return lambda request: not values(request)
    if not wanted:
        return lambda request: bool(values(request))
    if any("{" in value for value in wanted):
        return _dynamic(values, wanted)
    tests = [_test(constant(value) or "") for value in wanted]
    if len(tests) == 1:
        test = tests[0]
        return lambda request: any(map(test, values(request)))
    return lambda request: any(test(value) for value in values(request) for test in tests)


def _dynamic(values: Values, wanted: list[str]) -> Matcher:
    templates = [compile_template(value) for value in wanted]

    def matches(request: Request) -> bool:
        given = values(request)
        return bool(given) and any(
            test(value)
            for test in [_test(expand(request)) for expand in templates]
            for value in given
        )

    return matches


def _test(wanted: str) -> Test:
    data = wanted.encode("utf-8", "surrogateescape")
    if data == b"*":
        return lambda value: True
    if len(data) > 1 and data[:1] == b"*" and data[-1:] == b"*":
        part = data[1:-1]
        return lambda value: part in value
    if data[:1] == b"*":
        end = data[1:]
        return lambda value: value.endswith(end)
    if data[-1:] == b"*":
        start = data[:-1]
        return lambda value: value.startswith(start)
    return data.__eq__
