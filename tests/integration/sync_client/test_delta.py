"""Large files: only what changed travels, either way, and an interrupted transfer goes on."""

import hashlib
import os
import signal
import time

import pytest

from tests.integration.sync_client.conftest import both, eventually
from tests.integration.sync_client.relay import counting

pytestmark = [pytest.mark.slow]
MIB = 1 << 20
SIZE = 48 * MIB


@pytest.fixture
def wire(clients):
    port = int(clients.url.rpartition(":")[2])
    direct = clients.url
    with counting(port) as counted:
        clients.url = counted.url
        yield counted
    clients.url = direct


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change_a_byte(path):
    with path.open("r+b") as file:
        file.seek(SIZE // 2)
        old = file.read(1)
        file.seek(SIZE // 2)
        file.write(bytes([old[0] ^ 0xFF]))


def insert_a_byte(path):
    data = path.read_bytes()
    path.write_bytes(data[: SIZE // 3] + b"!" + data[SIZE // 3 :])


@pytest.mark.parametrize("edit", [change_a_byte, insert_a_byte])
def test_an_edited_byte_of_a_large_file_moves_less_than_a_mebibyte_either_way(clients, wire, edit):
    one, two = clients.make(f"{edit.__name__}-one"), clients.make(f"{edit.__name__}-two")
    (one / "large").write_bytes(os.urandom(SIZE))
    assert clients.once(one).returncode == clients.once(two).returncode == 0
    assert digest(two / "large") == digest(one / "large")
    edit(one / "large")
    before = wire.total
    told = clients.once(one, "--verbose")
    up = wire.total - before
    assert told.returncode == clients.once(two).returncode == 0, told.stderr
    down = wire.total - before - up
    print(f"{edit.__name__} in {SIZE / MIB:.0f} MiB: {up} bytes up, {down} bytes down")
    assert both(clients, one, two)
    assert 0 < up < MIB
    assert 0 < down < MIB
    for root in (one, two):
        (root / "large").unlink()


def test_a_copy_of_what_the_server_has_is_not_sent_again(clients, wire):
    one = clients.make("copied-one")
    (one / "large").write_bytes(os.urandom(SIZE))
    assert clients.once(one).returncode == 0
    (one / "copy").write_bytes((one / "large").read_bytes() + b"and more")
    before = wire.up
    assert clients.once(one).returncode == 0
    assert wire.up - before < MIB
    assert both(clients, one)


def test_an_upload_goes_on_where_a_killed_client_stopped(clients, wire):
    one = clients.make("killed-up")
    (one / "sent").write_bytes(os.urandom(SIZE))
    killed_when(clients, one, "sent", lambda: wire.up > SIZE // 2)
    spent = wire.up
    assert spent < SIZE, "it was killed too late to show anything"
    assert clients.once(one, "--include", "sent").returncode == 0
    assert digest(one / "sent") == digest(clients.share / "sent")
    print(f"{spent / MIB:.1f} MiB before the kill, {wire.up / MIB:.1f} MiB in all")
    assert wire.up < SIZE * 1.25


def test_a_download_goes_on_where_a_killed_client_stopped(clients, wire):
    """What the kernel had received for the client is lost with it: what was written is what counts."""
    one, two = clients.make("killed-down-one"), clients.make("killed-down-two")
    (one / "fetched").write_bytes(os.urandom(SIZE))
    assert clients.once(one, "--include", "fetched").returncode == 0
    part = two / ".quantum" / "incoming" / f"{digest(one / 'fetched')}.part"
    killed_when(clients, two, "fetched", lambda: part.exists() and part.stat().st_size > SIZE // 2)
    kept, spent = part.stat().st_size, wire.down
    assert kept < SIZE, "it was killed too late to show anything"
    assert clients.once(two, "--include", "fetched").returncode == 0
    assert digest(two / "fetched") == digest(one / "fetched") == digest(clients.share / "fetched")
    print(f"{kept / MIB:.1f} MiB kept, {(wire.down - spent) / MIB:.1f} MiB fetched after the kill")
    assert wire.down - spent < SIZE - kept + MIB


def killed_when(clients, root, name, reached):
    process = clients.start(root, "--include", name, "--bandwidth", "24MB")
    eventually(reached, 30, clients.logs)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.2)  # what is on the wire passes the relay


def test_a_spoiled_beginning_of_a_download_is_found_and_fetched_anew(clients):
    one, two = clients.make("spoiled-one"), clients.make("spoiled-two")
    data = os.urandom(8 * MIB)
    (one / "spoiled").write_bytes(data)
    assert clients.once(one).returncode == 0
    assert clients.once(two, "--include", "nothing").returncode == 0  # makes its store
    part = two / ".quantum" / "incoming" / f"{hashlib.sha256(data).hexdigest()}.part"
    part.write_bytes(bytes(2 * MIB))
    assert clients.once(two).returncode == 0
    assert (two / "spoiled").read_bytes() == data
    assert not any(part.parent.iterdir())
