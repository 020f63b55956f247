"""A page in a browser cannot command the admin API."""

from __future__ import annotations

import pytest

from services.admin.config import AdminConfig
from services.admin.origin import OriginRules, is_form

LOCAL = OriginRules.of(AdminConfig.parse({}))
HERE = {"Host": "localhost:2019"}


def status(rules: OriginRules, method: str = "POST", **headers: str) -> int:
    refusal = rules.check(method, {k.replace("_", "-"): v for k, v in headers.items()})
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host", ["localhost:2019", "127.0.0.1:2019", "[::1]:2019", "LOCALHOST:2019"]
)
def test_every_name_of_the_loopback_is_our_own(host):
    assert status(LOCAL, Host=host) == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:2019", "localhost", "localhost:80", "127.0.0.1.evil.example:2019"]
)  # fmt: skip
def test_a_rebound_name_is_refused(host):
    assert status(LOCAL, Host=host) == 403


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "http://localhost:2019"}, 200),
        ({"Origin": "http://127.0.0.1:2019"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "http://localhost:2019.evil.example"}, 403),
        ({"Origin": "null"}, 400),
        ({"Upgrade": "WebSocket"}, 400),
        ({"Sec-Fetch-Mode": "no-cors"}, 400),
        ({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Mode": "cors", "Referer": "http://localhost:2019/"}, 200),
        ({"Sec-Fetch-Mode": "cors", "Referer": "https://evil.example/"}, 403),
        ({"Sec-Fetch-Mode": "cors"}, 403),
    ],
)
def test_what_a_browser_says_of_itself_decides(headers, expected):
    refusal = LOCAL.check("POST", {**HERE, **headers})
    assert (200 if refusal is None else refusal.status) == expected


def test_enforced_origins_are_demanded_of_everybody():
    rules = OriginRules.of(AdminConfig.parse({"enforce_origin": True}))
    assert status(rules, **HERE) == 403
    assert status(rules, Host="localhost:2019", Origin="http://localhost:2019") == 200


def test_configured_origins_replace_our_own():
    rules = OriginRules.of(AdminConfig.parse({"origins": ["https://panel.test", "localhost:2019"]}))
    assert status(rules, Host="localhost:2019", Origin="https://panel.test") == 200
    assert status(rules, Host="localhost:2019", Origin="http://panel.test") == 403
    assert status(rules, Host="127.0.0.1:2019") == 403


def test_cors_fields_name_configured_origins_only():
    assert LOCAL.may_share({"Origin": "http://localhost:2019"}) is None
    rules = OriginRules.of(AdminConfig.parse({"origins": ["https://panel.test"]}))
    assert rules.may_share({"Origin": "https://panel.test"}) == "https://panel.test"
    assert rules.may_share({"Origin": "https://evil.example"}) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [("10.0.0.7:2019", 200), ("admin:2019", 200), ("[fd00::1]:2019", 200), ("evil.example:2019", 403), ("", 403)],
)  # fmt: skip
def test_a_listener_on_all_interfaces_takes_addresses_and_plain_names_only(host, expected):
    rules = OriginRules.of(AdminConfig.parse({"listen": ":2019"}))
    assert status(rules, Host=host) == expected


def test_a_unix_socket_takes_any_host():
    rules = OriginRules.of(AdminConfig.parse({"listen": "unix//run/admin.sock"}))
    assert status(rules, Host="whatever") == 200
    assert status(rules, Host="whatever", Origin="https://evil.example") == 403


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/plain", True),
        ("Text/Plain; charset=utf-8", True),
        ("application/x-www-form-urlencoded", True),
        ("multipart/form-data; boundary=x", True),
        ("application/json", False),
    ],
)
def test_what_a_form_can_send_is_known(content_type, expected):
    assert is_form(content_type) is expected
