"""Routes of a configuration as one function, for tests of handlers and matchers without sockets.

    chain = compile_routes(MODULES, [{"match": [{"path": ["/a"]}], "handle": [...]}])
    response = await chain(make_request("GET", "/a"))

Terminal handlers, which other rooms have, are handed in by name: ``rooms={"file_server": answer}``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from quantum.clock import Clock
from quantum.config.model import locate
from quantum.http.handler import Next
from quantum.http.headers import Headers
from quantum.http.matcher import Matcher
from quantum.http.message import ConnectionFacts, Request, Response, TlsFacts
from quantum.http.route import RouteCompiler
from quantum.modules.config import ErrorRoutes, ModuleConfig, RouteConfig, use_registry
from quantum.modules.lifetime import Lifetime, Provision
from quantum.modules.registry import Registry
from quantum.modules.spec import ModuleSpec
from quantum.testing.clock import ManualClock

Answer = Callable[[Request], Awaitable[Response]]


def make_request(
    method: str = "GET",
    target: str = "/",
    *fields: tuple[str, str],
    host: str = "example.com",
    body: bytes = b"",
    peer: str = "192.0.2.7",
    tls: TlsFacts | None = None,
    version: str = "HTTP/1.1",
) -> Request:
    """Return a request as a codec would make it; field names may be in any case."""
    path, mark, query = target.partition("?")
    scheme = "http" if tls is None else "https"
    return Request(
        method,
        scheme,
        host,
        path,
        query if mark else None,
        Headers([(name.lower().encode(), value.encode()) for name, value in fields]),
        body,
        ConnectionFacts((peer, 4711), ("198.51.100.1", 80), scheme, tls, "srv0"),
        version,
    )


class _Fixed:
    def __init__(self, answer: Answer) -> None:
        self.handle = answer


def parse_routes(specs: Iterable[ModuleSpec], routes: list[Any]) -> list[RouteConfig]:
    """Validate routes as a configuration is validated; ConfigError as there."""
    with use_registry(Registry(specs)):
        return ErrorRoutes.parse(locate({"routes": routes}, "apps.http.servers.srv0")).routes


def make_compiler(
    rooms: Mapping[str, Answer] | None = None,
    resources: dict[type[Any], Any] | None = None,
    clock: Clock | None = None,
) -> RouteCompiler:
    """Return a compiler that makes every module here, except the handlers of ``rooms``.

    ``resources`` is what a room hands its modules beside the compiler.
    """
    answers = dict(rooms or {})
    resources = dict(resources or {})
    provision = Provision(
        path="",
        revision="test",
        lifetime=Lifetime(),
        clock=clock or ManualClock(),
        metrics=CollectorRegistry(),
        log=structlog.get_logger("test"),
        resources=resources,
    )

    def make_handler(module: ModuleConfig) -> Any:
        if module.spec.terminal:
            return _Fixed(answers[module.spec.name])
        return provision.instantiate(module)

    def make_matcher(module: ModuleConfig) -> Matcher:
        matcher: Matcher = provision.instantiate(module)
        return matcher

    compiler = resources[RouteCompiler] = RouteCompiler(make_handler, make_matcher)
    return compiler


def compile_routes(
    specs: Iterable[ModuleSpec],
    routes: list[Any],
    errors: list[Any] | None = None,
    rooms: Mapping[str, Answer] | None = None,
) -> Next:
    """Return the chain of a server with these routes and error routes."""
    specs = list(specs) + [_terminal(name) for name in rooms or ()]
    recovery = ErrorRoutes(routes=parse_routes(specs, errors)) if errors is not None else None
    return make_compiler(rooms).compile_server(parse_routes(specs, routes), recovery)


def _terminal(name: str) -> ModuleSpec:
    return ModuleSpec(
        id=f"http.handlers.{name}",
        room="elsewhere",
        config="quantum.testing.routing:AnyConfig",
        implementation="",
        terminal=True,
    )


class AnyConfig:
    """The configuration of a handler that a test hands in: whatever it says."""

    @classmethod
    def parse(cls, value: Any) -> Any:
        """Take it as it is."""
        return value
