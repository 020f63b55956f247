"""``POST /api/sync``: what changed since a cursor, or where two trees differ."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from quantum.http.message import Response
from services.sync import protocol
from services.sync.access.patterns import compile_patterns
from services.sync.api.answers import Refused, answer_json
from services.sync.api.call import Call, Desk
from services.sync.live.subscription import Subscription
from services.sync.rules.operations import created, deleted, updated
from services.sync.rules.tree import Node, Operation

LARGEST_MANIFEST = 64 * 1024 * 1024
"""Bytes of a request: some 400,000 files."""

MOST_OPERATIONS = 10_000
MOST_TREES = 1000


class Known(BaseModel):
    """One entry of a client's manifest."""

    model_config = ConfigDict(extra="ignore")
    path: str = Field(max_length=protocol.LARGEST_PATH)
    hash: str = ""
    is_directory: bool = False


class SyncRequest(BaseModel):
    """The body: one of ``cursor``, ``trees`` and ``manifest``."""

    model_config = ConfigDict(extra="forbid")
    cursor: int | None = Field(default=None, ge=0)
    log: str | None = None
    paths: list[str] = Field(default_factory=list, max_length=protocol.MOST_PATTERNS)
    limit: int = Field(default=1000, ge=1, le=MOST_OPERATIONS)
    trees: dict[str, str] | None = Field(default=None, max_length=MOST_TREES)
    manifest: list[Known] | None = None


class Syncing:
    """The route of one share."""

    def __init__(self, desk: Desk) -> None:
        self._share = desk.share

    async def sync(self, call: Call) -> Response:
        """Answer by what the body has."""
        asked = await call.json(SyncRequest, LARGEST_MANIFEST)
        assert isinstance(asked, SyncRequest)
        given = [asked.cursor is not None, asked.trees is not None, asked.manifest is not None]
        if sum(given) != 1:
            raise Refused(400, "the body has one of cursor, trees and manifest")
        if asked.cursor is not None:
            return await self._since(call, asked, asked.cursor)
        if asked.trees is not None:
            return self._compare_trees(call, asked.trees)
        return self._compare(call, asked.manifest or [])

    async def _since(self, call: Call, asked: SyncRequest, cursor: int) -> Response:
        share = self._share
        await share.reach(cursor)
        head, log = share.tree.head, share.log_id
        if cursor > head or asked.log not in {None, log} or cursor < share.index.first() - 1:
            raise Refused(410, "the log does not reach back to this cursor", head=head, log=log)
        try:
            matches = compile_patterns(asked.paths) if asked.paths else None
        except ValueError as error:
            raise Refused(400, str(error)) from None
        view = Subscription("", call.principal, matches, cursor)
        logged = await asyncio.to_thread(share.index.after, cursor, asked.limit)
        said = [protocol.logged_operation(*each) for each in logged if view.wants(each.entry)]
        reached = logged[-1].seq if logged else cursor
        return answer_json(200, {"log": log, "cursor": reached, "head": head, "operations": said})

    def _compare_trees(self, call: Call, trees: dict[str, str]) -> Response:
        if not call.principal.sees_all:
            raise Refused(403, "trees need a token for the whole share; use manifest")
        found = {path: self._compare_tree(path, known) for path, known in trees.items()}
        share = self._share
        return answer_json(200, {"log": share.log_id, "cursor": share.tree.head, "trees": found})

    def _compare_tree(self, path: str, known: str) -> dict[str, Any] | None:
        tree = self._share.tree
        now = tree.hash_of(path)
        if now is None:
            return None
        if now == known:
            return {"same": True}
        entries = [
            {
                "name": node.path.rpartition("/")[2],
                "is_directory": node.is_directory,
                "hash": tree.hash_of(node.path) if node.is_directory else node.hash,
                "size": node.size,
                "modified": node.modified,
                "version": node.version,
            }
            for node in tree.walk(path, recursive=False)
        ]
        return {"same": False, "hash": now, "entries": entries}

    def _compare(self, call: Call, manifest: list[Known]) -> Response:
        share = self._share
        known = {entry.path: entry for entry in manifest}
        operations: list[dict[str, Any]] = []
        for path in sorted(known, reverse=True):
            node = share.tree.get(path)
            if node is None or node.is_directory != known[path].is_directory:
                operations.append({"operation": deleted(path)})
        for node in share.tree.walk():
            if not call.principal.sees(node.path):
                continue
            operation = _needed(node, known.get(node.path))
            if operation is not None:
                operations.append({"operation": operation, "version": node.version})
        said = {"log": share.log_id, "cursor": share.tree.head, "operations": operations}
        return answer_json(200, said)


def _needed(node: Node, known: Known | None) -> Operation | None:
    if known is None or known.is_directory != node.is_directory:
        return created(node)
    return None if node.is_directory or known.hash == node.hash else updated(node)
