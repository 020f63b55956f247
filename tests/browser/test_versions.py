"""Every version of HTTP as a browser speaks it: a page and a WebSocket over each, through edge and proxy."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, sync_playwright
from websockets.sync.server import ServerConnection, serve

from quantum.testing.certificates import make_certificates
from quantum.testing.debian import has_program
from quantum.testing.topology import Deployment, free_port
from tests.browser.specification import CHROMIUM

NAME = "versions.test"
VERSIONS = {"http/1.1": ["h1"], "h2": ["h1", "h2"], "h3": ["h1", "h2", "h3"]}
SPOKEN = {"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0", "h3": "HTTP/3.0"}
ASK = """() => new Promise((resolve, reject) => {
  const socket = new WebSocket(`wss://${location.host}/socket`), heard = [];
  socket.onmessage = event => {
    heard.push(event.data);
    if (heard.length === 1) socket.send("said");
    else socket.close(1000);
  };
  socket.onclose = event => resolve([...heard, event.code]);
  socket.onerror = () => reject(new Error("the socket failed"));
})"""


@dataclass
class Sites:
    """A port for each version, and the hash of their key."""

    ports: dict[str, int]
    spki: str


def answer(socket: ServerConnection) -> None:
    """Say by what the client came, then say again what it says."""
    assert socket.request is not None
    socket.send(socket.request.headers["X-Version"])
    for message in socket:
        socket.send(message)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    folder = tmp_path_factory.mktemp("versions")
    chain, key, _ = make_certificates(folder, [NAME])
    ports = {version: free_port() for version in VERSIONS}
    with serve(answer, "127.0.0.1", 0) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        with Deployment("all", document(ports, upstream.socket.getsockname()[1], chain, key)):
            yield Sites(ports, spki_of(chain))
        upstream.shutdown()
        thread.join()


def document(ports: dict[str, int], upstream: int, chain: Path, key: Path) -> dict:
    page = {
        "handler": "static_response",
        "headers": {"Content-Type": ["text/html"]},
        "body": "<!doctype html><title>versions</title><link rel=icon href=data:,>",
    }
    tell = {"handler": "headers", "request": {"set": {"X-Version": ["{http.request.proto}"]}}}
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
    routes = [
        {"match": [{"path": ["/socket"]}], "handle": [tell, proxy]},
        {"handle": [page]},
    ]
    servers = {
        version.replace("/", ""): {
            "listen": [f"127.0.0.1:{port}"],
            "protocols": VERSIONS[version],
            "automatic_https": {"disable": True},
            "tls_connection_policies": [{}],
            "routes": routes,
        }
        for version, port in ports.items()
    }
    files = [{"certificate": str(chain), "key": str(key)}]
    return {
        "admin": {"disabled": True},
        "apps": {"http": {"servers": servers}, "tls": {"certificates": {"load_files": files}}},
    }


def spki_of(chain: Path) -> str:
    leaf = x509.load_pem_x509_certificate(chain.read_bytes())
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@pytest.fixture(scope="module")
def chromium(sites: Sites) -> Iterator[Browser]:
    if not has_program("chromium", "chromium"):
        pytest.skip("Debian's chromium is not here and cannot be installed")
    arguments = [
        "--no-sandbox",
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={sites.spki}",
        "--enable-quic",
        "--enable-features=EnableWebsocketsOverHttp3",
        f"--origin-to-force-quic-on={NAME}:{sites.ports['h3']}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_browser_has_its_page_and_its_socket_over(
    sites: Sites, chromium: Browser, version: str
) -> None:
    page = chromium.new_page()
    page.goto(f"https://{NAME}:{sites.ports[version]}/")
    assert page.title() == "versions"
    used = page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
    assert used == version
    assert page.evaluate(ASK) == [SPOKEN[version], "said", 1000]
    page.close()
