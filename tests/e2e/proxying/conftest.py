"""One deployment per topology for all scenarios of proxying; the real Caddy is one more topology."""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from quantum.testing.client import Site
from quantum.testing.topology import Deployment, free_port
from tests.e2e.proxying.grpc_upstream import GrpcUpstream
from tests.e2e.proxying.rules import below, proxy, routes
from tests.e2e.proxying.streams import Streams
from tests.e2e.proxying.upstream import Talker
from tests.integration.proxy import fpm

ROOMS = ("proxy", "static", "edge")
"""The rooms that these scenarios need: a process each in topology split."""


def document(port: int, handling: list) -> dict:
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2", "h2c"],
        "routes": handling,
    }
    admin = {"disabled": True}
    return {"admin": admin, "apps": {"http": {"servers": {"srv0": server}}}}


@contextmanager
def caddy(config: dict, port: int) -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="caddy-"))
    (folder / "config.json").write_text(json.dumps(config))
    command = [
        str(Path(sys.executable).parent / "caddyserver"),
        "run",
        "--config",
        str(folder / "config.json"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def talker() -> Iterator[Talker]:
    talker = Talker()
    yield talker
    talker.close()


@pytest.fixture(scope="session")
def calls() -> Iterator[GrpcUpstream]:
    upstream = GrpcUpstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="session")
def streams() -> Iterator[Streams]:
    upstream = Streams()
    yield upstream
    upstream.close()


@pytest.fixture(scope="session")
def php(tmp_path_factory) -> Iterator[dict]:
    """A handler that has PHP-FPM behind it; one that has nothing where there is no PHP-FPM."""
    folder = tmp_path_factory.mktemp("php")
    transport = {"protocol": "fastcgi", "root": str(folder / "site"), "split_path": [".php"]}
    if fpm.program() is None:
        yield proxy("127.0.0.1:1", transport=transport)
        return
    with fpm.running(folder) as dial:
        yield proxy(dial, transport=transport)


@pytest.fixture(scope="session", params=["all", "split", "caddy"])
def site(request, talker, calls, streams, php, tmp_path_factory) -> Iterator[Site]:
    """A server with the routes of ``rules.py``, and upstreams of gRPC and of streams behind it."""
    files = tmp_path_factory.mktemp("files")
    (files / "files").mkdir()
    (files / "files" / "inside.txt").write_text("from the disk")
    port = free_port()
    h2c = {"protocol": "http", "versions": ["h2c", "2"]}
    handling = [
        *routes(talker.dial, files),
        below("/quantum.test.Talk/*", proxy(calls.dial, transport=h2c)),
        below("/quantum.test.Gone/*", proxy("127.0.0.1:1", transport=h2c)),
        below("/stream/*", proxy(streams.dial)),
        below("/index.php/*", php),
    ]
    config = document(port, handling)
    if request.param == "caddy":
        config["apps"]["http"]["servers"]["srv0"]["enable_full_duplex"] = True  # here: always
    started = (
        caddy(config, port)
        if request.param == "caddy"
        else Deployment(request.param, config, rooms=ROOMS)
    )
    with started:
        yield Site("127.0.0.1", port)


@pytest.fixture(scope="session")
def channel(site) -> Iterator[grpc.Channel]:
    """A gRPC channel to the same server, HTTP/2 without TLS."""
    with grpc.insecure_channel(f"{site.host}:{site.port}") as channel:
        yield channel
