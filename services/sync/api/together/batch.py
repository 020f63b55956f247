"""``POST /api/batch``: many small writes in one request, each with a result of its own.

What would be paid for each file alone is paid for a group: one thread, one sync of the disk, one trip
to the log. A group is announced and answered only when it is durable, like a single write.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from quantum.http.body import AnyBody
from quantum.http.message import Response
from quantum.tasks import TaskSet
from services.sync.api.answers import REFUSALS, Refused, answer_json, full, refused
from services.sync.api.call import Call, Desk, modified_of
from services.sync.api.together.records import Record, RecordsBroken, read_records
from services.sync.api.writing import Wish, Writing, Written, guarded_removal
from services.sync.disk.folder import InTheWay
from services.sync.disk.incoming import TooLarge
from services.sync.disk.staging import Small, Staged, stage
from services.sync.protocol import nanoseconds, rfc3339
from services.sync.rules import changes
from services.sync.rules.conditions import Condition, Conflicted
from services.sync.rules.operations import content_of
from services.sync.rules.tree import Node
from services.sync.share.committing import MOST_TOGETHER, Asked, Committed, Decide
from services.sync.share.paths import parse_path

MOST_RECORDS = 10_000
"""Records of one request: its answer has some 3 MB."""

GROUP_BYTES = 8 * 1024 * 1024
"""Contents that are in memory at once for one request."""

STAGED_AT_ONCE = 2
"""Groups that are written to the disk at once: while one waits for it the other goes on. With more, the first
waits for all of them, and nothing is committed meanwhile."""

_NONE: frozenset[str] = frozenset()
_ANY = frozenset({"*"})

Result = dict[str, Any]


@dataclass(slots=True)
class _Item:
    """One record on its way; ``result`` is its end when it was refused."""

    record: Record
    content: bytes
    path: str = ""
    hash: str = ""
    modified: str = ""
    is_new: bool = False
    staged: Staged | None = None
    result: Result | None = None

    def refuse(self, error: Exception) -> Result:
        """End with a refusal."""
        said = refused(error)
        more = {"error": said.problem, "code": said.code, **said.more}
        self.result = {"path": self.record.path, "status": said.status, **more}
        return self.result


class Batch:
    """The route of one share."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._share = desk.share
        self._tasks = TaskSet("sync:batch")
        self._staging = asyncio.Semaphore(STAGED_AT_ONCE)

    async def write(self, call: Call) -> Response:
        """Answer ``POST /api/batch``."""
        results: list[Result] = []
        failure: RecordsBroken | TooLarge | None = None
        committing: asyncio.Future[list[Result]] | None = None
        try:
            async for group in _groups(call.request.body):
                await self._prepare(call, group)  # while the group before it is committed
                if committing is not None:
                    results += await committing
                committing = self._tasks.start(self._commit(call, group), "commit")
        except (RecordsBroken, TooLarge) as error:
            failure = error
        finally:
            if committing is not None:
                results += await committing
        if failure is not None:
            status = 400 if isinstance(failure, RecordsBroken) else 413
            raise Refused(status, str(failure), results=results)
        share = self._share
        facts = {"log": share.log_id, "cursor": share.tree.head, "results": results}
        return answer_json(200, facts)

    async def _prepare(self, call: Call, group: list[_Item]) -> None:
        """Check records, and store what they bring; those that are refused have their result."""
        now = rfc3339(int(self._share.now().timestamp() * 1_000_000) * 1000)
        for item in group:
            try:
                self._check(call, item, now)
            except REFUSALS as error:
                item.refuse(error)
        await self._look([item for item in group if item.result is None])
        await self._stage([item for item in group if item.result is None])

    def _check(self, call: Call, item: _Item, now: str) -> None:
        record = item.record
        item.path = parse_path(record.path)
        call.require_sight(item.path)
        call.require_change(item.path)
        item.modified = now if record.modified is None else modified_of(record.modified)
        if record.kind != "file":
            if record.size:
                raise Refused(400, "only a file has a content")
            return
        limit = self._desk.config.max_file_size
        if limit and record.size > limit:
            raise TooLarge(f"the content is larger than {limit} bytes")

    async def _look(self, group: list[_Item]) -> None:
        """Hash contents, and adopt what was changed on the disk unseen, once for all paths; refuse what cannot be."""
        if not group:
            return
        stale, blocked = await asyncio.to_thread(self._examine, group)
        if stale:
            await self._share.look(stale)
        for item in group:
            if item.path in blocked:
                item.refuse(InTheWay(f"{item.path} is no file of the share"))
            elif item.hash and item.record.hash not in {None, item.hash}:
                item.refuse(Refused(400, "the content is not what its hash says"))

    def _examine(self, group: list[_Item]) -> tuple[set[str], set[str]]:
        """Hash what came; return which paths were changed unseen, and which no file may have. Blocks."""
        for item in group:
            if item.record.kind == "file":
                item.hash = hashlib.sha256(item.content).hexdigest()
        keeper = self._share.keeper
        if not keeper.is_keeping:
            return set(), set()
        return keeper.survey.stale({item.path for item in group})

    async def _stage(self, group: list[_Item]) -> None:
        """Store the contents that the share does not have at their paths."""
        share = self._share
        wanted = [
            item
            for item in group
            if item.record.kind == "file"
            and ((node := share.tree.get(item.path)) is None or node.hash != item.hash)
        ]
        if not wanted:
            return
        contents = [Small(item.content, item.hash, nanoseconds(item.modified)) for item in wanted]
        directory = share.contents.directory
        try:
            async with self._staging:
                staged = await asyncio.to_thread(stage, share.folder, directory, contents)
        except OSError as error:
            said = full(error)
            if said is None:
                raise
            for item in wanted:
                item.refuse(said)
            return
        for item, each in zip(wanted, staged, strict=True):
            item.staged = each
        try:
            await share.contents.publish_all([each.manifest for each in staged])
        except BaseException as error:
            await asyncio.to_thread(_drop, self._desk, staged)
            if not isinstance(error, REFUSALS):
                raise
            for item in wanted:
                item.refuse(error)

    async def _commit(self, call: Call, group: list[_Item]) -> list[Result]:
        going = [(item, self._writing(call, item)) for item in group if item.result is None]
        asked = [self._asked(call, item, writing) for item, writing in going]
        ends = await self._share.commit_all(asked)
        for (item, writing), end in zip(going, ends, strict=True):
            try:
                if isinstance(end, BaseException):
                    raise end
                item.result = self._result(item, writing, end)
            except REFUSALS as error:
                if isinstance(error, Conflicted) and writing is not None:
                    self._desk.metrics.conflicts.labels("refused").inc()
                item.refuse(error)
        return [item.result for item in group if item.result is not None]

    def _writing(self, call: Call, item: _Item) -> Writing | None:
        """Return what writes a file; None for a record that brings no content."""
        record = item.record
        item.is_new = self._share.tree.get(item.path) is None
        if record.kind != "file":
            return None
        makes_copy = record.on_conflict == "copy"
        condition, op_id = _condition(record), record.op_id or ""
        wish = Wish(item.path, item.modified, condition, call.client, makes_copy, op_id)
        wanted = Node(item.path, record.size, item.hash, item.modified, False, 0)
        return Writing(self._desk, wish, wanted, item.staged is not None)

    def _asked(self, call: Call, item: _Item, writing: Writing | None) -> Asked:
        decide = self._decide(call, item) if writing is None else writing.decide
        temporary = None if item.staged is None else item.staged.temporary
        return Asked(decide, call.client, item.record.op_id or "", temporary)

    def _result(self, item: _Item, writing: Writing | None, done: Committed) -> Result:
        record = item.record
        if writing is not None:
            return _written(record, writing.written(done)) | _place(item, done)
        if record.kind == "delete":
            return {"path": record.path, "status": 204, "version": done.sequence}
        node = self._share.tree.get(item.path)
        version = done.sequence or (node.version if node is not None else 0)
        result: Result = {"path": record.path, "status": 201 if item.is_new else 200}
        return {**result, "version": version} | _place(item, done)

    def _decide(self, call: Call, item: _Item) -> Decide:
        record, condition = item.record, _condition(item.record)
        if record.kind == "directory":
            return lambda tree: changes.make_directory(tree, item.path, item.modified)
        return lambda tree: guarded_removal(
            self._desk, tree, item.path, condition, call.client, call.confirmation,
            recursive=record.recursive,
        )  # fmt: skip


def _place(item: _Item, done: Committed) -> Result:
    """Return where in the log it is, if one operation is all of it: the writer need not read that."""
    if len(done.entries) != 1 or done.path != item.path:
        return {}
    kind, body = content_of(done.entries[0].operation)
    is_this = kind in {"Create", "Update"} and body["metadata"]["hash"] == item.hash
    return {"seq": done.sequence} if is_this else {}


def _written(record: Record, written: Written) -> Result:
    node = written.node
    result: Result = {"path": record.path, "status": 201 if written.is_new else 200}
    if written.is_copy:
        result["stored"] = node.path
    return {**result, "version": node.version, "hash": node.hash, "modified": node.modified}


async def _groups(body: AnyBody) -> AsyncIterator[list[_Item]]:
    """Yield the records of a body in groups; then RecordsBroken or TooLarge, if that is its end."""
    group: list[_Item] = []
    count = size = 0
    failure: RecordsBroken | TooLarge | None = None
    try:
        async for record, content in read_records(body, Record):
            if count == MOST_RECORDS:
                raise TooLarge(f"a request has at most {MOST_RECORDS} records")
            group.append(_Item(record, content))
            count, size = count + 1, size + len(content)
            if len(group) == MOST_TOGETHER or size >= GROUP_BYTES:
                yield group
                group, size = [], 0
    except (RecordsBroken, TooLarge) as error:
        failure = error
    if group:
        yield group
    if failure is not None:
        raise failure


def _condition(record: Record) -> Condition:
    return Condition(
        None if record.if_match is None else frozenset({record.if_match}),
        _NONE if record.if_none_match is None else _ANY,
        record.base,
    )


def _drop(desk: Desk, staged: list[Staged]) -> None:
    for each in staged:
        desk.share.folder.drop_temporary(each.temporary)
