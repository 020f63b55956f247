"""The REST interface: ``/api/*``. Any HTTP client is a client of a share.

The entity tag of a file is its SHA-256, so ``If-Match`` and ``If-None-Match: *`` make a write a
compare-and-swap, checked at the moment of the change (412: somebody was faster).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quantum.errors import HttpError
from quantum.http.body import AnyBody, read_all
from quantum.http.files.answer import Representation, answer
from quantum.http.files.conditional import Verdict, evaluate
from quantum.http.files.content_types import content_type_of
from quantum.http.message import Request, Response
from quantum.http.target import decode_path
from services.sync.api.answers import REFUSALS, Refused, answer_json, refusal
from services.sync.api.digests import check_digests
from services.sync.api.uploads import FormRefused, read_form
from services.sync.config import FileSyncConfig
from services.sync.origin import is_welcome
from services.sync.protocol import SERVER
from services.sync.share.folder import NotThere
from services.sync.share.incoming import Incoming, Received, TooLarge
from services.sync.share.paths import parse_path
from services.sync.share.share import Condition, Share
from services.sync.share.tree import Metadata

LARGEST_PAGE = 10_000
"""Entries of one answer to ``/api/list``: some 2 MB of JSON; the rest is behind ``Link: rel="next"``."""

LARGEST_COMMAND = 64 * 1024
"""Bytes of a JSON request: two paths with room to spare."""

READ_ATTEMPTS = 5
"""Times a file is looked at again when it changes between being hashed and being opened."""

_CLIENT_ID = re.compile(rb"[!-~]{1,128}")

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


class Rest:
    """The interface of one share, by one handler's rules."""

    def __init__(
        self, share: Share, config: FileSyncConfig, facts: Callable[[], dict[str, Any]]
    ) -> None:
        """``facts`` adds to ``/api/status``."""
        self._share = share
        self._config = config
        self._facts = facts

    async def handle(self, request: Request) -> Response:
        """Answer a request below ``/api/``; refusals are JSON too."""
        try:
            return await self._dispatch(request)
        except REFUSALS as error:
            return refusal(error)

    def _dispatch(self, request: Request) -> Awaitable[Response]:
        area, _, rest = request.path.removeprefix("/api").removeprefix("/").partition("/")
        routes = self._routes(area, rest)
        method = "GET" if request.method == "HEAD" else request.method
        if not routes:
            raise Refused(
                404, "no such resource; there are list, files, dirs, upload, move, status"
            )
        if method not in routes:
            allowed = ", ".join([*routes, "HEAD"] if "GET" in routes else routes)
            raise Refused(405, f"allowed: {allowed}", (b"allow", allowed.encode()))
        if method != "GET":
            self._check_writer(request)
        return routes[method](request, rest)

    def _routes(
        self, area: str, rest: str
    ) -> Mapping[str, Callable[[Request, str], Awaitable[Response]]]:
        if area == "files" and rest:
            return {"GET": self._read, "PUT": self._write, "DELETE": self._delete}
        if area == "dirs" and rest:
            return {"PUT": self._make_directory, "DELETE": self._delete}
        if rest:
            return {}
        return {
            "list": {"GET": self._list},
            "upload": {"POST": self._upload},
            "move": {"POST": self._move},
            "status": {"GET": self._status},
        }.get(area, {})

    def _check_writer(self, request: Request) -> None:
        if not self._config.enable_upload:
            raise Refused(403, "this share is read only: enable_upload is off")
        if not is_welcome(request, self._config.allowed_origins):
            raise Refused(403, "this origin may not write here")
        if not self._share.is_writable:
            raise Refused(503, "the folder of this share cannot be written")

    async def _list(self, request: Request, rest: str) -> Response:
        query = dict(parse_qsl(request.query or "", keep_blank_values=True))
        path = parse_path(query["path"].strip("/")) if query.get("path", "").strip("/") else ""
        recursive = query.get("recursive", "true").lower() not in {"false", "0", "no"}
        limit = _limit(query.get("limit", str(LARGEST_PAGE)))
        if path and await asyncio.to_thread(self._share.folder.stat, path) is None:
            raise NotThere(path)
        page, after = await asyncio.to_thread(
            self._share.tree.listing,
            path,
            recursive=recursive,
            after=query.get("cursor", ""),
            limit=limit,
        )
        entries = [metadata.to_json() for metadata in page]
        if after is None:
            return answer_json(200, entries)
        link = f'<?{urlencode({**query, "cursor": after})}>; rel="next"'
        return answer_json(200, entries, (b"link", link.encode()))

    async def _status(self, request: Request, rest: str) -> Response:
        facts = {"enable_upload": self._config.enable_upload, **self._share.status()}
        return answer_json(200, {**facts, **self._facts()})

    async def _read(self, request: Request, rest: str) -> Response:
        path = _path_in(rest)
        metadata, descriptor = await asyncio.to_thread(self._open, path)
        extra = list(_FILE_FIELDS)
        if "download" in dict(parse_qsl(request.query or "", keep_blank_values=True)):
            name = quote(path.rpartition("/")[2], safe="").encode()
            extra.append((b"content-disposition", b"attachment; filename*=UTF-8''" + name))
        representation = Representation(
            size=metadata.size,
            etag=_etag(metadata),
            modified=metadata.modified_ns // 1_000_000_000,
            content_type=content_type_of(path) or b"application/octet-stream",
            extra=tuple(extra),
        )
        return answer(request.method, request.headers, descriptor, representation)

    def _open(self, path: str) -> tuple[Metadata, int]:
        """Return a file's metadata and a descriptor of exactly that version. Blocks."""
        for _ in range(READ_ATTEMPTS):
            metadata = self._share.tree.describe(path)
            if metadata is None or metadata.is_directory:
                raise NotThere(f"file {path}")
            descriptor, status = self._share.folder.open(path)
            if (status.st_mtime_ns, status.st_size, status.st_ino) == metadata.identity:
                return metadata, descriptor
            os.close(descriptor)
        raise Refused(503, "the file changes all the time", (b"retry-after", b"1"))

    async def _write(self, request: Request, rest: str) -> Response:
        path = _path_in(rest)
        limit = self._config.max_file_size
        length = None if isinstance(request.body, bytes) else request.body.length
        if limit and length is not None and length > limit:
            raise TooLarge(f"the content is larger than {limit} bytes")
        received = await self._receive(request.body)
        try:
            check_digests(request.headers, received.digest)
        except BaseException:
            await asyncio.to_thread(self._share.folder.drop_temporary, received.temporary)
            raise
        metadata, is_new = await self._commit(path, received, request)
        location = b"/api/files/" + quote(path).encode()
        fields = [(b"etag", _etag(metadata)), (b"location", location)]
        return answer_json(201 if is_new else 200, metadata.to_json(), *fields)

    async def _receive(self, body: AnyBody) -> Received:
        incoming = Incoming(self._share.folder, self._config.max_file_size)
        try:
            if isinstance(body, bytes):
                await incoming.write(body)
            else:
                async for chunk in body:
                    await incoming.write(chunk)
            return await incoming.finish()
        except BaseException:
            await incoming.aclose()
            raise

    async def _commit(
        self, path: str, received: Received, request: Request
    ) -> tuple[Metadata, bool]:
        try:
            return await self._share.write(path, received, _condition(request), client_of(request))
        except BaseException:
            await asyncio.to_thread(self._share.folder.drop_temporary, received.temporary)
            raise

    async def _delete(self, request: Request, rest: str) -> Response:
        await self._share.remove(_path_in(rest), _condition(request), client_of(request))
        return Response(204)

    async def _make_directory(self, request: Request, rest: str) -> Response:
        metadata, is_new = await self._share.make_directory(_path_in(rest), client_of(request))
        return answer_json(201 if is_new else 200, metadata.to_json())

    async def _move(self, request: Request, rest: str) -> Response:
        try:
            wanted = MoveRequest.model_validate_json(await read_all(request.body, LARGEST_COMMAND))
        except ValidationError:
            raise Refused(400, 'the body must be {"from": path, "to": path}') from None
        except ValueError as error:
            raise Refused(413, str(error)) from None
        source, to = parse_path(wanted.source), parse_path(wanted.to)
        moved = await self._share.move(source, to, _condition(request), client_of(request))
        return answer_json(200, moved.to_json())

    async def _upload(self, request: Request, rest: str) -> Response:
        """Take several files of a form; those before a bad one are kept, and the answer says so."""
        query = dict(parse_qsl(request.query or ""))
        folder = query.get("path", "").strip("/")
        uploaded: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        status = 201

        async def take(name: str, content: AnyBody) -> None:
            nonlocal status
            path = f"{folder}/{name}" if folder else name
            try:
                path = parse_path(path)
                metadata, _ = await self._commit(path, await self._receive(content), request)
                uploaded.append(metadata.to_json())
            except REFUSALS as error:
                answered = refusal(error).status
                status = answered if status == 201 else status
                failed.append({"path": path, "error": str(error)})

        try:
            await read_form(request, take)
        except FormRefused as error:
            raise Refused(400, str(error)) from None
        return answer_json(status, {"uploaded": uploaded, "failed": failed})


def client_of(request: Request) -> str:
    """Return the client that a request names in ``X-Client-Id``, so that it can ignore the echo."""
    value = request.headers.get(b"x-client-id")
    return value.decode() if value is not None and _CLIENT_ID.fullmatch(value) else SERVER


def _etag(metadata: Metadata) -> bytes:
    return f'"{metadata.hash}"'.encode()


def _path_in(raw: str) -> str:
    try:
        return parse_path(decode_path(raw))
    except HttpError as error:
        raise Refused(400, error.reason) from None


def _limit(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise Refused(400, f"limit must be a number from 1 to {LARGEST_PAGE}")
    return int(text)


def _condition(request: Request) -> Condition:
    """Return the check of the request's preconditions against what is there at that moment."""

    def check(current: Metadata | None) -> None:
        etag = None if current is None or current.is_directory else _etag(current)
        modified = None if current is None else current.modified_ns // 1_000_000_000
        verdict = evaluate(
            request.method, request.headers, etag, modified, exists=current is not None
        )
        if verdict is not Verdict.PROCEED:
            fields = () if etag is None else ((b"etag", etag),)
            raise Refused(412, "the file is not in the state that the request expects", *fields)

    return check
