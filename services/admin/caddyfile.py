"""Caddyfiles that come over HTTP: as the body of a request, or from the address of ``admin.config.load``."""

from __future__ import annotations

import asyncio

from quantum.caddyfile.adapt import DEFAULT_NAME, Adapted, adapt
from quantum.config.load import decode_text
from quantum.http.placeholders.surroundings import environment


async def adapt_caddyfile(data: bytes) -> Adapted:
    """Return what ``data`` stands for; CaddyfileError, or ConfigError when it is no text.

    Beside the loop: a large file, or a slow disk that it imports from, must not hold requests up.
    """
    text = decode_text(data, DEFAULT_NAME)
    return await asyncio.to_thread(adapt, text, file=DEFAULT_NAME, environment=environment())
