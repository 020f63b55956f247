"""Automatic HTTPS: who speaks TLS, for which names, and what is redirected where."""

from __future__ import annotations

import pytest

from quantum.config.model import locate
from quantum.config.units import NetworkAddress
from quantum.http.message import Response
from quantum.modules.config import use_registry
from quantum.modules.registry import Registry
from quantum.testing.routing import make_compiler, make_request
from services.edge.automatic_https import (
    Redirect,
    is_public,
    is_secure_listener,
    plan,
    qualifies_for_certificate,
)
from services.edge.automatic_https.redirects import compile_server, redirecting
from services.edge.config import HttpApp
from services.edge.modules import MODULES


def app(servers, **more):
    with use_registry(Registry(MODULES)):
        return HttpApp.parse(locate({"servers": servers, **more}, "apps.http"))


def site(*hosts, text="site"):
    answer = {"handler": "static_response", "body": text}
    return {"match": [{"host": list(hosts)}], "handle": [answer]} if hosts else {"handle": [answer]}


def server(*routes, listen=(":443",), **more):
    return {"listen": list(listen), "routes": list(routes), **more}


def listening(text):
    return NetworkAddress.parse(text)


def test_names_of_top_level_routes_get_certificates_and_redirects():
    result = plan(app({"a": server(site("a.example", "*.b.example"), site("localhost"))}))
    assert result.servers["a"].is_secure
    assert result.servers["a"].names == ("a.example", "*.b.example", "localhost")
    assert result.listeners == {
        listening(":80"): (Redirect(("a.example", "localhost")), Redirect(("*.b.example",)))
    }


def test_a_server_on_one_address_of_the_http_port_redirects_instead_of_a_listener_on_all():
    result = plan(app({
        "plain": server(site(), listen=["127.0.0.1:80"]),
        "other": server(site(), listen=["127.0.0.2:80"]),
        "secure": server(site("a.example")),
    }))  # fmt: skip
    assert result.listeners == {}
    assert result.servers["plain"].redirects == (Redirect(("a.example",)),)
    assert result.servers["other"].redirects == (Redirect(("a.example",)),)


def test_a_server_on_another_address_of_the_http_port_leaves_redirects_to_their_listener():
    result = plan(app({
        "plain": server(site(), listen=["127.0.0.1:80"]),
        "secure": server(site("a.example"), listen=["10.0.0.1:443"]),
    }))  # fmt: skip
    assert result.servers["plain"].redirects == ()
    assert list(result.listeners) == [listening("10.0.0.1:80")]


def test_one_listener_redirects_for_a_server_on_one_address_and_one_on_all():
    result = plan(app({
        "a": server(site("a.example"), listen=["127.0.0.1:443"]),
        "b": server(site("b.example"), listen=[":8443"]),
        "c": server(site("c.example"), listen=["10.0.0.1:443"]),
    }))  # fmt: skip
    assert list(result.listeners) == [listening(":80")]
    assert set(result.listeners[listening(":80")]) == {
        Redirect(("a.example", "c.example")),
        Redirect(("b.example",), 8443),
    }


def test_names_inside_subroutes_are_not_collected():
    inner = {"handle": [{"handler": "subroute", "routes": [site("inner.example")]}]}
    assert plan(app({"a": server(inner)})).servers["a"].names == ()


@pytest.mark.parametrize(
    ("definition", "secure"),
    [
        (server(site("a.example"), listen=[":8443"]), True),
        (server(site(), listen=[":443"]), True),
        (server(site(), listen=[":8443"]), False),
        (server(site("a.example"), listen=[":80"]), False),
        (server(site(), listen=[":8443"], tls_connection_policies=[{}]), True),
        (server(site("a.example"), automatic_https={"disable": True}), False),
        (
            server(site("a.example"), listen=[":8443"], automatic_https={"skip": ["a.example"]}),
            False,
        ),
    ],
)
def test_who_speaks_tls(definition, secure):
    assert plan(app({"a": definition})).servers["a"].is_secure is secure


def test_tls_is_not_spoken_on_the_http_port():
    http = app({"a": server(site("a.example"), listen=[":80", ":443"])})
    result = plan(http).servers["a"]
    assert is_secure_listener(http, result, listening(":443"))
    assert not is_secure_listener(http, result, listening(":80"))


def test_settings_switch_parts_off():
    no_redirects = plan(
        app({"a": server(site("a.example"), automatic_https={"disable_redirects": True})})
    )
    assert no_redirects.listeners == {}
    assert no_redirects.servers["a"].names == ("a.example",)
    no_certificates = plan(
        app({"a": server(site("a.example"), automatic_https={"disable_certificates": True})})
    )
    assert no_certificates.servers["a"].names == ()
    assert no_certificates.listeners
    skipped = plan(
        app(
            {
                "a": server(
                    site("a.example", "b.example"),
                    automatic_https={"skip_certificates": ["a.example"]},
                )
            }
        )
    )
    assert skipped.servers["a"].names == ("b.example",)


def test_another_port_is_written_out_and_the_https_port_preferred():
    http = app({
        "a": server(site("a.example"), listen=[":8443"]),
        "b": server(site("b.example"), listen=[":9443", ":443"]),
    })  # fmt: skip
    redirects = plan(http).listeners[listening(":80")]
    assert set(redirects) == {Redirect(("a.example",), 8443), Redirect(("b.example",), 0)}


def test_redirects_join_a_server_on_the_http_port_behind_its_hosts():
    http = app({
        "secure": server(site("a.example")),
        "plain": server(site("plain.example"), site(), listen=[":80"]),
    })  # fmt: skip
    result = plan(http)
    assert result.listeners == {}
    assert result.servers["plain"].redirects == (Redirect(("a.example",)),)
    assert result.servers["plain"].position == 1


def test_the_interface_of_a_listener_is_kept():
    result = plan(app({"a": server(site("a.example"), listen=["127.0.0.1:443"])}))
    assert list(result.listeners) == [listening("127.0.0.1:80")]


def test_a_server_without_names_redirects_everything():
    result = plan(app({"a": server(site())}, http_port=8080))
    assert result.listeners == {listening(":8080"): (Redirect(()),)}


@pytest.mark.parametrize(
    ("name", "some", "public"),
    [
        ("a.example", True, True),
        ("*.a.example", True, True),
        ("*.example", True, False),
        ("a.*.example", False, False),
        ("localhost", True, False),
        ("x.localhost", True, False),
        ("printer.local", True, False),
        ("10.0.0.1", True, False),
        ("8.8.8.8", True, True),
        ("::1", True, False),
        ("", False, False),
        (".a.example", False, False),
        ("a.example.", False, False),
        ("a b", False, False),
        ("{host}", False, False),
    ],
)
def test_which_names_can_be_certified_and_by_whom(name, some, public):
    assert qualifies_for_certificate(name) is some
    assert is_public(name) is public


async def test_a_redirect_is_permanent_and_closes():
    link = redirecting((Redirect(("a.example",)), Redirect(("*.b.example",), 8443)))
    response = await link(make_request("POST", "/x?y=1", host="A.example:80"))
    assert response.status == 308
    assert response.close
    assert response.headers.get(b"location") == b"https://A.example/x?y=1"
    response = await link(make_request(host="w.b.example"))
    assert response.headers.get(b"location") == b"https://w.b.example:8443/"
    assert (await link(make_request(host="other.example"))).status == 200


async def test_an_address_keeps_its_brackets():
    response = await redirecting((Redirect(()),))(make_request(host="[::1]:80"))
    assert response.headers.get(b"location") == b"https://[::1]/"


async def test_redirects_stand_between_named_sites_and_the_catch_all():
    http = app({
        "secure": server(site("a.example")),
        "plain": server(site("p.example", text="named"), site(text="all"), listen=[":80"]),
    })  # fmt: skip
    chain = compile_server(make_compiler(), http.servers["plain"], plan(http).servers["plain"])

    async def ask(host) -> Response:
        return await chain(make_request(host=host))

    assert (await ask("p.example")).body == b"named"
    assert (await ask("a.example")).status == 308
    assert (await ask("other.example")).body == b"all"
