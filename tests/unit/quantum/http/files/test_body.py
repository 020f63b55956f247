import os

import pytest

from quantum.errors import BodyAborted
from quantum.http.files.body import CHUNK, FileBody
from quantum.http.files.ranges import ByteRange


@pytest.fixture
def opened(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 4096)

    def open_it():
        return file, os.open(file, os.O_RDONLY)

    return open_it


async def test_parts_and_literals_come_in_order(opened):
    _, descriptor = opened()
    body = FileBody(descriptor, [b"<", ByteRange(1, 3), b"|", ByteRange(255, 257), b">"])
    assert body.length == 7
    assert b"".join([chunk async for chunk in body]) == b"<\x01\x02|\xff\x00>"


async def test_no_chunk_is_larger_than_a_pull_and_the_end_closes_the_file(opened):
    _, descriptor = opened()
    chunks = [chunk async for chunk in FileBody(descriptor, [ByteRange(0, 4096 * 256)])]
    assert max(map(len, chunks)) == CHUNK
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


async def test_a_file_that_becomes_shorter_aborts_the_body(opened):
    file, descriptor = opened()
    body = FileBody(descriptor, [ByteRange(0, 4096 * 256)])
    await anext(body)
    os.truncate(file, 1000)
    with pytest.raises(BodyAborted):
        await anext(body)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


async def test_closing_early_closes_the_file_once(opened):
    _, descriptor = opened()
    body = FileBody(descriptor, [ByteRange(0, 10)])
    await body.aclose()
    await body.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(body)
