"""Starting coroutines: the only door to asyncio's tasks.

Two ways exist. ``TaskSet.start`` owns a long-lived task: it keeps a reference (asyncio does not),
logs what fails and cancels what is left when its owner closes. ``drive`` runs one request: it takes
the first step at once, so that a handler that never waits costs no task at all. A request that waits
for one reply needs no task either: see ``quantum.replies``.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar, cast

import structlog

T = TypeVar("T")
_log = structlog.get_logger("quantum.tasks")


class TaskSet:
    """The running tasks of one owner. ``aclose`` cancels them and waits until they are gone."""

    def __init__(
        self, name: str, on_failure: Callable[[BaseException], None] | None = None
    ) -> None:
        self._name = name
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """Start ``coroutine``; a failure is logged and reported to the set's ``on_failure``."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine, name=f"{self._name}:{name}" if name else self._name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (failure := task.exception()) is None:
            return
        _log.error("task_failed", task=task.get_name(), exc_info=failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    async def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for all tasks to end by themselves; True when none is left."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        return not self._tasks

    async def aclose(self) -> None:
        """Cancel what still runs and wait for it. Idempotent; MUST NOT be called by an own task."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, T], *waits: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that was already stepped and now waits for the last of ``waits``."""
    try:
        yield from waits
    except BaseException as error:  # noqa: BLE001 - cancellation: the coroutine must hear of it
        try:
            yielded = coroutine.throw(error)
        except StopIteration as stop:
            return cast("T", stop.value)
        return (yield from _resume(coroutine, yielded))
    result: T = yield from coroutine
    return result


async def _resumed(coroutine: Coroutine[Any, Any, T], yielded: Any) -> T:
    return await _resume(coroutine, None, yielded)


def resume_in_task(coroutine: Coroutine[Any, Any, T], yielded: Any) -> Coroutine[Any, Any, T]:
    """Return what a task goes on with a stepped coroutine by, waiting for ``yielded`` as its own.

    It is begun already. A task that is cancelled before its first turn throws into what it was given:
    had that not begun, the coroutine would never hear of it, and never run to its end.
    """
    resumed = _resumed(coroutine, yielded)
    resumed.send(None)
    return resumed


def drive(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
) -> asyncio.Task[None] | None:
    """Step ``coroutine`` now; return None if it ended, else a task that carries on with it.

    The coroutine MUST handle its own errors: one that escapes the first step is raised here.
    Until its first suspension it runs outside any task, so it MUST NOT use ``asyncio.timeout`` or a
    TaskGroup before it has awaited something (data-plane code takes its timeouts from the loop's
    ``call_later``). The caller keeps the returned task.
    """
    try:
        yielded = coroutine.send(None)
    except StopIteration:
        return None
    return loop.create_task(resume_in_task(coroutine, yielded))
