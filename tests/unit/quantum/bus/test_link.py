"""A cancellation ends what waits for the bus, whatever arrives with it."""

import asyncio

import pytest
from nats.aio.client import Client

from quantum.bus.nats.link import Session


@pytest.mark.parametrize("reply", ["answer", OSError("no answer")])
async def test_a_cancellation_in_the_turn_of_the_reply_is_heard(reply):
    replied = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()

    async def operation(session):
        begun.set()
        return await asyncio.wait_for(replied, 5)

    task = asyncio.get_running_loop().create_task(Session(Client()).run(operation))
    await begun.wait()
    if isinstance(reply, str):
        replied.set_result(reply)
    else:
        replied.set_exception(reply)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_end_of_a_session_is_a_timeout_and_no_cancellation():
    session = Session(Client())
    running = asyncio.get_running_loop().create_task(session.run(lambda _: asyncio.sleep(5)))
    await asyncio.sleep(0)
    session.end()
    with pytest.raises(TimeoutError):
        await running
