"""The share over HTTP: what docs/sync-protocol.md promises, version 1 or 2."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from quantum.errors import ConfigError
from services.sync.client.planning.model import DIRECTORY, Node
from services.sync.client.remote.api import (
    Change,
    ConfirmationWanted,
    Download,
    Json,
    Listing,
    Offline,
    Page,
    Refused,
    Remote,
    RemoteError,
    Rescan,
    Stale,
    Unauthorized,
    Written,
)
from services.sync.share.paths import PathRefused, parse_path

ANSWER_SECONDS = 60.0
"""How long a server may be silent in the middle of an answer: its own limit for slow clients."""

CONNECT_SECONDS = 10.0
"""How long connecting may take."""

PAGE = 1000
"""Operations asked for at once."""

LISTINGS = 3
"""Times a listing of several pages is asked for again because the share changed between its pages."""


def share_url(text: str) -> URL:
    """Read ``--server``: http(s), or ws(s) as a browser would write it. Raises ConfigError."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigError(
            "", f"{text!r} is no server", "give a URL such as https://files.example.com"
        )
    path = parts.path.rstrip("/").removesuffix("/ws").removesuffix("/api")
    return URL(f"{scheme}://{parts.netloc}{path}/", encoded=True)


class HttpRemote:
    """One share behind one URL."""

    def __init__(self, http: aiohttp.ClientSession, base: URL) -> None:
        """``http`` carries the client's name, its token and the limits on time and connections."""
        self._http = http
        self._base = base
        self._has_log = False

    @property
    def live_url(self) -> URL:
        """Where operations are pushed."""
        return self._url("ws")

    async def listing(self) -> Listing:
        """Return everything, page by page; a share that changes meanwhile is listed again."""
        for _ in range(LISTINGS):
            tree: dict[str, Node] = {}
            cursors: list[int] = []
            log, url = "", self._url("api/list")
            while url is not None:
                async with self._ask("GET", url) as answer:
                    for entry in await answer.json():
                        _add(tree, entry)
                    cursors.append(int(answer.headers.get("Sync-Cursor", 0)))
                    log = answer.headers.get("Sync-Log", "")
                    url = answer.links["next"]["url"] if "next" in answer.links else None  # type: ignore[assignment]
            if min(cursors) == max(cursors):
                break
        self._has_log = bool(log)
        return Listing(tree, min(cursors), log)

    async def changes(self, cursor: int, log: str) -> Page:
        """Return operations after a cursor."""
        body = {"cursor": cursor, "log": log, "limit": PAGE}
        async with self._ask("POST", self._url("api/sync"), json=body) as answer:
            found = await answer.json()
        self._has_log = True
        changes = [change_of(operation) for operation in found["operations"]]
        return Page(int(found["cursor"]), int(found["head"]), changes)

    @asynccontextmanager
    async def download(self, path: str, start: int = 0, hash: str = "") -> AsyncIterator[Download]:
        """Fetch a file, or the rest of it."""
        fields = {"Accept-Encoding": "identity"}
        if start:
            fields |= {"Range": f"bytes={start}-", "If-Range": f'"{hash}"'}
        async with self._ask("GET", self._file(path), headers=fields) as answer:
            digest = answer.headers.get("ETag", "").removeprefix("W/").strip('"')
            size = int(answer.headers.get("Content-Length", 0))
            if answer.status != 206:
                start = 0
            seq = int(answer.headers.get("Sync-Version", 0))
            yield _Download(Node(False, digest, size + start), start, seq, answer)

    async def upload(
        self, path: str, node: Node, content: bytes | AsyncIterator[bytes], expect: Node | None
    ) -> Written:
        """Write a file."""
        digest = base64.b64encode(bytes.fromhex(node.hash)).decode()
        fields = {
            "Repr-Digest": f"sha-256=:{digest}:", "Content-Type": "application/octet-stream",
            "Content-Length": str(node.size), **_condition(expect),
        }  # fmt: skip
        return await self._write("PUT", self._file(path), fields, data=content)

    async def delete(self, path: str, expect: Node, cursor: int, confirm: str = "") -> Written:
        """Delete a file or an empty directory."""
        area = "dirs" if expect.is_directory else "files"
        fields = {"Sync-Confirm": confirm} if confirm else {}
        fields |= {} if expect.is_directory else _condition(expect)
        return await self._write("DELETE", self._url(f"api/{area}/{quote(path)}"), fields)

    async def make_directory(self, path: str) -> Written:
        """Make a directory."""
        return await self._write("PUT", self._url(f"api/dirs/{quote(path)}"), {})

    async def move(self, source: str, to: str, expect: Node, cursor: int) -> Written:
        """Rename."""
        is_guarded = expect.is_directory and self._has_log
        fields = {"Sync-Base": str(cursor)} if is_guarded else {}
        fields |= {} if expect.is_directory else _condition(expect)
        body = {"from": source, "to": to}
        return await self._write("POST", self._url("api/move"), fields, json=body)

    async def get(self, path: str, query: dict[str, str] | None = None) -> Any:
        """Return the JSON of any resource of the share, for commands that only show it."""
        async with self._ask(
            "GET", self._url(f"api/{quote(path)}").with_query(query or {})
        ) as answer:
            return await answer.json()

    async def post(self, path: str, body: Json) -> Any:
        """Return the JSON that answers a command."""
        async with self._ask("POST", self._url(f"api/{quote(path)}"), json=body) as answer:
            return await answer.json()

    async def _write(self, method: str, url: URL, fields: dict[str, str], **body: Any) -> Written:
        fields = {**fields, "Sync-Op-Id": secrets.token_hex(12)}
        async with self._ask(method, url, headers=fields, **body) as answer:
            await answer.read()
            seq = answer.headers.get("Sync-Version") or answer.headers.get("Sync-Cursor") or 0
            return Written(int(seq))

    def _url(self, path: str) -> URL:
        return URL(f"{self._base}{path}", encoded=True)

    def _file(self, path: str) -> URL:
        return self._url(f"api/files/{quote(path)}")

    @asynccontextmanager
    async def _ask(
        self, method: str, url: URL, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; raises RemoteError unless the answer is a success."""
        try:
            async with self._http.request(method, url, **options) as answer:
                if answer.status >= 300:
                    raise await _problem(answer)
                yield answer
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Offline(f"{self._base}: {error or type(error).__name__}") from error


class _Download:
    def __init__(self, node: Node, start: int, seq: int, answer: aiohttp.ClientResponse) -> None:
        self.node, self.start, self.seq = node, start, seq
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._answer.content.iter_any():
            yield chunk


def change_of(operation: Json) -> Change:
    """Return a FileOperation as a change; one of a path that no share can have changes nothing."""
    kind, body = next(iter(operation["operation"].items()))
    seq, client = int(operation.get("seq", 0)), str(operation.get("source_client", ""))
    try:
        if kind == "Delete":
            return Change(parse_path(body["path"]), None, "", seq, client)
        source = parse_path(body["from"]) if kind == "Move" else ""
        path, node = _node_of(body["metadata"])
        return Change(parse_path(body["to"]) if source else path, node, source, seq, client)
    except PathRefused:
        return Change("", None, "", seq, client)


def _node_of(metadata: Json) -> tuple[str, Node]:
    path = parse_path(metadata["path"])
    if metadata["is_directory"]:
        return path, DIRECTORY
    return path, Node(False, metadata["hash"], metadata["size"])


def _add(tree: dict[str, Node], metadata: Json) -> None:
    """Add an entry of a listing, unless this server offers a name that would leave the folder."""
    try:
        path, node = _node_of(metadata)
    except PathRefused:
        return
    tree[path] = node


def _condition(expect: Node | None) -> dict[str, str]:
    return {"If-None-Match": "*"} if expect is None else {"If-Match": f'"{expect.hash}"'}


async def _problem(answer: aiohttp.ClientResponse) -> RemoteError:
    """Return what an error status means."""
    try:
        said: Any = await answer.json(content_type=None)
    except (ValueError, aiohttp.ClientError):
        said = {}
    said = said if isinstance(said, dict) else {}
    text = str(said.get("error") or f"{answer.status} {answer.reason}")
    if answer.status == 428:
        return ConfirmationWanted(text, str(said.get("confirm", "")), int(said.get("affected", 0)))
    if answer.status == 429 or (answer.status >= 500 and answer.status != 507):
        after = answer.headers.get("Retry-After", "")
        return Offline(text, float(after) if after.isdigit() else 0.0)
    return _MEANINGS.get(answer.status, Refused)(text)


_MEANINGS: dict[int, Callable[[str], RemoteError]] = {
    401: Unauthorized, 404: Stale, 409: Stale, 410: Rescan, 412: Stale,
}  # fmt: skip

_: type[Remote] = HttpRemote
