"""A body that is encoded as it is pulled, in constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from quantum.http.body import Body
from quantum.http.headers import Headers
from services.edge.encoding.encoders import Encoder, Stream


class EncodedBody:
    """What an encoder makes of a pulled body.

    ``is_prompt``: what came in goes out at once, because whoever sends it may send no more for long.
    """

    __slots__ = ("_body", "_inline_bytes", "_is_prompt", "_stream", "length", "trailers")

    def __init__(self, body: Body, encoder: Encoder, *, is_prompt: bool) -> None:
        self._body = body
        self._stream: Stream | None = encoder.stream()
        self._inline_bytes = encoder.inline_bytes
        self._is_prompt = is_prompt
        self.length: int | None = None
        self.trailers: Headers | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while (stream := self._stream) is not None:
            try:
                data = await self._body.__anext__()
            except StopAsyncIteration:
                self._stream = None
                self.trailers = self._body.trailers
                return stream.finish()
            feed = partial(stream.feed, data, flush=self._is_prompt)
            if len(data) <= self._inline_bytes:
                out = feed()
            else:
                out = await asyncio.get_running_loop().run_in_executor(None, feed)
            if out:
                return out
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give up what is left."""
        self._stream = None
        await self._body.aclose()
