"""The share over HTTP: what docs/sync-protocol.md promises, version 1 or 2."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from quantum.errors import ConfigError
from services.sync.client.planning.model import DIRECTORY, Node
from services.sync.client.remote.api import (
    Change,
    ChunksMissing,
    ConfirmationWanted,
    Download,
    Fetched,
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
    Unsupported,
    Write,
    Written,
)
from services.sync.client.remote.together import (
    encode_chunks,
    encode_writes,
    fetched,
    read_contents,
    written,
)
from services.sync.client.remote.trouble import why
from services.sync.content.manifest import Manifest
from services.sync.share.paths import PathRefused, parse_path

ANSWER_SECONDS = 60.0
"""How long a server may be silent in the middle of an answer: its own limit for slow clients."""

CONNECT_SECONDS = 10.0
"""How long connecting may take."""

PAGE = 1000
"""Operations asked for at once."""

ASKED = 10_000
"""Chunks asked about at once: some 700 KB of question."""

ASSEMBLED = 20e6
"""Bytes a second that the slowest server puts together: so long its answer is waited for."""

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
        self._takes_many = True
        self._takes_chunks = True

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
    async def download(
        self, path: str, start: int = 0, hash: str = "", size: int = 0
    ) -> AsyncIterator[Download]:
        """Fetch a file, or a part of it."""
        fields = {"Accept-Encoding": "identity"}
        if start or size:
            last = str(start + size - 1) if size else ""
            fields |= {"Range": f"bytes={start}-{last}", "If-Range": f'"{hash}"'}
        async with self._ask("GET", self._file(path), headers=fields) as answer:
            digest = answer.headers.get("ETag", "").removeprefix("W/").strip('"')
            whole = int(answer.headers.get("Content-Length", 0))
            if answer.status == 206:
                whole = int(answer.headers["Content-Range"].rpartition("/")[2])
            else:
                start = 0
            seq = int(answer.headers.get("Sync-Version", 0))
            yield _Download(Node(False, digest, whole), start, seq, answer)

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

    @property
    def takes_many(self) -> bool:
        """Every server with a log does, but those of an older program."""
        return self._has_log and self._takes_many

    async def write_many(
        self, writes: Sequence[Write], confirm: str = ""
    ) -> list[Written | RemoteError]:
        """Make small changes."""
        first = secrets.token_hex(12)
        body = encode_writes(writes, [f"{first}-{number}" for number in range(len(writes))])
        fields = {"Content-Type": "application/octet-stream"}
        fields |= {"Sync-Confirm": confirm} if confirm else {}
        try:
            async with self._ask_many("api/batch", data=body, headers=fields) as answer:
                told = await answer.json()
        except Unsupported:
            self._takes_many = False
            raise
        results, log = told["results"], str(told.get("log", ""))
        if len(results) != len(writes):
            raise Offline("the answer is not about what was asked")
        return [
            written(result, log) if result["status"] < 300 else _meaning(result["status"], result)
            for result in results
        ]

    async def read_many(self, paths: Sequence[str]) -> list[Fetched | RemoteError]:
        """Fetch small files."""
        found: list[Fetched | RemoteError] = []
        body = {"files": [{"path": path} for path in paths]}
        try:
            async with self._ask_many("api/fetch", json=body) as answer:
                async for facts, data in read_contents(answer.content):
                    status = int(facts["status"])
                    found.append(fetched(facts, data) if status == 200 else _meaning(status, facts))
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise Offline("the answer broke off") from error
        except Unsupported:
            self._takes_many = False
            raise
        if len(found) != len(paths):
            raise Offline("the answer broke off")
        return found

    @asynccontextmanager
    async def _ask_many(
        self, path: str, method: str = "POST", **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for many things at once; Unsupported when the server does not know how."""
        async with self._ask(method, self._url(path), absent=True, **options) as answer:
            yield answer

    @property
    def has_pieces(self) -> bool:
        """Every server with a log has them."""
        return self._has_log

    async def manifest(self, path: str) -> Manifest | None:
        """Return what a file's content is made of."""
        try:
            async with self._ask("GET", self._url(f"api/manifests/{quote(path)}")) as answer:
                found = await answer.json()
        except (Refused, Rescan):  # not told to this token, or not kept
            return None
        chunks = tuple((str(name), int(size)) for name, size in found["chunks"])
        return Manifest(str(found["hash"]), int(found["size"]), chunks)

    async def missing(self, names: Sequence[str]) -> list[str]:
        """Ask which chunks are not there, in lists of a bearable length."""
        found: list[str] = []
        for at in range(0, len(names), ASKED):
            body = {"chunks": list(names[at : at + ASKED])}
            async with self._ask("POST", self._url("api/chunks"), json=body) as answer:
                found += (await answer.json())["missing"]
        return found

    async def send_chunks(self, pieces: Sequence[tuple[str, bytes]]) -> None:
        """Hand over chunks: together, or one by one to a server that knows no better."""
        if self._takes_chunks and len(pieces) > 1:
            try:
                async with self._ask_many(
                    "api/chunks", "PUT", data=encode_chunks(pieces)
                ) as answer:
                    await answer.read()
            except Unsupported:
                self._takes_chunks = False
            else:
                return
        for name, data in pieces:
            async with self._ask("PUT", self._url(f"api/chunks/{name}"), data=data) as answer:
                await answer.read()

    async def assemble(self, path: str, manifest: Manifest, expect: Node | None) -> Written:
        """Write a file made of chunks that the server has."""
        patience = aiohttp.ClientTimeout(
            sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS + manifest.size / ASSEMBLED
        )
        url, body = self._url(f"api/manifests/{quote(path)}"), manifest.to_json()
        return await self._write("PUT", url, _condition(expect), json=body, timeout=patience)

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
        self, method: str, url: URL, *, absent: bool = False, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; raises RemoteError unless the answer is a success.

        ``absent``: 404 and 405 mean that the server has no such resource.
        """
        try:
            async with self._http.request(method, url, **options) as answer:
                if absent and answer.status in {404, 405}:
                    raise Unsupported("one by one, then")
                if answer.status >= 300:
                    raise await _problem(answer)
                yield answer
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Offline(f"{self._base}: {why(error)}") from error


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
    said.setdefault("error", f"{answer.status} {answer.reason}")
    after = answer.headers.get("Retry-After", "")
    return _meaning(answer.status, said, float(after) if after.isdigit() else 0.0)


def _meaning(status: int, said: Json, retry_after: float = 0.0) -> RemoteError:
    """Return what a status means; ``said`` is the body of the answer, or one of many results."""
    text = str(said.get("error") or status)
    if isinstance(said.get("missing"), list):
        return ChunksMissing(text, [str(name) for name in said["missing"]])
    if status == 428:
        return ConfirmationWanted(text, str(said.get("confirm", "")), int(said.get("affected", 0)))
    if status == 429 or (status >= 500 and status != 507):
        return Offline(text, retry_after)
    return _MEANINGS.get(status, Refused)(text)


_MEANINGS: dict[int, Callable[[str], RemoteError]] = {
    401: Unauthorized, 404: Stale, 409: Stale, 410: Rescan, 412: Stale,
}  # fmt: skip

_: type[Remote] = HttpRemote
