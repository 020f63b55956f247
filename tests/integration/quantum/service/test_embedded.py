"""The embedded nats-server by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess

import pytest
from prometheus_client import CollectorRegistry

from quantum.bus.nats import NatsBus
from quantum.clock import SystemClock
from quantum.errors import BusUnavailable, QuantumError
from quantum.service import embedded
from quantum.service.embedded import EmbeddedServer, find_server
from quantum.testing.bus import WORDS, Word
from quantum.testing.topology import freeze


@pytest.fixture
async def server(tmp_path):
    server = EmbeddedServer(tmp_path, SystemClock())
    yield server
    await server.stop()


async def test_port_and_token_stay_the_same_over_restarts(server, tmp_path):
    await server.start()
    port, token = server.port, server.token
    await server.stop()
    again = EmbeddedServer(tmp_path, SystemClock())
    await again.start()
    assert (again.port, again.token) == (port, token)
    await again.stop()


async def test_a_port_that_somebody_took_is_exchanged(server, tmp_path):
    await server.start()
    taken = server.port
    await server.stop()
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        again = EmbeddedServer(tmp_path, SystemClock())
        await again.start()
        assert again.port != taken
        await again.stop()


async def test_a_server_that_dies_again_and_again_is_started_again_and_again(server):
    await server.start()
    for number in range(3):
        os.kill(server.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while server.restarts == number or server.pid is None or not await server._greets():
                await asyncio.sleep(0.02)
    assert server.restarts == 3


async def test_a_program_that_ends_at_once_refuses_the_start_with_its_words(tmp_path):
    program = tmp_path / "nats-server"
    program.write_text("#!/bin/sh\necho the disk is broken >&2\nexit 1\n")
    program.chmod(stat.S_IRWXU)
    server = EmbeddedServer(tmp_path, SystemClock(), str(program))
    with pytest.raises(QuantumError, match="does not answer: the disk is broken"):
        await server.start()


async def test_stopping_one_that_was_never_started_is_fine(server):
    await server.stop()
    await server.stop()


async def test_a_server_that_ignores_the_request_to_end_is_killed(server, monkeypatch):
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.3)
    await server.start()
    freeze(server.pid)
    await server.stop()
    assert server.pid is None


def test_an_absent_program_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(embedded, "DISTRIBUTION", "no-such-distribution")
    monkeypatch.setattr(embedded.shutil, "which", lambda *_, **__: None)
    with pytest.raises(QuantumError, match=r"quantum-edge\[embedded\]"):
        find_server()


def test_the_pid_of_another_program_is_not_taken_for_a_leftover(tmp_path):
    assert not embedded._runs_from(os.getpid(), tmp_path / "server.conf")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, and a function that makes it as large as asked."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")

    def resize(size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, resize
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_stream_takes_writes_again_after_its_disk_was_full(small_disk):
    folder, resize = small_disk
    server = EmbeddedServer(folder, SystemClock())
    await server.start()
    bus = NatsBus(server.url, clock=SystemClock(), token=server.token, metrics=CollectorRegistry())
    bus.start()
    try:
        assert await bus.wait_connected(20)
        words = await bus.stream(WORDS, "full")
        await words.append(Word(text="kept"))
        disk = os.statvfs(folder)
        resize((disk.f_blocks - disk.f_bfree) * disk.f_frsize)
        with pytest.raises(BusUnavailable):
            await _append_many(words)
        resize("256m")
        async with asyncio.timeout(60):
            while not await _is_taken(words):
                pass
        assert server.restarts == 1
        first = await anext(words.read(0))
        assert first.value == Word(text="kept")
    finally:
        await bus.aclose()
        await server.stop()


async def _append_many(log):
    for _ in range(100):  # the last page of a file may have room for some
        await log.append(Word(text="x" * 4000))


async def _is_taken(log):
    try:
        await log.append(Word(text="after"))
    except BusUnavailable:
        return False
    return True
