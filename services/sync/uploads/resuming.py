"""What both dialects do: append what comes, keep what came when it breaks off, commit at the end."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from quantum.errors import BodyAborted
from quantum.http.body import AnyBody
from quantum.http.headers import Field
from services.sync.api.answers import Refused
from services.sync.api.call import Call, Desk
from services.sync.api.writing import Wish, Written, write
from services.sync.disk.incoming import BATCH, TooLarge
from services.sync.protocol import rfc3339
from services.sync.rules.conditions import Condition
from services.sync.uploads.store import KEPT_SECONDS, Busy, NoUpload, Upload, UploadStore, append

CHECKSUMS = ("sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must be."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, value: bytes) -> Checksum:
        """Read ``Upload-Checksum``; Refused 400."""
        algorithm, _, text = value.decode("latin-1").partition(" ")
        if algorithm not in CHECKSUMS:
            raise Refused(400, f"checksums are {' and '.join(CHECKSUMS)}")
        try:
            return cls(algorithm, base64.b64decode(text, validate=True))
        except binascii.Error:
            raise Refused(400, "Upload-Checksum is no base64") from None


class Resuming:
    """The uploads of one share, for one handler."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.store = UploadStore(desk.share.root)

    @property
    def largest(self) -> int:
        """Bytes of the largest upload, 0 for no limit."""
        return self._desk.config.max_file_size

    def now(self) -> datetime:
        """Return the time."""
        return self._desk.share.now()

    async def begin(self, upload: Upload) -> None:
        """Make an upload; those that have expired go."""
        if self.largest and upload.length is not None and upload.length > self.largest:
            raise TooLarge(f"the content is larger than {self.largest} bytes")
        await asyncio.to_thread(self.store.sweep, self.now())
        await asyncio.to_thread(self.store.create, upload)

    def make(self, call: Call, path: str, length: int | None, dialect: str) -> Upload:
        """Return the record of an upload with the conditions of the request's fields."""
        condition = call.condition
        return Upload(
            id=secrets.token_hex(16),
            path=path,
            length=length,
            expires=self.now() + timedelta(seconds=KEPT_SECONDS),
            makes_copy=call.makes_copy,
            if_match=None if condition.match is None else sorted(condition.match),
            if_none_match=sorted(condition.none_match),
            base=condition.base,
            client=call.client,
            dialect=dialect,
        )

    async def find(self, upload_id: str) -> tuple[Upload, int]:
        """Return an upload and its offset; Refused 404."""
        try:
            return await asyncio.to_thread(self.store.load, upload_id, self.now())
        except NoUpload:
            raise Refused(404, "no such upload") from None

    async def take(
        self, upload: Upload, offset: int, body: AnyBody, checksum: Checksum | None
    ) -> int:
        """Append a body; return the new offset. What came before a break stays, unless it has a checksum.

        Refused 409 for another offset, 423 while another request appends, 460 for a wrong checksum.
        """
        try:
            with self.store.appending(upload.id) as descriptor:
                here = os.fstat(descriptor).st_size
                if here != offset:
                    raise Refused(409, f"the offset is {here}", (b"upload-offset", b"%d" % here))
                try:
                    return await self._append(upload, here, descriptor, body, checksum)
                except BaseException as error:
                    is_whole = checksum is None and isinstance(
                        error, BodyAborted | asyncio.CancelledError
                    )
                    if not is_whole:
                        os.ftruncate(descriptor, here)
                    raise
        except Busy:
            raise Refused(423, "another request is appending") from None
        except NoUpload:
            raise Refused(404, "no such upload") from None

    async def _append(
        self, upload: Upload, here: int, descriptor: int, body: AnyBody, checksum: Checksum | None
    ) -> int:
        most = upload.length if upload.length is not None else self.largest or (1 << 62)
        digest = (
            None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
        )
        size, gathered, waiting = here, [], 0
        try:
            async for chunk in _pieces(body):
                size += len(chunk)
                if size > most:
                    raise TooLarge(f"the upload has {most} bytes")
                gathered.append(chunk)
                waiting += len(chunk)
                if digest is not None:
                    digest.update(chunk)
                if waiting >= BATCH:
                    data, gathered, waiting = b"".join(gathered), [], 0
                    await asyncio.to_thread(append, descriptor, data)
        finally:
            if gathered:
                append(descriptor, b"".join(gathered))
        if digest is not None and checksum is not None and digest.digest() != checksum.digest:
            raise Refused(460, "the bytes do not have this checksum", code="checksum")
        await asyncio.to_thread(os.fsync, descriptor)
        return size

    async def commit(self, upload: Upload) -> Written:
        """Let a complete upload have its path; it is gone then. What refuses it leaves it."""
        try:
            received = await asyncio.to_thread(self.store.finished, upload.id)
        except NoUpload:
            raise Refused(404, "no such upload") from None
        match = None if upload.if_match is None else frozenset(upload.if_match)
        condition = Condition(match, frozenset(upload.if_none_match), upload.base)
        modified = upload.modified or rfc3339(received.modified_ns)
        wish = Wish(
            upload.path, modified, condition, upload.client, upload.makes_copy, f"up-{upload.id}"
        )
        written = await write(self._desk, wish, received)
        await asyncio.to_thread(self.store.remove, upload.id)
        return written

    async def save(self, upload: Upload) -> None:
        """Keep a changed record."""
        await asyncio.to_thread(self.store.save, upload)

    async def remove(self, upload_id: str) -> None:
        """Give an upload up; Refused 404."""
        await self.find(upload_id)
        await asyncio.to_thread(self.store.remove, upload_id)


def result_fields(written: Written) -> list[Field]:
    """Return what the last answer of an upload tells of the file."""
    location = b"/api/files/" + quote(written.node.path).encode()
    fields = [(b"etag", f'"{written.node.hash}"'.encode()), (b"content-location", location)]
    return [*fields, (b"sync-version", b"%d" % written.node.version)]


async def _pieces(body: AnyBody) -> AsyncIterator[bytes]:
    """Yield the bytes of a body."""
    if isinstance(body, bytes):
        if body:
            yield body
        return
    async for chunk in body:
        yield chunk
