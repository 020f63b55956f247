"""Waiting for a reply without a task: what most requests do, once, and nothing else.

A Future wakes its task in the next turn of the loop. Between the last byte of an answer and its first
byte to the client that turn is pure delay, and the task costs as much as parsing a head. ``Reply`` is
resumed at once by whoever sets it, and ``carry`` steps a coroutine that waits for replies only; when
it waits for anything else, or a reply fails, a task carries on with it, as ``tasks.drive`` would.

Resuming at once is allowed where no task is running, as in the callbacks of a transport; elsewhere,
and for failures, it goes through the loop as a Future does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

from quantum.tasks import resume_in_task

T = TypeVar("T")
Wake = Callable[["Reply[Any]"], object]


class Reply(Generic[T]):
    """One value to come. One waiter, once.

    A task may wait for it too: it speaks the protocol that ``asyncio.Task`` asks of what it awaits
    (PEP 3156's ``_asyncio_future_blocking``).
    """

    __slots__ = (
        "_asyncio_future_blocking", "_carried", "_context", "_error", "_is_done", "_loop", "_value",
        "_wake",
    )  # fmt: skip

    _value: T

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = self._is_done = False
        self._loop = loop
        self._carried: Carried | None = None
        self._wake: Wake | None = None
        self._context: Context | None = None
        self._error: BaseException | None = None

    def __await__(self) -> Generator[Reply[T], None, T]:
        if not self._is_done:
            self._asyncio_future_blocking = True
            yield self
        if self._error is not None:
            raise self._error
        return self._value

    # What the one who knows calls.

    def done(self) -> bool:
        """Whether nothing more can be set."""
        return self._is_done

    def set_result(self, value: T) -> None:
        """Reply, and run the waiter now if no task is running. MUST be the caller's last step."""
        self._value = value
        self._is_done = True
        carried = self._carried
        if carried is not None:
            if asyncio.current_task(self._loop) is None:
                self._carried = None
                carried.step()
            else:
                self._loop.call_soon(carried.step)
        elif self._wake is not None:
            if self._context is None or asyncio.current_task(self._loop) is not None:
                self._wake_later()
                return
            wake, self._wake = self._wake, None
            self._context.run(wake, self)

    def set_exception(self, error: BaseException) -> None:
        """Fail; the waiter runs in the next turn of the loop, in a task."""
        self._error = error
        self._is_done = True
        carried, self._carried = self._carried, None
        if carried is not None:
            self._asyncio_future_blocking = True  # as the task that begins to wait for it expects
            carried.become_task(self)
        else:
            self._wake_later()

    def cancel(self, msg: Any = None) -> bool:
        """Let the waiter be cancelled."""
        if self._is_done:
            return False
        self.set_exception(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True

    def _wake_later(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            self._loop.call_soon(wake, self, context=self._context)

    # What waits for it.

    def resume(self, carried: Carried) -> None:
        """Step ``carried`` when it is there, which MUST NOT be already."""
        self._asyncio_future_blocking = False
        self._carried = carried

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop it belongs to."""
        return self._loop

    def add_done_callback(self, wake: Wake, *, context: Context | None = None) -> None:
        """Call ``wake`` when it is done."""
        self._wake, self._context = wake, context
        if self._is_done:
            self._wake_later()

    def remove_done_callback(self, wake: Wake) -> int:
        """Do not call it after all."""
        had = self._wake is not None
        self._wake = None
        return int(had)

    def result(self) -> T:
        """Return the value, or raise what was set."""
        if self._error is not None:
            raise self._error
        return self._value


class Carried:
    """A coroutine that waits for a reply, or the task it has become."""

    __slots__ = ("_coroutine", "_loop", "_reply", "_task")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        reply: Reply[Any],
    ) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._reply: Reply[Any] | None = reply
        self._task: asyncio.Task[None] | None = None
        reply.resume(self)

    def step(self) -> None:
        """Go on: the reply is there."""
        self._reply = None
        try:
            waiting = self._coroutine.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - who replied is not to blame
            message = "a carried coroutine did not handle its own error"
            self._loop.call_exception_handler({"message": message, "exception": error})
            return
        if waiting.__class__ is Reply:
            self._reply = waiting
            waiting.resume(self)
        else:
            self.become_task(waiting)

    def become_task(self, waiting: Any) -> None:
        """Let a task carry on with the coroutine, which waits for ``waiting``."""
        self._reply = None
        self._task = self._loop.create_task(resume_in_task(self._coroutine, waiting))

    def cancel(self) -> None:
        """Raise CancelledError where it waits; one that has ended, or is being stepped, goes on."""
        if self._task is not None:
            self._task.cancel()
        elif self._reply is not None:
            self._reply.cancel()


def carry(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
) -> Carried | asyncio.Task[None] | None:
    """Step ``coroutine`` now; return None if it ended, else what may be cancelled.

    As ``tasks.drive``: the coroutine MUST handle its own errors, and MUST NOT use ``asyncio.timeout``
    or a TaskGroup before it waited for something that is no Reply, or for a Reply that failed.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration:
        return None
    if waiting.__class__ is Reply:
        return Carried(coroutine, loop, waiting)
    return loop.create_task(resume_in_task(coroutine, waiting))
