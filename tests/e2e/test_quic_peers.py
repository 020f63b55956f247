"""HTTP/3 as ngtcp2 speaks it: whole transfers over a network that loses, renames and rekeys."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantum.testing.debian import has_program
from quantum.testing.topology import Deployment, free_port
from tests.conformance.protocols.origin import Origin

FILES, FILE_BYTES = 8, 128 * 1024
UPLOADS, UPLOAD_BYTES = 4, 1024 * 1024
TRANSFER_SECONDS = 50
NAT, LOST_MOVE = "a NAT that forgets", "new keys at another address with loss"
UPLOAD_ONLY = (NAT, LOST_MOVE)
"""A client that only receives, and whose first packet from a new address is lost or never sent, cannot be
found again until it speaks: QUIC has nothing that it must repeat. One that uploads repeats its data."""
TROUBLES = {
    "nothing": [],
    "a tenth lost either way": ["-t", "0.1", "-r", "0.1"],
    NAT: ["--nat-rebinding", "--change-local-addr=20ms"],
    "another address": ["--change-local-addr=20ms"],
    "new keys": ["--key-update=20ms"],
    LOST_MOVE: [
        "--key-update=30ms", "--change-local-addr=20ms", "-t", "0.05", "-r", "0.05",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[tuple[int, Path]]:
    """A file server over HTTP/3, and its folder."""
    if not has_program("gtlsclient", "ngtcp2-client"):
        pytest.skip("needs gtlsclient (Debian: ngtcp2-client)")
    root, port = tmp_path_factory.mktemp("site"), free_port()
    for number in range(FILES):
        (root / f"{number}.bin").write_bytes(os.urandom(FILE_BYTES))
    origin = Origin()
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{origin.port}"}]}
    routes = [
        {"match": [{"host": ["localhost"], "path": ["/digest/*"]}], "handle": [proxy]},
        {
            "match": [{"host": ["localhost"]}],
            "handle": [{"handler": "file_server", "root": str(root)}],
        },
    ]
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable_redirects": True},
        "routes": routes,
    }
    with Deployment("all", {"apps": {"http": {"servers": {"files": server}}}}):
        yield port, root
    origin.close()


def run(port: int, folder: Path, paths: list[str], *options: str) -> None:
    """Let gtlsclient fetch every path into a folder at once, on one connection."""
    urls = [f"https://localhost:{port}{path}" for path in paths]
    command = ["gtlsclient", "-q", "--exit-on-all-streams-close", "--disable-early-data"]
    command += [f"--download={folder}", *options, "127.0.0.1", str(port), *urls]
    done = subprocess.run(command, capture_output=True, timeout=TRANSFER_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("trouble", [name for name in TROUBLES if name not in UPLOAD_ONLY])
def test_every_download_is_whole_with(site, tmp_path, trouble: str) -> None:
    port, root = site
    names = [f"{number}.bin" for number in range(FILES)]
    run(port, tmp_path, [f"/{name}" for name in names], *TROUBLES[trouble])
    for name in names:
        assert digest(tmp_path / name) == digest(root / name), name


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_upload_is_whole_with(site, tmp_path, trouble: str) -> None:
    port, _ = site
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(UPLOAD_BYTES))
    options = ["-d", str(sent), "-m", "POST", *TROUBLES[trouble]]
    run(port, tmp_path, [f"/digest/{number}" for number in range(UPLOADS)], *options)
    for number in range(UPLOADS):
        assert json.loads((tmp_path / str(number)).read_text())["sha256"] == digest(sent)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
