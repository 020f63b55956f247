"""What the client says, and leaves alone, when something is wrong."""

import os
import shutil
import subprocess

import pytest

from quantum.testing.topology import free_port
from tests.integration.sync_client.conftest import contents

pytestmark = [pytest.mark.slow]


def test_a_server_that_is_away_costs_nothing_and_the_queue_is_sent_later(clients):
    one = clients.make("away-one")
    (one / "queued").write_text("later")
    url, clients.url = clients.url, f"http://127.0.0.1:{free_port()}"
    told = clients.once(one)
    clients.url = url
    assert told.returncode == 1
    assert "nothing listens on port" in told.stderr
    assert "nothing is lost" in told.stderr
    assert "Traceback" not in told.stderr
    shutil.rmtree(one / ".quantum")  # it belonged to the other server
    assert clients.once(one).returncode == 0
    assert (clients.share / "queued").read_text() == "later"


def test_a_missing_folder_deletes_nothing_on_the_server(clients):
    one = clients.make("missing-one")
    (one / "precious").write_text("x")
    assert clients.once(one).returncode == 0
    before = contents(clients.share)
    shutil.rmtree(one)
    told = clients.once(one)
    assert told.returncode == 6, told.stderr
    assert "nothing was deleted" in told.stderr
    assert contents(clients.share) == before


def test_a_server_that_speaks_no_tls_is_told_as_such(clients):
    one = clients.make("tls-one")
    url, clients.url = clients.url, clients.url.replace("http:", "https:")
    told = clients.once(one)
    clients.url = url
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "http://" in told.stderr


def test_a_folder_without_room_is_told_what_to_do_and_goes_on_when_there_is(clients, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    (clients.share / "large").write_bytes(os.urandom(3 << 20))
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        told = clients.once(small)
        assert told.returncode == 4, told.stderr
        assert "make room here" in told.stdout + told.stderr
        subprocess.run(["mount", "-o", "remount,size=32m", str(small)], check=True)
        assert clients.once(small).returncode == 0
        assert (small / "large").read_bytes() == (clients.share / "large").read_bytes()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)
