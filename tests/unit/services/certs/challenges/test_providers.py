"""What providers say to the web APIs they know, and how they take the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quantum.errors import ConfigError
from quantum.http.placeholders.surroundings import use_environment
from quantum.net.fetch import Answer, Wish
from services.certs.challenges.config import (
    AcmeDnsConfig,
    AcmeProxyConfig,
    CloudflareConfig,
    DnsChallenge,
    DuckDnsConfig,
    Rfc2136Config,
)
from services.certs.challenges.providers import calling
from services.certs.challenges.providers.acmedns import AcmeDns
from services.certs.challenges.providers.acmeproxy import AcmeProxy
from services.certs.challenges.providers.api import ProviderFailed, TextRecord
from services.certs.challenges.providers.cloudflare import Cloudflare
from services.certs.challenges.providers.duckdns import DuckDns
from services.certs.challenges.providers.rfc2136 import Rfc2136

RECORD = TextRecord("_acme-challenge.a.example.com", "proof", "example.com", 60)
ACCOUNT = {"username": "u", "password": "p", "subdomain": "s", "server_url": "https://dns.test/"}


class Api:
    """A web API: answers by method and path, and remembers what was asked."""

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []
        self.fields: dict[str, str] = {}

    async def fetch(self, wish: Wish) -> Answer:
        self.asked.append((wish.method, wish.url, wish.body and json.loads(wish.body)))
        self.fields = dict(wish.fields)
        status, content = self.answers[wish.method]
        return Answer(
            status, content if isinstance(content, bytes) else json.dumps(content).encode(), {}
        )


def use(monkeypatch: pytest.MonkeyPatch, **answers: tuple[int, Any]) -> Api:
    made = Api(**answers)
    monkeypatch.setattr(calling, "fetch", made.fetch)
    return made


async def test_cloudflare_is_asked_for_the_zone_and_its_records(monkeypatch):
    found = [
        {"id": "z1", "content": '"other"'},
        {"id": "r2", "content": '"proof"'},
    ]
    api = use(
        monkeypatch,
        GET=(200, {"result": found}),
        POST=(200, {"result": {}}),
        DELETE=(200, {"result": {}}),
    )
    use_environment({"CF": "token"})
    provider = Cloudflare(CloudflareConfig.parse({"api_token": "{env.CF}"}))
    await provider.append(RECORD)
    await provider.remove(RECORD)
    use_environment({})
    base = "https://api.cloudflare.com/client/v4/zones"
    assert api.asked == [
        ("GET", f"{base}?name=example.com&status=active", None),
        (
            "POST",
            f"{base}/z1/dns_records",
            {"type": "TXT", "name": RECORD.name, "content": '"proof"', "ttl": 60},
        ),
        ("GET", f"{base}/z1/dns_records?type=TXT&name={RECORD.name}&per_page=100", None),
        ("DELETE", f"{base}/z1/dns_records/r2", None),
    ]
    assert api.fields == {"Authorization": "Bearer token"}


async def test_a_refusal_says_what_the_provider_said_and_no_token(monkeypatch):
    use(monkeypatch, GET=(403, {"errors": [{"message": "Invalid\n token"}]}))
    with pytest.raises(ProviderFailed, match=r"answers 403: .*Invalid") as refused:
        await Cloudflare(CloudflareConfig.parse({"api_token": "sesame"})).append(RECORD)
    assert "sesame" not in str(refused.value)


async def test_a_zone_that_the_token_does_not_know_is_named(monkeypatch):
    use(monkeypatch, GET=(200, {"result": []}))
    with pytest.raises(ProviderFailed, match=r"knows no zone example\.com"):
        await Cloudflare(CloudflareConfig.parse({"api_token": "t"})).append(RECORD)


async def test_duck_dns_is_told_the_registered_name(monkeypatch):
    api = use(monkeypatch, GET=(200, b"OK"))
    record = TextRecord("_acme-challenge.a.mine.duckdns.org", "proof")
    provider = DuckDns(DuckDnsConfig.parse({"api_token": "t"}))
    await provider.append(record)
    await provider.remove(record)
    query = "https://www.duckdns.org/update?domains=mine.duckdns.org&token=t&txt=proof"
    assert [url for _, url, _ in api.asked] == [query, f"{query}&clear=true"]
    use(monkeypatch, GET=(200, b"KO"))
    with pytest.raises(ProviderFailed, match="wrong token or domain"):
        await provider.append(record)


async def test_a_web_hook_gets_name_and_value(monkeypatch):
    api = use(monkeypatch, POST=(204, b""))
    config = {"endpoint": "https://hook.test/dns/", "username": "u", "password": "p"}
    provider = AcmeProxy(AcmeProxyConfig.parse(config))
    await provider.append(RECORD)
    await provider.remove(RECORD)
    content = {"fqdn": "_acme-challenge.a.example.com.", "value": "proof"}
    assert api.asked == [
        ("POST", "https://hook.test/dns/present", content),
        ("POST", "https://hook.test/dns/cleanup", content),
    ]
    assert api.fields["Authorization"] == "Basic dTpw"


async def test_acme_dns_finds_its_account_in_configuration_and_file(monkeypatch, tmp_path):
    api = use(monkeypatch, POST=(200, {"txt": "proof"}))
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps({"a.example.com": {**ACCOUNT, "fulldomain": "s.dns.test"}}))
    for config in (
        ACCOUNT,
        {"config": {"a.example.com": ACCOUNT}},
        {"config_file_path": str(file)},
    ):
        await AcmeDns(AcmeDnsConfig.parse(config)).append(RECORD)
        assert api.asked.pop() == (
            "POST", "https://dns.test/update", {"subdomain": "s", "txt": "proof"},
        )  # fmt: skip
        assert (api.fields["X-Api-User"], api.fields["X-Api-Key"]) == ("u", "p")


async def test_acme_dns_without_an_account_for_the_domain_says_so(monkeypatch):
    provider = AcmeDns(AcmeDnsConfig.parse({"config": {"b.example.com": ACCOUNT}}))
    with pytest.raises(ProviderFailed, match=r"no acme-dns account for a\.example\.com"):
        await provider.append(RECORD)
    with pytest.raises(ValueError, match="one account, or config"):
        AcmeDns(AcmeDnsConfig.parse({}))


def test_a_key_that_is_no_base64_is_refused():
    config = {"server": "127.0.0.1", "key_name": "k", "key": "?"}
    with pytest.raises(ValueError, match="base64"):
        Rfc2136(Rfc2136Config.parse(config))


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"resolvers": ["unix//a"]}, "resolvers"),
        ({"propagation_timeout": "-3s"}, "propagation_timeout"),
        ({"ttl": "-1s"}, "ttl"),
    ],
)
def test_what_a_dns_challenge_cannot_mean_is_refused(config, path):
    with pytest.raises(ConfigError, match=path):
        DnsChallenge.parse(config)
