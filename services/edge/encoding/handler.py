"""``http.handlers.encode``: compresses what handlers behind it answer, by Caddy's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import AnyBody, Body, discard, read_all
from quantum.http.handler import Next
from quantum.http.header_ops import compile_requirement
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.negotiation.accept_encoding import accepted_encodings
from quantum.http.response_fields import replaced
from quantum.modules.lifetime import Provision
from services.edge.encoding.body import EncodedBody
from services.edge.encoding.config import EncodeConfig
from services.edge.encoding.encoders import Encoder
from services.edge.encoding.fields import (
    add_vary,
    encoded_fields,
    forbids_transform,
    restore_validators,
)
from services.edge.encoding.memory import EncodedBodies

MINIMUM_LENGTH = 512
"""Shorter answers fit one packet anyway: Caddy's default."""
PREFERENCE = ("zstd", "br", "gzip")
"""Where neither the client nor the configuration prefers one: Caddy's order."""
GATHERED = 128 * 1024
"""A body of known length up to this is encoded whole: it then has a length again, and is known when it
comes again. Encoders hold back some 64 KiB of a stream anyway."""
NEVER_ENCODED = frozenset({204, 205, 206, 304})
"""Answers without content, and parts: a range counts the bytes before encoding."""

COMPRESSIBLE = tuple(
    kind.encode()
    for kind in (
        "application/atom+xml", "application/eot", "application/font", "application/geo+json",
        "application/graphql+json", "application/javascript", "application/json",
        "application/ld+json", "application/manifest+json", "application/opentype",
        "application/otf", "application/rss+xml", "application/truetype", "application/ttf",
        "application/vnd.api+json", "application/vnd.ms-fontobject", "application/wasm",
        "application/x-httpd-cgi", "application/x-javascript", "application/x-opentype",
        "application/x-otf", "application/x-perl", "application/x-protobuf", "application/x-ttf",
        "application/xhtml+xml", "application/xml", "font/otf", "font/ttf", "image/svg+xml",
        "image/vnd.microsoft.icon", "image/x-icon", "multipart/bag", "multipart/mixed", "text/",
    )
)  # fmt: skip
"""How a Content-Type begins that is encoded when ``match`` is absent: Caddy's list."""


class Encode:
    """Encodes in the best coding that the client takes and the configuration has."""

    def __init__(self, config: EncodeConfig, provision: Provision) -> None:
        self._encoders: dict[str, Encoder] = {
            name: provision.instantiate(module) for name, module in config.encodings.items()
        }
        self._order = tuple(config.prefer) or PREFERENCE
        self._minimum = config.minimum_length or MINIMUM_LENGTH
        self._known: EncodedBodies = provision.resources.setdefault(EncodedBodies, EncodedBodies())
        self._matches = _compressible if config.match is None else compile_requirement(config.match)

    def link(self, following: Next) -> Next:
        """Return the link: requests without Accept-Encoding pass it at the cost of a look."""
        if not self._encoders:
            return following

        def encoding(request: Request) -> Awaitable[Response]:
            accepted = request.headers.joined(b"accept-encoding")
            if accepted is None:
                return following(request)
            encoder = self._choose(accepted)
            if encoder is None or request.upgrade is not None or forbids_transform(request.headers):
                return following(request)
            return self._encoded(request, following, encoder)

        return encoding

    def _choose(self, accepted: bytes) -> Encoder | None:
        for name in accepted_encodings(accepted, self._order):
            encoder = self._encoders.get(name)
            if encoder is not None:
                return encoder
        return None

    async def _encoded(self, request: Request, following: Next, encoder: Encoder) -> Response:
        restore_validators(request.headers, encoder.name)
        response = await following(request)
        if response.status == 304:
            headers = response.headers.copy()
            add_vary(headers)
            return replaced(response, headers)
        if not self._is_wanted(response):
            return response
        answer = replaced(response, encoded_fields(response.headers, encoder.name))
        if request.method == "HEAD":
            await discard(response.body)
            answer.body = b""
        else:
            answer.body = await self._encode(response.body, encoder, _is_events(response.headers))
        return answer

    async def _encode(self, body: AnyBody, encoder: Encoder, is_events: bool) -> AnyBody:
        if not isinstance(body, bytes):
            length = body.length
            if length is None or length > GATHERED or is_events:
                return EncodedBody(body, encoder, is_prompt=length is None or is_events)
            body = await _gather(body, length)
        known = self._known.get(encoder, body)
        if known is not None:
            return known
        if len(body) <= encoder.inline_bytes:
            encoded = encoder.whole(body)
        else:
            loop = asyncio.get_running_loop()
            encoded = await loop.run_in_executor(None, encoder.whole, body)
        self._known.met(encoder, body, encoded)
        return encoded

    def _is_wanted(self, response: Response) -> bool:
        headers = response.headers
        if response.status in NEVER_ENCODED or response.upgrade is not None or response.abort:
            return False
        length = _length(response)
        return (
            (length is None or length > self._minimum)
            and not headers.get(b"content-encoding")
            and self._matches(response.status, headers)
            and not forbids_transform(headers)
        )


def _length(response: Response) -> int | None:
    """Return how long the content is, None when nobody knows yet. An answer to HEAD only says it."""
    body = response.body
    if isinstance(body, bytes):
        if body:
            return len(body)
        told = response.headers.get(b"content-length", b"0")
        assert told is not None
        return int(told) if told.isdigit() else 0
    return body.length


def _is_events(headers: Headers) -> bool:
    """Whether each piece has to go out as it comes, even if somebody knows how many will."""
    return (headers.get(b"content-type") or b"").startswith(b"text/event-stream")


def _compressible(status: int, headers: Headers) -> bool:
    kind = headers.get(b"content-type")
    return kind is not None and kind.lower().startswith(COMPRESSIBLE)


async def _gather(body: Body, length: int) -> bytes:
    """Return the whole body; HttpError 502 when it is not as long as it said."""
    try:
        data = await read_all(body, length)
        if len(data) == length:
            return data
    except (BodyAborted, ValueError) as error:
        raise HttpError(502, f"the answer broke off: {error}") from error
    except BaseException:
        await body.aclose()
        raise
    raise HttpError(502, f"the answer ended after {len(data)} of {length} bytes")
