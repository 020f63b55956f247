"""Load through the hop: many requests at once, large bodies, little memory."""

import asyncio
import hashlib
import os
from pathlib import Path

from quantum.http.body import read_all
from quantum.http.message import Response
from quantum.testing.handler import FunctionHandler, PulledBody, make_request
from tests.integration.quantum.hop.deployment import deployment, install, pair, reach

MIB = 1024 * 1024
SIZE = 64 * MIB
MAX_GROWTH = 24 * MIB


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Blocks:
    """SIZE bytes made on the fly, with their hash and the highest memory seen meanwhile."""

    def __init__(self):
        self.hash = hashlib.sha256()
        self.peak = 0

    async def __aiter__(self):
        for number in range(SIZE // 65536):
            block = number.to_bytes(8, "big") * 8192
            self.hash.update(block)
            self.peak = max(self.peak, resident())
            yield block


async def test_ten_thousand_requests_share_one_connection(tmp_path, listen):
    async def answer(request):
        if request.query and int(request.query) % 7 == 0:
            await asyncio.sleep(0)
        return Response.text(200, request.query or "")

    async with deployment(tmp_path, listen) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))
        handler = reach(near)
        numbers = iter(range(10_000))

        async def client():
            for number in numbers:
                request = make_request()
                request.query = str(number)
                response = await handler.handle(request)
                assert await read_all(response.body, 100) == request.query.encode()

        await asyncio.gather(*(client() for _ in range(700)))
        assert len(far.server._connections) <= 4
        assert far.server.open_requests == 0


async def test_a_large_upload_passes_in_little_memory(tmp_path, listen):
    seen = hashlib.sha256()

    async def answer(request):
        async for chunk in request.body:
            seen.update(chunk)
        return Response(204)

    async with deployment(tmp_path, listen) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))
        blocks, before = Blocks(), resident()
        upload = PulledBody(aiter(blocks), length=SIZE)
        length = (b"content-length", b"%d" % SIZE)
        response = await reach(near).handle(make_request("PUT", upload, length))
        assert response.status == 204
        assert seen.digest() == blocks.hash.digest()
        assert blocks.peak - before < MAX_GROWTH


async def test_a_large_download_passes_in_little_memory(tmp_path, listen):
    blocks = Blocks()

    async def answer(request):
        return Response(200, body=PulledBody(aiter(blocks), length=SIZE))

    async with deployment(tmp_path, listen) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))
        before = resident()
        response = await reach(near).handle(make_request())
        seen = hashlib.sha256()
        async for chunk in response.body:
            seen.update(chunk)
        assert seen.digest() == blocks.hash.digest()
        assert blocks.peak - before < MAX_GROWTH


async def test_slow_readers_do_not_stop_a_quick_one(tmp_path):
    async def answer(request):
        return Response(200, body=PulledBody(aiter(Blocks())))

    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))
        slow = [await reach(near).handle(make_request()) for _ in range(40)]
        quick = await reach(near).handle(make_request())
        async with asyncio.timeout(20):
            assert len(await read_all(quick.body, SIZE)) == SIZE
        for response in slow:
            await response.body.aclose()


async def test_thousands_of_cancelled_requests_leave_the_connection_as_it_was(tmp_path, listen):
    async def answer(request):
        return Response(200, body=PulledBody(aiter(Blocks())))

    async with deployment(tmp_path, listen) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))

        async def leave_early(count):
            for _ in range(count):
                response = await reach(near).handle(make_request())
                await response.body.__anext__()
                await response.body.aclose()

        await asyncio.gather(*(leave_early(100) for _ in range(20)))
        response = await reach(near).handle(make_request())
        async with asyncio.timeout(20):
            assert len(await read_all(response.body, SIZE)) == SIZE
        assert len(far.server._connections) == 1


async def test_thousands_that_wait_hold_nobody_up(tmp_path):
    arrived, release = [], asyncio.Event()

    async def answer(request):
        if request.path == "/wait":
            arrived.append(request)
            await release.wait()
        return Response.text(200, "ok")

    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))

        async def ask(path):
            request = make_request()
            request.path = path
            return (await reach(near).handle(request)).status

        waiting = [asyncio.create_task(ask("/wait")) for _ in range(3000)]
        async with asyncio.timeout(30):
            while len(arrived) < len(waiting):
                await asyncio.sleep(0.05)
            assert await ask("/") == 200
        release.set()
        assert await asyncio.gather(*waiting) == [200] * len(waiting)
