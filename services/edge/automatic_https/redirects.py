"""The routes that automatic HTTPS adds: from HTTP to the same place over HTTPS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quantum.http.handler import Next
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders.request import split_host
from quantum.http.route import RouteCompiler, end_of_chain, recovering
from services.edge.automatic_https import Redirect, ServerPlan
from services.edge.config import Server
from services.edge.matchers.host import host_of, literal_hosts

PERMANENT_REDIRECT = 308
"""The method and the body stay as they were (RFC 9110 §15.4.9)."""


def compile_server(compiler: RouteCompiler, server: Server, plan: ServerPlan) -> Next:
    """Return the chain of a server: its routes, the redirects among them, its error routes."""
    chain = compiler.compile(server.routes[plan.position :])
    if plan.redirects:
        chain = redirecting(plan.redirects, chain)
    chain = compiler.compile(server.routes[: plan.position], end=chain)
    if server.errors is None or not server.errors.routes:
        return chain
    return recovering(chain, compiler.compile(server.errors.routes), restore=True)


def redirecting(redirects: tuple[Redirect, ...], following: Next = end_of_chain) -> Next:
    """Return the link that redirects requests over HTTP; others, and other hosts, go on."""
    choices: list[tuple[Callable[[str], bool] | None, int]] = [
        (literal_hosts(list(redirect.hosts)) if redirect.hosts else None, redirect.port)
        for redirect in redirects
    ]

    def route(request: Request) -> Awaitable[Response]:
        if request.connection.scheme == "http":
            host = host_of(request)
            for is_meant, port in choices:
                if is_meant is None or is_meant(host):
                    return _redirect(request, port)
        return following(request)

    return route


async def _redirect(request: Request, port: int) -> Response:
    host = split_host(request.authority)[0]
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    location = f"https://{place}{request.target}".encode("utf-8", "surrogateescape")
    return Response(PERMANENT_REDIRECT, Headers([(b"location", location)]), close=True)
