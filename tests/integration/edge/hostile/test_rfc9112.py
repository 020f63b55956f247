"""RFC 9112 and what of RFC 9110 is about the connection, section by section: bytes, and what must come."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.integration.edge.conftest import Edge
from tests.integration.edge.hostile.rfc9112 import GROUPS, Case

SILENCE_SECONDS = 0.6
_STATUS = re.compile(rb"(?:\A|hello|\d|\r\n\r\n)HTTP/1\.1 (\d{3}) ")


async def talk(port: int, data: bytes) -> tuple[tuple[int, ...], bool]:
    """Send; return the final statuses, and whether the connection was kept."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    received, is_kept = b"", False
    try:
        while True:
            try:
                piece = await asyncio.wait_for(reader.read(65536), SILENCE_SECONDS)
            except TimeoutError:
                is_kept = True
                break
            if not piece:
                break
            received += piece
    finally:
        writer.transport.abort()
    statuses = (int(status) for status in _STATUS.findall(received))
    return tuple(status for status in statuses if status >= 200), is_kept


async def try_out(port: int, case: Case) -> str:
    """Return what is wrong, "" when all is well."""
    came = await talk(port, case.data)
    expected = case.statuses, case.is_kept
    return "" if came == expected else f"{case.id}: {came} instead of {expected}"


@pytest.mark.parametrize("cases", GROUPS.values(), ids=GROUPS.keys())
async def test_bytes_and_what_must_come_of_them(edge: Edge, cases: list[Case]) -> None:
    wrong = await asyncio.gather(*(try_out(edge.port, case) for case in cases))
    assert "\n".join(filter(None, wrong)) == ""
