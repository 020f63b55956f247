"""The terminal handlers of one room: made from a revision, kept while a revision uses them.

Proxy, static and sync share this life. Each revision's handlers are installed in the process's
HandlerTable before commit, so that edge and the hop find them by (revision, path). A handler whose
configuration did not change is the same instance in the next revision: its connections, its
WebSockets and its counters go on. That is why an instance MUST NOT depend on a revision's id.

The last few revisions stay: requests that edge sent before it swapped, and other processes' edges
that swap a moment later, still find theirs. When no kept revision uses an instance, its cleanups
run in the background; a cleanup MUST let requests under way finish. Before that, as soon as the
active revision has it no more, an instance with a method ``superseded`` hears of it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from quantum.errors import unusable
from quantum.http.handler import Handler
from quantum.modules.config import ModuleConfig
from quantum.modules.lifetime import Lifetime, Provision
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.tasks import TaskSet

KEPT_REVISIONS = 4
"""Committed revisions held at once: the active one and three that late requests may still name."""


@dataclass(eq=False)
class _Instance:
    """A living handler and what must be closed with it."""

    handler: Handler
    lifetime: Lifetime = field(default_factory=Lifetime)


class HandlerRoom:
    """Makes, installs, reuses and closes the handlers of ``context.room``."""

    def __init__(
        self, context: ServiceContext, resources: dict[type[Any], Any] | None = None
    ) -> None:
        """``resources`` is what implementations may ask of their Provision, by type."""
        self._context = context
        self._resources = dict(resources or {})
        self._instances: dict[str, _Instance] = {}
        self._used: dict[str, frozenset[str]] = {}
        self._tasks = TaskSet(f"{context.room}:handlers")

    def __len__(self) -> int:
        """The number of living instances."""
        return len(self._instances)

    async def prepare(self, revision: Revision) -> Prepared:
        """Make what ``revision`` needs and install it; ConfigError names the handler that refused."""
        if revision.id in self._used:
            keys = self._used[revision.id]
            return _Swap(partial(self._commit, revision.id, {}, keys), _nothing)
        made: dict[str, _Instance] = {}
        handlers: dict[str, Handler] = {}
        used: set[str] = set()
        try:
            for module in revision.handlers_of(self._context.room):
                key = _identity(module)
                instance = self._instances.get(key) or made.get(key)
                if instance is None:
                    made[key] = instance = self._make(module, revision)
                handlers[module.path] = instance.handler
                used.add(key)
        except BaseException:
            await self._close(made)
            raise
        self._context.hop.table.install(self._context.room, revision.id, handlers)
        commit = partial(self._commit, revision.id, made, frozenset(used))
        return _Swap(commit, partial(self._discard, revision.id, made))

    async def aclose(self) -> None:
        """Retire every revision and close every instance. Idempotent."""
        for revision in self._used:
            self._context.hop.table.retire(self._context.room, revision)
        self._used.clear()
        await self._close(self._instances)
        await self._tasks.wait(seconds=1.0)
        await self._tasks.aclose()

    def _make(self, module: ModuleConfig, revision: Revision) -> _Instance:
        context = self._context
        lifetime = Lifetime()
        provision = Provision(
            path=module.path,
            revision=revision.id,
            lifetime=lifetime,
            clock=context.clock,
            metrics=context.metrics,
            log=context.log.bind(handler=module.spec.id),
            resources=self._resources,
        )
        try:
            handler = module.spec.load_implementation()(module.config, provision)
        except OSError as error:
            self._tasks.start(lifetime.aclose(), "undo")
            raise unusable(module.path, error) from error
        except BaseException:
            self._tasks.start(lifetime.aclose(), "undo")
            raise
        return _Instance(handler, lifetime)

    def _commit(self, revision: str, made: dict[str, _Instance], keys: frozenset[str]) -> None:
        self._instances.update(made)
        before = next(reversed(self._used.values()), frozenset())
        self._used.pop(revision, None)
        self._used[revision] = keys
        self._tell_superseded(before - keys)
        for old in list(self._used)[:-KEPT_REVISIONS]:
            del self._used[old]
            self._context.hop.table.retire(self._context.room, old)
        needed = frozenset().union(*self._used.values())
        unused = {key: self._instances.pop(key) for key in self._instances.keys() - needed}
        if unused:
            self._tasks.start(self._close(unused), "cleanup")

    def _tell_superseded(self, keys: frozenset[str]) -> None:
        """Tell handlers with a ``superseded`` that only requests already on their way meet them now."""
        for key in keys:
            told = getattr(self._instances[key].handler, "superseded", None)
            if told is not None:
                told()

    async def _discard(self, revision: str, made: dict[str, _Instance]) -> None:
        self._context.hop.table.retire(self._context.room, revision)
        await self._close(made)

    async def _close(self, instances: dict[str, _Instance]) -> None:
        """Close instances, newest first; a failing cleanup is logged and stops none of the others."""
        while instances:
            _, instance = instances.popitem()
            try:
                await instance.lifetime.aclose()
            except Exception as error:
                self._context.log.error("handler_cleanup_failed", exc_info=error)


@dataclass(frozen=True)
class _Swap:
    """A prepared revision: what to do when all rooms agree, and when one does not."""

    take: Callable[[], None]
    undo: Callable[[], Awaitable[None]]

    def commit(self) -> None:
        """Take the revision into use; retire what is now too old."""
        self.take()

    async def discard(self) -> None:
        """Close what was made for nothing."""
        await self.undo()


async def _nothing() -> None:
    """Undo the preparation of a revision that was held already: nothing was made."""


def _identity(module: ModuleConfig) -> str:
    """What makes two handlers the same one: their module and their configuration's text."""
    return f"{module.spec.id} {json.dumps(module.raw, sort_keys=True, separators=(',', ':'))}"
