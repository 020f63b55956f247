"""HTTP/1.1 and HTTP/2 as other people's programs speak them: nghttp, h2load, and slowhttptest, which speaks them slowly."""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from quantum.testing.client import Site
from quantum.testing.debian import has_program
from quantum.testing.topology import Deployment, free_port
from tests.conformance.protocols.origin import Origin

SECONDS = 120
SLOW = 200
"""Connections of slowhttptest."""
LARGE = 16 * 1024 * 1024
"""More than the kernel takes off our hands at once: what it has taken nobody can be slow with."""
ATTACKS = {
    "slow heads": ["-H", "-i", "1"],
    "slow bodies": ["-B", "-i", "1", "-s", "100000"],
    "slow readers": ["-X", "-w", "64", "-y", "128", "-z", "16", "-n", "1", "-k", "3"],
    "many ranges": ["-R", "-a", "10", "-b", "3000"],
}


@dataclass
class Place:
    secure: int
    plain: int
    file: bytes


@pytest.fixture(scope="module", params=["all", "split"])
def place(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[Place]:
    """A proxy and a file server over TLS and in clear, impatient with those who dawdle."""
    if not has_program("nghttp", "nghttp2-client"):
        pytest.skip("needs nghttp and h2load (Debian: nghttp2-client)")
    folder, origin = tmp_path_factory.mktemp("site"), Origin()
    made = Place(free_port(), free_port(), bytes(range(256)) * 4096)
    (folder / "file.bin").write_bytes(made.file)
    (folder / "large.bin").write_bytes(bytes(LARGE))
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{origin.port}"}]}
    routes = [
        {
            "match": [{"path": ["*.bin"]}],
            "handle": [{"handler": "file_server", "root": str(folder)}],
        },
        {"handle": [proxy]},
    ]
    times = {
        "read_header_timeout": "3s", "read_timeout": "3s", "write_idle_timeout": "3s",
        "write_min_rate": 10_000,
    }  # fmt: skip
    off = {"automatic_https": {"disable_redirects": True}, **times}
    local = {
        "match": [{"host": ["localhost"]}],
        "handle": [{"handler": "subroute", "routes": routes}],
    }
    servers = {
        "secure": {"listen": [f"127.0.0.1:{made.secure}"], "routes": [local], **off},
        "plain": {
            "listen": [f"127.0.0.1:{made.plain}"],
            "protocols": ["h1", "h2c"],
            "routes": routes,
            **off,
        },
    }  # fmt: skip
    with Deployment(request.param, {"apps": {"http": {"servers": servers}}}):
        yield made
    origin.close()


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, errors="replace"
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    return done.stdout


@pytest.mark.parametrize("way", ["TLS", "prior knowledge"])
def test_nghttp_fetches_files_and_proxied_answers_on_one_connection(
    place: Place, tmp_path: Path, way: str
) -> None:
    base = (
        f"https://localhost:{place.secure}" if way == "TLS" else f"http://localhost:{place.plain}"
    )
    told = run("nghttp", "-nsv", "--no-verify-peer", f"{base}/file.bin", f"{base}/bytes/100000")  # fmt: skip
    assert "ALPN" not in told or "h2" in told
    assert re.findall(r":status: (\d+)", told) == ["200", "200"]
    assert "GOAWAY" not in told.split("send GOAWAY")[0]
    body = tmp_path / "body"
    body.write_bytes(place.file)
    answer = run("nghttp", "--no-verify-peer", "-d", str(body), f"{base}/digest")
    assert f'"length": {len(place.file)}' in answer


@pytest.mark.parametrize("way", ["TLS", "prior knowledge"])
def test_h2load_sees_no_request_fail(place: Place, way: str) -> None:
    base = (
        f"https://localhost:{place.secure}" if way == "TLS" else f"http://localhost:{place.plain}"
    )
    for path, count, at_once in (("/file.bin", "64", "8"), ("/bytes/1000", "2000", "25")):
        told = run("h2load", "-n", count, "-c", "8", "-m", at_once, f"{base}{path}")
        assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in told, told


@pytest.mark.big
@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_clients_are_cut_and_others_do_not_notice(place: Place, attack: str) -> None:
    if not has_program("slowhttptest", "slowhttptest"):
        pytest.skip("needs slowhttptest (Debian)")
    path = {"slow bodies": "/digest", "slow readers": "/large.bin"}.get(attack, "/file.bin")
    command = [
        "slowhttptest",
        *ATTACKS[attack],
        "-c",
        str(SLOW),
        "-r",
        "100",
        "-l",
        "25",
        "-p",
        "3",
    ]
    url = f"http://127.0.0.1:{place.plain}{path}"
    good = Site("127.0.0.1", place.plain)
    opened = []
    with subprocess.Popen([*command, "-u", url], stdout=subprocess.PIPE, text=True) as attacking:
        slowest = 0.0
        while attacking.poll() is None:
            began = time.monotonic()
            assert good.get("/bytes/1000").status == 200
            slowest = max(slowest, time.monotonic() - began)
            opened.append(established(place.plain))
            time.sleep(0.1)
        told = attacking.stdout.read() if attacking.stdout else ""
    assert slowest < 5
    plain = re.sub(r"\x1b\[[0-9;]*m", "", told)
    assert "service available:   YES" in plain
    if attack == "slow readers":  # slowhttptest does not notice a reset
        assert max(opened) >= SLOW
        assert opened[-1] < SLOW // 10
    elif attack != "many ranges":
        assert "No open connections left" in plain, plain[-800:]


def established(port: int) -> int:
    """Return how many connections a port of this machine has."""
    ends = [line.split()[1:4:2] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(f":{port:04X}") and state == "01" for local, state in ends)
