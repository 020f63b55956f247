"""The clock that tests move by hand."""

from __future__ import annotations

import asyncio

from quantum.testing.clock import EPOCH, ManualClock, settle


async def test_sleepers_wake_in_the_order_of_their_alarms_each_at_its_time():
    clock, woken = ManualClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2):
            group.create_task(sleeper(seconds))
        await clock.advance(2.5)
        assert woken == [(1, 1), (2, 2)]
        assert clock.sleepers == 1
        await clock.advance(0.5)
    assert woken[-1] == (3, 3)
    assert (clock.now() - EPOCH).total_seconds() == 3


async def test_a_sleeper_that_sleeps_again_is_woken_within_one_advance():
    clock, ticks = ManualClock(), []

    async def ticker():
        for _ in range(3):
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    task = asyncio.get_running_loop().create_task(ticker())
    await clock.advance(10)
    assert ticks == [1, 2, 3]
    assert task.done()


async def test_a_cancelled_sleeper_is_forgotten():
    clock = ManualClock()
    task = asyncio.get_running_loop().create_task(clock.sleep(5))
    await settle()
    task.cancel()
    await settle()
    assert clock.sleepers == 0
    await clock.advance(10)
