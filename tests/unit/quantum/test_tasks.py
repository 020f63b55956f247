"""Coroutines that run until they first wait, and tasks that carry on with them."""

from __future__ import annotations

import asyncio

import pytest

from quantum.replies import carry
from quantum.tasks import drive


@pytest.mark.parametrize("start", [drive, carry])
async def test_a_cancellation_before_the_first_turn_reaches_the_coroutine(start) -> None:
    heard = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            heard.append("cancelled")
            await asyncio.sleep(0)  # what it closes may take a moment
            heard.append("closed")
            raise

    task = start(work(), asyncio.get_running_loop())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == ["cancelled", "closed"]


@pytest.mark.parametrize("start", [drive, carry])
async def test_a_coroutine_may_go_on_in_spite_of_a_cancellation(start) -> None:
    done = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        done.append(True)

    task = start(work(), asyncio.get_running_loop())
    task.cancel()
    await task
    assert done


@pytest.mark.parametrize("start", [drive, carry])
async def test_what_never_waits_needs_no_task(start) -> None:
    async def work() -> None:
        pass

    assert start(work(), asyncio.get_running_loop()) is None
