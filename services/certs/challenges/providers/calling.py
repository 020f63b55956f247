"""Calls of web APIs that change zones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quantum.net.fetch import Answer, FetchFailedError, Wish, fetch
from services.certs.challenges.providers.api import ProviderFailed

MAX_ANSWER = 256 * 1024
"""Bytes: a page of a hundred records has a fifth of it."""


async def call(
    method: str, url: str, fields: Mapping[str, str] | None = None, content: Any = None
) -> Answer:
    """Return an answer of status 2xx; ProviderFailed tells the status of another one, or why there is none."""
    named = dict(fields or {})
    body = None
    if content is not None:
        body = json.dumps(content).encode()
        named["Content-Type"] = "application/json"
    try:
        answer = await fetch(Wish(url, method, body, named, max_bytes=MAX_ANSWER))
    except FetchFailedError as error:
        raise ProviderFailed(str(error)) from error
    if not 200 <= answer.status < 300:
        raise ProviderFailed(f"the provider answers {answer.status}: {_reason(answer.body)}")
    return answer


def read(answer: Answer) -> Any:
    """Return the JSON of an answer; ProviderFailed."""
    try:
        return json.loads(answer.body)
    except ValueError:
        raise ProviderFailed("the provider's answer is no JSON") from None


def _reason(body: bytes) -> str:
    """Return what an answer says, short and on one line: it goes to a log."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return text if text.isprintable() else repr(text)
