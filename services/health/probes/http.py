"""A check by an HTTP request (Caddy's ``health_checks.active``)."""

from __future__ import annotations

import ssl
from urllib.parse import urljoin, urlsplit

import aiohttp
import yarl

from quantum.config.pattern import Pattern
from quantum.config.units import NetworkAddress
from services.health.checks import Check
from services.health.probes.expansion import expand

MAX_BODY = 1024 * 1024
"""Bytes of a body that are looked at when the configuration sets no ``max_size``: a health page is small."""
MAX_REDIRECTS = 10
"""As Go's client, and Caddy's checks with it."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpProbe:
    """Sends requests, each on a connection of its own: whether one can be opened is part of the answer."""

    def __init__(self) -> None:
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}
        self._patterns: dict[str, Pattern] = {}

    async def ask(self, check: Check) -> str:
        """Return what is wrong, "" when nothing is. A redirect that is followed goes to the same upstream."""
        target, host, method = check.path, "", check.active.method
        for _ in range(MAX_REDIRECTS):
            async with self._request(check, method, target, host) as response:
                location = response.headers.get("location", "")
                follows = check.active.follow_redirects and response.status in REDIRECTS
                if not (follows and location):
                    return await self._verdict(check, response)
                method = _method_after(response.status, method)
                url = urlsplit(urljoin(f"http://{host or 'upstream'}{target}", location))
                target = (url.path or "/") + (f"?{url.query}" if url.query else "")
                host = "" if url.netloc == "upstream" else url.netloc
        return f"more than {MAX_REDIRECTS} redirects"

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _request(
        self, check: Check, method: str, target: str, host: str
    ) -> aiohttp.client._RequestContextManager:
        active, address = check.active, NetworkAddress.parse(check.target)
        headers = _headers(check)
        if host:
            headers = [(name, value) for name, value in headers if name.lower() != "host"]
            headers.append(("Host", host))
        ssl_context: ssl.SSLContext | bool = check.tls if check.tls is not None else True
        return self._session(address.host if address.is_unix else None).request(
            method,
            yarl.URL(f"{check.origin}{target}", encoded=True),
            headers=headers,
            data=expand(active.body, check.upstream, keep_unknown=True).encode() or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=active.timeout),
            ssl=ssl_context,
            server_hostname=check.server_name,
        )

    async def _verdict(self, check: Check, response: aiohttp.ClientResponse) -> str:
        active = check.active
        if not is_expected(response.status, active.expect_status):
            return f"status {response.status}"
        if active.expect_body:
            text = await _read(response, active.max_size or MAX_BODY)
            if self._pattern(active.expect_body).search(text) is None:
                return "body does not match expect_body"
        return ""

    def _pattern(self, text: str) -> Pattern:
        pattern = self._patterns.get(text)
        if pattern is None:
            pattern = self._patterns[text] = Pattern(text)
        return pattern

    def _session(self, unix_path: str | None) -> aiohttp.ClientSession:
        session = self._sessions.get(unix_path)
        if session is None:
            connector: aiohttp.BaseConnector
            if unix_path is None:
                connector = aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False)
            else:
                path = "\0" + unix_path[1:] if unix_path.startswith("@") else unix_path
                connector = aiohttp.UnixConnector(path, limit=0, force_close=True)
            session = self._sessions[unix_path] = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "Quantum-health"},
            )
        return session


def is_expected(status: int, expected: int | None) -> bool:
    """Whether ``status`` is the code or the class (one digit) that is expected; 2xx if nothing is."""
    if not expected:
        expected = 2
    return status == expected if expected >= 100 else status // 100 == expected


def _headers(check: Check) -> list[tuple[str, str]]:
    found = []
    for name, values in check.active.headers.items():
        name = expand(name, check.upstream)
        is_host = name.lower() == "host"
        found += [
            (name, expand(value, check.upstream, keep_unknown=not is_host))
            for value in (values[:1] if is_host else values)
        ]
    return found


def _method_after(status: int, method: str) -> str:
    """Return the method to follow a redirect with (Go: 307 and 308 keep it)."""
    return method if status in (307, 308) or method == "HEAD" else "GET"


async def _read(response: aiohttp.ClientResponse, limit: int) -> str:
    data = b""
    async for chunk in response.content.iter_chunked(min(limit, 65536)):
        data += chunk
        if len(data) >= limit:
            break
    return data[:limit].decode("utf-8", "surrogateescape")
