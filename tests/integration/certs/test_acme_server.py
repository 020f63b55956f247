"""Our authority as an ACME server, asked by real clients: the acme library, lego, and our own certs room."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from quantum.clock import SystemClock
from quantum.hop.resolve import HandlerTable
from quantum.testing.context import make_context
from quantum.testing.debian import has_program
from quantum.testing.topology import free_port
from quantum.trust.acme_tls import proving_context
from services import catalog
from services.certs.acme_server import signed, validation
from services.certs.acme_server.signed import encode
from services.certs.challenges.served import TlsAlpn01
from services.certs.service import CertsService
from services.edge.service import EdgeService
from tests.integration.certs.pebble import Site

ROOMS = frozenset({"edge", "certs"})


class World:
    """Edge and certs in this process, an ACME server on a TLS port, and a site that proves names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        table = HandlerTable()
        parts: dict[str, Any] = {
            "clock": SystemClock(), "rooms": ROOMS, "table": table,
            "parse": catalog.parse, "registry": catalog.registry(),
        }  # fmt: skip
        self.certs_context = make_context("certs", folder / "certs", **parts)
        self.edge_context = make_context(
            "edge", folder / "edge", bus=self.certs_context.bus, **parts
        )
        self.certs, self.edge = CertsService(self.certs_context), EdgeService(self.edge_context)
        self.certs_context.switch.use(self.certs, self.edge)
        self.proofs: dict[str, str] = {}
        self.directory = f"https://localhost:{self.port}/acme/local/directory"

    async def start(self) -> None:
        for folder in ("certs", "edge"):
            (self.folder / folder).mkdir()
        await self.certs.start()
        await self.edge.start()
        await self.use()
        authority = self.certs._find_authority("local")
        assert authority is not None
        await asyncio.to_thread(authority.root)

    async def use(self, **server: Any) -> None:
        route = {"handle": [{"handler": "acme_server", **server}]}
        secure = {
            "listen": [f"127.0.0.1:{self.port}"],
            "protocols": ["h1"],
            "tls_connection_policies": [{}],
            "automatic_https": {"disable_redirects": True},
            "routes": [route],
        }
        document = {"apps": {"http": {"servers": {"s": secure}}}}
        await self.certs_context.switch.apply(catalog.parse(document))

    @property
    def root(self) -> Path:
        return self.folder / "certs" / "pki" / "authorities" / "local" / "root.crt"

    async def stop(self) -> None:
        await self.edge.stop(0.2)
        await self.certs.stop(0.2)

    async def serve_proofs(self, port: int) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            body = self.proofs.get(path.rpartition("/")[2], "").encode()
            status = b"200 OK" if body else b"404 Not Found"
            writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
            await writer.drain()
            writer.close()

        return await asyncio.start_server(serve, "127.0.0.1", port)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(validation, "HTTP_PORT", free_port())
    monkeypatch.setattr(validation, "TLS_PORT", free_port())
    monkeypatch.setattr(validation, "ATTEMPT_SECONDS", 0.05)
    made = World(tmp_path)
    await made.start()
    async with await made.serve_proofs(validation.HTTP_PORT):
        yield made
        await made.stop()


class Client:
    """The acme library with an account of its own. Methods block."""

    def __init__(self, world: World) -> None:
        self.key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        self.network = client.ClientNetwork(self.key, alg=ES256, verify_ssl=str(world.root))  # type: ignore[arg-type]
        directory = client.ClientV2.get_directory(world.directory, self.network)
        self.acme = client.ClientV2(directory, self.network)
        contact = messages.NewRegistration.from_data(email="a@b.test", terms_of_service_agreed=True)
        self.account = self.acme.new_account(contact)
        self.world = world

    def order(self, *names: str) -> messages.OrderResource:
        return self.acme.new_order(signing_request(*names))

    def prove(self, order: messages.OrderResource, *, truly: bool = True) -> None:
        for authorization in order.authorizations:
            for body in authorization.body.challenges:
                if isinstance(body.chall, challenges.HTTP01):
                    response, proof = body.chall.response_and_validation(self.key)
                    self.world.proofs[body.chall.encode("token")] = proof if truly else "no"
                    self.acme.answer_challenge(body, response)

    def finish(self, order: messages.OrderResource) -> str:
        end = datetime.datetime.now().astimezone().replace(tzinfo=None)
        return str(
            self.acme.poll_and_finalize(order, end + datetime.timedelta(seconds=60)).fullchain_pem
        )


def signing_request(*names: str, key: Any = None) -> bytes:
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(alternative, critical=False)
        .sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


async def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **named)


async def test_the_acme_library_gets_a_certificate_and_gives_it_back(world: World) -> None:
    acme = await in_thread(Client, world)
    order = await in_thread(acme.order, "localhost")
    await in_thread(acme.prove, order)
    chain = await in_thread(acme.finish, order)
    leaf, intermediate = x509.load_pem_x509_certificates(chain.encode())
    root = x509.load_pem_x509_certificate(world.root.read_bytes())
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert datetime.timedelta(hours=12) <= lifetime <= datetime.timedelta(hours=12, minutes=2)
    moment, _ = await in_thread(acme.acme.renewal_time, chain.encode())
    left = leaf.not_valid_after_utc - moment
    assert datetime.timedelta(hours=3) < left < datetime.timedelta(hours=5)
    await in_thread(acme.acme.revoke, leaf, 1)
    moment, _ = await in_thread(acme.acme.renewal_time, chain.encode())
    assert moment <= datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    with pytest.raises(errors.Error, match="revoked before"):
        await in_thread(acme.acme.revoke, leaf, 1)


async def test_a_proof_that_is_none_gives_no_certificate_and_says_why(world: World) -> None:
    acme = await in_thread(Client, world)
    order = await in_thread(acme.order, "localhost")
    await in_thread(acme.prove, order, truly=False)
    with pytest.raises(errors.ValidationError) as caught:
        await in_thread(acme.finish, order)
    [failed] = caught.value.failed_authzrs
    found = [c.error for c in failed.body.challenges if c.error is not None]
    assert "something else" in str(found[0].detail)


async def test_names_are_those_of_the_order_and_no_others(world: World) -> None:
    acme = await in_thread(Client, world)
    order = await in_thread(acme.order, "localhost")
    await in_thread(acme.prove, order)
    other = order.update(csr_pem=signing_request("localhost", "more.test"))
    with pytest.raises(messages.Error, match="badCSR"):
        await in_thread(acme.finish, other)


async def test_an_order_belongs_to_its_account(world: World) -> None:
    one, two = await in_thread(Client, world), await in_thread(Client, world)
    order = await in_thread(one.order, "localhost")
    with pytest.raises(messages.Error, match="no such order"):
        await in_thread(two.acme._post_as_get, order.uri)
    with pytest.raises(messages.Error, match="no such order"):
        await in_thread(two.acme._post_as_get, order.authorizations[0].uri)


@pytest.mark.parametrize(
    ("policy", "name", "is_allowed"),
    [
        ({"allow": {"domains": ["localhost"]}}, "localhost", True),
        ({"allow": {"domains": ["*.internal"]}}, "a.internal", True),
        ({"allow": {"domains": ["*.internal"]}}, "a.b.internal", False),
        ({"allow": {"ip_ranges": ["10.0.0.0/8"]}}, "localhost", False),
        ({"allow": {"domains": ["localhost"]}}, "other.test", False),
        ({"deny": {"domains": ["localhost"]}}, "localhost", False),
        ({"deny": {"domains": ["other.test"]}}, "localhost", True),
        ({}, "*.a.test", False),
        ({"allow_wildcard_names": True}, "*.a.test", True),
    ],
)
async def test_the_policy_says_who_may_be_certified(
    world: World, policy: dict[str, Any], name: str, is_allowed: bool
) -> None:
    await world.use(policy=policy)
    acme = await in_thread(Client, world)
    if is_allowed:
        order = await in_thread(acme.order, name)
        kinds = {body.to_json()["type"] for body in order.authorizations[0].body.challenges}
        assert kinds == ({"dns-01"} if "*" in name else {"http-01", "dns-01", "tls-alpn-01"})
        return
    with pytest.raises(messages.Error) as caught:
        await in_thread(acme.order, name)
    assert caught.value.code == "rejectedIdentifier"


async def test_tls_alpn_proves_a_name(world: World) -> None:
    await world.use(challenges=["tls-alpn-01"], lifetime="1h")
    acme = await in_thread(Client, world)
    order = await in_thread(acme.order, "localhost")
    [body] = order.authorizations[0].body.challenges
    assert isinstance(body.chall, TlsAlpn01)
    response, proof = body.chall.response_and_validation(acme.key)
    now = datetime.datetime.now(datetime.UTC)
    context = proving_context("localhost", proof, now, now + datetime.timedelta(hours=1))
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", validation.TLS_PORT, ssl=context)  # fmt: skip
    async with server:
        await in_thread(acme.acme.answer_challenge, body, response)
        chain = await in_thread(acme.finish, order)
    assert x509.load_pem_x509_certificate(chain.encode())


async def test_dns_proves_a_wildcard(world: World) -> None:
    import dns.asyncresolver  # noqa: F401 - the server's

    resolver = await Dns().start()
    await world.use(resolvers=[f"127.0.0.1:{resolver.port}"])
    acme = await in_thread(Client, world)
    order = await in_thread(acme.order, "*.site.test")
    [body] = order.authorizations[0].body.challenges
    response, value = body.chall.response_and_validation(acme.key)
    resolver.texts["_acme-challenge.site.test."] = value
    await in_thread(acme.acme.answer_challenge, body, response)
    chain = await in_thread(acme.finish, order)
    resolver.close()
    names = x509.load_pem_x509_certificate(chain.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["*.site.test"]


class Dns(asyncio.DatagramProtocol):
    """A name server that knows TXT records."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def start(self) -> Dns:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port: int = self._transport.get_extra_info("sockname")[1]
        return self

    def datagram_received(self, data: bytes, addr: Any) -> None:
        import dns.message
        import dns.rrset

        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        name = query.question[0].name
        if (text := self.texts.get(str(name))) is not None:
            answer.answer.append(dns.rrset.from_text(name, 1, "IN", "TXT", f'"{text}"'))
        self._transport.sendto(answer.to_wire(), addr)

    def close(self) -> None:
        self._transport.close()


async def test_an_account_lives_on_with_another_key_and_ends_when_it_says_so(
    world: World,
) -> None:
    acme = await in_thread(Client, world)
    after = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    url = acme.acme.directory["keyChange"]
    said = json.dumps({"account": acme.account.uri, "oldKey": acme.key.public_key().to_partial_json() | {"kty": "EC"}})  # fmt: skip
    header = {"alg": "ES256", "jwk": after.public_key().to_json(), "url": url}
    inner = sign(after, header, said.encode())
    await in_thread(acme.acme._post, url, Plain(inner))
    with pytest.raises(messages.Error, match="signature"):
        await in_thread(acme.order, "localhost")
    acme.network.key = acme.key = after
    await in_thread(acme.order, "localhost")
    await in_thread(acme.acme.deactivate_registration, acme.account)
    with pytest.raises(messages.Error, match="deactivated"):
        await in_thread(acme.order, "localhost")


class Plain:
    """A payload for the acme library that is JSON already."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def json_dumps(self, **_: Any) -> str:
        return json.dumps(self._content)


def sign(key: JWKEC, header: dict[str, Any], payload: bytes) -> dict[str, str]:
    protected = encode(json.dumps(header).encode())
    text = encode(payload)
    signature = ES256.sign(key.key, f"{protected}.{text}".encode())
    return {"protected": protected, "payload": text, "signature": encode(signature)}


async def test_requests_that_are_not_what_they_say_are_refused(world: World) -> None:
    key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    base = world.directory.removesuffix("directory")
    url = base + "new-account"
    public = key.public_key().to_json()

    def nonce() -> str:
        return str(post("new-nonce", b"", "HEAD").headers["replay-nonce"])

    def post(place: str, body: bytes, method: str = "POST") -> requests.Response:
        fields = {"content-type": "application/jose+json"}
        return requests.request(
            method, base + place, data=body, headers=fields, verify=str(world.root), timeout=30
        )

    def refusal(body: bytes) -> str:
        answer = post("new-account", body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "replay-nonce" in answer.headers
        return str(answer.json()["type"]).rpartition(":")[2]

    def header(**changes: Any) -> dict[str, Any]:
        made = {"alg": "ES256", "jwk": public, "nonce": nonce(), "url": url, **changes}
        return {name: value for name, value in made.items() if value is not None}

    def check() -> None:
        used = header()
        payload = json.dumps({"termsOfServiceAgreed": True}).encode()
        good = json.dumps(sign(key, used, payload)).encode()
        assert post("new-account", good).status_code == 201
        assert refusal(good) == "badNonce"
        assert refusal(b"{") == "malformed"
        assert refusal(b"[" * 50_000) == "malformed"
        cases = {
            "unauthorized": {"url": base + "new-order"},
            "badNonce": {"nonce": "made up"},
            "badSignatureAlgorithm": {"alg": "HS256"},
            "badPublicKey": {"jwk": {"kty": "oct", "k": "AAAA"}},
            "malformed": {"jwk": None},
            "accountDoesNotExist": {"jwk": None, "kid": base + "account/00"},
        }
        for problem, changes in cases.items():
            body = json.dumps(sign(key, header(**changes), payload)).encode()
            assert refusal(body) == problem, changes
        stranger = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        forged = json.dumps(sign(stranger, header(), payload)).encode()
        assert refusal(forged) == "malformed"
        private = json.dumps(sign(key, header(jwk=key.to_json()), payload)).encode()
        assert refusal(private) == "badPublicKey"  # who sends a private key has lost it

    await in_thread(check)


async def test_nonces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed, "MAX_NONCES", 10)
    nonces = signed.Nonces()
    made = [nonces.make() for _ in range(11)]
    with pytest.raises(Exception, match="nonce"):
        nonces.use(made[0])
    nonces.use(made[1])


async def test_lego_gets_a_certificate(world: World, tmp_path: Path) -> None:
    if not has_program("lego", "lego"):
        pytest.skip("Debian's package lego is not here and cannot be installed")
    validation.HTTP_PORT = port = free_port()
    process = await asyncio.create_subprocess_exec(
        "lego", "--server", world.directory, "--email", "a@b.test", "--accept-tos",
        "--domains", "localhost", "--http", "--http.port", f"127.0.0.1:{port}", "--path", str(tmp_path / "lego"), "run",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={"LEGO_CA_CERTIFICATES": str(world.root), "HOME": str(tmp_path)},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    chain = (tmp_path / "lego" / "certificates" / "localhost.crt").read_bytes()
    assert len(x509.load_pem_x509_certificates(chain)) == 2


async def test_our_own_certs_room_orders_from_it(world: World, tmp_path: Path) -> None:
    room = make_context(
        "certs", tmp_path / "other", clock=SystemClock(), parse=catalog.parse,
        registry=catalog.registry(),
    )  # fmt: skip
    validation.HTTP_PORT = free_port()
    site = Site(room)
    service = CertsService(room)
    await site.start(validation.HTTP_PORT)
    await service.start()
    room.switch.use(service)
    issuer = {
        "module": "acme", "ca": world.directory, "trusted_roots_pem_files": [str(world.root)]
    }  # fmt: skip
    tls = {
        "certificates": {"automate": ["localhost"]},
        "automation": {"policies": [{"issuers": [issuer]}]},
    }
    await room.switch.apply(catalog.parse({"apps": {"tls": tls}}))
    try:
        async with asyncio.timeout(60):
            while "localhost" not in service._book.all():
                await asyncio.sleep(0.05)
    finally:
        with contextlib.suppress(Exception):
            await service.stop(1.0)
        await site.aclose()
    assert service._book.all()["localhost"].issuer.startswith("localhost")
