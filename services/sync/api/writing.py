"""A content on its way from a request into the share: temporary file, chunks, log, directory."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from quantum.http.body import AnyBody
from quantum.http.headers import Field
from services.sync.api.answers import Refused, full
from services.sync.api.call import Call, Desk, version_fields
from services.sync.content.manifest import Manifest
from services.sync.disk.incoming import Incoming, Received, TooLarge
from services.sync.protocol import nanoseconds
from services.sync.rules import changes
from services.sync.rules.conditions import Condition, Conflicted
from services.sync.rules.operations import content_of
from services.sync.rules.tree import Node, node_of
from services.sync.share.committing import Committed, Decide


@dataclass(frozen=True, slots=True)
class Written:
    """A content that is in the share: what is at its path now."""

    node: Node
    is_new: bool
    is_copy: bool

    def fields(self, location: bytes, asked: str) -> list[Field]:
        """Return the fields of the answer."""
        fields = [*version_fields(self.node), (b"location", location)]
        if self.is_copy:
            fields += [(b"content-location", location), (b"sync-conflict", asked.encode())]
        return fields


@dataclass(frozen=True, slots=True)
class Wish:
    """A content that shall have a path."""

    path: str
    modified: str
    condition: Condition
    client: str
    makes_copy: bool = False
    op_id: str = ""


def wish_of(call: Call, path: str, received_ns: int) -> Wish:
    """Return what a PUT wishes for a content that came at that time."""
    modified = call.modified(received_ns)
    return Wish(path, modified, call.condition, call.client, call.makes_copy, call.op_id)


async def receive(desk: Desk, body: AnyBody) -> Received:
    """Take a body into a durable temporary file; TooLarge, Refused 507."""
    limit = desk.config.max_file_size
    length = None if isinstance(body, bytes) else body.length
    if limit and length is not None and length > limit:
        raise TooLarge(f"the content is larger than {limit} bytes")
    incoming = Incoming(desk.share.folder, limit)
    try:
        if isinstance(body, bytes):
            await incoming.write(body)
        else:
            async for chunk in body:
                await incoming.write(chunk)
        return await incoming.finish()
    except BaseException as error:
        await incoming.aclose()
        if isinstance(error, OSError) and (said := full(error)) is not None:
            raise said from None
        raise


async def write(desk: Desk, wish: Wish, received: Received) -> Written:
    """Give a received content its path. The temporary file is used up, whatever happens."""
    share = desk.share
    wanted = Node(wish.path, received.size, received.hash, wish.modified, False, 0)
    is_there = _is_there(share.tree, wanted)
    try:
        if not is_there:
            manifest = await asyncio.to_thread(_store, desk, received.temporary, wish.modified)
            await share.contents.publish(manifest)
        await share.make_way(wish.path)
    except BaseException as error:
        await asyncio.to_thread(share.folder.drop_temporary, received.temporary)
        if isinstance(error, OSError) and (said := full(error)) is not None:
            raise said from None
        raise
    return await commit(desk, wish, wanted, received.temporary, is_stored=not is_there)


def _is_there(tree: changes.View, wanted: Node) -> bool:
    there = tree.get(wanted.path)
    return there is not None and there.hash == wanted.hash


def _store(desk: Desk, temporary: str, modified: str) -> Manifest:
    """Cut the temporary file into chunks, and give it its time. Blocks."""
    descriptor = desk.share.folder.open_temporary(temporary)
    try:
        time = nanoseconds(modified)
        os.utime(descriptor, ns=(time, time))
        return desk.share.contents.directory.add_file(descriptor)
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class Writing:
    """A content that is stored, on its way to its path: what the log asks of it, and what it says after."""

    desk: Desk
    wish: Wish
    wanted: Node
    is_stored: bool = True
    """Whether its content was: not if it was at its path already."""
    was_there: bool = False

    def decide(self, tree: changes.View) -> changes.Plan:
        """Plan it; Conflicted, InTheWay, Refused."""
        _check_quota(self.desk, tree, self.wanted)
        if not self.is_stored and not _is_there(tree, self.wanted):
            raise Refused(503, "it was changed in the same moment", (b"retry-after", b"1"))
        self.was_there = tree.get(self.wanted.path) is not None
        wish, author = self.wish, self.desk.author(self.wish.client)
        return changes.write(tree, self.wanted, wish.condition, author, makes_copy=wish.makes_copy)

    def written(self, done: Committed) -> Written:
        """Return what came of it: what it made, even if somebody has changed that since."""
        if done.entries:
            kind, body = content_of(done.entries[-1].operation)
            node = node_of(body["metadata"], done.sequence)
            return Written(node, kind != "Update", done.path != self.wish.path)
        there = self.desk.share.tree.get(done.path)
        if there is None:
            raise Refused(503, "it was changed in the same moment", (b"retry-after", b"1"))
        return Written(there, not self.was_there, done.path != self.wish.path)


async def commit(
    desk: Desk, wish: Wish, wanted: Node, temporary: str | None, *, is_stored: bool = True
) -> Written:
    """Let a content that is stored have its path. Conflicted, InTheWay, Refused, BusUnavailable."""
    writing = Writing(desk, wish, wanted, is_stored)
    try:
        done = await desk.share.commit(
            writing.decide, wish.client, op_id=wish.op_id, temporary=temporary
        )
    except Conflicted:
        desk.metrics.conflicts.labels("refused").inc()
        raise
    return writing.written(done)


def _check_quota(desk: Desk, tree: changes.View, wanted: Node) -> None:
    quota = desk.config.quota
    there = tree.get(wanted.path)
    if quota and tree.size - (there.size if there is not None else 0) + wanted.size > quota:
        raise Refused(507, f"the share may hold {quota} bytes")


async def change(
    desk: Desk,
    decide: Decide,
    paths: list[str],
    client: str,
    op_id: str = "",
    *,
    target: str | None = None,
) -> tuple[str, int]:
    """Commit a change that needs no content; return where it ended up and its sequence.

    ``paths`` are those that it is decided by, ``target`` is the one that it takes.
    """
    for path in paths:
        await desk.share.look_at(path)
    if target is not None:
        await desk.share.make_way(target)
    try:
        done = await desk.share.commit(decide, client, op_id=op_id)
    except Conflicted:
        desk.metrics.conflicts.labels("refused").inc()
        raise
    return done.path, done.sequence


def guarded_removal(
    desk: Desk,
    tree: changes.View,
    path: str,
    condition: Condition,
    client: str,
    confirm: str | None,
    *,
    recursive: bool,
) -> changes.Plan:
    """Plan a deletion; NeedsConfirmation when it is much."""
    plan = changes.remove(tree, path, condition, recursive=recursive)
    files = tree.count(path)
    if files:
        desk.guard.check(client, desk.share.log_id, path, files, len(tree), confirm)
    return plan
