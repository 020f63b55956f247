"""Requests to a file server, and what comes of them."""

import pytest

from quantum.errors import HttpError
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request

PEER = ConnectionFacts(("127.0.0.1", 4000), ("127.0.0.1", 80), "http")


def request(method="GET", path="/", query=None, **fields):
    headers = Headers([(k.replace("_", "-").encode(), v.encode()) for k, v in fields.items()])
    return Request(method, "http", "localhost", path, query, headers, b"", PEER)


async def body_of(response):
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


async def refused(handler, **arguments):
    with pytest.raises(HttpError) as info:
        await handler.handle(request(**arguments))
    return info.value
