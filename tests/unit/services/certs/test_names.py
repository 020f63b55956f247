"""Strangers get no certificates."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from services.certs import names
from services.certs.names import PermittedNames, is_public, normalise, permitted_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.COM.", "example.com"),
        ("*.example.com", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
    ],
)
def test_names_have_one_form(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "*.*.a", "a.*.b", "../etc", "a/b", "a b", "-a.test", "a" * 64 + ".test", "a." * 130 + "b", "a\0b"]
)  # fmt: skip
def test_what_no_certificate_can_have_is_no_name(text):
    assert normalise(text) is None


PERMITTED = PermittedNames(frozenset({"a.test", "*.b.test", "203.0.113.5"}), any_local_address=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.test", "a.test"),
        ("x.b.test", "*.b.test"),
        ("b.test", None),
        ("x.y.b.test", None),
        ("x.a.test", None),
        ("evil.example", None),
        ("127.0.0.1", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("203.0.113.5", "203.0.113.5"),
        ("8.8.8.8", None),
    ],
)
def test_only_names_of_the_configuration_resolve(name, expected):
    assert PERMITTED.resolve(name) == expected


def test_addresses_need_a_listener_that_takes_them():
    assert PermittedNames(frozenset({"a.test"})).resolve("127.0.0.1") is None


def test_names_come_from_routes_listeners_and_the_list(monkeypatch):
    monkeypatch.setattr(names, "host_names", lambda routes: routes)
    automatic = SimpleNamespace(ignore_loaded_certificates=False)
    server = SimpleNamespace(
        listen=["192.0.2.7:443", "unix//x"],
        routes=["Site.Test", "bad name"],
        automatic_https=automatic,
    )
    found = permitted_names(SimpleNamespace(servers={"s": server}), ["extra.test"])
    assert found.names == {"site.test", "extra.test", "192.0.2.7", "localhost"}
    assert not found.any_local_address
    assert found.obtained == frozenset()
    automatic.ignore_loaded_certificates = True
    found = permitted_names(SimpleNamespace(servers={"s": server}), ["extra.test"])
    assert found.obtained == {"site.test"}
    assert permitted_names(None, []).names == frozenset()
    server.listen = [":443"]
    assert permitted_names(SimpleNamespace(servers={"s": server}), []).any_local_address


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.com", True),
        ("a.b.example.com", True),
        ("*.example.com", False),
        ("localhost", False),
        ("x.localhost", False),
        ("intranet", False),
        ("a.internal", False),
        ("a.test", False),
        ("8.8.8.8", False),
        ("internal.com", True),
    ],
)
def test_public_authorities_are_asked_for_names_they_can_certify(name, expected):
    assert is_public(name) is expected
