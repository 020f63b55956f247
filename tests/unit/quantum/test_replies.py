"""A reply to come: who waits for it is resumed at once, safely, or in the loop's next turn."""

import asyncio

import pytest

from quantum.replies import Carried, Reply, carry
from quantum.tasks import drive
from quantum.testing.clock import settle


class Waiter:
    """Waits for a reply, as a request does."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.answer = Reply[int](self.loop)
        self.outcome: object = None

    async def wait(self) -> None:
        try:
            self.outcome = await self.answer
        except (Exception, asyncio.CancelledError) as error:
            self.outcome = type(error)


@pytest.fixture(params=[drive, carry], ids=["in a task", "carried"])
async def waiter(request):
    waiter = Waiter()
    waiter.task = request.param(waiter.wait(), waiter.loop)
    await settle()
    return waiter


async def test_a_callback_of_the_loop_resumes_the_waiter_before_it_returns(waiter):
    seen = []

    def data_received() -> None:
        waiter.answer.set_result(204)
        seen.append(waiter.outcome)

    waiter.loop.call_soon(data_received)
    await settle()
    assert seen == [204]


async def test_a_task_that_answers_is_not_entered_by_another(waiter):
    waiter.answer.set_result(204)
    assert waiter.outcome is None
    await settle()
    assert waiter.outcome == 204


async def test_a_failure_is_raised_in_the_waiter(waiter):
    waiter.answer.set_exception(ValueError("no"))
    await settle()
    assert waiter.outcome is ValueError


async def test_a_cancelled_task_hears_of_it_and_a_late_answer_harms_nobody(waiter):
    waiter.task.cancel()
    await settle()
    assert waiter.outcome is asyncio.CancelledError
    assert waiter.answer.done()


async def test_an_answer_that_is_there_already_is_not_waited_for():
    waiter = Waiter()
    waiter.answer.set_result(204)
    assert carry(waiter.wait(), waiter.loop) is None
    assert waiter.outcome == 204


async def test_an_answer_between_two_steps_of_its_waiter_is_not_lost():
    waiter = Waiter()
    task = drive(waiter.wait(), waiter.loop)
    waiter.answer.set_result(204)
    async with asyncio.timeout(1):
        await task
    assert waiter.outcome == 204


async def test_a_carried_coroutine_becomes_a_task_when_it_waits_for_anything_else():
    loop, outcome = asyncio.get_running_loop(), []
    first, second = Reply[int](loop), Reply[int](loop)

    async def wait() -> None:
        outcome.append(await first)
        outcome.append(asyncio.current_task())
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            outcome.append(await second)
        outcome.append(asyncio.current_task())

    assert isinstance(carry(wait(), loop), Carried)
    loop.call_soon(first.set_result, 1)
    await settle()
    assert outcome == [1, None]
    loop.call_soon(second.set_result, 2)
    await settle()
    assert outcome[2] == 2
    assert isinstance(outcome[3], asyncio.Task)


async def test_a_reply_after_another_resumes_at_once_too():
    loop, outcome = asyncio.get_running_loop(), []
    replies = [Reply[int](loop) for _ in range(3)]

    async def wait() -> None:
        for reply in replies:
            outcome.append(await reply)  # noqa: PERF401 - one at a time is the point

    carry(wait(), loop)
    for number, reply in enumerate(replies):
        loop.call_soon(reply.set_result, number)
    await settle()
    assert outcome == [0, 1, 2]


async def test_a_failure_is_met_in_a_task_where_timeouts_may_be_used():
    loop, outcome = asyncio.get_running_loop(), []
    reply = Reply[int](loop)

    async def wait() -> None:
        try:
            await reply
        except ValueError:
            async with asyncio.timeout(1):
                outcome.append("failed")

    carry(wait(), loop)
    loop.call_soon(reply.set_exception, ValueError())
    await settle()
    assert outcome == ["failed"]


async def test_cancelling_reaches_what_has_become_a_task():
    loop, outcome = asyncio.get_running_loop(), []
    reply = Reply[int](loop)

    async def wait() -> None:
        await reply
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    carried = carry(wait(), loop)
    loop.call_soon(reply.set_result, 1)
    await settle()
    carried.cancel()
    await settle()
    assert outcome == ["cancelled"]


async def test_an_error_that_a_coroutine_did_not_handle_is_not_the_repliers():
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    reply = Reply[int](loop)

    async def wait() -> None:
        raise KeyError(await reply)

    carry(wait(), loop)
    loop.call_soon(reply.set_result, 1)
    await settle()
    assert [repr(error) for error in told] == ["KeyError(1)"]
