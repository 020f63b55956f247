"""What happens to requests while rooms die, the bus dies and configurations change."""

import json
import time

import pytest

from tests.e2e.conftest import Platform, eventually
from tests.e2e.load import under_load

RELOADS = 100


def test_a_hundred_reloads_under_load_lose_no_request(platform: Platform) -> None:
    connection = platform.admin.connect()
    with under_load(platform.plain, "/app/") as proxied, under_load(platform.plain, "/") as files:
        for number in range(RELOADS):
            document = json.dumps(platform.document(f"m{number % 2}")).encode()
            headers = {
                "Content-Type": "application/json",
                "Host": f"localhost:{platform.admin.port}",
            }
            connection.request("POST", "/load", document, headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
    connection.close()
    assert platform.plain.get("/marker").text == "m1"
    assert (proxied.failures, files.failures) == ([], [])
    assert proxied.answered > 100
    assert files.answered > 100


NEEDS = {
    "certs": "/app/",
    "health": "/app/",
    "admin": "/app/",
    "static": "/app/",
    "sync": "/app/",
    "proxy": "/",
}


@pytest.mark.parametrize("room", NEEDS)
def test_a_killed_room_takes_nothing_else_with_it_and_comes_back(
    platform: Platform, room: str
) -> None:
    if platform.topology == "all":
        pytest.skip("one process is one room here: the next test kills it")
    before = platform.deployment.starts(room)
    with under_load(platform.plain, NEEDS[room]) as load:
        time.sleep(0.3)
        platform.deployment.kill(room)
        eventually(lambda: platform.deployment.starts(room) > before)
        platform.deployment.wait_ready()
        time.sleep(0.3)
    assert load.failures == []
    eventually(lambda: platform.plain.get("/app/").status == 200)
    eventually(lambda: platform.plain.get("/").status == 200)
    eventually(lambda: platform.plain.get("/api/list").status == 200)
    assert platform.secure.get("/").status == 200


def test_a_killed_edge_or_process_serves_again(platform: Platform) -> None:
    before = platform.deployment.starts("edge")
    platform.deployment.kill("edge")
    eventually(lambda: platform.deployment.starts("edge") > before)
    platform.deployment.wait_ready()
    assert platform.secure.get("/").status == 200
    eventually(lambda: platform.plain.get("/app/").status == 200)
    eventually(lambda: platform.plain.get("/api/list").status == 200)


def test_requests_go_on_while_the_bus_is_killed_and_it_comes_back(platform: Platform) -> None:
    with under_load(platform.plain, "/app/") as proxied, under_load(platform.plain, "/") as files:
        time.sleep(0.3)
        platform.deployment.kill_bus()
        time.sleep(2)
        eventually(lambda: platform.deployment.services("edge")["bus"] == "connected")
    assert (proxied.failures, files.failures) == ([], [])

    def is_written() -> bool:
        """Rooms come back to the bus one by one; until sync has, it says 503 and when to ask again."""
        put = platform.plain.request("PUT", "/api/files/after.txt", b"after the bus came back")
        assert put.status in (200, 201) or "retry-after" in put.headers
        return put.status != 503

    eventually(is_written)


def test_everything_ends_cleanly_on_sigterm(platform: Platform) -> None:
    """Runs last in this file: it stops the deployment."""
    codes = platform.deployment.stop()
    assert set(codes.values()) == {0} or set(codes.values()) == {0, 1}, codes
