"""The words of DNS providers, which Caddy has by plugins: what they become."""

from __future__ import annotations

import pytest

from quantum.caddyfile.adapt import adapt
from quantum.caddyfile.errors import CaddyfileError


def tls_of(text: str) -> dict:
    return adapt(text, environment={}).document["apps"]["tls"]


def provider_of(words: str) -> dict:
    app = tls_of(f"*.a.com {{\n\ttls {{\n\t\tdns {words}\n\t}}\n}}\n")
    return app["automation"]["policies"][0]["issuers"][0]["challenges"]["dns"]["provider"]


@pytest.mark.parametrize(
    ("words", "provider"),
    [
        ("cloudflare {env.CF}", {"api_token": "{env.CF}", "name": "cloudflare"}),
        ("cloudflare {\n api_token a\n zone_token z\n}", {"api_token": "a", "name": "cloudflare", "zone_token": "z"}),
        ("duckdns t {\n override_domain d\n}", {"api_token": "t", "name": "duckdns", "override_domain": "d"}),
        ("acmeproxy https://h {\n username u\n password p\n}", {"endpoint": "https://h", "name": "acmeproxy", "password": "p", "username": "u"}),
        ("acmedns /etc/accounts.json", {"config_file_path": "/etc/accounts.json", "name": "acmedns"}),
        ("acmedns {\n config {\n a.com {\n username u\n}\n}\n}", {"config": {"a.com": {"username": "u"}}, "name": "acmedns"}),
        ("rfc2136 {\n key_name k\n key_alg hmac-sha256\n key AAAA\n server s:53\n}", {"key": "AAAA", "key_alg": "hmac-sha256", "key_name": "k", "name": "rfc2136", "server": "s:53"}),
    ],
)  # fmt: skip
def test_a_provider_becomes_its_module(words, provider):
    assert provider_of(words) == provider


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("cloudflare", "missing api_token, at Caddyfile:3"),
        ("cloudflare a b", "wrong argument count"),
        ("rfc2136 {\n servr x\n}", "unrecognized subdirective 'servr', at Caddyfile:4"),
        ("route53", "module not registered: dns.providers.route53"),
    ],
)
def test_a_mistake_names_its_line(words, problem):
    with pytest.raises(CaddyfileError) as mistake:
        provider_of(words)
    assert problem in str(mistake.value)


def test_one_provider_for_all_is_written_once():
    app = tls_of("{\n\tacme_dns\n\tdns duckdns t\n}\n*.a.com\n")
    assert app["dns"] == {"api_token": "t", "name": "duckdns"}
    assert app["automation"]["policies"] == [
        {"issuers": [{"challenges": {"dns": {}}, "module": "acme"}]}
    ]
