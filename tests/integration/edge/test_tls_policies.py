"""Connection policies over real handshakes: clients' certificates, suites, curves, sessions."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quantum.errors import ConfigError
from quantum.http.message import Request, Response
from tests.integration.edge.conftest import SECONDS, Edge

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """A self-signed client certificate: its own authority, and a leaf to trust as it is."""

    def __init__(self, folder: Path, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.der = certificate.public_bytes(serialization.Encoding.DER)
        self.file, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        self.file.write_bytes(certificate.public_bytes(pem))
        self.key.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )

    @property
    def inline(self) -> str:
        return base64.b64encode(self.der).decode()


async def asked_as(edge: Edge, client: Client | None, version: ssl.TLSVersion) -> bytes:
    """The head of an answer, or an SSLError with the server's alert."""
    context = edge.trust()
    context.minimum_version = context.maximum_version = version
    if client is not None:
        context.load_cert_chain(client.file, client.key)
    connection = await edge.connect(tls=context)
    await connection.send(GET)
    return await connection.head()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("how", ["file", "inline", "leaf"])
async def test_only_clients_with_a_trusted_certificate_come_in(
    edge: Edge, tmp_path: Path, version: ssl.TLSVersion, how: str
) -> None:
    friend, stranger = Client(tmp_path, "friend"), Client(tmp_path, "stranger")
    trust: dict[str, Any] = {
        "file": {"ca": {"provider": "file", "pem_files": [str(friend.file)]}},
        "inline": {"ca": {"provider": "inline", "trusted_ca_certs": [friend.inline]}},
        "leaf": {"trusted_leaf_certs": [friend.inline]},
    }[how]
    seen: list[bytes | None] = []

    async def note(request: Request) -> Response:
        assert request.connection.tls is not None
        seen.append(request.connection.tls.client_certificate)
        return Response(204)

    await edge.serve(note, tls_connection_policies=[{"client_authentication": trust}])
    assert (await asked_as(edge, friend, version)).startswith(b"HTTP/1.1 204")
    assert seen == [friend.der]
    alerts = {
        stranger: "unknown ca|bad certificate",
        None: "certificate required|handshake failure",
    }
    for client, alert in alerts.items():
        with pytest.raises(ssl.SSLError) as caught:
            await asked_as(edge, client, version)
        assert any(a in str(caught.value).lower().replace("_", " ") for a in alert.split("|"))
    assert len(seen) == 1


async def test_verify_if_given_lets_the_unnamed_in_and_no_impostor(
    edge: Edge, tmp_path: Path
) -> None:
    friend, stranger = Client(tmp_path, "friend"), Client(tmp_path, "stranger")
    trust = {"mode": "verify_if_given", "ca": {"provider": "file", "pem_files": [str(friend.file)]}}
    await edge.serve(tls_connection_policies=[{"client_authentication": trust}])
    for client in (friend, None):
        assert (await asked_as(edge, client, ssl.TLSVersion.TLSv1_3)).startswith(b"HTTP/1.1 200")
    with pytest.raises(ssl.SSLError):
        await asked_as(edge, stranger, ssl.TLSVersion.TLSv1_3)


async def test_with_client_authentication_the_host_must_be_the_name_of_the_handshake(
    edge: Edge, tmp_path: Path
) -> None:
    friend = Client(tmp_path, "friend")
    trust = {"ca": {"provider": "file", "pem_files": [str(friend.file)]}}
    await edge.serve(tls_connection_policies=[{"client_authentication": trust}])
    context = edge.trust()
    context.load_cert_chain(friend.file, friend.key)
    client = await edge.connect(tls=context)
    head, _ = await client.ask(GET.replace(b"localhost", b"other.example"))
    assert head.startswith(b"HTTP/1.1 421")


async def test_roots_that_cannot_be_used_are_refused_and_trust_nobody(
    edge: Edge, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for file in (broken, tmp_path / "missing.pem"):
        trust = {"ca": {"provider": "file", "pem_files": [str(file)]}}
        with pytest.raises(ConfigError) as caught:
            await edge.serve(tls_connection_policies=[{"client_authentication": trust}])
        assert "tls_connection_policies" in caught.value.path


async def test_suites_and_curves_are_those_of_the_policy(edge: Edge) -> None:
    # The test's certificate is ECDSA.
    suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    policy = {"cipher_suites": [suite], "curves": ["secp384r1", "secp521r1"]}
    await edge.serve(tls_connection_policies=[policy])
    context = edge.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = await edge.connect(tls=context)
    cipher = client.writer.get_extra_info("ssl_object").cipher()
    assert cipher[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    context.set_ecdh_curve("prime256v1")
    with pytest.raises(ssl.SSLError) as caught:
        await edge.connect(tls=context)
    assert "handshake failure" in str(caught.value).lower()


async def test_by_default_the_curves_are_few_and_good(edge: Edge) -> None:
    await edge.serve()
    context = edge.trust()
    for curve, is_offered in (("X25519", True), ("secp384r1", True), ("secp521r1", False)):
        context.set_ecdh_curve(curve)
        if is_offered:
            await edge.connect(tls=context)
        else:
            with pytest.raises(ssl.SSLError):
                await edge.connect(tls=context)


async def test_policies_are_chosen_by_address_and_by_expression(edge: Edge) -> None:
    await edge.serve(
        tls_connection_policies=[
            {"match": {"remote_ip": {"ranges": ["192.0.2.0/24"]}}, "drop": True},
            {"match": {"local_ip": {"ranges": ["::1"]}}, "drop": True},
            {"match": {"sni_regexp": {"pattern": "^local"}}, "alpn": ["http/1.1"]},
            {"drop": True},
        ]
    )
    context = edge.trust()
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = await edge.connect(tls=context)
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized"):
        await asyncio.open_connection(
            "127.0.0.1", edge.tls_port, ssl=context, server_hostname="other.example"
        )


async def resumed(edge: Edge, session: Any, context: ssl.SSLContext) -> tuple[bool, Any]:
    """Whether a blocking client with ``session`` resumed it, and the session that it got."""

    def talk() -> tuple[bool, Any]:
        import socket

        raw = socket.create_connection(("127.0.0.1", edge.tls_port), timeout=SECONDS)
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
            tls.sendall(GET)
            tls.recv(4096)
            return bool(tls.session_reused), tls.session

    return await asyncio.to_thread(talk)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_is_resumed_but_not_under_another_policy(
    edge: Edge, version: ssl.TLSVersion
) -> None:
    await edge.serve()
    context = edge.trust()
    context.minimum_version = context.maximum_version = version
    was_resumed, session = await resumed(edge, None, context)
    assert not was_resumed
    was_resumed, _ = await resumed(edge, session, context)
    assert was_resumed
    await edge.serve(tls_connection_policies=[{"alpn": ["http/1.1"]}])
    was_resumed, _ = await resumed(edge, session, context)
    assert not was_resumed


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"client_authentication": {"verifiers": [{"verifier": "leaf"}]}}, "required field"),
        ({"client_authentication": {"mode": "require_and_verify"}}, "needs certificates"),
        ({"client_authentication": {"ca": {"provider": "file"}}}, "pem_files"),
        ({"client_authentication": {"trusted_ca_certs": ["AAAA"]}}, "not a certificate"),
        ({"cipher_suites": ["TLS_RSA_WITH_AES_128_CBC_SHA"]}, "not offered"),
        ({"curves": ["brainpoolP256r1"]}, "unknown curve"),
        ({"match": {"remote_ip": {"ranges": ["nowhere"]}}}, "nowhere"),
        ({"match": {"sni_regexp": {"pattern": "("}}}, "regular expression"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_name(
    edge: Edge, policy: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        await edge.serve(tls_connection_policies=[policy])


@pytest.mark.parametrize(
    ("protocols", "answered"),
    [(["ftp"], False), (["h2"], False), (["h2", "http/1.1"], True), ([], True)],
    ids=["stranger", "not offered", "one in common", "none named"],
)
async def test_who_asks_for_no_protocol_that_is_spoken_gets_an_alert(
    edge: Edge, protocols: list[str], *, answered: bool
) -> None:
    """RFC 7301 §3.2: or HTTP would answer what another protocol has sent."""
    await edge.serve(tls_connection_policies=[{"alpn": ["http/1.1"]}])
    context = edge.trust()
    context.set_alpn_protocols(protocols)
    if answered:
        connection = await edge.connect(tls=context)
        await connection.send(GET)
        assert b" 200 " in (await connection.head()).partition(b"\r\n")[0]
        return
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        await edge.connect(tls=context)
    failed = "quantum_edge_handshakes_failed_total"
    assert edge.context.metrics.get_sample_value(failed, {"reason": "no_protocol"}) == 1
