"""Delta: contents as chunks, of which only the missing ones travel, in either direction."""

from __future__ import annotations

import asyncio
import os
import re
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from quantum.http.body import read_all
from quantum.http.headers import Headers
from quantum.http.message import Response
from services.sync.api.answers import Refused, answer_json
from services.sync.api.call import Call, Desk
from services.sync.api.together.records import Piece, RecordsBroken, read_records
from services.sync.api.writing import commit, wish_of
from services.sync.content.cutting import LARGEST, hash_of
from services.sync.content.manifest import Manifest
from services.sync.disk.folder import NotThere
from services.sync.disk.incoming import TooLarge
from services.sync.protocol import nanoseconds, rfc3339
from services.sync.rules.tree import Node
from services.sync.share.history import version_at

MOST_CHUNKS = 2_000_000
"""Chunks of one content: half a terabyte."""

LARGEST_LIST = 256 * 1024 * 1024
"""Bytes of a list of so many chunks, as JSON."""

GROUP_BYTES = 4 * 1024 * 1024
"""Chunks of one request that are in memory at once."""

_HASH = re.compile(r"[0-9a-f]{64}")


class Wanted(BaseModel):
    """The body of ``POST /api/chunks``."""

    model_config = ConfigDict(extra="forbid")
    chunks: list[str] = Field(max_length=MOST_CHUNKS)


class ContentOf(BaseModel):
    """The body of ``PUT /api/manifests/P``."""

    model_config = ConfigDict(extra="ignore")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    chunks: list[tuple[str, int]] = Field(max_length=MOST_CHUNKS)


class Pieces:
    """The routes of one share."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._share = desk.share
        self._contents = desk.share.contents

    async def read_chunk(self, call: Call) -> Response:
        """Answer ``GET /api/chunks/H``: it never changes."""
        if not call.principal.sees_all:
            raise Refused(403, "chunks need a token for the whole share")
        name = _hash(call.rest)
        data = await self._contents.chunk(name)
        if data is None:
            raise NotThere(f"chunk {name}")
        fields = [
            (b"content-type", b"application/octet-stream"),
            (b"cache-control", b"public, max-age=31536000, immutable"),
            (b"etag", f'"{name}"'.encode()),
            (b"content-length", b"%d" % len(data)),
            (b"x-content-type-options", b"nosniff"),
        ]
        return Response(200, Headers(fields), b"" if call.request.method == "HEAD" else data)

    async def write_chunk(self, call: Call) -> Response:
        """Answer ``PUT /api/chunks/H``."""
        name = _hash(call.rest)
        try:
            data = await read_all(call.request.body, LARGEST)
        except ValueError:
            raise TooLarge(f"a chunk has at most {LARGEST} bytes") from None
        new = await self._store([(name, data)])
        return answer_json(201 if new else 200, {"size": len(data)})

    async def write_chunks(self, call: Call) -> Response:
        """Answer ``PUT /api/chunks``: many in one body, each a line of JSON and its bytes."""
        stored = new = size = 0
        pieces: list[tuple[str, bytes]] = []
        try:
            async for piece, data in read_records(call.request.body, Piece):
                if not 0 < piece.size <= LARGEST:
                    raise TooLarge(f"a chunk has 1 to {LARGEST} bytes")
                pieces.append((piece.hash, data))
                size += piece.size
                if size >= GROUP_BYTES:
                    new += await self._store(pieces)
                    stored, size, pieces = stored + len(pieces), 0, []
        except RecordsBroken as error:
            raise Refused(400, str(error), stored=stored) from None
        new += await self._store(pieces)
        return answer_json(200, {"stored": stored + len(pieces), "new": new})

    async def _store(self, pieces: list[tuple[str, bytes]]) -> int:
        """Keep chunks until a manifest names them, which makes them durable; return how many were new."""
        new = await asyncio.to_thread(self._keep, pieces)
        for name, _ in pieces:
            await self._contents.publish_chunk(name)
        return new

    def _keep(self, pieces: list[tuple[str, bytes]]) -> int:
        for name, data in pieces:
            if hash_of(data) != name:
                raise Refused(400, f"the chunk {name} is not what its name says")
        return self._contents.directory.add_chunks(pieces)

    async def missing(self, call: Call) -> Response:
        """Answer ``POST /api/chunks``: which of these are not here."""
        asked = await call.json(Wanted, LARGEST_LIST)
        assert isinstance(asked, Wanted)
        names = [_hash(name) for name in asked.chunks]
        if not call.principal.sees_all:
            return answer_json(200, {"missing": names})  # what is here is none of its business
        return answer_json(200, {"missing": await self._contents.missing(names)})

    async def read_manifest(self, call: Call) -> Response:
        """Answer ``GET /api/manifests/P``."""
        path = call.path
        wanted = call.wanted_version
        node = self._share.tree.get(path)
        if wanted is not None:
            await self._share.reach(wanted)
            node = await asyncio.to_thread(version_at, self._share.index, path, wanted)
        if node is None or node.is_directory:
            raise NotThere(f"file {path}")
        manifest = await self._contents.manifest(node.hash, node.size)
        if manifest is None:
            raise Refused(410, "this version is not kept any more", code="gone")
        return answer_json(200, {"path": path, "version": node.version, **manifest.to_json()})

    async def write_manifest(self, call: Call) -> Response:
        """Answer ``PUT /api/manifests/P``: a file made of chunks that are here."""
        path = call.path
        call.require_change(path)
        asked = await call.json(ContentOf, LARGEST_LIST)
        assert isinstance(asked, ContentOf)
        if self._desk.config.max_file_size and asked.size > self._desk.config.max_file_size:
            raise TooLarge(f"the content is larger than {self._desk.config.max_file_size} bytes")
        manifest = Manifest(asked.hash, asked.size, tuple(asked.chunks))
        _check_sizes(manifest)
        missing = await self._contents.missing(name for name, _ in manifest.chunks)
        if missing:
            said = "chunks are missing: PUT them first"
            raise Refused(409, said, code="missing", missing=missing)
        now = rfc3339(int(self._share.now().timestamp() * 1_000_000) * 1000)
        wish = wish_of(call, path, nanoseconds(now))
        temporary = await asyncio.to_thread(self._assemble, manifest, wish.modified)
        try:
            await self._contents.publish(manifest)
            await self._share.make_way(path)
        except BaseException:
            await asyncio.to_thread(self._share.folder.drop_temporary, temporary)
            raise
        wanted = Node(path, manifest.size, manifest.hash, wish.modified, False, 0)
        written = await commit(self._desk, wish, wanted, temporary)
        location = b"/api/files/" + quote(written.node.path).encode()
        fields = written.fields(location, quote(path))
        return answer_json(201 if written.is_new else 200, written.node.to_json(), *fields)

    def _assemble(self, manifest: Manifest, modified: str) -> str:
        """Put the content together, compare its hash, keep its list of chunks. Blocks."""
        folder, directory = self._share.folder, self._contents.directory
        temporary, descriptor = folder.create_temporary()
        try:
            if not directory.write_file(manifest, descriptor):
                missing = [name for name, _ in manifest.chunks if not directory.has(name)]
                if missing:
                    said = "chunks are missing: PUT them first"
                    raise Refused(409, said, code="missing", missing=missing)
                raise Refused(400, "the chunks do not make up a content with this hash")
            time = nanoseconds(modified)
            os.utime(descriptor, ns=(time, time))
            directory.add_manifest(
                manifest
            )  # with it the chunks, and the file that is not placed yet
        except BaseException:
            folder.drop_temporary(temporary)
            raise
        finally:
            os.close(descriptor)
        return temporary


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise Refused(400, "a chunk is named by its SHA-256 in hex, in lower case")
    return text


def _check_sizes(manifest: Manifest) -> None:
    for name, size in manifest.chunks:
        _hash(name)
        if not 0 < size <= LARGEST:
            raise Refused(400, f"a chunk has 1 to {LARGEST} bytes")
    if sum(size for _, size in manifest.chunks) != manifest.size:
        raise Refused(400, "the sizes of the chunks do not make up the size")
