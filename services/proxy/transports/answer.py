"""The answer to come, as something to await that resumes its waiter at once.

A Future wakes its task in the next turn of the loop. Between the last byte of an answer and its first
byte to the client that turn is pure delay, and it costs a poll of the selector. ``Answer`` speaks the
protocol that ``asyncio.Task`` asks of what it awaits (PEP 3156's ``_asyncio_future_blocking``), and
calls the task's wake-up directly. That is allowed where no task is running, as in the callbacks of a
transport; elsewhere, and for failures, it goes through the loop as a Future does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any

from quantum.http.message import Response

Wake = Callable[["Answer"], object]


class Answer:
    """One response to come. One waiter, once."""

    __slots__ = (
        "_asyncio_future_blocking", "_context", "_error", "_is_done", "_loop", "_response", "_wake",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._wake: Wake | None = None
        self._context: Context | None = None
        self._response: Response | None = None
        self._error: BaseException | None = None
        self._is_done = False

    def __await__(self) -> Generator[Answer, None, Response]:
        if not self._is_done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    # What the connection calls.

    def done(self) -> bool:
        """Whether nothing more can be set."""
        return self._is_done

    def set_result(self, response: Response) -> None:
        """Answer, and run the waiter now if no task is running. MUST be the caller's last step."""
        self._response = response
        self._is_done = True
        if self._context is None or asyncio.current_task(self._loop) is not None:
            self._wake_later()
            return
        wake, self._wake = self._wake, None
        if wake is not None:
            self._context.run(wake, self)

    def set_exception(self, error: BaseException) -> None:
        """Fail; the waiter runs in the next turn of the loop."""
        self._error = error
        self._is_done = True
        self._wake_later()

    def _wake_later(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            self._loop.call_soon(wake, self, context=self._context)

    # What a task asks of it.

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

    def cancel(self, msg: Any = None) -> bool:
        """Let the waiter be cancelled."""
        if self._is_done:
            return False
        self.set_exception(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True

    def result(self) -> Response:
        """Return the response, or raise what was set."""
        if self._error is not None:
            raise self._error
        assert self._response is not None
        return self._response
