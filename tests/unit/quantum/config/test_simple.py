"""The simple format: each combination means one thing, or is refused with both keys."""

import pytest

from quantum.config.simple import adapt, is_simple, parse_upstream
from quantum.errors import ConfigError


def servers(document):
    return adapt(document)["apps"]["http"]["servers"]


def only_server(document):
    (server,) = servers(document).values()
    return server


def refusal(document) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        adapt(document)
    return caught.value


def test_the_documented_example_adapts():
    adapted = adapt({
        "proxy": {"localhost:3000": ":8080"},
        "static_files": {"./public": ":8081"},
        "file_sync": {"./sync-data": ":8082"},
        "tls": "auto",
        "admin_port": ":2019",
    })  # fmt: skip
    listens = [server["listen"] for server in adapted["apps"]["http"]["servers"].values()]
    assert sorted(listens) == [[":8080"], [":8081"], [":8082"]]
    assert adapted["admin"] == {"listen": "localhost:2019"}
    assert "tls" not in adapted["apps"]


def test_one_proxy_is_one_route():
    server = only_server({"proxy": {"localhost:3000": ":8080"}})
    assert server == {
        "listen": [":8080"],
        "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": "localhost:3000"}]}]}],
        "automatic_https": {"disable": True},
    }  # fmt: skip


def test_proxies_on_one_port_are_a_balanced_pool_that_fails_over():
    (route,) = only_server({"proxy": {"a:1": ":80", "http://b:2": ":80", ":3": ":80"}})["routes"]
    (handler,) = route["handle"]
    assert [u["dial"] for u in handler["upstreams"]] == ["a:1", "b:2", "localhost:3"]
    assert handler["load_balancing"] == {
        "selection_policy": {"policy": "round_robin"},
        "retries": 2,
    }
    assert handler["health_checks"]["passive"]["max_fails"] == 3


def test_sync_static_and_proxy_share_a_port_in_that_order():
    sync, static, proxy = only_server({
        "proxy": {"localhost:3000": ":8080"},
        "static_files": {"./public": ":8080"},
        "file_sync": {"./sync": ":8080"},
    })["routes"]  # fmt: skip
    assert sync["match"] == [{"path": ["/api/*", "/ws"]}]
    assert sync["terminal"] is True
    assert static["match"] == [{"method": ["GET", "HEAD"]}]
    assert static["handle"][0]["pass_thru"] is True
    assert "match" not in proxy


def test_sync_alone_takes_every_path_and_static_after_it_needs_no_pass_thru():
    (route,) = only_server({"file_sync": {"./d": ":1"}})["routes"]
    assert route == {"handle": [{"handler": "file_sync", "root": "./d", "enable_upload": True}]}
    _, static = only_server({"file_sync": {"./d": ":1"}, "static_files": {"./p": ":1"}})["routes"]
    assert static == {"handle": [{"handler": "file_server", "root": "./p"}]}


def test_a_name_is_a_site_with_https_on_443():
    server = only_server({"proxy": {"localhost:3000": "App.example.com"}})
    assert server["listen"] == [":443"]
    assert "automatic_https" not in server
    assert "tls_connection_policies" not in server
    (site,) = server["routes"]
    assert site["match"] == [{"host": ["app.example.com"]}]
    assert site["terminal"] is True


def test_https_on_another_port_has_no_redirect():
    server = only_server({"proxy": {"localhost:3000": "https://localhost:8443"}})
    assert server["listen"] == [":8443"]
    assert server["automatic_https"] == {"disable_redirects": True}
    assert server["tls_connection_policies"] == [{}]


@pytest.mark.parametrize("place", ["http://app.example.com", "app.example.com:80"])
def test_a_plain_site_stays_plain(place):
    server = only_server({"proxy": {"localhost:3000": place}})
    assert server["listen"] == [":80"]
    assert server["automatic_https"] == {"disable": True}


def test_tls_off_makes_names_plain_sites():
    server = only_server({"proxy": {"localhost:3000": "app.example.com"}, "tls": "off"})
    assert server["listen"] == [":80"]


def test_a_directory_of_certificates_turns_every_listener_but_port_80_to_https():
    adapted = adapt(
        {"proxy": {"a:1": ":8443", "b:1": ":80", "c:1": "x.example.com"}, "tls": "./pem"}
    )
    assert adapted["apps"]["tls"] == {"certificates": {"load_folders": ["./pem"]}}
    by_listen = {s["listen"][0]: s for s in adapted["apps"]["http"]["servers"].values()}
    assert by_listen[":8443"]["tls_connection_policies"] == [{}]
    assert by_listen[":80"]["automatic_https"] == {"disable": True}
    assert by_listen[":443"]["automatic_https"] == {"disable_certificates": True}


def test_sites_on_one_port_go_from_exact_to_any():
    routes = only_server({
        "proxy": {
            "a:1": "http://*.example.com:8080",
            "b:1": ":8080",
            "c:1": "http://app.example.com:8080",
        }
    })["routes"]  # fmt: skip
    assert [r.get("match") for r in routes] == [
        [{"host": ["app.example.com"]}], [{"host": ["*.example.com"]}], None,
    ]  # fmt: skip


def test_an_interface_or_unix_socket_is_listened_on_as_written():
    listens = [
        only_server({"proxy": {"a:1": place}})["listen"]
        for place in ("127.0.0.1:8080", "localhost:8080", "[::1]:8080", "unix//run/q.sock")
    ]
    assert listens == [["127.0.0.1:8080"], ["localhost:8080"], ["[::1]:8080"], ["unix//run/q.sock"]]


@pytest.mark.parametrize(
    "document",
    [
        {"static_files": {"one": ":80", "two": ":80"}},
        {"file_sync": {"one": ":80", "two": ":80"}},
        {"static_files": {"one": ":8080", "two": "127.0.0.1:8080"}},
        {"static_files": {"one": ":8443"}, "proxy": {"two:1": "https://a.example.com:8443"}},
        {"static_files": {"one": "http://a.io:80"}, "proxy": {"two:1": "https://b.io:80"}},
        {"proxy": {"one:1": ":80", "https://two:1": ":80"}},
        {"proxy": {"one:1": ":80", "http://one:1": ":80"}},
    ],
)
def test_what_is_ambiguous_names_both_keys(document):
    error = refusal(document)
    assert "ambiguous" in error.problem
    assert "one" in str(error)
    assert "two" in str(error) or str(error).count("one") == 2
    assert error.remedy


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        ({"tls": "auto"}, "", "nothing to serve"),
        ({"proxy": {}}, "", "nothing to serve"),
        ({"proxy": {"a:1": ":80"}, "tsl": "off"}, "tsl", "did you mean 'tls'"),
        ({"proxy": {"a:1": ":80"}, "tls": ""}, "tls", '"auto", "off"'),
        ({"proxy": {"a:1": ":80"}, "tls": True}, "tls", "string"),
        ({"proxy": ["a:1"]}, "proxy", "an object"),
        ({"proxy": {"a:1": 80}}, "proxy.a:1", "string"),
        ({"proxy": {"a:1": "8080"}}, 'proxy["a:1"]', "no port"),
        ({"proxy": {"a:1": "localhost"}}, 'proxy["a:1"]', "https://localhost"),
        ({"proxy": {"a:1": ":80-90"}}, 'proxy["a:1"]', "range"),
        ({"proxy": {"a:1": "udp/:80"}}, 'proxy["a:1"]', "no TCP"),
        ({"proxy": {"a:1": "ftp://x"}}, 'proxy["a:1"]', "unknown scheme"),
        ({"proxy": {"a:1": "https://x/y"}}, 'proxy["a:1"]', "no path"),
        ({"proxy": {"a:1": "https://-x-"}}, 'proxy["a:1"]', "host name"),
        ({"proxy": {"a:1": "https://x.io"}, "tls": "off"}, 'proxy["a:1"]', '"tls" is "off"'),
        ({"proxy": {"a:1": ":443"}}, 'proxy["a:1"]', "without a name"),
        ({"proxy": {"a": ":80"}}, 'proxy["a"]', "no port"),
        ({"proxy": {"http://a/b": ":80"}}, 'proxy["http://a/b"]', "no path"),
        ({"proxy": {"ws://a": ":80"}}, 'proxy["ws://a"]', "scheme"),
        ({"proxy": {"a:1-2": ":80"}}, 'proxy["a:1-2"]', "one address"),
        ({"proxy": {"a:1": ":80"}, "admin_port": "x"}, "admin_port", "no port"),
        ({"proxy": {"a:1": ":80"}, "admin_port": "udp/:1"}, "admin_port", "TCP"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(document, path, says):
    error = refusal(document)
    assert error.path == path
    assert says in str(error)


def test_no_admin_port_is_no_admin():
    assert adapt({"proxy": {"a:1": ":80"}})["admin"] == {"disabled": True}


@pytest.mark.parametrize(
    ("given", "listen"),
    [
        (":2019", "localhost:2019"),
        (2019, "localhost:2019"),
        ("0.0.0.0:2019", "0.0.0.0:2019"),
        ("unix//run/admin.sock", "unix//run/admin.sock"),
    ],
)
def test_a_bare_admin_port_is_open_to_this_machine_only(given, listen):
    assert adapt({"proxy": {"a:1": ":80"}, "admin_port": given})["admin"] == {"listen": listen}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("localhost:3000", ("localhost:3000", False)),
        ("https://api.example.com", ("api.example.com:443", True)),
        ("http://api.example.com/", ("api.example.com:80", False)),
        ("unix//run/app.sock", ("unix//run/app.sock", False)),
        ("[::1]:3000", ("[::1]:3000", False)),
    ],
)
def test_upstreams_are_addresses_or_urls_without_a_path(key, expected):
    assert parse_upstream(key, "") == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"proxy": {}}, True),
        ({"TLS": "auto"}, True),
        ({"apps": {}, "proxy": {}}, False),
        ({"admin": {}}, False),
        ({}, False),
        ([], False),
    ],
)
def test_the_format_is_told_from_the_keys(document, expected):
    assert is_simple(document) is expected
