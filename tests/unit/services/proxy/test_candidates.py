"""Backups, zones, the queue, the budget of retries, the quicker upstream."""

import asyncio

import pytest

from quantum.errors import HttpError
from quantum.testing.clock import settle
from services.proxy.config import RetryBudgetConfig
from services.proxy.stages.budget import RetryBudget

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
FIRST = {"selection_policy": {"policy": "first"}}


async def ask_one(bench, ask):
    """Return the address that the next request goes to, and answer it."""
    await bench.start(ask())
    wire = next(wire for wire in bench.wires if wire.received)
    wire.sent()
    await wire.answer(OK)
    return wire.address


async def test_a_backup_serves_only_while_nobody_else_can(bench, ask):
    upstreams = [{"dial": "spare:80", "backup": True}, {"dial": "main:80"}]
    checks = {"active": {"uri": "/h"}}
    await bench.use(upstreams=upstreams, load_balancing=FIRST, health_checks=checks)
    assert await ask_one(bench, ask) == "main:80"
    await bench.stand("main:80", False, "down")
    assert await ask_one(bench, ask) == "spare:80"
    await bench.stand("main:80", True)
    assert await ask_one(bench, ask) == "main:80"


async def test_a_backup_takes_what_the_others_have_no_room_for(bench, ask):
    upstreams = [{"dial": "main:80", "max_requests": 1}, {"dial": "spare:80", "backup": True}]
    await bench.use(upstreams=upstreams)
    await bench.start(ask())
    await bench.start(ask())
    assert [wire.address for wire in bench.wires] == ["main:80", "spare:80"]


async def test_the_own_zone_serves_while_enough_of_it_is_there(bench, ask):
    upstreams = [
        {"dial": "far:80", "zone": "b"},
        {"dial": "near1:80", "zone": "a"},
        {"dial": "near2:80", "zone": "a"},
        {"dial": "near3:80", "zone": "a"},
    ]
    balancing = {**FIRST, "zone_preference": {"zone": "{http.request.header.Zone}"}}
    checks = {"active": {"uri": "/h"}}
    await bench.use(upstreams=upstreams, load_balancing=balancing, health_checks=checks)

    def asking():
        return ask("GET", "/", b"", (b"zone", b"a"))

    assert await ask_one(bench, asking) == "near1:80"
    await bench.stand("near1:80", False, "down")
    assert await ask_one(bench, asking) == "near2:80"
    await bench.stand("near2:80", False, "down")
    assert await ask_one(bench, asking) == "far:80"
    assert await ask_one(bench, ask) == "far:80"


async def test_weights_go_with_the_upstreams_that_have_them(bench, ask):
    upstreams = [{"dial": "a:80", "weight": 3}, {"dial": "b:80"}, {"dial": "c:80", "weight": 0}]
    balancing = {"selection_policy": {"policy": "weighted_round_robin"}}
    await bench.use(upstreams=upstreams, load_balancing=balancing)
    asked = [await ask_one(bench, ask) for _ in range(8)]
    assert (asked.count("a:80"), asked.count("b:80"), asked.count("c:80")) == (6, 2, 0)


def queueing(**queue):
    return {
        "upstreams": [{"dial": "up1:80", "max_requests": 1}],
        "load_balancing": {"queue": queue},
    }


async def test_requests_wait_in_turn_while_everybody_is_full(bench, ask):
    await bench.use(**queueing(timeout="5s"))
    tasks = [await bench.start(ask("GET", f"/{number}")) for number in range(4)]
    wire = bench.wires[0]
    for number in range(4):
        assert wire.sent().startswith(b"GET /%d " % number)
        await wire.answer(OK)
    assert [(await task).status for task in tasks] == [200] * 4
    assert len(bench.wires) == 1


async def test_a_wait_ends_with_503_at_its_deadline(bench, ask):
    await bench.use(**queueing(timeout="50ms"))
    await bench.start(ask())
    with pytest.raises(HttpError) as caught:
        await (await bench.start(ask()))
    assert (caught.value.status, "full" in caught.value.reason) == (503, True)


async def test_a_full_line_turns_away_at_once(bench, ask):
    await bench.use(**queueing(timeout="5s", max=1))
    first = await bench.start(ask())
    waiting = await bench.start(ask())
    refused = await bench.start(ask())
    assert refused.done()
    with pytest.raises(HttpError):
        await refused
    await bench.wires[0].answer(OK)
    await first
    await bench.wires[0].answer(OK)
    assert (await waiting).status == 200


async def test_who_leaves_the_line_blocks_nobody_behind(bench, ask):
    await bench.use(**queueing(timeout="5s"))
    first = await bench.start(ask("GET", "/first"))
    leaving = await bench.start(ask("GET", "/leaving"))
    last = await bench.start(ask("GET", "/last"))
    leaving.cancel()
    await settle()
    bench.wires[0].sent()
    await bench.wires[0].answer(OK)
    await first
    assert bench.wires[0].sent().startswith(b"GET /last ")
    await bench.wires[0].answer(OK)
    assert (await last).status == 200
    assert (await asyncio.gather(leaving, return_exceptions=True))[0].__class__ is (
        asyncio.CancelledError
    )


async def test_nobody_waits_for_an_upstream_that_is_down(bench, ask):
    checks = {"active": {"uri": "/h"}}
    await bench.use(**queueing(timeout="5s"), health_checks=checks)
    await bench.stand("up1:80", False, "down")
    task = await bench.start(ask())
    assert task.done()
    with pytest.raises(HttpError):
        await task


def test_a_budget_allows_a_share_and_always_a_few():
    budget = RetryBudget(RetryBudgetConfig(share=0.2, min=3))
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]
    for _ in range(25):
        budget.note(1.0)
    assert [budget.take(1.0) for _ in range(3)] == [True, True, False]
    assert budget.take(10.5)  # the first second has passed out of sight
    assert sum(budget.take(30.0) for _ in range(10)) == 3


async def test_retries_stop_when_the_budget_is_spent(bench, ask):
    balancing = {"retries": 5, "retry_budget": {"share": 0, "min": 2}}
    await bench.use(load_balancing=balancing)
    bench.refusing["up1:80"] = OSError(111, "refused")
    with pytest.raises(HttpError):
        await (await bench.start(ask()))
    assert bench.handler.roster.members[0].upstream.failed == 3
    with pytest.raises(HttpError):
        await (await bench.start(ask()))
    assert bench.handler.roster.members[0].upstream.failed == 4


async def test_the_quicker_upstream_gets_most_and_the_slow_one_is_tried_again(bench, ask):
    upstreams = [{"dial": "quick:80"}, {"dial": "slow:80"}]
    balancing = {"selection_policy": {"policy": "peak_ewma", "decay": "1s"}}
    await bench.use(upstreams=upstreams, load_balancing=balancing)
    quick, slow = (member.upstream for member in bench.handler.roster.members)
    policy, members = bench.handler._policy, bench.handler.roster.members
    now = [100.0]
    policy._loop = type("Loop", (), {"time": lambda self: now[0]})()
    chosen = []
    for _ in range(200):
        now[0] += 0.01
        upstream = policy.choose(members, ask()).upstream
        upstream.answered(200, 0.005 if upstream is quick else 0.5, now[0])
        chosen.append(upstream)
    assert chosen.count(quick) > 190
    now[0] += 10  # nobody asked the slow one: what is held against it fades
    assert slow in {policy.choose(members, ask()).upstream for _ in range(20)}


async def test_a_busy_upstream_counts_as_slower(bench, ask):
    upstreams = [{"dial": "a:80"}, {"dial": "b:80", "weight": 10}]
    await bench.use(
        upstreams=upstreams, load_balancing={"selection_policy": {"policy": "peak_ewma"}}
    )
    members = bench.handler.roster.members
    for member in members:
        member.upstream.answered(200, 0.01, 0)
        member.upstream.in_flight = 5
    assert {bench.handler._policy.choose(members, ask()).address for _ in range(9)} == {"b:80"}
    members[1].upstream.in_flight = 100
    assert {bench.handler._policy.choose(members, ask()).address for _ in range(9)} == {"a:80"}
