"""apps.tls and apps.pki are strict, and refuse what they would not obey."""

from __future__ import annotations

from typing import Any

import pytest

from quantum.config.model import locate
from quantum.errors import ConfigError
from quantum.modules.config import use_registry
from quantum.modules.registry import Registry
from services.certs.config import PkiApp, TlsApp
from services.certs.manifest import MANIFEST


def parse_tls(section: dict[str, Any]) -> TlsApp:
    with use_registry(Registry(MANIFEST.modules)):
        return TlsApp.parse(locate(section, "apps.tls"))


def test_policies_and_certificates_are_read():
    tls = parse_tls(
        {
            "certificates": {"automate": ["a.test"], "load_files": [{"certificate": "c", "key": "k"}]},
            "automation": {
                "policies": [
                    {
                        "subjects": ["a.test"],
                        "issuers": [{"module": "internal", "lifetime": "1h"}, {"module": "acme", "email": "a@b.test"}],
                        "key_type": "p384",
                    }
                ]
            },
        }
    )  # fmt: skip
    policy = tls.automation.policies[0]
    assert policy.issuers[0].config.lifetime == 3600
    assert policy.issuers[1].config.email == "a@b.test"
    assert tls.certificates["automate"].config.root == ["a.test"]


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"cache": {"capacity": 10}}, "apps.tls.cache"),
        ({"encrypted_client_hello": {"configs": [{"public_name": "a.test"}]}}, "apps.tls.encrypted_client_hello"),
        ({"automation": {"on_demand": {"ask": "ftp://a.test"}}}, "apps.tls.automation.on_demand.ask"),
        ({"automation": {"on_demand": {"permission": {"module": "http", "endpoint": "http://a:b@c.test"}}}}, "apps.tls.automation.on_demand.permission.endpoint"),
        ({"automation": {"policies": [{"get_certificate": [{"via": "http"}]}]}}, "apps.tls.automation.policies[0].get_certificate[0].url"),
        ({"automation": {"policies": [{"key_type": "dsa"}]}}, "apps.tls.automation.policies[0].key_type"),
        ({"automation": {"policies": [{"renewal_window_ratio": 1.5}]}}, "apps.tls.automation.policies[0].renewal_window_ratio"),
        ({"automation": {"policies": [{"issuers": [{"module": "zerossl"}]}]}}, "apps.tls.automation.policies[0].issuers[0].api_key"),
        ({"automation": {"policies": [{"issuers": [{"module": "acme", "ca": "http://x"}]}]}}, "apps.tls.automation.policies[0].issuers[0].ca"),
        ({"automation": {"policies": [{"issuers": [{"module": "internal", "lifetme": "1h"}]}]}}, "apps.tls.automation.policies[0].issuers[0].lifetme"),
        ({"certificates": {"load_files": [{"certificate": "c"}]}}, "apps.tls.certificates.load_files[0].key"),
        ({"certificates": {"load_storage": {"pairs": [{"key": "k"}]}}}, "apps.tls.certificates.load_storage.pairs[0].certificate"),
    ],
)  # fmt: skip
def test_an_error_names_its_place(section, path):
    with pytest.raises(ConfigError) as caught:
        parse_tls(section)
    assert caught.value.path == path


def test_a_field_of_caddys_that_says_nothing_is_fine():
    parse_tls({"session_tickets": {}, "automation": {"policies": [{"must_staple": False}]}})


def test_authorities_are_named_like_folders():
    pki = PkiApp.parse({"certificate_authorities": {"inner": {"name": "Inner"}}})
    assert pki.authority("inner").name == "Inner"
    assert pki.authority("local").intermediate_lifetime == 7 * 86400
    assert pki.authority("absent") is None
    with pytest.raises(ConfigError):
        PkiApp.parse({"certificate_authorities": {"../../etc": {}}})


def test_a_key_in_the_configuration_is_not_shown():
    tls = parse_tls({"certificates": {"load_pem": [{"certificate": "c", "key": "hidden"}]}})
    assert "hidden" not in repr(tls.certificates["load_pem"].config)
