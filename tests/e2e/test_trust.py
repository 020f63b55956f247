"""Who trusts whom inside a deployment: roots, proxies that present themselves; in one process and one per room."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from quantum.testing.client import Site
from quantum.testing.topology import Deployment, free_port

LOCAL = {"provider": "pki_root", "authority": ["local"]}
SAID = "{http.request.tls.client.san.dns_names.0}"


@dataclass
class World:
    """A deployment whose proxy calls a server that asks for certificates of the local authority."""

    deployment: Deployment
    door: Site
    inside: Site
    admin: Site


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
        "door": {
            "listen": [f"127.0.0.1:{ports['door']}"],
            "automatic_https": {"disable": True},
            "routes": [{"handle": [proxy]}],
        },
    }
    http = {"http_port": free_port(), "https_port": free_port(), "servers": servers}
    return {"admin": {"listen": f"127.0.0.1:{ports['admin']}"}, "apps": {"http": http}}


@pytest.fixture(scope="module", params=["all", "split"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    ports = {name: free_port() for name in ("door", "inside", "admin")}
    folder = tmp_path_factory.mktemp(request.param)
    with Deployment(request.param, document(ports), directory=folder / "q") as deployment:
        deployment.wait_ready()
        admin = Site("127.0.0.1", ports["admin"])
        root = json.loads(admin.get("/pki/ca/local").body)["root_certificate"]
        inside = Site("127.0.0.1", ports["inside"], root, "inside.internal")
        yield World(deployment, Site("127.0.0.1", ports["door"]), inside, admin)


def test_a_proxy_presents_a_certificate_of_our_own_making(world: World) -> None:
    answer = world.door.get("/")
    assert (answer.status, answer.text) == (200, "door.internal"), world.deployment.logs()


def test_who_has_no_certificate_of_the_authority_stays_outside(world: World) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        world.inside.get("/")


def test_the_identity_is_for_its_owner_alone(world: World) -> None:
    files = list(Path(world.deployment.directory).rglob("identities/*.pem"))
    assert files
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
