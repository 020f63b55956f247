"""PHP behind the whole way: client, edge, hop, proxy, PHP-FPM."""

import contextlib
import hashlib
import http.client
import json

import pytest

from tests.integration.proxy import fpm

pytestmark = [
    pytest.mark.skipif(fpm.program() is None, reason="no php-fpm here"),
]


def ask(site, method, path, body=None, **fields):
    connection = http.client.HTTPConnection(site.host, site.port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body, fields)
        response = connection.getresponse()
        return response, response.read()


def test_a_script_hears_the_client_and_the_client_the_script(site):
    response, body = ask(site, "GET", "/index.php/x?a=1", Cookie="k=v")
    server = json.loads(body)["server"]
    assert response.status == 200
    assert (server["REMOTE_ADDR"], server["PATH_INFO"], server["HTTP_COOKIE"]) == (
        "127.0.0.1", "/x", "k=v",
    )  # fmt: skip
    response, _ = ask(site, "GET", "/index.php/redirect")
    assert (response.status, response.getheader("location")) == (302, "/elsewhere")


def test_large_bodies_pass_both_ways(site):
    sent = bytes(range(256)) * 10_000
    _, told = ask(site, "POST", "/index.php/input", sent)
    assert json.loads(told) == [len(sent), hashlib.sha1(sent).hexdigest()]
    _, big = ask(site, "GET", "/index.php/big")
    assert len(big) == 64 * 65536


def test_a_body_of_unknown_length_arrives_whole(site, request):
    if request.node.callspec.params["site"] == "caddy":
        pytest.skip("with enable_full_duplex Caddy does not pass such a body on")
    sent = bytes(range(256)) * 100
    _, told = ask(site, "POST", "/index.php/input", iter([sent[:10_000], sent[10_000:]]))
    assert json.loads(told) == [len(sent), hashlib.sha1(sent).hexdigest()]
