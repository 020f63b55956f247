"""Asking an upstream how it is: one HTTP request, one sample."""

from __future__ import annotations

import re
from collections.abc import Callable

import aiohttp

from services.health.checks import Check
from services.health.verdict import Sample

MAX_BODY = 1024 * 1024
"""Bytes of a body that are looked at when the configuration sets no ``max_size``: a health page is small."""


class Prober:
    """Sends checks. Each on a connection of its own: whether one can be opened is part of the answer."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is a monotonic clock, for the time a check took."""
        self._now = now
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}

    async def probe(self, check: Check) -> Sample:
        """Return a sample, whatever happens; never later than the check's timeout."""
        began = self._now()
        try:
            reason = await self._ask(check)
        except TimeoutError:
            reason = f"no answer within {check.active.timeout:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
        return Sample(not reason, reason, self._now() - began)

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _ask(self, check: Check) -> str:
        """Return what is wrong, "" when nothing is."""
        active = check.active
        async with self._session(check.unix_path).request(
            active.method,
            check.url,
            headers=[(name, value) for name, values in active.headers.items() for value in values],
            data=active.body.encode() or None,
            allow_redirects=active.follow_redirects,
            timeout=aiohttp.ClientTimeout(total=active.timeout),
            ssl=check.tls if check.tls is not None else True,
            server_hostname=check.server_name,
        ) as response:
            if not is_expected(response.status, active.expect_status):
                return f"status {response.status}"
            if active.expect_body:
                text = await self._read(response, active.max_size or MAX_BODY)
                if re.search(active.expect_body, text) is None:
                    return "body does not match expect_body"
        return ""

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> str:
        data = b""
        async for chunk in response.content.iter_chunked(min(limit, 65536)):
            data += chunk
            if len(data) >= limit:
                break
        return data[:limit].decode(errors="replace")

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
    if expected is None:
        expected = 2
    return status == expected if expected >= 100 else status // 100 == expected
