"""A process that has no descriptors left: it waits, without turning in circles, and goes on."""

from __future__ import annotations

import resource
import socket
import time
from pathlib import Path

import pytest

from quantum.testing.topology import Deployment, free_port

LEFT = 40
"""Descriptors that the process may still open."""
CLIENTS = 120
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def ask(port: int, seconds: float) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
            sock.sendall(REQUEST)
            return sock.recv(12)
    except OSError:
        return b""


@pytest.fixture
def deployment():
    port = free_port()
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "routes": [{"handle": [{"handler": "static_response", "body": "hello"}]}],
        "automatic_https": {"disable": True},
    }
    document = {"apps": {"http": {"servers": {"s": server}}}}
    with Deployment("all", document, extra=["--target", "edge,certs,admin"]) as running:
        running.port = port
        yield running


def test_accepting_resumes_after_descriptors_ran_out(deployment: Deployment) -> None:
    process = deployment.member("quantum").process
    pid = process.pid
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + LEFT, used + LEFT))
    first = socket.create_connection(("127.0.0.1", deployment.port))
    first.sendall(REQUEST)
    assert first.recv(12) == b"HTTP/1.1 200"
    held = []
    for _ in range(CLIENTS):
        sock = socket.create_connection(("127.0.0.1", deployment.port))
        sock.sendall(REQUEST)
        held.append(sock)
    end = time.monotonic() + 20
    while len(list(Path(f"/proc/{pid}/fd").iterdir())) < used + LEFT - 2:
        assert time.monotonic() < end, "there were some left"
        time.sleep(0.05)
    before = cpu_seconds(pid)
    time.sleep(2)
    assert cpu_seconds(pid) - before < 0.6, "the process turns in circles"
    first.sendall(REQUEST)  # who is in is still served
    first.settimeout(5)
    assert b"HTTP/1.1 200" in first.recv(4096) + first.recv(4096)
    for sock in (first, *held):
        sock.close()
    end = time.monotonic() + 10
    while not ask(deployment.port, 2).startswith(b"HTTP/1.1 200"):
        assert time.monotonic() < end, "no connection is accepted any more"
        time.sleep(0.1)
    assert process.poll() is None
