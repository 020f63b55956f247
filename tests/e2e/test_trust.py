"""Who trusts whom inside a deployment: roots, proxies that present themselves; in one process and one per room."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from acme import client, messages
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from quantum.testing.client import Site
from quantum.testing.patience import Patience
from quantum.testing.topology import Deployment, free_port
from tests.integration.certs.test_acme_server import signing_request

LOCAL = {"provider": "pki_root", "authority": ["local"]}
SAID = "{http.request.tls.client.san.dns_names.0}"


@dataclass
class World:
    """A deployment whose proxy calls a server that asks for certificates of the local authority."""

    deployment: Deployment
    door: Site
    inside: Site
    admin: Site
    acme: Site
    customers: Site


def document(ports: dict[str, int]) -> dict:
    say = {"handler": "static_response", "body": SAID}
    transport = {
        "protocol": "http",
        "tls": {
            "ca": LOCAL,
            "server_name": "inside.internal",
            "client_certificate_automate": "door.internal",
        },
    }
    probe = {"uri": "/", "interval": "1s"}
    proxy = {
        "handler": "reverse_proxy",
        "transport": transport,
        "headers": {"request": {"set": {"Host": ["inside.internal"]}}},
        "health_checks": {"active": {**probe, "headers": {"Host": ["inside.internal"]}}},
        "upstreams": [{"dial": f"127.0.0.1:{ports['inside']}"}],
    }
    servers = {
        "inside": {
            "listen": [f"127.0.0.1:{ports['inside']}"],
            "protocols": ["h1", "h2"],
            "tls_connection_policies": [{"client_authentication": {"ca": LOCAL}}],
            "automatic_https": {"disable_redirects": True},
            "routes": [{"match": [{"host": ["inside.internal"]}], "handle": [say]}],
        },
        "authority": {
            "listen": [f"127.0.0.1:{ports['acme']}"],
            "protocols": ["h1"],
            "tls_connection_policies": [{}],
            "automatic_https": {"disable_redirects": True},
            "routes": [{"handle": [{"handler": "acme_server"}]}],
        },
        "customers": {
            "listen": [f"127.0.0.1:{ports['customers']}"],
            "protocols": ["h1"],
            "tls_connection_policies": [{}],
            "automatic_https": {"disable_redirects": True},
            "routes": [{"handle": [{"handler": "static_response", "body": "welcome"}]}],
        },
        "door": {
            "listen": [f"127.0.0.1:{ports['door']}"],
            "automatic_https": {"disable": True},
            "routes": [{"handle": [proxy]}],
        },
    }
    http = {"http_port": free_port(), "https_port": free_port(), "servers": servers}
    asked = {"module": "http", "endpoint": f"http://127.0.0.1:{ports['permission']}/ask"}
    policy = {
        "subjects": ["*.customer.test"],
        "on_demand": True,
        "issuers": [{"module": "internal"}],
    }
    tls = {"automation": {"on_demand": {"permission": asked}, "policies": [policy]}}
    admin = {"listen": f"127.0.0.1:{ports['admin']}"}
    return {"admin": admin, "apps": {"http": http, "tls": tls}}


class Permission(BaseHTTPRequestHandler):
    """Allows one customer."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ask?domain=good.customer.test" else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module", params=["all", "split"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    ports = {
        name: free_port() for name in ("door", "inside", "admin", "acme", "customers", "permission")
    }
    folder = tmp_path_factory.mktemp(request.param)
    permission = ThreadingHTTPServer(("127.0.0.1", ports["permission"]), Permission)
    threading.Thread(target=permission.serve_forever, daemon=True).start()
    with (
        permission,
        Deployment(request.param, document(ports), directory=folder / "q") as deployment,
    ):
        deployment.wait_ready()
        admin = Site("127.0.0.1", ports["admin"])
        patience = Patience(60.0)
        while (answer := admin.get("/pki/ca/local")).status != 200:
            assert not patience.is_over, f"{answer.text} {deployment.logs()}"
            time.sleep(0.1)
        root = json.loads(answer.body)["root_certificate"]
        inside = Site("127.0.0.1", ports["inside"], root, "inside.internal")
        acme = Site("127.0.0.1", ports["acme"], root)
        door = Site("127.0.0.1", ports["door"])
        customers = Site("127.0.0.1", ports["customers"], root)
        yield World(deployment, door, inside, admin, acme, customers)
        permission.shutdown()


def test_a_proxy_presents_a_certificate_of_our_own_making(world: World) -> None:
    patience = Patience(60.0)  # a probe that came before the server listened counts for a second
    while (answer := world.door.get("/")).status == 503 and not patience.is_over:
        time.sleep(0.1)
    assert (answer.status, answer.text) == (200, "door.internal"), world.deployment.logs()


def test_who_has_no_certificate_of_the_authority_stays_outside(world: World) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        world.inside.get("/")


def test_the_identity_is_for_its_owner_alone(world: World) -> None:
    files = list(Path(world.deployment.directory).rglob("identities/*.pem"))
    assert files
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_acme_clients_are_served_wherever_the_authority_runs(world: World, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text(world.acme.root or "")
    key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    network = client.ClientNetwork(key, alg=ES256, verify_ssl=str(root))  # type: ignore[arg-type]
    url = f"https://localhost:{world.acme.port}/acme/local/directory"
    acme = client.ClientV2(client.ClientV2.get_directory(url, network), network)
    wish = messages.NewRegistration.from_data(email="a@b.test", terms_of_service_agreed=True)
    account = acme.new_account(wish)
    assert account.uri.startswith(url.removesuffix("directory") + "account/")
    order = acme.new_order(signing_request("localhost"))
    assert order.body.status == messages.STATUS_PENDING
    assert world.acme.get("/elsewhere").status == 404


def test_customers_get_certificates_when_they_come_and_strangers_none(world: World) -> None:
    good = replace(world.customers, name="good.customer.test")
    patience = Patience(60.0)
    while (
        True
    ):  # a handshake waits for eight seconds: on a machine that is busy the next one finds it
        try:
            answer = good.get("/")
            break
        except (ssl.SSLError, ConnectionError):
            assert not patience.is_over, world.deployment.logs()
    assert (answer.status, answer.text) == (200, "welcome")
    for name in ("bad.customer.test", "elsewhere.test"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            replace(world.customers, name=name).get("/")
