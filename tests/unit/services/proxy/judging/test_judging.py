"""What a proxy concludes from its own requests: outliers, breakers, panic, slow start, the report."""

import asyncio
import collections

import pytest

from quantum.errors import HttpError
from quantum.testing.clock import settle
from services.proxy.service import ProxyService
from tests.unit.services.proxy.conftest import make_request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BAD = b"HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n"
UPSTREAMS = [{"dial": f"up{n}:80"} for n in range(3)]
ROUND_ROBIN = {"selection_policy": {"policy": "round_robin"}}


async def ask_many(bench, count, answers, *, seconds=0.0):
    """Send requests one after the other; return how many each upstream got."""
    seen = collections.Counter()
    for _ in range(count):
        before = len(bench.wires)
        task = await bench.start(make_request())
        if task.done():
            await task
            continue
        [wire] = [w for w in bench.wires[before:] or bench.wires if w.received]
        wire.sent()
        seen[wire.address] += 1
        if seconds:
            await asyncio.sleep(seconds)
        await wire.answer(answers.get(wire.address, OK))
        await task
    return seen


def rows(bench):
    return {row["address"]: row for row in bench.service.report()}


async def until(question, seconds=4.0):
    async with asyncio.timeout(seconds):
        while not question():
            await asyncio.sleep(0.02)


async def test_an_upstream_that_fails_more_than_the_others_is_ejected_and_comes_back(bench):
    await bench.use(
        upstreams=UPSTREAMS,
        load_balancing=ROUND_ROBIN,
        health_checks={"outlier": {"min_requests": 5, "eject_for": "1s", "window": "1s"}},
    )
    await ask_many(bench, 24, {"up1:80": BAD})
    await until(lambda: rows(bench)["up1:80"]["state"] == "ejected")
    assert "requests failed" in rows(bench)["up1:80"]["reason"]
    assert set(await ask_many(bench, 6, {})) == {"up0:80", "up2:80"}
    await until(lambda: rows(bench)["up1:80"]["state"] == "healthy")
    assert len(await ask_many(bench, 6, {})) == 3


async def test_a_breaker_opens_and_lets_one_trial_through(bench):
    breaker = {"min_requests": 3, "max_error_rate": 0.5, "open_for": "150ms", "trials": 1}
    await bench.use(
        upstreams=UPSTREAMS[:2],
        load_balancing=ROUND_ROBIN,
        health_checks={"circuit_breaker": breaker},
    )
    await ask_many(bench, 6, {"up1:80": BAD})
    assert rows(bench)["up1:80"]["state"] == "open"
    assert await ask_many(bench, 4, {}) == {"up0:80": 4}
    await until(lambda: rows(bench)["up1:80"]["state"] == "half_open")
    seen = await ask_many(bench, 4, {"up1:80": BAD})
    assert seen["up1:80"] == 1
    assert rows(bench)["up1:80"]["state"] == "open"
    await until(lambda: rows(bench)["up1:80"]["state"] == "half_open")
    await ask_many(bench, 4, {})
    assert rows(bench)["up1:80"]["state"] == "healthy"


async def test_while_a_trial_is_under_way_a_half_open_breaker_lets_nobody_else_through(bench):
    breaker = {"min_requests": 3, "max_error_rate": 0.5, "open_for": "100ms", "trials": 2}
    await bench.use(
        upstreams=UPSTREAMS[:2],
        load_balancing=ROUND_ROBIN,
        health_checks={"circuit_breaker": breaker},
    )
    await ask_many(bench, 6, {"up1:80": BAD})
    await until(lambda: rows(bench)["up1:80"]["state"] == "half_open")
    together = [await bench.start(make_request()) for _ in range(6)]
    asked = [wire for wire in bench.wires if wire.received]
    assert [wire.address for wire in asked].count("up1:80") == 1
    for wire in asked:
        await wire.answer(OK)
    await asyncio.gather(*together)


async def test_with_too_few_healthy_ones_health_is_ignored_only_if_that_is_configured(bench):
    checks = {"active": {"uri": "/h"}, "panic_threshold": 0.5}
    await bench.use(upstreams=UPSTREAMS, load_balancing=ROUND_ROBIN, health_checks=checks)
    await bench.stand("up0:80", False, "sick")
    assert set(await ask_many(bench, 6, {})) == {"up1:80", "up2:80"}
    await bench.stand("up1:80", False, "sick")
    assert len(await ask_many(bench, 6, {})) == 3
    assert rows(bench)["up0:80"]["panic"]
    await bench.use("r2", upstreams=UPSTREAMS, health_checks={"active": {"uri": "/h"}})
    for upstream in UPSTREAMS:
        await bench.stand(upstream["dial"], False, "sick")
    with pytest.raises(HttpError) as refused:
        await bench.handler.handle(make_request())
    assert refused.value.status == 503


async def test_who_comes_back_gets_its_share_little_by_little(bench):
    checks = {"active": {"uri": "/h"}, "slow_start": {"duration": "600ms", "min_share": 0.1}}
    await bench.use(upstreams=UPSTREAMS[:2], load_balancing=ROUND_ROBIN, health_checks=checks)
    await bench.stand("up1:80", False, "sick")
    await bench.stand("up1:80", True)
    assert rows(bench)["up1:80"]["state"] == "warming"
    first = await ask_many(bench, 100, {})
    assert first["up1:80"] < 35
    await until(lambda: rows(bench)["up1:80"]["state"] == "healthy")
    after = await ask_many(bench, 100, {})
    assert after["up1:80"] == 50


async def test_an_upstream_that_was_never_away_needs_no_warming(bench):
    await bench.use(upstreams=UPSTREAMS, health_checks={"slow_start": {"duration": "1m"}})
    assert {row["state"] for row in bench.service.report()} == {"healthy"}


async def test_the_report_counts_what_all_processes_do(bench, tmp_path):
    from quantum.bus.memory import MemoryBus
    from quantum.testing.context import make_context

    await bench.use(upstreams=UPSTREAMS[:1])
    other = ProxyService(
        make_context(
            "proxy",
            tmp_path / "other",
            registry=bench.registry,
            bus=MemoryBus(bench.context.bus.server),
            clock=bench.context.clock,
        )
    )
    other._figures._process = "another"
    await other.start()
    upstream = other._upstreams.join("up0:80")
    upstream.in_flight = 4
    upstream.answered(200, 0.25, 0.0)
    await ask_many(bench, 3, {})
    await bench.context.clock.advance(1.1)
    await settle()
    [row] = bench.service.report()
    assert (row["processes"], row["num_requests"], row["requests"]) == (2, 4, 4)
    assert 0.2 < row["latency"]["p99"] < 0.3
    await other.stop(0)
    await bench.context.clock.advance(13)
    assert bench.service.report()[0]["processes"] == 1


async def test_the_metrics_of_an_upstream_tell_codes_latency_and_ejections(bench):
    await bench.use(
        upstreams=UPSTREAMS[:1],
        health_checks={"passive": {"fail_duration": "1m", "unhealthy_status": [5], "max_fails": 1}},
    )
    await ask_many(bench, 1, {"up0:80": BAD})
    sample = bench.context.metrics.get_sample_value
    label = {"upstream": "up0:80"}
    assert sample("quantum_proxy_upstream_answers_total", label | {"class": "5xx"}) == 1
    assert sample("quantum_proxy_upstream_ejections_total", label) == 1
    assert sample("quantum_proxy_upstream_strikes_total", label) == 1
    assert sample("quantum_proxy_upstream_response_seconds_bucket", label | {"le": "+Inf"}) == 1
