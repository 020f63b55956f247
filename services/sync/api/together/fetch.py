"""``POST /api/fetch``: many small contents in one answer, each with a result of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from quantum.http.headers import Headers
from quantum.http.message import Response
from services.sync.api.answers import REFUSALS, Refused, refused
from services.sync.api.call import Call, Desk
from services.sync.api.together.records import LARGEST_TOGETHER, encode_record
from services.sync.content.contents import Contents
from services.sync.content.directory import ChunkDirectory
from services.sync.disk.folder import NotThere
from services.sync.protocol import LARGEST_PATH
from services.sync.rules.tree import Node
from services.sync.share.history import version_at
from services.sync.share.paths import parse_path

MOST_FILES = 10_000
"""Files of one request: its body has some megabytes."""

LARGEST_QUESTION = 16 * 1024 * 1024
"""Bytes of a request for so many files."""

READ_TOGETHER = 64
"""Files read by one trip to a thread, at most GROUP_BYTES of them."""

GROUP_BYTES = 4 * 1024 * 1024
"""Contents that are in memory at once for one answer."""


class WantedFile(BaseModel):
    """One file, as it is now or as it was at a version."""

    model_config = ConfigDict(extra="ignore", strict=True)
    path: str = Field(min_length=1, max_length=LARGEST_PATH)
    version: int | None = Field(default=None, ge=1)


class Wanted(BaseModel):
    """The body of ``POST /api/fetch``."""

    model_config = ConfigDict(extra="forbid", strict=True)
    files: list[WantedFile] = Field(max_length=MOST_FILES)


class Fetch:
    """The route of one share."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def read(self, call: Call) -> Response:
        """Answer ``POST /api/fetch``."""
        asked = await call.json(Wanted, LARGEST_QUESTION)
        assert isinstance(asked, Wanted)
        fields = [
            (b"content-type", b"application/octet-stream"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        return Response(200, Headers(fields), FetchedBody(self._desk, call, asked.files))


class FetchedBody:
    """The records of the files, read as the client takes them."""

    def __init__(self, desk: Desk, call: Call, files: list[WantedFile]) -> None:
        self._share = desk.share
        self._call = call
        self._files = files[::-1]
        self.length: int | None = None
        self.trailers: Headers | None = None

    def __aiter__(self) -> FetchedBody:
        return self

    async def __anext__(self) -> bytes:
        if not self._files:
            raise StopAsyncIteration
        group: list[tuple[WantedFile, Node | Exception]] = []
        size = 0
        while self._files and len(group) < READ_TOGETHER and size < GROUP_BYTES:
            wanted = self._files.pop()
            found = await self._find(wanted)
            group.append((wanted, found))
            size += found.size if isinstance(found, Node) else 0
        nodes = [found for _, found in group if isinstance(found, Node)]
        contents = iter(await read_contents(self._share.contents, nodes))
        return b"".join(
            _told(wanted, found, next(contents) if isinstance(found, Node) else None)
            for wanted, found in group
        )

    async def aclose(self) -> None:
        """Read no further."""
        self._files.clear()

    async def _find(self, wanted: WantedFile) -> Node | Exception:
        try:
            path = parse_path(wanted.path)
            self._call.require_sight(path)
            if wanted.version is not None:
                await self._share.reach(wanted.version)
            node = self._share.tree.get(path)
            if wanted.version is not None and (node is None or node.version != wanted.version):
                index, version = self._share.index, wanted.version
                node = await asyncio.to_thread(version_at, index, path, version)
            if node is None or node.is_directory:
                raise NotThere(f"file {path}")
            if node.size > LARGEST_TOGETHER:
                raise Refused(413, f"GET it: it has more than {LARGEST_TOGETHER} bytes")
        except REFUSALS as error:
            return error
        return node


def _told(wanted: WantedFile, found: Node | Exception, content: bytes | None) -> bytes:
    if isinstance(found, Node) and content is not None:
        facts: dict[str, Any] = {"path": wanted.path, "status": 200, "size": len(content)}
        more = {"hash": found.hash, "version": found.version, "modified": found.modified}
        return encode_record({**facts, **more}, content)
    gone = Refused(410, "this version is not kept any more", code="gone")
    said = refused(gone if isinstance(found, Node) else found)
    told = {"path": wanted.path, "status": said.status, "size": 0}
    return encode_record({**told, "error": said.problem, "code": said.code})


async def read_contents(contents: Contents, nodes: list[Node]) -> list[bytes | None]:
    """Return small contents; None for one that nobody has."""
    here = await asyncio.to_thread(_read_here, contents.directory, nodes)
    for place, (node, data) in enumerate(zip(nodes, here, strict=True)):
        if data is None:
            manifest = await contents.manifest(node.hash, node.size)
            names = [] if manifest is None else [name for name, _ in manifest.chunks]
            chunks = [await contents.chunk(name) for name in names]
            if manifest is not None and None not in chunks:
                here[place] = b"".join(chunk for chunk in chunks if chunk is not None)
    return here


def _read_here(directory: ChunkDirectory, nodes: list[Node]) -> list[bytes | None]:
    found: list[bytes | None] = []
    for node in nodes:
        manifest = directory.manifest(node.hash, node.size)
        names = [] if manifest is None else [name for name, _ in manifest.chunks]
        chunks = [directory.chunk(name) for name in names]
        is_here = manifest is not None and None not in chunks
        found.append(b"".join(c for c in chunks if c is not None) if is_here else None)
    return found
