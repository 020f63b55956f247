"""The proving certificate, as an authority sees it (RFC 8737 §3)."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quantum.trust.acme_tls import ACME_IDENTIFIER, proving_context, server_name_of
from services.certs.acme_server.validation import _proves

NOW = datetime.now(UTC)
DER, SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
PROOF = "token.thumbprint"


def shown(name: str, proof: str = PROOF) -> tuple[bytes, ssl.SSLObject]:
    """Shake hands in memory; return the certificate, and the client's side."""
    server = proving_context(name, proof, NOW, NOW + timedelta(hours=1))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_alpn_protocols(["acme-tls/1"])
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=server_name_of(name))
    answering = server.wrap_bio(there, back, server_side=True)
    for side in (asking, answering, asking, answering):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    der = asking.getpeercert(binary_form=True)
    assert der is not None
    return der, asking


def test_it_has_the_name_and_the_digest_in_a_critical_extension() -> None:
    der, client = shown("Site.Test")
    assert client.selected_alpn_protocol() == "acme-tls/1"
    certificate = x509.load_der_x509_certificate(der)
    extension = certificate.extensions.get_extension_for_oid(ACME_IDENTIFIER)
    assert extension.critical
    assert len(extension.value.value) == 34  # type: ignore[attr-defined]
    assert certificate.not_valid_after_utc - NOW <= timedelta(hours=1)
    assert _proves(der, "site.test", PROOF)
    assert not _proves(der, "site.test", "token.another")
    assert not _proves(der, "other.test", PROOF)


def test_an_address_is_asked_for_by_its_reverse_and_certified_as_itself() -> None:
    assert server_name_of("192.0.2.1") == "1.2.0.192.in-addr.arpa"
    assert server_name_of("2001:db8::1").endswith(".8.b.d.0.1.0.0.2.ip6.arpa")
    der, _ = shown("192.0.2.1")
    assert _proves(der, "192.0.2.1", PROOF)


def test_every_proof_has_a_key_of_its_own_that_no_file_keeps() -> None:
    shown_twice = [x509.load_der_x509_certificate(shown("a.test")[0]) for _ in range(2)]
    keys = [one.public_key().public_bytes(DER, SPKI) for one in shown_twice]
    assert keys[0] != keys[1]
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            assert "acme-tls" not in str(link.readlink())


def test_a_name_that_no_certificate_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="A-label"):
        proving_context("bücher.test", PROOF, NOW, NOW)
