"""``multipart/form-data`` as it comes in: each file is a body that is pulled, none is held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from quantum.http.body import AnyBody
from quantum.http.headers import Headers
from quantum.http.message import Request

MOST_PARTS = 10_000
"""Parts of one form: a folder dropped on the page; more come in further requests."""

TakeFile = Callable[[str, AnyBody], Awaitable[None]]
"""Receives a file's name, as the client gave it, and its content; may stop reading early."""


class FormRefused(Exception):
    """A body that is no proper form."""


class FilePart:
    """The content of one part, pulled from the form."""

    def __init__(self, form: _Form) -> None:
        self._form = form
        self.length: int | None = None
        self.trailers: Headers | None = None

    def __aiter__(self) -> FilePart:
        return self

    async def __anext__(self) -> bytes:
        event = await self._form.next_content()
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Skip what is left of the part."""
        while await self._form.next_content() is not None:
            pass


class _Form:
    """The events of the parser, one at a time."""

    def __init__(self, body: AsyncIterator[bytes], parser: PushMultipartParser) -> None:
        self._body = body
        self._parser = parser
        self._events: list[MultipartSegment | bytearray | None] = []
        self._in_part = False

    async def next_segment(self) -> MultipartSegment | None:
        """Return the head of the next part, None at the end."""
        while self._in_part:
            await self.next_content()
        event = await self._next()
        if event is None:
            return None
        assert isinstance(event, MultipartSegment)
        self._in_part = True
        return event

    async def next_content(self) -> bytes | None:
        """Return the next bytes of the current part, None at its end."""
        if not self._in_part:
            return None
        event = await self._next()
        if isinstance(event, bytearray):
            return bytes(event)
        self._in_part = False
        return None

    async def _next(self) -> MultipartSegment | bytearray | None:
        while not self._events:
            if self._parser.closed:
                return None
            chunk = await anext(self._body, b"")
            try:
                self._events = list(self._parser.parse(chunk))[::-1]
            except MultipartError as error:
                raise FormRefused(f"the form is broken: {error}") from None
        return self._events.pop()


async def read_form(request: Request, take: TakeFile) -> None:
    """Hand every file of the request's form to ``take``; FormRefused when there is none."""
    content_type = (request.headers.get(b"content-type") or b"").decode("latin-1")
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or "boundary" not in options:
        raise FormRefused("the body must be multipart/form-data with a boundary")
    parser = PushMultipartParser(options["boundary"], max_segment_count=MOST_PARTS, strict=True)
    form = _Form(_pulled(request.body), parser)
    found = False
    while (segment := await form.next_segment()) is not None:
        if segment.filename:
            found = True
            await take(segment.filename, FilePart(form))
    if not found:
        raise FormRefused("the form has no file")


async def _pulled(body: AnyBody) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        if body:
            yield body
        return
    async for chunk in body:
        yield chunk
