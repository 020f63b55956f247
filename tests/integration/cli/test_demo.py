"""The demo's upstreams live exactly as long as the process that started them."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from quantum.errors import ConfigError
from quantum.testing.topology import free_port
from services.cli import demo
from services.cli.demo import Demo

UPSTREAM = Path(__file__).parents[3] / "config" / "demo" / "upstream.py"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the synced folder in a temporary place."""
    monkeypatch.setattr(demo, "UPSTREAM", UPSTREAM)
    monkeypatch.chdir(tmp_path)


def get(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually_closed(port: int) -> bool:
    deadline = time.monotonic() + 10
    while is_open(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_open(port)


def test_upstreams_run_inside_the_block_and_not_after_it(tmp_path):
    ports = [free_port(), free_port()]
    document = {"upstreams": [{"dial": f"127.0.0.1:{port}"} for port in ports]}
    with Demo().running(document):
        assert "upstream 1" in get(ports[0])
        assert "upstream 2" in get(ports[1], "/any/path")
        assert get(ports[0], "/health") == "ok\n"
        assert (tmp_path / "sync-data" / "welcome.txt").exists()
    assert not any(is_open(port) for port in ports)


def test_a_folder_with_files_gets_no_welcome(tmp_path):
    (tmp_path / "sync-data").mkdir()
    (tmp_path / "sync-data" / "mine.txt").write_text("x")
    with Demo().running({}):
        assert [p.name for p in (tmp_path / "sync-data").iterdir()] == ["mine.txt"]


def test_an_upstream_whose_port_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, nobody can bind
        port = taken.getsockname()[1]
        document = {"dial": f"127.0.0.1:{port}"}
        with pytest.raises(ConfigError, match=f"port {port}"), Demo().running(document):
            pytest.fail("it must not start")


def test_an_upstream_ends_when_the_process_that_started_it_is_killed():
    port = free_port()
    code = f"""
import pathlib, time
from services.cli import demo
demo.UPSTREAM = pathlib.Path({str(UPSTREAM)!r})
with demo.Demo().running({{"dial": "127.0.0.1:{port}"}}):
    print("up", flush=True)
    time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(UPSTREAM.parents[2])}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert is_open(port)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    assert eventually_closed(port)
