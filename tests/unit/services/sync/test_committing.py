"""The changes of one call end one by one; the call ends with the last."""

import asyncio

import pytest

from services.sync.share.committing import Committed, Ends


async def test_a_call_ends_with_its_last_change_and_has_each_end_in_its_place():
    ends, refusal = Ends(3), ValueError("refused")
    waiting = asyncio.ensure_future(ends.all())
    ends.end(2, Committed("c", 2))
    ends.end(0, refusal)
    await asyncio.sleep(0)
    assert not waiting.done()
    ends.end(1, Committed("b", 3))
    assert await waiting == [refusal, Committed("b", 3), Committed("c", 2)]


async def test_what_is_said_first_of_a_change_counts():
    ends = Ends(1)
    ends.end(0, Committed("a", 1))
    ends.end(0, ValueError("the process ends"))
    assert await ends.all() == [Committed("a", 1)]


async def test_a_caller_that_goes_stops_nothing():
    ends = Ends(1)
    waiting = asyncio.ensure_future(ends.all())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ends.end(0, Committed("a", 1))
    assert await ends.all() == [Committed("a", 1)]
