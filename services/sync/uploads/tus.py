"""tus 1.0.0 (https://tus.io/protocols/resumable-upload): the core and the extensions that are named below."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from quantum.http.headers import Field, Headers
from quantum.http.message import Response
from services.sync.api.answers import Refused
from services.sync.api.call import Call
from services.sync.share.paths import parse_path
from services.sync.uploads.resuming import CHECKSUMS, Checksum, Resuming, result_fields
from services.sync.uploads.store import NoUpload, Upload

VERSION = b"1.0.0"
EXTENSIONS = b"creation,creation-with-upload,creation-defer-length,checksum,expiration,termination,concatenation"
CONTENT = b"application/offset+octet-stream"
_TAG = re.compile(r'"?([^"]*)"?')


class Tus:
    """The dialect over one share."""

    def __init__(self, uploads: Resuming) -> None:
        self._uploads = uploads

    def options(self) -> Response:
        """Tell what is spoken."""
        fields: list[Field] = [
            (b"tus-version", VERSION),
            (b"tus-extension", EXTENSIONS),
            (b"tus-checksum-algorithm", ",".join(CHECKSUMS).encode()),
        ]
        if self._uploads.largest:
            fields.append((b"tus-max-size", b"%d" % self._uploads.largest))
        return _answer(204, *fields)

    async def create(self, call: Call) -> Response:
        """Answer POST: creation, with or without bytes; concatenation."""
        headers = call.request.headers
        concat = headers.get(b"upload-concat") or b""
        if concat.startswith(b"final;"):
            return await self._concatenate(call, concat[6:].decode("latin-1").split())
        length = _number(headers, b"upload-length")
        if length is None and headers.get(b"upload-defer-length") != b"1":
            raise Refused(400, "Upload-Length or Upload-Defer-Length: 1 is missing")
        upload = self._upload(call, length, is_partial=concat == b"partial")
        await self._uploads.begin(upload)
        fields = [(b"location", f"/api/uploads/{upload.id}".encode()), _expires(upload)]
        offset = 0
        if headers.get(b"content-type") == CONTENT:
            offset = await self._uploads.take(upload, 0, call.request.body, _checksum(headers))
            fields.append((b"upload-offset", b"%d" % offset))
        if offset == upload.length and not upload.is_partial:
            fields += result_fields(await self._uploads.commit(upload))
        return _answer(201, *fields)

    def _upload(self, call: Call, length: int | None, *, is_partial: bool) -> Upload:
        text = (call.request.headers.get(b"upload-metadata") or b"").decode("latin-1")
        given = _metadata(text)
        path = "" if is_partial else parse_path(given.get("path") or given.get("filename") or "")
        if not is_partial:
            call.require_change(path)
        made = self._uploads.make(call, path, length, "tus")
        match, base = given.get("if_match"), given.get("base", "")
        changes = {
            "metadata": text,
            "is_partial": is_partial,
            "makes_copy": made.makes_copy or given.get("on_conflict") == "copy",
            "if_match": made.if_match if match is None else [_TAG.sub(r"\1", match)],
            "base": int(base) if re.fullmatch("[0-9]{1,18}", base) else made.base,
            "modified": given.get("modified"),
            "client": call.principal.client or given.get("client_id") or made.client,
        }
        try:
            return Upload.model_validate({**made.model_dump(), **changes})
        except ValidationError as error:
            raise Refused(400, f"Upload-Metadata: {error.errors()[0]['msg']}") from None

    async def _concatenate(self, call: Call, places: list[str]) -> Response:
        parts = [unquote(urlsplit(place).path).rpartition("/")[2] for place in places]
        total = 0
        for part in parts:
            found, size = await self._uploads.find(part)
            if not found.is_partial or size != found.length:
                raise Refused(400, f"{part} is not a complete partial upload")
            total += size
        upload = self._upload(call, total, is_partial=False)
        await self._uploads.begin(upload)
        try:
            await asyncio.to_thread(self._uploads.store.concatenate, upload.id, parts)
        except NoUpload:
            raise Refused(404, "a part is gone") from None
        written = await self._uploads.commit(upload)
        for part in parts:
            await self._uploads.remove(part)
        location = (b"location", f"/api/uploads/{upload.id}".encode())
        return _answer(201, location, *result_fields(written))

    async def state(self, call: Call) -> Response:
        """Answer HEAD."""
        upload, offset = await self._uploads.find(call.rest)
        fields: list[Field] = [
            (b"upload-offset", b"%d" % offset),
            (b"cache-control", b"no-store"),
            _expires(upload),
        ]
        if upload.length is None:
            fields.append((b"upload-defer-length", b"1"))
        else:
            fields.append((b"upload-length", b"%d" % upload.length))
        if upload.metadata:
            fields.append((b"upload-metadata", upload.metadata.encode()))
        if upload.is_partial:
            fields.append((b"upload-concat", b"partial"))
        return _answer(200, *fields)

    async def append(self, call: Call) -> Response:
        """Answer PATCH; the one that completes the upload commits it."""
        headers = call.request.headers
        if headers.get(b"content-type") != CONTENT:
            raise Refused(415, f"Content-Type must be {CONTENT.decode()}")
        offset = _number(headers, b"upload-offset")
        if offset is None:
            raise Refused(400, "Upload-Offset is missing")
        upload, _ = await self._uploads.find(call.rest)
        length = _number(headers, b"upload-length")
        if length is not None and upload.length is None:
            upload = upload.model_copy(update={"length": length})
            await self._uploads.save(upload)
        offset = await self._uploads.take(upload, offset, call.request.body, _checksum(headers))
        fields = [(b"upload-offset", b"%d" % offset), _expires(upload)]
        if offset == upload.length and not upload.is_partial:
            call.require_change(upload.path)
            fields += result_fields(await self._uploads.commit(upload))
        return _answer(204, *fields)

    async def terminate(self, call: Call) -> Response:
        """Answer DELETE."""
        await self._uploads.remove(call.rest)
        return _answer(204)


def _answer(status: int, *fields: Field) -> Response:
    return Response(status, Headers([(b"tus-resumable", VERSION), *fields]))


def _expires(upload: Upload) -> Field:
    return (b"upload-expires", format_datetime(upload.expires, usegmt=True).encode())


def _number(headers: Headers, name: bytes) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise Refused(400, f"{name.decode()} must be a number")
    return int(value)


def _checksum(headers: Headers) -> Checksum | None:
    value = headers.get(b"upload-checksum")
    return None if value is None else Checksum.parse(value)


def _metadata(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for member in text.split(",") if text.strip() else []:
        name, _, value = member.strip().partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(400, f"Upload-Metadata: {name} is no base64 of UTF-8") from None
    return found
