"""History: versions, trash, restoring a file, a folder or all of a share, and why things are as they are."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from quantum.http.message import Response
from services.sync.api.answers import Refused, answer_json
from services.sync.api.call import Call, Desk
from services.sync.rules.changes import Plan, View
from services.sync.rules.draft import Draft
from services.sync.rules.operations import content_of
from services.sync.rules.restoring import plan_restore
from services.sync.share.history import (
    Dropped,
    Event,
    deleted_files,
    events,
    sequence_at,
    tree_at,
)
from services.sync.share.paths import parse_path

MOST_EVENTS = 1000


class RestoreRequest(BaseModel):
    """The body of ``POST /api/restore``: ``seq`` or ``time``."""

    model_config = ConfigDict(extra="forbid")
    path: str = Field(default="", max_length=4096)
    seq: int | None = Field(default=None, ge=0)
    time: datetime | None = None
    dry_run: bool = False


class Past:
    """The routes of one share."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._share = desk.share

    async def history(self, call: Call) -> Response:
        """Answer ``GET /api/history/P``."""
        path = call.path
        limit = call.number("limit", 100, MOST_EVENTS)
        found = await asyncio.to_thread(events, self._share.index, path, limit)
        return answer_json(200, {"path": path, "versions": await self._versions(found)})

    async def _versions(self, found: list[Event]) -> list[dict[str, Any]]:
        return [await self._version(event) for event in found]

    async def _version(self, event: Event) -> dict[str, Any]:
        seq, entry = event.logged
        said: dict[str, Any] = {
            "seq": seq,
            "operation": content_of(entry.operation)[0],
            "version": seq,
            "base_version": entry.base_version,
            "source_client": entry.source_client,
            "op_id": entry.op_id,
            "ts": _time(entry.at),
            "path": event.path,
        }
        node = event.node
        if node is not None and not node.is_directory:
            kept = await self._share.contents.manifest(node.hash, node.size)
            said |= {"size": node.size, "hash": node.hash, "is_available": kept is not None}
        return said

    async def trash(self, call: Call) -> Response:
        """Answer ``GET /api/trash``."""
        limit = call.number("limit", 1000, 10_000)
        share = self._share
        found = await asyncio.to_thread(deleted_files, share.index, share.tree, limit)
        return answer_json(
            200,
            [
                {
                    "path": event.path,
                    "seq": event.logged.seq,
                    "version": event.node.version,
                    "size": event.node.size,
                    "hash": event.node.hash,
                    "ts": _time(event.logged.entry.at),
                    "source_client": event.logged.entry.source_client,
                }
                for event in found
                if event.node is not None and call.principal.sees(event.path)
            ],
        )

    async def restore(self, call: Call) -> Response:
        """Answer ``POST /api/restore``."""
        asked = await call.json(RestoreRequest)
        assert isinstance(asked, RestoreRequest)
        path = parse_path(asked.path) if asked.path else ""
        if not path and not call.principal.sees_all:
            raise Refused(403, "restoring all needs a token for the whole share")
        if path:
            call.require_change(path)
        seq = await self._sequence(asked)
        share = self._share
        try:
            past = await asyncio.to_thread(tree_at, share.index, seq)
        except Dropped:
            raise self._beyond() from None
        lost, kept = await self._look_for(past, path, brings=not asked.dry_run)
        if asked.dry_run:
            plan = plan_restore(Draft(share.tree), past, path, lost)
            operations = [step.operation for step in plan.steps]
            return answer_json(200, {"operations": operations, "missing": sorted(lost)})

        def decide(tree: View) -> Plan:
            plan = plan_restore(Draft(tree), past, path, lost)
            if not _hashes(plan) <= kept:
                raise Refused(503, "it was changed in the same moment", (b"retry-after", b"1"))
            gone = sum(1 for step in plan.steps if content_of(step.operation)[0] == "Delete")
            if gone:
                self._desk.guard.check(
                    call.client,
                    share.log_id,
                    f"restore:{path}@{seq}",
                    gone,
                    len(tree),
                    call.confirmation,
                )
            return plan

        done = await share.commit(decide, call.client, op_id=call.op_id)
        operations = [entry.operation for entry in done.entries]
        said = {"operations": operations, "missing": sorted(lost), "cursor": share.tree.head}
        return answer_json(200, said)

    async def _sequence(self, asked: RestoreRequest) -> int:
        share = self._share
        if (asked.seq is None) == (asked.time is None):
            raise Refused(400, "the body has one of seq and time")
        if asked.seq is not None:
            seq = asked.seq
        else:
            assert asked.time is not None
            if asked.time.tzinfo is None:
                raise Refused(400, "time needs a time zone")
            seq = await asyncio.to_thread(sequence_at, share.index, asked.time)
        if seq > share.tree.head or seq < share.index.first() - 1:
            raise self._beyond()
        return seq

    def _beyond(self) -> Refused:
        return Refused(410, "the log does not reach there", head=self._share.tree.head)

    async def _look_for(self, past: Any, path: str, *, brings: bool) -> tuple[set[str], set[str]]:
        """Return the paths of the past whose contents are not kept any more, and the contents that are.

        Those that it ``brings`` can be named by new operations, whatever retention drops meanwhile.
        """
        lost, kept = set(), set()
        contents = self._share.contents
        nodes = [past.get(path)] if past.get(path) is not None else []
        for node in [*nodes, *past.walk(path)]:
            if node.is_directory or self._is_current(node):
                continue
            manifest = await contents.manifest(node.hash, node.size)
            if manifest is None or (brings and not await contents.fetch(manifest)):
                lost.add(node.path)
                continue
            if brings:
                await contents.publish(manifest)
            kept.add(node.hash)
        return lost, kept

    def _is_current(self, node: Any) -> bool:
        now = self._share.tree.get(node.path)
        return now is not None and now.hash == node.hash

    async def why(self, call: Call) -> Response:
        """Answer ``GET /api/why/P``: who did what, knowing what, by which rule."""
        path = call.path
        found = await asyncio.to_thread(events, self._share.index, path, 100)
        now = self._share.tree.get(path)
        current = None if now is None else {**now.to_json(), "version": now.version}
        said = [_explain(event) for event in found]
        waits = path in self._share.keeper.pending
        return answer_json(
            200, {"path": path, "current": current, "waits_for_disk": waits, "events": said}
        )


def _hashes(plan: Plan) -> set[str]:
    """Return the contents that a plan brings back."""
    found = [content_of(step.operation) for step in plan.steps]
    return {
        body["metadata"]["hash"]
        for kind, body in found
        if kind in {"Create", "Update"} and not body["metadata"]["is_directory"]
    }


def _explain(event: Event) -> dict[str, Any]:
    seq, entry = event.logged
    kind, body = content_of(entry.operation)
    match kind:
        case "Create":
            what = f"{event.path} was created"
        case "Update":
            what = f"{event.path} got new content"
        case "Move":
            what = f"{body['from']} was moved to {body['to']}"
        case _:
            what = f"{body['path']} was deleted"
    if entry.base_version is not None:
        what += f", knowing version {entry.base_version}"
    return {
        "seq": seq,
        "ts": _time(entry.at),
        "who": entry.source_client,
        "what": what,
        "base_version": entry.base_version,
        "rule": entry.rule or None,
    }


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
