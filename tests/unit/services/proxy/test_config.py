"""What a reverse_proxy may say, and the words with which it is refused."""

import pytest

from quantum.config.model import locate
from quantum.errors import ConfigError
from quantum.modules.config import use_registry
from quantum.modules.registry import Registry
from services.proxy.config import ReverseProxyConfig
from services.proxy.manifest import MANIFEST


def parse(**fields):
    with use_registry(Registry(MANIFEST.modules)):
        return ReverseProxyConfig.parse(locate(fields, "here"))


def test_the_defaults_are_caddys():
    config = parse(
        upstreams=[{"dial": "localhost:80"}],
        transport={"protocol": "http"},
        health_checks={"active": {}, "passive": {}},
        load_balancing={"try_duration": "1s"},
    )
    transport, active = config.transport.config, config.health_checks.active
    assert (transport.dial_timeout, transport.keep_alive.idle_timeout) == (3, 120)
    assert transport.keep_alive.max_idle_conns_per_host == 32
    assert transport.max_response_header_size == 10 * 1024 * 1024
    assert (active.interval, active.timeout, active.passes, active.fails) == (30, 5, 1, 1)
    assert (active.method, active.target) == ("GET", "/")
    assert config.health_checks.passive.max_fails == 1
    assert config.load_balancing.interval == 0.25


def test_the_older_path_of_a_check_gives_way_to_its_uri():
    active = parse(health_checks={"active": {"path": "/old"}}).health_checks.active
    assert active.target == "/old"
    active = parse(health_checks={"active": {"path": "/old", "uri": "/new?a"}}).health_checks.active
    assert active.target == "/new?a"


def test_a_breaker_of_a_plugin_is_refused_with_the_place_of_ours():
    with pytest.raises(ConfigError) as caught:
        parse(circuit_breaker={"type": "simple"})
    assert caught.value.path == "here.circuit_breaker"
    assert '"health_checks": {"circuit_breaker"' in str(caught.value)


def test_what_says_nothing_may_be_there():
    config = parse(circuit_breaker=None, verbose_logs=False, dynamic_upstreams=None)
    assert config.request_buffers == 0


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"upstreams": [{"dial": "localhost"}]}, "has no port"),
        ({"upstreams": [{"dial": "localhost:1-9"}]}, "range of ports"),
        ({"upstreams": [{"dial": "udp/localhost:1"}]}, "cannot be dialled"),
        ({"dynamic_upstreams": {"source": "a"}}, "required field"),
        ({"dynamic_upstreams": {"source": "dns"}}, "unknown module"),
        (
            {"dynamic_upstreams": {"source": "a", "name": "x", "versions": {"ipv4": False}}},
            "neither ipv4 nor ipv6",
        ),
        (
            {"dynamic_upstreams": {"source": "a", "name": "x", "resolver": {"addresses": ["/x"]}}},
            "/x",
        ),
        ({"upstream": []}, "unknown field"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "10.0.0.0/99"),
        ({"health_checks": {"active": {"expect_body": "("}}}, "regular expression"),
        ({"health_checks": {"active": {"expect_status": 42}}}, "status code"),
        ({"transport": {"protocol": "http", "versions": ["2"]}}, "without TLS"),
        ({"transport": {"protocol": "http", "versions": ["3"]}}, "needs"),
        ({"transport": {"protocol": "http", "versions": ["2", "3"], "tls": {}}}, "alone"),
        ({"transport": {"protocol": "http", "tls": {"curves": ["p1"]}}}, "unknown curve"),
        ({"transport": {"protocol": "http", "tls": {"renegotiation": "once"}}}, "never"),
        ({"transport": {"protocol": "http", "tls": {"ca": {"provider": "http"}}}}, "endpoints"),
        ({"transport": {"protocol": "http", "tls": {"ca": {"provider": "file"}}}}, "pem_files"),
        (
            {"transport": {"protocol": "http", "tls": {"ca": {"provider": "system", "x": [""]}}}},
            "unknown field",
        ),
        (
            {"transport": {"protocol": "fastcgi"}, "health_checks": {"active": {"uri": "/"}}},
            "FastCGI",
        ),
        ({"transport": {"protocol": "fastcgi", "split_path": [".phpé"]}}, "ASCII"),
        ({"transport": {"protocol": "http", "versions": ["h2c"], "tls": {}}}, "over TLS"),
        ({"transport": {"protocol": "http", "local_address": "here"}}, "here"),
        ({"transport": {"protocol": "http", "versions": ["4"]}}, "none of"),
        ({"transport": {"protocol": "http", "proxy_protocol": "v3"}}, "v1"),
        (
            {"transport": {"protocol": "http", "proxy_protocol": "v1", "versions": ["h2c"]}},
            "needs HTTP/1.1",
        ),
        ({"transport": {"protocol": "http", "network_proxy": {"from": "url"}}}, "url"),
        ({"load_balancing": {"selection_policy": {"policy": "round-robin"}}}, "round_robin"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(fields, problem):
    with pytest.raises(ConfigError) as caught:
        parse(**fields)
    assert str(caught.value).startswith("here")
    assert problem in str(caught.value)


def test_checks_are_the_same_only_where_the_whole_way_to_the_upstream_is():
    def checker(dial="a:1", **fields):
        return parse(upstreams=[{"dial": dial}], **fields).checker_id(dial)

    plain = checker(health_checks={"active": {"path": "/h"}})
    assert plain == checker(health_checks={"active": {"path": "/h"}}, flush_interval=-1)
    assert plain != checker(health_checks={"active": {"path": "/i"}})
    assert plain != checker("a:2", health_checks={"active": {"path": "/h"}})
    assert plain != checker(
        health_checks={"active": {"path": "/h"}}, transport={"protocol": "http", "tls": {}}
    )
