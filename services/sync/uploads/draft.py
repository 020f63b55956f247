"""Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload, interop version 8).

An upload is told by ``Upload-Complete``; its state is that of the store, so a client may even go on
with an upload that was begun in the other dialect.
"""

from __future__ import annotations

from quantum.http.headers import Field, Headers
from quantum.http.message import Response
from services.sync.api.answers import Refused, answer_json
from services.sync.api.call import Call
from services.sync.share.paths import parse_path
from services.sync.uploads.resuming import Resuming, result_fields
from services.sync.uploads.store import KEPT_SECONDS, Upload

INTEROP = (b"upload-draft-interop-version", b"8")
CONTENT = b"application/partial-upload"


class Draft:
    """The dialect over one share."""

    def __init__(self, uploads: Resuming) -> None:
        self._uploads = uploads

    async def create(self, call: Call) -> Response:
        """Answer POST: make an upload of its body, whole or the first part."""
        request = call.request
        is_complete = _is_complete(request.headers)
        path = parse_path(call.query.get("path", ""))
        call.require_change(path)
        length = _number(request.headers, b"upload-length")
        if is_complete and length is None and not isinstance(request.body, bytes):
            length = request.body.length
        upload = self._uploads.make(call, path, length, "draft")
        if request.headers.get(b"sync-modified") is not None:
            upload = upload.model_copy(update={"modified": call.modified(0)})
        await self._uploads.begin(upload)
        location = (b"location", f"/api/uploads/{upload.id}".encode())
        if request.informational is not None:
            request.informational(104, Headers([INTEROP, location, self._limit()]))
        offset = await self._uploads.take(upload, 0, request.body, None)
        return await self._answer(call, upload, offset, location, is_complete=is_complete)

    async def _answer(
        self, call: Call, upload: Upload, offset: int, *fields: Field, is_complete: bool
    ) -> Response:
        place: list[Field] = [INTEROP, *fields, (b"upload-offset", b"%d" % offset)]
        if not is_complete:
            return Response(201, Headers([*place, (b"upload-complete", b"?0"), self._limit()]))
        if upload.length is not None and offset != upload.length:
            raise Refused(400, f"the upload has {offset} of {upload.length} bytes")
        call.require_change(upload.path)
        written = await self._uploads.commit(upload)
        status = 201 if written.is_new else 200
        done = [*place, (b"upload-complete", b"?1"), *result_fields(written)]
        return answer_json(status, written.node.to_json(), *done)

    async def state(self, call: Call) -> Response:
        """Answer HEAD."""
        upload, offset = await self._uploads.find(call.rest)
        fields: list[Field] = [
            INTEROP,
            (b"upload-complete", b"?0"),
            (b"upload-offset", b"%d" % offset),
            (b"cache-control", b"no-store"),
            self._limit(),
        ]
        if upload.length is not None:
            fields.append((b"upload-length", b"%d" % upload.length))
        return Response(204, Headers(fields))

    async def append(self, call: Call) -> Response:
        """Answer PATCH."""
        headers = call.request.headers
        if headers.get(b"content-type") != CONTENT:
            raise Refused(415, f"Content-Type must be {CONTENT.decode()}")
        offset = _number(headers, b"upload-offset")
        if offset is None:
            raise Refused(400, "Upload-Offset is missing")
        is_complete = _is_complete(headers)
        upload, _ = await self._uploads.find(call.rest)
        length = _number(headers, b"upload-length")
        if length is not None and length != upload.length:
            if upload.length is not None:
                raise Refused(400, "the length of an upload does not change")
            upload = upload.model_copy(update={"length": length})
            await self._uploads.save(upload)
        offset = await self._uploads.take(upload, offset, call.request.body, None)
        if is_complete:
            return await self._answer(call, upload, offset, is_complete=True)
        fields = [INTEROP, (b"upload-complete", b"?0"), (b"upload-offset", b"%d" % offset)]
        return Response(204, Headers(fields))

    async def cancel(self, call: Call) -> Response:
        """Answer DELETE."""
        await self._uploads.remove(call.rest)
        return Response(204, Headers([INTEROP]))

    def _limit(self) -> Field:
        largest = self._uploads.largest
        size = b"max-size=%d, " % largest if largest else b""
        return (b"upload-limit", size + b"max-age=%d" % KEPT_SECONDS)


def _is_complete(headers: Headers) -> bool:
    value = headers.get(b"upload-complete")
    if value not in {b"?0", b"?1"}:
        raise Refused(400, "Upload-Complete must be ?0 or ?1")
    return value == b"?1"


def _number(headers: Headers, name: bytes) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 15:
        raise Refused(400, f"{name.decode()} must be a number")
    return int(value)
