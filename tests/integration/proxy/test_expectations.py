"""Asking an upstream first whether it wants a body (``expect_continue_timeout``), with real sockets."""

import asyncio

import pytest

from quantum.http.body import read_all

PATIENT, SHORT = "60s", "50ms"


class Upload:
    """A body that counts what is taken of it."""

    length, trailers = 6, None

    def __init__(self):
        self.pieces = [b"def", b"abc"]
        self.is_closed = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop()

    async def aclose(self):
        self.is_closed = True


def transport(timeout):
    return {"protocol": "http", "expect_continue_timeout": timeout}


EXPECT = (b"expect", b"100-continue")


async def test_a_refused_upload_is_never_sent_nor_its_connection_used_again(platform):
    heads = []

    async def refuse(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        assert await reader.read() == b"", "the body was sent"

    await platform.use(await platform.upstream(refuse), transport=transport(PATIENT))
    for _ in range(2):
        upload = Upload()
        response = await platform.ask("POST", body=upload, fields=[EXPECT])
        assert (response.status, await read_all(response.body, 10)) == (403, b"no")
        assert len(upload.pieces) == 2
        async with asyncio.timeout(20):
            while not upload.is_closed:
                await asyncio.sleep(0.01)
    assert len(heads) == 2
    assert b"\r\nExpect: 100-continue\r\n" in heads[0]


@pytest.mark.parametrize("invites", [True, False], ids=["invited", "nobody answers"])
async def test_a_body_is_sent_when_it_is_asked_for_or_the_time_is_up(platform, invites):
    async def accept(reader, writer):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            if invites:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(6)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + body)

    timeout = PATIENT if invites else SHORT
    await platform.use(await platform.upstream(accept), transport=transport(timeout))
    early = []
    for _ in range(2):  # the second on the connection of the first
        response = await platform.ask(
            "POST",
            body=Upload(),
            fields=[EXPECT],
            informational=lambda status, _: early.append(status),
        )
        assert await read_all(response.body, 10) == b"abcdef"
    assert early == [], "the invitation was ours"


@pytest.mark.parametrize(("timeout", "fields"), [("0s", [EXPECT]), (PATIENT, [])])
async def test_nobody_is_asked_unless_configured_and_the_client_asks_too(platform, timeout, fields):
    heads = []

    async def accept(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(6)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    await platform.use(await platform.upstream(accept), transport=transport(timeout))
    assert (await platform.ask("POST", body=Upload(), fields=fields)).status == 204
    assert b"expect" not in heads[0].lower()
