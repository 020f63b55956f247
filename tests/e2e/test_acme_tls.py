"""A certificate of a real ACME authority (Pebble) where it reaches nothing but the TLS port, through the command line."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from quantum.testing.patience import Patience
from quantum.testing.topology import Deployment, free_port
from tests.integration.certs.pebble import HAS_PEBBLE, Pebble

pytestmark = pytest.mark.skipif(
    not HAS_PEBBLE, reason="Debian's package pebble is not here and cannot be installed"
)

NAME = "site.test"
CADDYFILE = """
{{
	admin 127.0.0.1:{admin}
	auto_https disable_redirects
	acme_ca_root {root}
}}

https://site.test:{port} {{
	bind 127.0.0.1
	tls {{
		issuer acme {directory} {{
			{line}
		}}
	}}
	respond hello
}}
"""
ROOMS = ("certs", "edge")


def shown(port: int, *protocols: str) -> tuple[str, str | None]:
    """Return who signed what is shown for the name, and the protocol agreed on; ssl.SSLError: an alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname=NAME) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        issuer = x509.load_der_x509_certificate(der).issuer.rfc4514_string()
        return issuer, tls.selected_alpn_protocol()


def signed(port: int) -> tuple[str, str | None]:
    """Ask until there is a certificate: while it is ordered a handshake waits, and ends in an alert."""
    patience = Patience(60)
    while True:
        try:
            return shown(port, "h2")
        except OSError:  # an alert is one too
            if patience.is_over:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("topology", "extra", "line"),
    [
        ("all", ["--workers", "2"], "disable_http_challenge"),
        ("split", [], "alt_http_port 80"),  # nobody answers there: the other kind is tried
    ],
    ids=["workers", "split, after HTTP failed"],
)
async def test_a_name_is_certified_by_its_tls_port_alone(
    topology: str, extra: list[str], line: str, tmp_path: Path
) -> None:
    port = free_port()
    pebble = Pebble(tmp_path / "pebble", tlsPort=port)
    await pebble.start(bad_nonces=0)
    text = CADDYFILE.format(
        admin=free_port(), root=pebble.root, port=port, directory=pebble.directory, line=line
    )
    try:
        with Deployment(topology, {}, extra=extra, rooms=ROOMS, caddyfile=text):
            issuer, protocol = await asyncio.to_thread(signed, port)
            assert "Pebble" in issuer
            assert protocol == "h2"
            with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
                await asyncio.to_thread(shown, port, "acme-tls/1")
    finally:
        await pebble.stop()
