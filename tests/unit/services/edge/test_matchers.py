"""Matchers, by Caddy's rules."""

from __future__ import annotations

import pytest

from quantum.errors import ConfigError, HttpError
from quantum.http.message import TlsFacts
from quantum.testing.routing import make_compiler, make_request, parse_routes
from services.edge.modules import MODULES

TLS = TlsFacts("tls1.3", "TLS_AES_128_GCM_SHA256", "example.com", "h2")


def compiled(*sets):
    route = parse_routes(MODULES, [{"match": list(sets)}])[0]
    return make_compiler().compile_matchers(route.match)


def matches(matcher, request):
    return compiled(matcher)(request)


@pytest.mark.parametrize(
    ("patterns", "host", "expected"),
    [
        (["example.com"], "example.com", True),
        (["example.com"], "EXAMPLE.com:8443", True),
        (["example.com"], "www.example.com", False),
        (["*.example.com"], "www.example.com", True),
        (["*.example.com"], "a.www.example.com", False),
        (["*.example.com"], "example.com", False),
        (["a.*.com"], "a.b.com", True),
        (["a.*.com"], "b.b.com", False),
        (["*.*.com"], "a.b.com", True),
        (["*"], "localhost", True),
        (["*"], "example.com", False),
        (["::1"], "[::1]:80", True),
        (["müller.example"], "xn--mller-kva.example", True),
        (["one.example", "two.example"], "two.example", True),
        (["{http.vars.site}"], "dynamic.example", True),
        (["{http.vars.site}"], "other.example", False),
        ([], "example.com", False),
    ],
)
def test_host(patterns, host, expected):
    request = make_request(host=host)
    request.vars["site"] = "Dynamic.example"
    assert matches({"host": patterns}, request) is expected


def test_a_host_listed_twice_is_a_config_error():
    with pytest.raises(ConfigError, match="repeated"):
        compiled({"host": ["a.example", "b.example", "A.example"]})


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/foo", "/foo", True),
        ("/foo", "/FOO", True),
        ("/foo", "/foo/", False),
        ("/foo*", "/foobar", True),
        ("/foo*", "/foo/bar/baz", True),
        ("/foo/*", "/foo", False),
        ("/foo/*", "/foo/", True),
        ("*.php", "/a/b/index.PHP", True),
        ("*.php", "/index.php/x", False),
        ("*/inner/*", "/a/inner/b", True),
        ("*/inner/*", "/inner", False),
        ("/a/*/c", "/a/b/c", True),
        ("/a/*/c", "/a/b/b/c", False),
        ("/a/?", "/a/b", True),
        ("/a/[a-c]", "/a/b", True),
        ("/a/[^a-c]", "/a/b", False),
        ("/a/[b", "/a/b", False),
        ("*", "/anything", True),
        ("/foo", "//foo", True),
        ("/foo", "/x/../foo", True),
        ("/foo/*", "/foo/../bar", False),
        ("/foo//bar", "/foo//bar", True),
        ("/foo//bar", "/foo/bar", False),
        ("/foo bar", "/foo%20bar", True),
        ("/admin*", "/%61dmin/x", True),
        ("/foo%2Fbar", "/foo%2fbar", True),
        ("/foo%2Fbar", "/foo/bar", False),
        ("/foo%2Fbar", "/foo%2Fbar/baz", False),
        ("/bands/%*", "/bands/AC%2fDC", True),
        ("/bands/*/", "/bands/AC%2fDC/", False),
        ("/bands/%*/", "/bands/AC%2fDC/", True),
        ("/{http.vars.dir}/*", "/Files/x", True),
        ("/{http.vars.dir}/*", "/other/x", False),
    ],
)
def test_path(pattern, path, expected):
    request = make_request("GET", path)
    request.vars["dir"] = "files"
    assert matches({"path": [pattern]}, request) is expected


def test_any_of_many_paths_matches_whatever_its_kind():
    ask = compiled({"path": ["/exact", "/pre*", "*.end", "*mid*", "/g/*/x", "/e%41/*"]})
    for path in ("/exact", "/prefix", "/the.end", "/a/mid/b", "/g/1/x"):
        assert ask(make_request("GET", path)), path
    assert not ask(make_request("GET", "/none"))


@pytest.mark.parametrize("path", ["/public/..%2Fadmin", "/a%00b", "/%zz"])
def test_a_path_with_two_readings_is_refused_before_any_rule(path):
    with pytest.raises(HttpError, match="400"):
        matches({"path": ["/public/*"]}, make_request("GET", path))


def test_methods_are_upper_case_however_they_are_configured():
    assert matches({"method": ["GET", "head"]}, make_request("HEAD"))
    assert not matches({"method": ["GET"]}, make_request("get"))


@pytest.mark.parametrize(
    ("wanted", "fields", "expected"),
    [
        ({"X": ["a"]}, [("x", "a")], True),
        ({"X": ["a"]}, [("x", "A")], False),
        ({"X": ["a", "b"]}, [("x", "c"), ("x", "b")], True),
        ({"X": ["pre*"]}, [("x", "prefix")], True),
        ({"X": ["*fix"]}, [("x", "prefix")], True),
        ({"X": ["*ref*"]}, [("x", "prefix")], True),
        ({"X": ["*"]}, [("x", "")], True),
        ({"X": []}, [("x", "")], True),
        ({"X": []}, [], False),
        ({"X": None}, [], True),
        ({"X": None}, [("x", "")], False),
        ({"X": ["a"], "Y": ["b"]}, [("x", "a")], False),
        ({"X": ["a"], "Y": ["b"]}, [("x", "a"), ("y", "b")], True),
        ({"X": ["{http.request.method}"]}, [("x", "GET")], True),
        ({"Host": ["example.com"]}, [], True),
        ({"Host": ["*.org"]}, [], False),
        ({}, [], True),
    ],
)
def test_header(wanted, fields, expected):
    assert matches({"header": wanted}, make_request("GET", "/", *fields)) is expected


@pytest.mark.parametrize(
    ("protocol", "version", "tls", "expected"),
    [
        ("http", "HTTP/1.1", None, True),
        ("http", "HTTP/1.1", TLS, False),
        ("https", "HTTP/2.0", TLS, True),
        ("HTTPS", "HTTP/2.0", None, False),
        ("http/1.0", "HTTP/1.0", None, True),
        ("http/1.1", "HTTP/1.0", None, False),
        ("http/1.1+", "HTTP/2.0", None, True),
        ("http/2", "HTTP/2.0", None, True),
        ("http/2", "HTTP/3.0", None, False),
        ("http/2+", "HTTP/3.0", None, True),
        ("http/2+", "HTTP/1.1", None, False),
        ("http/3", "HTTP/3.0", None, True),
    ],
)
def test_protocol(protocol, version, tls, expected):
    request = make_request(tls=tls, version=version)
    assert matches({"protocol": protocol}, request) is expected


def test_grpc_is_told_by_its_content_type():
    grpc = make_request("POST", "/", ("Content-Type", "application/grpc+proto"))
    assert matches({"protocol": "grpc"}, grpc)
    assert not matches({"protocol": "grpc"}, make_request())


def test_an_unknown_protocol_is_a_config_error():
    with pytest.raises(ConfigError, match="unknown protocol"):
        compiled({"protocol": "spdy"})


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], True),
        ([{"path": ["/a"]}], False),
        ([{"path": ["/b"]}], True),
        ([{"path": ["/a"], "method": ["POST"]}], True),
        ([{"path": ["/b"]}, {"method": ["GET"]}], False),
        ([{}], False),
        ([{"not": [{"path": ["/a"]}]}], True),
    ],
)
def test_not(sets, expected):
    assert matches({"not": sets}, make_request("GET", "/a")) is expected


@pytest.mark.parametrize(
    ("wanted", "target", "expected"),
    [
        ({"a": ["1"]}, "/?a=1", True),
        ({"a": ["1"]}, "/?a=2&a=1", True),
        ({"a": ["1"], "b": ["2"]}, "/?a=1", False),
        ({"a": ["*"]}, "/?a=", True),
        ({"a": ["*"]}, "/?b=1", False),
        ({"a": ["x y"]}, "/?a=x+y", True),
        ({"a": ["1"]}, "/?a=1;b=2", False),
        ({"a": ["1"]}, "/?a=1&b=%zz", False),
        ({}, "/", True),
        ({}, "/?a", False),
    ],
)
def test_query(wanted, target, expected):
    assert matches({"query": wanted}, make_request("GET", target)) is expected


def test_remote_ip_is_the_peer_and_client_ip_whom_it_speaks_for():
    request = make_request(peer="10.1.2.3")
    request.client_ip = "203.0.113.9"
    assert matches({"remote_ip": {"ranges": ["10.0.0.0/8"]}}, request)
    assert not matches({"client_ip": {"ranges": ["10.0.0.0/8"]}}, request)
    assert matches({"client_ip": {"ranges": ["{http.vars.none}", "203.0.113.9"]}}, request)


def test_a_wrong_range_is_a_config_error():
    with pytest.raises(ConfigError, match="ranges"):
        compiled({"remote_ip": {"ranges": ["10.0.0.0/99"]}})


def test_groups_of_an_expression_become_placeholders():
    request = make_request("GET", "/users/42/Posts")
    assert matches(
        {"path_regexp": {"name": "user", "pattern": r"^/users/(?P<id>\d+)/(\w+)"}}, request
    )
    assert request.vars["http.regexp.user.id"] == "42"
    assert request.vars["http.regexp.user.2"] == "Posts"
    assert request.vars["http.regexp.0"] == "/users/42/Posts"


def test_expressions_are_re2():
    with pytest.raises(ConfigError, match="regular expression"):
        compiled({"path_regexp": {"pattern": "(?=lookahead)"}})


def test_fields_and_variables_match_expressions():
    request = make_request("GET", "/", ("X-Version", "v12"))
    request.vars["tier"] = "gold-1"
    assert matches({"header_regexp": {"X-Version": {"pattern": r"^v(\d+)$"}}}, request)
    assert matches({"vars_regexp": {"tier": {"pattern": "^gold"}}}, request)
    assert matches({"vars_regexp": {"{http.request.method}": {"pattern": "GET"}}}, request)
    assert not matches({"header_regexp": {"X-None": {"pattern": ".*"}}}, request)


def test_variables_are_compared_as_text():
    request = make_request()
    request.vars["n"] = 3
    assert matches({"vars": {"n": ["2", "3"]}}, request)
    assert matches({"vars": {"{http.request.method}": ["GET"]}}, request)
    assert not matches({"vars": {"n": ["3"], "missing": ["x"]}}, request)


def test_tls():
    assert matches({"tls": {}}, make_request(tls=TLS))
    assert not matches({"tls": {}}, make_request())


def test_a_matcher_may_be_spelled_out():
    assert compiled({"matcher": "path", "paths": ["/api/*"]})(make_request("GET", "/api/x"))
