"""RFC 9114, 9204 and 9220, section by section: bytes on streams, and what must come of them.

An error of the connection is CONNECTION_CLOSE with its code. An error of a stream is RESET_STREAM or
STOP_SENDING with its code, and the connection goes on; a malformed message may be answered with 400.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.edge.conftest import Edge
from tests.integration.edge.hostile.h3 import Peer, connected, headers
from tests.integration.edge.hostile.rfc9114 import GROUPS, REQUEST, Case

AT_ONCE = 8


def outcome(peer: Peer) -> tuple[str, int]:
    """Say what came of a case."""
    if peer.code is not None:
        return "connection", peer.code
    status = peer.status(REQUEST)
    if status is not None:
        return "answer", status
    code = peer.resets.get(REQUEST, peer.stops.get(REQUEST))
    return ("nothing", 0) if code is None else ("stream", code)


async def try_out(port: int, case: Case) -> str:
    """Return what is wrong, "" when all is well."""
    async with connected(port) as peer:
        for stream, data, end in case.parts:
            peer.put(stream, data, end=end)
        await peer.settle()
        if case.reset is not None:
            peer.reset(case.reset)
            await peer.settle()
        came = outcome(peer)
        if came not in case.outcome:
            return f"{case.id}: {came} instead of {sorted(case.outcome)}"
        if peer.code is None:
            peer.put(40, headers(), end=True)
            await peer.settle()
            if peer.status(40) != 200:
                return f"{case.id}: the connection did not go on"
    return ""


@pytest.mark.parametrize("cases", GROUPS.values(), ids=GROUPS.keys())
async def test_bytes_and_what_must_come_of_them(edge: Edge, cases: list[Case]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> str:
        async with gate:
            return await try_out(edge.tls_port, case)

    wrong = await asyncio.gather(*map(one, cases))
    assert "\n".join(filter(None, wrong)) == ""
