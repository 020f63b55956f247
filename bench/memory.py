"""``python -m bench.memory``: what a million requests and a thousand cut transfers leave behind in memory.

One process, every version of HTTP. A tenth of the work warms caches and the allocator up; then resident
bytes before and after the rest are compared, and what is open: connections, streams, tasks hold memory too.
The exit status is 1 when more than a twentieth was added.
"""

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pycurl

from bench.h3_load import HTTP_3_ONLY, Load
from bench.jobs import H3_NAMES
from quantum.testing.certificates import make_certificates
from quantum.testing.topology import Deployment, free_port

TRANSFER_BYTES = 10 * 1024 * 1024
READ_BYTES = 256 * 1024
"""What a client takes of a transfer before it cuts it."""
GROWTH = 1.05
SETTLE_SECONDS = 20.0
"""For connections to be gone, and for three looks of ``quantum.trimming``: the first may still see work, the
second connections that are closing."""
VERSIONS = {
    "h1": pycurl.CURL_HTTP_VERSION_1_1,
    "h2": pycurl.CURL_HTTP_VERSION_2_0,
    "h3": HTTP_3_ONLY,
}


def resident(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def requests(version: str, port: int, count: int) -> None:
    """Ask ``count`` times, over few connections."""
    url = f"https://127.0.0.1:{port}/"
    if version == "h3":
        load = Load(url, "requests")
        while len(load.taken) < count:
            load.run(min(10.0, max(0.5, (count - len(load.taken)) / 10_000)))
        if load.failures:
            raise RuntimeError(f"failed: {load.failures}")
        load.taken.clear()
        return
    streams = ["-m32"] if version == "h2" else ["--h1", "-m1"]
    told = subprocess.run(
        ["h2load", "-c16", *streams, f"-n{count}", url], capture_output=True, text=True, check=True
    ).stdout
    if f"{count} succeeded" not in told:
        raise RuntimeError(told)


def cut_transfers(version: str, port: int, count: int) -> None:
    """Begin ``count`` transfers and cut each in its middle."""
    for _ in range(count):
        handle, taken = pycurl.Curl(), [0]

        def take(data: bytes, taken: list[int] = taken) -> int:
            taken[0] += len(data)
            return len(data) if taken[0] < READ_BYTES else 0

        handle.setopt(pycurl.URL, f"https://127.0.0.1:{port}/10m.bin")
        handle.setopt(pycurl.HTTP_VERSION, VERSIONS[version])
        handle.setopt(pycurl.SSL_VERIFYPEER, 0)
        handle.setopt(pycurl.SSL_VERIFYHOST, 0)
        handle.setopt(pycurl.TIMEOUT, 20)
        handle.setopt(pycurl.WRITEFUNCTION, take)
        try:
            handle.perform()
            raise RuntimeError("the transfer was not cut")
        except pycurl.error as error:
            if error.args[0] != pycurl.E_WRITE_ERROR:
                raise
        finally:
            handle.close()


def compare(name: str, pid: int, work: Callable[[int], None], count: int) -> bool:
    """Do the work; print and return whether memory stayed."""
    work(count // 10)
    time.sleep(SETTLE_SECONDS)
    before, began = resident(pid), time.monotonic()
    work(count)
    time.sleep(SETTLE_SECONDS)
    after = resident(pid)
    good = after <= before * GROWTH
    print(
        f"{name:24}{count:>9}{before / 2**20:9.1f} MiB before{after / 2**20:9.1f} MiB after"
        f"  x {after / before:.3f}{time.monotonic() - began:7.0f} s{'' if good else '  GREW'}",
        flush=True,
    )
    return good


def document(folder: Path, port: int) -> dict:
    """Return a server with an answer from memory and a file."""
    certificate, key, _ = make_certificates(folder, ["localhost", "127.0.0.1", H3_NAMES])
    site = folder / "site"
    site.mkdir()
    (site / "10m.bin").write_bytes(b"x" * TRANSFER_BYTES)
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{}],
        "routes": [
            {"match": [{"path": ["/"]}], "handle": [{"handler": "static_response", "body": "hi"}]},
            {"handle": [{"handler": "file_server", "root": str(site)}]},
        ],
    }
    load = [{"certificate": str(certificate), "key": str(key)}]
    tls = {"certificates": {"load_files": load}, "disable_ocsp_stapling": True}
    return {"apps": {"http": {"servers": {"memory": server}}, "tls": tls}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--transfers", type=int, default=1_000)
    parser.add_argument("--versions", default="h1,h2,h3")
    options = parser.parse_args()
    gc.disable()  # this process measures another one
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        with Deployment("all", document(Path(folder), port)) as deployment:
            pid = deployment.member("quantum").process.pid
            good = True
            for version in options.versions.split(","):
                good &= compare(
                    f"{version} requests", pid,
                    lambda n, v=version: requests(v, port, n), options.requests,
                )  # fmt: skip
                good &= compare(
                    f"{version} cut transfers", pid,
                    lambda n, v=version: cut_transfers(v, port, n), options.transfers,
                )  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
