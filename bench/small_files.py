"""``python -m bench.small_files``: many small files into a share, one request each and many in one.

Printed for each way: files a second, and the CPU that the server and its bus spend on one file. The
load generator is one process; ``--topology split`` has a process for each room.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import aiohttp

from quantum.testing.topology import Deployment, descendants, free_port

TICKS = os.sysconf("SC_CLK_TCK")
GROUP = 500
"""Files of one batch: what a client gathers in some 100 ms."""


def pids_of(deployment: Deployment) -> list[int]:
    """Return the processes of a deployment, the bus included."""
    found = []
    for member in deployment.members.values():
        if member.process is not None:
            found += [member.process.pid, *descendants(member.process.pid)]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return what processes have spent."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def make_files(count: int, size: int, way: str) -> list[tuple[str, bytes]]:
    """Return paths, 100 to a folder, and contents that are all different."""
    return [(f"{way}/d{n // 100}/f{n}", os.urandom(size)) for n in range(count)]


async def put_each(session: aiohttp.ClientSession, url: str, files: list, at_once: int) -> None:
    """PUT files over some connections."""
    waiting = iter(files)

    async def work() -> None:
        for path, data in waiting:
            async with session.put(f"{url}/api/files/{path}", data=data) as answer:
                assert answer.status == 201, await answer.text()
                await answer.read()

    await asyncio.gather(*(work() for _ in range(at_once)))


async def put_together(session: aiohttp.ClientSession, url: str, files: list, at_once: int) -> None:
    """POST files in batches over some connections."""
    batches = iter([files[start : start + GROUP] for start in range(0, len(files), GROUP)])

    async def work() -> None:
        for batch in batches:
            body = b"".join(
                json.dumps({"path": path, "size": len(data)}).encode() + b"\n" + data
                for path, data in batch
            )
            async with session.post(f"{url}/api/batch", data=body) as answer:
                told = await answer.json()
                assert all(result["status"] == 201 for result in told["results"]), told

    await asyncio.gather(*(work() for _ in range(at_once)))


async def get_together(session: aiohttp.ClientSession, url: str, files: list, at_once: int) -> None:
    """Fetch files in batches."""
    batches = iter([files[start : start + GROUP] for start in range(0, len(files), GROUP)])

    async def work() -> None:
        for batch in batches:
            asked = {"files": [{"path": path} for path, _ in batch]}
            async with session.post(f"{url}/api/fetch", json=asked) as answer:
                body = await answer.read()
                assert answer.status == 200, body
                assert len(body) > sum(len(data) for _, data in batch)

    await asyncio.gather(*(work() for _ in range(at_once)))


async def measure(deployment: Deployment, url: str, count: int, size: int) -> list[dict]:
    """Return a row for each way."""
    rows = []
    pids = pids_of(deployment)
    batched = make_files(count, size, "batch")
    ways = [
        ("one PUT at a time", put_each, make_files(count // 5, size, "one"), 1),
        ("PUTs on 16 connections", put_each, make_files(count, size, "many"), 16),
        (f"batches of {GROUP}, one connection", put_together, batched, 1),
        (f"fetched in batches of {GROUP}", get_together, batched, 1),
    ]
    async with aiohttp.ClientSession() as session:
        for name, way, files, at_once in ways:
            before, started = cpu_seconds(pids), time.perf_counter()
            await way(session, url, files, at_once)
            taken = time.perf_counter() - started
            row = {"way": name, "files_per_s": round(len(files) / taken)}
            row["cpu_us_per_file"] = round((cpu_seconds(pids) - before) / len(files) * 1e6)
            print(
                f"{name:36}{row['files_per_s']:>8} files/s{row['cpu_us_per_file']:>8} µs CPU each"
            )
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topology", default="all", choices=("all", "split"))
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--size", type=int, default=4096)
    options = parser.parse_args()
    port = free_port()
    directory = Path(tempfile.mkdtemp(prefix="q-"))
    sync = {"handler": "file_sync", "root": str(directory / "share"), "enable_upload": True}
    server = {"listen": [f"127.0.0.1:{port}"], "routes": [{"handle": [sync]}]}
    document = {"apps": {"http": {"servers": {"sync": server}}}}
    with Deployment(options.topology, document, directory) as deployment:
        url = f"http://127.0.0.1:{port}"
        asyncio.run(measure(deployment, url, options.files, options.size))


if __name__ == "__main__":
    main()
