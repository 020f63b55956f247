"""``http.handlers.file_server``: answers with the files below a root."""

# ruff: noqa: PTH116, PTH118 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass, replace

from quantum.errors import HttpError
from quantum.http.failure import failed_status
from quantum.http.files.answer import Representation, answer, answer_bytes, read_parts
from quantum.http.files.beneath import join, status_beneath
from quantum.http.files.conditional import PRECONDITIONS
from quantum.http.files.content_types import content_type_of
from quantum.http.files.ranges import ByteRange
from quantum.http.files.root import compile_root
from quantum.http.handler import Handler
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.http.target import clean_path
from quantum.modules.lifetime import Provision
from services.static.browse.handler import Browse
from services.static.config import FileServerConfig
from services.static.contents import LARGEST, SETTLED, Content, Contents, identity_of
from services.static.etag import UNDATED, etag_of
from services.static.paths import OutsideRoot, compile_hidden, open_beneath
from services.static.precompressed import Sidecars

METHODS = frozenset({"GET", "HEAD"})
_ALLOW = ((b"allow", b"GET, HEAD"),)
_LEADING_SLASHES = re.compile(r"^[/\\]{2,}")

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})
"""Failures that mean: no such file. (A name that is too long or has no place in the file system's
encoding cannot exist, a loop of links leads nowhere.)"""

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})

LONGEST_ETAG = 512
"""Bytes of an entity tag that a file beside holds: hashes have a hundred."""
ETAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
"""RFC 9110 §8.8.3."""

_VARY = ((b"vary", b"Accept-Encoding"),)
"""On every file, as Caddy does: an ``encode`` handler in front may answer in several encodings."""

RETRY_AFTER = b"2"
"""Seconds a client waits after a 503, which means that descriptors or memory ran out for a moment."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file for a request, or a folder that is listed. ``may_be_kept``: no other could take its place here."""

    name: str
    is_index: bool
    may_be_kept: bool
    is_listed: bool = False


class FileServer:
    """Serves one root. Small files come from memory, checked by one ``stat``; others from disk."""

    def __init__(self, config: FileServerConfig, provision: Provision) -> None:
        self._config = config
        self._clock = provision.clock
        self._root = compile_root(config.root)
        self._indexes = [compile_template(name) for name in config.index_names]
        self._is_hidden = compile_hidden(config.hide)
        self._status = compile_template(config.status_code) if config.status_code else None
        self._sidecars = _sidecars(config, provision)
        self._browse = None if config.browse is None else Browse(config.browse, self._is_hidden)
        self._etag_suffixes = tuple(config.etag_file_extensions)
        self._contents = Contents()

    async def handle(self, request: Request) -> Response:
        """Answer with the file; HttpError 404, 405, 403, 400 or 503."""
        root = self._root(request)
        key = f"{root}\0{request.path}"
        sidecars = [] if self._sidecars is None else list(self._sidecars.of(request))
        content = self._contents.current(key) if not sidecars else None
        if content is not None:
            return self._from_memory(request, content)
        try:
            found = self._find(request, root)
            if found.is_listed:
                return await self._list(request, root, found.name)
            return self._from_disk(request, root, key, sidecars, found)
        except OSError as error:
            raise _refusal(error) from error

    async def _list(self, request: Request, root: str, name: str) -> Response:
        assert self._browse is not None
        # Links of the page are relative: whatever canonical_uris says, they need the slash.
        redirect = _canonical(request, is_index=True)
        if redirect is not None:
            return redirect
        self._check_method(request)
        return await self._browse.answer(request, root, name)

    def _from_memory(self, request: Request, content: Content) -> Response:
        self._check_method(request)
        if request.original is not None and self._config.canonical_uris:
            redirect = _canonical(request, is_index=content.is_index)
            if redirect is not None:
                return redirect
        if self._status is not None:
            response = Response(self._status_for(request), content.representation.whole())
            response.body = content.data if request.method != "HEAD" else b""
            return response
        if request.method == "GET":
            for name, _ in request.headers.fields:
                if name in PRECONDITIONS:
                    break
            else:
                return content.whole
        return answer_bytes(request.method, request.headers, content.data, content.representation)

    def _from_disk(
        self,
        request: Request,
        root: str,
        key: str,
        sidecars: list[tuple[bytes, str]],
        found: Found,
    ) -> Response:
        if self._config.canonical_uris:
            redirect = _canonical(request, is_index=found.is_index)
            if redirect is not None:
                return redirect
        self._check_method(request)
        for encoding, suffix in sidecars:
            compressed = self._open_sidecar(root, found.name, encoding, suffix)
            if compressed is not None:
                return self._send(request, *compressed)
        try:
            descriptor, status = open_beneath(root, found.name)
        except OutsideRoot as error:
            raise HttpError(404, f"a link leads out of the root: {found.name}") from error
        representation = _represent(found.name, status)
        if self._etag_suffixes:
            representation = replace(representation, etag=self._etag_beside(root, found.name))
            return self._send(request, descriptor, representation)
        if found.may_be_kept and status.st_size <= LARGEST and self._is_settled(status):
            data = _read_small(descriptor, status.st_size)
            if data is not None:
                content = Content(
                    found.name, identity_of(status), representation, data, is_index=found.is_index
                )
                self._contents.keep(key, content)
                return self._from_memory(request, content)
        return self._send(request, descriptor, representation)

    def _send(self, request: Request, descriptor: int, representation: Representation) -> Response:
        """Answer with an open file, by the configured status if there is one."""
        if self._status is None:
            return answer(request.method, request.headers, descriptor, representation)
        try:
            override = self._status_for(request)
        except HttpError:
            os.close(descriptor)
            raise
        parts: list[bytes | ByteRange] = [ByteRange(0, representation.size)]
        if request.method == "HEAD" or not representation.size:
            os.close(descriptor)
            return Response(override, representation.whole())
        return Response(override, representation.whole(), read_parts(descriptor, parts))

    def _open_sidecar(
        self, root: str, name: str, encoding: bytes, suffix: str
    ) -> tuple[int, Representation] | None:
        """Open the compressed form of ``name``, None when there is none to be had.

        Type and date are the file's own, the entity tag is of the compressed one; ``hide`` does not
        hide it, so that it can be kept from being asked for by name (Caddy's rules).
        """
        try:
            original = os.stat(name)
            descriptor, status = open_beneath(root, name + suffix)
        except OutsideRoot:
            return None
        except OSError as error:
            if error.errno in _ABSENT or error.errno in _FORBIDDEN:
                return None
            raise
        return descriptor, _represent_compressed(name, original, status, encoding)

    def _find(self, request: Request, root: str) -> Found:
        name = join(root, clean_path(request.path))
        is_directory = stat.S_ISDIR(os.stat(name.rstrip("/") or "/").st_mode)
        if not is_directory:
            self._refuse_hidden(name)
            return Found(name.rstrip("/"), is_index=False, may_be_kept=True)
        for position, template in enumerate(self._indexes):
            index = os.path.join(name, template(request))
            if self._is_hidden is not None and self._is_hidden(index):
                continue
            try:
                is_file = stat.S_ISREG(os.stat(index).st_mode)
            except OSError:
                continue
            if is_file:
                return Found(index, is_index=True, may_be_kept=position == 0)
        if self._browse is not None and not (self._is_hidden is not None and self._is_hidden(name)):
            if status_beneath(root, name) is None:
                raise HttpError(404, f"a link leads out of the root: {name}")
            return Found(name, is_index=True, may_be_kept=False, is_listed=True)
        raise HttpError(404, f"directory without an index file: {name}")

    def _etag_beside(self, root: str, name: str) -> bytes | None:
        """Return what the first file beside says; None, and the answer has no tag, where none is readable."""
        for suffix in self._etag_suffixes:
            try:
                descriptor, status = open_beneath(root, name + suffix)
            except (OSError, OutsideRoot):
                continue
            text = _read_small(descriptor, min(status.st_size, LONGEST_ETAG + 1))
            if text is None:
                os.close(descriptor)
            elif ETAG.fullmatch(text.strip()):
                return text.strip()
        return None

    def _refuse_hidden(self, name: str) -> None:
        if self._is_hidden is not None and self._is_hidden(name):
            raise HttpError(404, f"hidden: {name}")

    def _check_method(self, request: Request) -> None:
        """Refuse what is neither GET nor HEAD, unless the file is the page of an error (#5703)."""
        if request.method not in METHODS and failed_status(request) is None:
            raise HttpError(405, "files are read only", _ALLOW)

    def _status_for(self, request: Request) -> int:
        """Return the configured status; such an answer has the whole file: no ranges, no conditions."""
        assert self._status is not None
        text = self._status(request)
        if not (text.isascii() and text.isdigit() and len(text) == 3 and text >= "100"):
            raise HttpError(500, f"status_code {text!r} is no status")
        return int(text)

    def _is_settled(self, status: os.stat_result) -> bool:
        age = self._clock.now().timestamp() - max(status.st_mtime, status.st_ctime)
        return age > SETTLED


def _sidecars(config: FileServerConfig, provision: Provision) -> Sidecars | None:
    if not config.precompressed:
        return None
    kinds = {name: provision.instantiate(module) for name, module in config.precompressed.items()}
    suffixes = {name: kind.suffix for name, kind in kinds.items()}
    return Sidecars(suffixes, config.precompressed_order)


def _represent(name: str, status: os.stat_result) -> Representation:
    seconds = int(status.st_mtime)
    dated = seconds not in UNDATED
    return Representation(
        size=status.st_size,
        etag=etag_of(status.st_mtime_ns, status.st_size) if dated else None,
        modified=seconds if dated else None,
        content_type=content_type_of(name),
        extra=_VARY,
    )


def _represent_compressed(
    name: str, original: os.stat_result, compressed: os.stat_result, encoding: bytes
) -> Representation:
    plain, own = _represent(name, original), _represent(name, compressed)
    fields = (*plain.extra, (b"content-encoding", encoding))
    return Representation(own.size, own.etag, plain.modified, plain.content_type, fields)


def _canonical(request: Request, *, is_index: bool) -> Response | None:
    """Return the redirect that adds or takes the last slash; None when the path is in order.

    What a rewrite changed in the last element is left alone: that was on purpose (Caddy #4205).
    """
    raw, query = request.path, request.query
    if request.original is not None:
        _, raw, query = request.original
        if raw.rstrip("/").rpartition("/")[2] != request.path.rstrip("/").rpartition("/")[2]:
            return None
    if is_index == raw.endswith("/"):
        return None
    to = _LEADING_SLASHES.sub("/", f"{raw}/" if is_index else raw.rstrip("/"))
    if query is not None:
        to += f"?{query}"
    return Response(308, Headers([(b"location", to.encode("utf-8", "surrogateescape"))]))


def _read_small(descriptor: int, size: int) -> bytes | None:
    """Return the content and close the file; None, and it stays open, when it changed meanwhile."""
    data = os.pread(descriptor, size + 1, 0)
    if len(data) != size:
        return None
    os.close(descriptor)
    return data


def _refusal(error: OSError) -> HttpError:
    """Return what a failed system call means to the client."""
    if error.errno in _ABSENT:
        return HttpError(404, str(error))
    if error.errno in _FORBIDDEN:
        return HttpError(403, str(error))
    return HttpError(503, str(error), ((b"retry-after", RETRY_AFTER),))


_: type[Handler] = FileServer
