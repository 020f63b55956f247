"""Files and directories: lists, contents, writes, deletions, moves, forms."""

from __future__ import annotations

import asyncio
import os
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field

from quantum.http.body import AnyBody
from quantum.http.files.answer import Representation, answer, decide
from quantum.http.files.content_types import content_type_of
from quantum.http.headers import Field as HeaderField
from quantum.http.message import Response
from services.sync.api.answers import REFUSALS, Refused, answer_json, refused
from services.sync.api.call import Call, Desk, version_fields
from services.sync.api.digests import check_digests
from services.sync.api.uploads import FormRefused, read_form
from services.sync.api.writing import change, guarded_removal, receive, wish_of, write
from services.sync.content.reading import ContentBody
from services.sync.disk.folder import NotThere
from services.sync.protocol import nanoseconds, rfc3339
from services.sync.rules import changes
from services.sync.rules.tree import Node
from services.sync.share.history import version_at
from services.sync.share.paths import parse_path

LARGEST_PAGE = 10_000
"""Entries of one answer to ``/api/list``: some 2 MB of JSON; the rest is behind ``Link: rel="next"``."""

_FILE_FIELDS = (
    (b"cache-control", b"no-cache"),
    # What people put into a share must not run as a page of this origin.
    (b"content-security-policy", b"sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
)  # fmt: skip


class MoveRequest(BaseModel):
    """The body of ``POST /api/move``."""

    model_config = ConfigDict(strict=True, extra="forbid")
    source: str = Field(alias="from", max_length=4096)
    to: str = Field(max_length=4096)


class Files:
    """The routes of one share."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._share = desk.share

    async def list(self, call: Call) -> Response:
        """Answer ``GET /api/list``."""
        query = call.query
        path = parse_path(query["path"].strip("/")) if query.get("path", "").strip("/") else ""
        recursive = query.get("recursive", "true").lower() not in {"false", "0", "no"}
        limit = call.number("limit", LARGEST_PAGE, LARGEST_PAGE)
        with_version = query.get("versions", "").lower() in {"true", "1", "yes"}
        if (
            "cursor" not in query
        ):  # who subscribed at another replica must not miss what came before
            await self._share.catch_up()
        if path and self._share.tree.get(path) is None:
            await self._share.look_at(path)  # somebody made it on the disk a moment ago
            if self._share.tree.get(path) is None:
                raise NotThere(path)
        after = query.get("cursor", "").split("/")
        entries: list[dict[str, Any]] = []
        last = ""
        for node in self._share.tree.walk(path, recursive=recursive):
            if query.get("cursor") and node.path.split("/") <= after:
                continue
            if not call.principal.sees(node.path):
                continue
            if len(entries) == limit:
                link = f'<?{urlencode({**query, "cursor": last})}>; rel="next"'
                return answer_json(200, entries, (b"link", link.encode()))
            metadata = node.to_json()
            entries.append({**metadata, "version": node.version} if with_version else metadata)
            last = node.path
        return answer_json(200, entries)

    async def read(self, call: Call) -> Response:
        """Answer ``GET /api/files/P``, an older version with ``?version=``."""
        path = call.path
        node = await self._version(call, path)
        extra: list[HeaderField] = [*_FILE_FIELDS, (b"sync-version", b"%d" % node.version)]
        if "download" in call.query:
            name = quote(path.rpartition("/")[2], safe="").encode()
            extra.append((b"content-disposition", b"attachment; filename*=UTF-8''" + name))
        representation = Representation(
            size=node.size,
            etag=f'"{node.hash}"'.encode(),
            modified=nanoseconds(node.modified) // 1_000_000_000,
            content_type=content_type_of(path) or b"application/octet-stream",
            extra=tuple(extra),
        )
        return await self._answer_content(call, node, representation)

    async def _version(self, call: Call, path: str) -> Node:
        wanted = call.wanted_version
        if wanted is not None:
            await self._share.reach(wanted)
            node = await asyncio.to_thread(version_at, self._share.index, path, wanted)
        else:
            await self._share.look_at(path)
            node = self._share.tree.get(path)
            if node is None or self._share.lock.locked():  # another replica may have told of it
                await self._share.catch_up()
                node = self._share.tree.get(path)
        if node is None or node.is_directory:
            raise NotThere(f"file {path}")
        return node

    async def _answer_content(
        self, call: Call, node: Node, representation: Representation
    ) -> Response:
        request, contents = call.request, self._share.contents
        response, parts = decide(request.method, request.headers, representation)
        if not parts or request.method == "HEAD":
            return response
        manifest = await contents.manifest(node.hash, node.size)
        if manifest is None:
            return await self._answer_from_disk(call, node, representation)
        body = ContentBody(contents, manifest, parts)
        response.body = await anext(body) if len(manifest.chunks) == 1 and len(parts) == 1 else body
        return response

    async def _answer_from_disk(
        self, call: Call, node: Node, representation: Representation
    ) -> Response:
        """Answer with the file itself, where contents are not kept."""
        try:
            descriptor, status = await asyncio.to_thread(self._share.folder.open, node.path)
        except NotThere:
            raise Refused(410, "this version is not kept any more", code="gone") from None
        seen = self._share.keeper.seen.paths.get(node.path)
        identity = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen is None or seen.identity != identity or seen.hash != node.hash:
            os.close(descriptor)
            raise Refused(503, "the file changes in this moment", (b"retry-after", b"1"))
        return answer(call.request.method, call.request.headers, descriptor, representation)

    async def write(self, call: Call) -> Response:
        """Answer ``PUT /api/files/P``."""
        path = call.path
        call.require_change(path)
        condition = call.condition  # a broken one is refused before the content comes
        received = await receive(self._desk, call.request.body)
        try:
            check_digests(call.request.headers, received.digest)
            wish = wish_of(call, path, received.modified_ns)
            assert wish.condition == condition
        except BaseException:
            await asyncio.to_thread(self._share.folder.drop_temporary, received.temporary)
            raise
        written = await write(self._desk, wish, received)
        location = b"/api/files/" + quote(written.node.path).encode()
        status = 201 if written.is_new else 200
        fields = written.fields(location, quote(path))
        return answer_json(status, written.node.to_json(), *fields)

    async def delete(self, call: Call) -> Response:
        """Answer ``DELETE /api/files/P`` and ``/api/dirs/P``."""
        path, condition, client = call.path, call.condition, call.client
        call.require_change(path)
        recursive = call.query.get("recursive", "").lower() in {"true", "1", "yes"}
        _, seq = await change(
            self._desk,
            lambda tree: guarded_removal(
                self._desk, tree, path, condition, client, call.confirmation, recursive=recursive
            ),
            [path],
            client,
            call.op_id,
        )
        response = Response(204)
        response.headers.add(b"sync-version", b"%d" % seq)
        return response

    async def make_directory(self, call: Call) -> Response:
        """Answer ``PUT /api/dirs/P``."""
        path, tree = call.path, self._share.tree
        call.require_change(path)
        is_new = tree.get(path) is None
        now = rfc3339(int(self._share.now().timestamp()) * 1_000_000_000)
        await change(
            self._desk,
            lambda tree: changes.make_directory(tree, path, now),
            [],
            call.client,
            call.op_id,
            target=path,
        )
        node = self._share.tree.get(path)
        if node is None:
            raise NotThere(path)
        return answer_json(201 if is_new else 200, node.to_json(), *version_fields(node))

    async def move(self, call: Call) -> Response:
        """Answer ``POST /api/move``."""
        wanted = await call.json(MoveRequest)
        assert isinstance(wanted, MoveRequest)
        source, to = parse_path(wanted.source), parse_path(wanted.to)
        call.require_sight(source)
        call.require_change(source)
        call.require_change(to)
        condition = call.condition
        await change(
            self._desk,
            lambda tree: changes.move(tree, source, to, condition),
            [source],
            call.client,
            call.op_id,
            target=to,
        )
        node = self._share.tree.get(to)
        if node is None:
            raise NotThere(to)
        return answer_json(200, node.to_json(), *version_fields(node))

    async def upload(self, call: Call) -> Response:
        """Take several files of a form; those before a bad one are kept, and the answer says so."""
        folder = call.query.get("path", "").strip("/")
        uploaded: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        status = 201

        async def take(name: str, content: AnyBody) -> None:
            nonlocal status
            path = f"{folder}/{name}" if folder else name
            try:
                path = parse_path(path)
                call.require_change(path)
                received = await receive(self._desk, content)
                written = await write(
                    self._desk, wish_of(call, path, received.modified_ns), received
                )
                uploaded.append(written.node.to_json())
            except REFUSALS as error:
                said = refused(error)
                status = said.status if status == 201 else status
                failed.append({"path": path, "error": said.problem, "code": said.code})

        try:
            await read_form(call.request, take)
        except FormRefused as error:
            raise Refused(400, str(error)) from None
        return answer_json(status, {"uploaded": uploaded, "failed": failed})
