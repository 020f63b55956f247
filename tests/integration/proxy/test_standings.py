"""Proxy and health together: what is sick gets no requests, what recovers gets them again."""

import asyncio
import time

import pytest

from quantum.errors import HttpError


class Sick:
    """An upstream that a test makes ill and well."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.is_ill = False

    async def __call__(self, reader, writer):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            status = b"500 Ill" if self.is_ill else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 1\r\n\r\n" + self.name)


async def until(question, seconds=30.0):
    began = time.monotonic()
    while not question():
        assert time.monotonic() - began < seconds, "it did not come to pass"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_the_proxy_obeys_the_health_room_within_a_second(platform):
    a, b = Sick(b"a"), Sick(b"b")
    dials = [await platform.upstream(a), await platform.upstream(b)]
    await platform.use(
        *dials,
        load_balancing={"selection_policy": {"policy": "round_robin"}},
        health_checks={"active": {"uri": "/health", "interval": "100ms", "timeout": "1s"}},
    )
    await asyncio.sleep(0.1)
    assert {(await platform.ask()).body for _ in range(4)} == {b"a", b"b"}
    a.is_ill = True

    def healthy():
        return [row["healthy"] for row in platform.proxy.report()]

    assert await until(lambda: healthy() == [False, True]) < 1.0
    assert {(await platform.ask()).body for _ in range(4)} == {b"b"}
    assert platform.proxy.report()[0]["reason"] == "status 500"
    a.is_ill = False
    await until(lambda: healthy() == [True, True])
    assert {(await platform.ask()).body for _ in range(4)} == {b"a", b"b"}


async def test_a_failed_request_makes_the_check_run_long_before_its_interval(platform):
    writers = []

    async def closing(reader, writer):
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    dial = await platform.upstream(closing)
    await platform.use(
        dial, health_checks={"active": {"uri": "/", "interval": "10m", "timeout": "1s"}}
    )
    await until(lambda: len(writers) == 1)
    await asyncio.sleep(0.3)
    await platform.stack.aclose()
    with pytest.raises(HttpError, match="refused"):
        await platform.ask()
    await until(lambda: not platform.proxy.report()[0]["healthy"])


async def test_expected_status_body_and_headers_are_looked_at(platform):
    seen = []

    async def page(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        writer.write(b"HTTP/1.1 418 Teapot\r\nContent-Length: 9\r\n\r\nall right")

    dial = await platform.upstream(page)
    await platform.use(
        dial,
        health_checks={
            "active": {
                "uri": "/h?deep=1",
                "method": "POST",
                "headers": {"Host": ["check.example"], "X-Check": ["yes"]},
                "expect_status": 4,
                "expect_body": "^all r",
                "interval": "50ms",
            }
        },
    )
    await until(lambda: len(seen) >= 2)
    assert platform.proxy.report()[0]["healthy"]
    assert seen[0].startswith(b"POST /h?deep=1 HTTP/1.1\r\n")
    assert b"Host: check.example\r\n" in seen[0]
    assert b"X-Check: yes\r\n" in seen[0]
    await platform.use(
        dial,
        revision="r2",
        health_checks={"active": {"expect_status": 4, "expect_body": "wrong", "interval": "50ms"}},
    )
    await until(lambda: platform.proxy.report()[0]["reason"] == "body does not match expect_body")
