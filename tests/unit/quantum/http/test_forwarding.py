"""What is forwarded, what stops here, and who is believed about the client."""

from __future__ import annotations

import pytest

from quantum.http.forwarding import (
    ClientAddress,
    Networks,
    add_via,
    fields_for_upstream,
    strip_hop_by_hop,
)
from quantum.http.headers import Headers
from quantum.testing.routing import make_request


def forwarded(request, **more):
    return {k.decode(): v.decode() for k, v in fields_for_upstream(request, **more).fields}


def test_a_client_without_any_claim_is_described_truly():
    fields = forwarded(make_request("GET", "/", ("Accept", "*/*"), host="app.example:8080"))
    assert fields == {
        "accept": "*/*",
        "x-forwarded-for": "192.0.2.7",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "app.example:8080",
        "via": "1.1 Quantum",
    }


def test_claims_of_a_stranger_are_replaced():
    lies = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "bank.example"),
    ]
    fields = forwarded(make_request("GET", "/", *lies))
    assert fields["x-forwarded-for"] == "192.0.2.7"
    assert fields["x-forwarded-proto"] == "http"
    assert fields["x-forwarded-host"] == "example.com"


def test_claims_of_a_trusted_proxy_are_kept_and_it_is_appended():
    request = make_request(
        "GET", "/", ("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2"),
        ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example"),
    )  # fmt: skip
    ClientAddress(["192.0.2.0/24"]).resolve(request)
    fields = forwarded(request)
    assert fields["x-forwarded-for"] == "1.1.1.1, 2.2.2.2, 192.0.2.7"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-host"] == "shop.example"


def test_one_handler_may_trust_more_than_the_server():
    request = make_request("GET", "/", ("X-Forwarded-For", "1.1.1.1"))
    assert (
        forwarded(request, trusted=Networks(["192.0.2.7"]))["x-forwarded-for"]
        == "1.1.1.1, 192.0.2.7"
    )


def test_nothing_is_claimed_about_a_unix_peer_nobody_vouches_for():
    fields = forwarded(make_request("GET", "/", ("X-Forwarded-For", "1.1.1.1"), peer=""))
    assert not any(name.startswith("x-forwarded") for name in fields)


def test_a_unix_peer_that_is_trusted_is_believed():
    request = make_request("GET", "/", ("X-Forwarded-For", "1.1.1.1"), peer="")
    ClientAddress(unix=True).resolve(request)
    assert request.client_ip == "1.1.1.1"
    assert forwarded(request)["x-forwarded-for"] == "1.1.1.1"


def test_hop_by_hop_fields_and_what_connection_names_stop_here():
    headers = Headers([
        (b"connection", b"keep-alive, X-Private"), (b"keep-alive", b"5"), (b"x-private", b"1"),
        (b"te", b"gzip, trailers;q=1"), (b"upgrade", b"h2c"), (b"alt-svc", b"h3"),
        (b"proxy-authorization", b"x"), (b"accept", b"*/*"),
    ])  # fmt: skip
    strip_hop_by_hop(headers)
    assert headers.fields == [(b"accept", b"*/*"), (b"te", b"trailers")]


def test_via_names_the_version_that_was_received():
    headers = Headers([(b"via", b"2.0 front")])
    add_via(headers, "HTTP/3.0")
    assert headers.all(b"via") == [b"2.0 front", b"3.0 Quantum"]


@pytest.mark.parametrize(
    ("strict", "chain", "client"),
    [
        (False, ["6.6.6.6, 192.0.2.1"], "6.6.6.6"),
        (True, ["6.6.6.6, 5.5.5.5, 192.0.2.1"], "5.5.5.5"),
        (True, ["6.6.6.6", "5.5.5.5, 192.0.2.1"], "5.5.5.5"),
        (True, ["192.0.2.3, 192.0.2.1"], "192.0.2.7"),
        (False, ["unknown, 6.6.6.6:99"], "6.6.6.6"),
        (False, ["[2001:db8::1]:80"], "2001:db8::1"),
        (False, ["fe80::1%eth0"], "fe80::1"),
        (False, ["::ffff:6.6.6.6"], "6.6.6.6"),
        (False, [], "192.0.2.7"),
        (False, ["nonsense"], "192.0.2.7"),
    ],
)
def test_the_client_behind_trusted_proxies_is_found(strict, chain, client):
    request = make_request("GET", "/", *[("X-Forwarded-For", value) for value in chain])
    ClientAddress(["192.0.2.0/24"], strict=strict).resolve(request)
    assert request.client_ip == client


def test_a_stranger_does_not_choose_its_address():
    request = make_request("GET", "/", ("X-Forwarded-For", "10.0.0.1"), peer="203.0.113.9")
    ClientAddress(["192.0.2.0/24"]).resolve(request)
    assert request.client_ip == "203.0.113.9"
    assert not request.has_vars


def test_other_fields_may_be_asked_for_the_client():
    request = make_request(
        "GET", "/", ("X-Forwarded-For", "1.1.1.1"), ("CF-Connecting-IP", "2.2.2.2")
    )
    ClientAddress(["192.0.2.0/24"], fields=["CF-Connecting-IP", "X-Forwarded-For"]).resolve(request)
    assert request.client_ip == "2.2.2.2"


def test_networks_remember_a_bounded_number_of_answers(monkeypatch):
    monkeypatch.setattr(Networks, "REMEMBERED", 4)
    networks = Networks(["10.0.0.0/8", "private_ranges", "2001:db8::/32"])
    for index in range(20):
        assert f"10.0.0.{index}" in networks
    assert len(networks._known) <= 4
    assert "192.168.1.1" in networks
    assert "2001:db8::5" in networks
    assert "8.8.8.8" not in networks
    assert "no address" not in networks


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ValueError):
        Networks(["10.0.0.0/64"])
