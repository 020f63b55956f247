"""What the client asks of a server, and how it can be refused. Simulations implement this too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.sync.client.planning.model import Node
from services.sync.content.manifest import Manifest


class RemoteError(Exception):
    """A request that did not do what was asked. The text may be shown."""


class Offline(RemoteError):
    """No answer, or "later". What was asked MAY have been done: ask for changes before going on."""

    def __init__(self, problem: str, retry_after: float = 0.0) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class Stale(RemoteError):
    """The server has something else than was expected; nothing was changed."""


class Refused(RemoteError):
    """The server will not do this however often it is asked: read only, name, size, quota."""


class Unsupported(RemoteError):
    """The server does not know this request at all: ask another way."""


class Unauthorized(RemoteError):
    """The token is missing, expired, or not for this."""


class ChunksMissing(RemoteError):
    """The server does not have these chunks (any more); nothing was changed."""

    def __init__(self, problem: str, chunks: list[str]) -> None:
        super().__init__(problem)
        self.chunks = chunks


class ConfirmationWanted(RemoteError):
    """So much would be deleted that the server asks whether it is meant."""

    def __init__(self, problem: str, token: str, affected: int) -> None:
        super().__init__(problem)
        self.token = token
        self.affected = affected


class Rescan(RemoteError):
    """The log does not reach back to the cursor: list everything."""


@dataclass(frozen=True, slots=True)
class Change:
    """One operation of the log. ``node`` is None for a deletion; a move comes ``source`` -> ``path``.

    ``path`` is "" for an operation that does not concern this folder.
    """

    path: str
    node: Node | None
    source: str = ""
    seq: int = 0
    client: str = ""


@dataclass
class Listing:
    """The server's tree, true for ``cursor`` of ``log`` (0 and "": a server that has no cursors)."""

    tree: dict[str, Node]
    cursor: int = 0
    log: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A change that the server made."""

    seq: int = 0
    node: Node | None = None
    log: str = ""
    """The log in which the operation ``seq`` is this change and nothing else; "" where that is not known."""


@dataclass(frozen=True, slots=True)
class Write:
    """One of many changes: a file with its content, a directory, or a deletion (``node`` None)."""

    path: str
    node: Node | None
    expect: Node | None
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One of many contents, and since when it is there."""

    node: Node
    data: bytes
    seq: int = 0


@dataclass
class Page:
    """Operations after a cursor."""

    cursor: int
    head: int
    changes: list[Change] = field(default_factory=list)


class Download(Protocol):
    """A content on its way: ``node`` says what it will be, ``seq`` since when (0: not said)."""

    node: Node
    start: int
    seq: int

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` on; Offline when they end early."""


class Remote(Protocol):
    """One share. Every method may raise RemoteError; expectations are checked when it commits."""

    async def listing(self) -> Listing:
        """Return everything."""

    async def changes(self, cursor: int, log: str) -> Page:
        """Return operations after a cursor; Rescan when the log does not reach back."""

    def download(
        self, path: str, start: int = 0, hash: str = "", size: int = 0
    ) -> AbstractAsyncContextManager[Download]:
        """Fetch a file; with ``start`` or ``size`` only so much of the content with that hash. Stale: no file.

        When another content is there by now, the download is all of that one, from 0.
        """

    async def upload(
        self, path: str, node: Node, content: bytes | AsyncIterator[bytes], expect: Node | None
    ) -> Written:
        """Write a file; the server verifies the content against ``node``."""

    @property
    def takes_many(self) -> bool:
        """Whether the server has the two methods that follow."""

    async def write_many(
        self, writes: Sequence[Write], confirm: str = ""
    ) -> list[Written | RemoteError]:
        """Make small changes, each for itself, in order; return what came of each."""

    async def read_many(self, paths: Sequence[str]) -> list[Fetched | RemoteError]:
        """Fetch small files; return what came of each."""

    @property
    def has_pieces(self) -> bool:
        """Whether the server takes and tells contents by chunks: the four methods that follow."""

    async def manifest(self, path: str) -> Manifest | None:
        """Return what a file's content is made of; None when the server cannot tell. Stale: no file."""

    async def missing(self, names: Sequence[str]) -> list[str]:
        """Return the chunks that the server does not have."""

    async def send_chunks(self, pieces: Sequence[tuple[str, bytes]]) -> None:
        """Hand over chunks, each with its name."""

    async def assemble(self, path: str, manifest: Manifest, expect: Node | None) -> Written:
        """Write a file made of chunks that the server has; ChunksMissing otherwise."""

    async def delete(self, path: str, expect: Node, cursor: int, confirm: str = "") -> Written:
        """Delete a file or an empty directory."""

    async def make_directory(self, path: str) -> Written:
        """Make a directory."""

    async def move(self, source: str, to: str, expect: Node, cursor: int) -> Written:
        """Rename; ``cursor``: up to where the client knows what is below a directory."""


Json = dict[str, Any]
