"""What the client says, and leaves alone, when something is wrong."""

import shutil

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
    assert "--server" in told.stderr
