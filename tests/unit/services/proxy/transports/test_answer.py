"""The answer to come: who waits for it is resumed at once, safely, or in the loop's next turn."""

import asyncio

import pytest

from quantum.http.message import Response
from quantum.tasks import drive
from quantum.testing.clock import settle
from services.proxy.transports.answer import Answer


class Waiter:
    """Waits for an answer in a task, as a request does."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.answer = Answer(self.loop)
        self.outcome: object = None

    async def wait(self) -> None:
        try:
            self.outcome = (await self.answer).status
            self.outcome = (self.outcome, asyncio.current_task() is not None)
        except (Exception, asyncio.CancelledError) as error:
            self.outcome = type(error)


@pytest.fixture
async def waiter():
    waiter = Waiter()
    waiter.task = drive(waiter.wait(), waiter.loop)
    await settle()
    return waiter


async def test_a_callback_of_the_loop_resumes_the_waiter_before_it_returns(waiter):
    seen = []

    def data_received() -> None:
        waiter.answer.set_result(Response(204))
        seen.append(waiter.outcome)

    waiter.loop.call_soon(data_received)
    await settle()
    assert seen == [(204, True)]


async def test_a_task_that_answers_is_not_entered_by_another(waiter):
    waiter.answer.set_result(Response(204))
    assert waiter.outcome is None
    await settle()
    assert waiter.outcome == (204, True)


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
    waiter.answer.set_result(Response(204))
    assert drive(waiter.wait(), waiter.loop) is None
    assert waiter.outcome == (204, True)


async def test_an_answer_between_two_steps_of_its_waiter_is_not_lost():
    waiter = Waiter()
    task = drive(waiter.wait(), waiter.loop)
    waiter.answer.set_result(Response(204))
    async with asyncio.timeout(1):
        await task
    assert waiter.outcome == (204, True)
