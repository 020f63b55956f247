"""Clients that stay connected, in one process and in one process per room: fast, and nothing is lost."""

import os
import random
import signal
import time

import pytest

from tests.integration.sync_client.conftest import both, eventually
from tests.integration.sync_client.snippet import a_browser_hears_of_a_file

pytestmark = [pytest.mark.slow]
ROUNDS = 8


@pytest.fixture(scope="module", params=["all", "split"])
def topology(request):
    return request.param


def test_a_saved_file_is_on_the_other_side_in_a_moment(clients):
    one, two = clients.make("live-one"), clients.make("live-two")
    clients.once(one)
    clients.once(two)
    clients.start(one)
    clients.start(two)
    (one / "started").write_text("yes")
    eventually((two / "started").exists, told=clients.logs)
    (two / "answered").write_text("yes")
    eventually((one / "answered").exists, told=clients.logs)
    times = []
    for number in range(30):
        begun = time.monotonic()
        (one / f"live-{number}").write_bytes(os.urandom(4096))
        while not (two / f"live-{number}").exists():
            assert time.monotonic() < begun + 10, clients.logs()
            time.sleep(0.001)
        times.append(time.monotonic() - begun)
        time.sleep(0.03)
    times.sort()
    print(f"save to applied: p50 {times[15] * 1000:.0f} ms, worst of 30 {times[-1] * 1000:.0f} ms")
    assert times[15] < 5  # by the event, not by the next rescan
    (one / "live-0").unlink()
    (one / "live-1").rename(one / "renamed")
    (two / "made").mkdir()
    eventually(
        lambda: not (two / "live-0").exists() and (two / "renamed").exists(), told=clients.logs
    )
    eventually((one / "made").is_dir, told=clients.logs)
    eventually(lambda: both(clients, one, two), told=clients.logs)


def test_nothing_is_lost_when_clients_and_server_are_killed_at_any_time(clients):
    """Two people write all the time, each into own and into common files; everything is killed at random."""
    dice = random.Random(7)
    one, two = clients.make("kill-one"), clients.make("kill-two")
    written: dict[str, set[bytes]] = {}
    processes = {root: clients.start(root) for root in (one, two)}
    for number in range(ROUNDS):
        for _ in range(6):
            root = dice.choice((one, two))
            data = os.urandom(dice.choice((10, 5000, 300_000)))
            name = f"{root.name}-{number}-{dice.randrange(1000)}"
            (root / name).write_bytes(data)
            written.setdefault(name, set()).add(data)
            time.sleep(dice.random() * 0.05)
        victim = dice.choice((one, two, None))
        if victim is None:
            clients.deployment.kill("sync")
        else:
            processes[victim].send_signal(signal.SIGKILL)
            processes[victim].wait()
            processes[victim] = clients.start(victim)
    clients.deployment.wait_ready()
    eventually(lambda: both(clients, one, two), 60, clients.logs)
    for name, data in written.items():
        assert {(one / name).read_bytes()} == data, name
    assert not any((one / ".quantum" / "incoming").iterdir())


def test_the_specification_s_browser_client_hears_of_a_file(clients, topology):
    if topology == "all":
        pytest.skip("tests/browser has it")
    a_browser_hears_of_a_file(clients)
