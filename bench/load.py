"""The generators of load: each runs for some seconds on the core that servers do not use."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.contenders import Contender, cpu_seconds
from bench.jobs import Job

LOAD_CORE = "1"
POST = Path(__file__).with_name("post.lua")
"""Makes wrk post as many bytes as its argument says."""
HANDSHAKERS = 4
"""Clients that shake hands at once: one waits for its answer while others keep the server busy."""
H2_CONNECTIONS, H2_STREAMS = 16, 32
H3_CONNECTIONS, H3_STREAMS = 8, 16


class Counted:
    """What one run of a generator found: units of work, the seconds it took, seconds of latency if known."""

    def __init__(
        self, total: int, seconds: float, p50: float | None = None, p99: float | None = None
    ) -> None:
        if not total:
            raise RuntimeError("nothing was done at all")
        self.total, self.seconds, self.p50, self.p99 = total, seconds, p50, p99


Generator = Callable[[str, Job, int, int], Counted]
"""From a URL, what is asked there, seconds and connections (of HTTP/1.1) to what was counted."""


def measure(
    contender: Contender, job: Job, seconds: int, connections: int
) -> dict[str, float | None]:
    """Run one job once; return units/s, p50, p99 (seconds) and server CPU for each unit (µs)."""
    port = contender.ports[job.server + ("-tls" if job.tls else "")]
    url = f"{'https' if job.tls else 'http'}://127.0.0.1:{port}{job.path}"
    pids = contender.pids()
    before = cpu_seconds(pids)
    try:
        counted = GENERATORS[job.generator](url, job, seconds, connections)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"{contender.name} {job.name}: {error}") from error
    spent = cpu_seconds(pids) - before
    return {
        "rps": counted.total / counted.seconds,
        "p50": counted.p50,
        "p99": counted.p99,
        "cpu_us": spent / counted.total * 1e6,
    }


def _output(*command: str, seconds: int) -> str:
    pinned = ["taskset", "-c", LOAD_CORE, *command]
    done = subprocess.run(
        pinned, capture_output=True, text=True, check=True, timeout=seconds + 30, cwd=_ROOT
    )
    return done.stdout


_ROOT = Path(__file__).parents[1]


def _seconds_of(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]


def wrk(url: str, job: Job, seconds: int, connections: int) -> Counted:
    """HTTP/1.1, one request after the other on each connection."""
    post = ["-s", str(POST), url, "--", str(job.body_bytes)] if job.body_bytes else [url]
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    options += ["-H", f"Accept-Encoding: {job.accept}"] if job.accept else []
    output = _output("wrk", *options, *post, seconds=seconds)
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", output)
    if errors:
        raise RuntimeError(errors.group(0))
    total, took = re.search(r"(\d+) requests in ([\d.]+\w+)", output).groups()
    p50, p99 = (
        _seconds_of(re.search(rf"^\s+{share}%\s+(\S+)", output, re.MULTILINE).group(1))
        for share in (50, 99)
    )
    return Counted(int(total), _seconds_of(took), p50, p99)


def h2load(url: str, _: Job, seconds: int, __: int) -> Counted:
    """HTTP/2, many streams on each connection. It tells no percentiles."""
    output = _output(
        "h2load", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", f"-D{seconds}", url, seconds=seconds
    )
    if "Application protocol: h2" not in output:
        raise RuntimeError(f"no HTTP/2:\n{output}")
    total, failed = re.search(r"(\d+) succeeded, (\d+) failed", output).groups()
    good = re.search(r"status codes: (\d+) 2xx", output).group(1)
    if int(failed) or int(good) < int(total):
        raise RuntimeError(output)
    return Counted(int(total), float(seconds))


def h3(url: str, _: Job, seconds: int, __: int) -> Counted:
    """HTTP/3 by libcurl, many streams on each connection. The client is the bottleneck: see the CPU."""
    return _curl(url, seconds, "requests")


def quic_handshakes(url: str, _: Job, seconds: int, __: int) -> Counted:
    """A connection by QUIC for each request."""
    return _curl(url, seconds, "handshakes")


def _curl(url: str, seconds: int, what: str) -> Counted:
    command = [sys.executable, "-m", "bench.h3_load", url, str(seconds), what]
    told = json.loads(_output(*command, seconds=seconds))
    if told["failed"]:
        raise RuntimeError(f"{told['failed']} failed: {told['why']}")
    return Counted(told["total"], told["seconds"], told["p50"], told["p99"])


def tls_handshakes(url: str, _: Job, seconds: int, __: int) -> Counted:
    """Full TLS 1.3 handshakes without a request, by OpenSSL's own clients."""
    command = ["taskset", "-c", LOAD_CORE, "openssl", "s_time", "-new", "-tls1_3"]
    command += ["-time", str(seconds), "-connect", url.split("/")[2]]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(HANDSHAKERS)]
        processes = [subprocess.Popen(command, stdout=f, stderr=subprocess.STDOUT) for f in files]
        for process in processes:
            process.wait(seconds + 30)
        total = 0
        for file in files:
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            told = file.read()
            found = re.search(r"(\d+) connections in \d+ real seconds", told)
            if found is None:
                raise RuntimeError(told)
            total += int(found.group(1))
    return Counted(total, float(seconds))


GENERATORS: dict[str, Generator] = {
    "wrk": wrk,
    "h2load": h2load,
    "h3": h3,
    "tls-handshakes": tls_handshakes,
    "quic-handshakes": quic_handshakes,
}
