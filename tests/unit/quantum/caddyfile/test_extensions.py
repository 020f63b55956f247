"""Directives that Caddy has by plugins or not at all: what they become, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from quantum.caddyfile.adapt import adapt
from quantum.caddyfile.errors import CaddyfileError
from services import catalog

SECOND = 1_000_000_000


def handlers_of(body: str) -> list[dict[str, Any]]:
    document = adapt(f":8080 {{\n{body}\n}}\n", environment={}).document
    assert catalog.parse(document)
    (server,) = document["apps"]["http"]["servers"].values()
    return [handler for route in server["routes"] for handler in route["handle"]]


def test_rate_limit_takes_the_words_of_the_plugin():
    (handler,) = handlers_of(
        "rate_limit {\n zone a {\n match {\n method GET\n}\n key {remote_host}\n events 2\n window 5s\n}\n"
        " distributed {\n read_interval 3s\n write_interval 4s\n}\n jitter 0.2\n log_key\n}"
    )
    assert handler == {
        "handler": "rate_limit",
        "rate_limits": {
            "a": {
                "key": "{http.request.remote.host}",
                "match": [{"method": ["GET"]}],
                "max_events": 2,
                "window": 5 * SECOND,
            }
        },
        "distributed": {"read_interval": 3 * SECOND, "write_interval": 4 * SECOND},
        "jitter": 0.2,
        "log_key": True,
    }


def test_a_limit_comes_before_passwords_and_files_after_answers():
    found = handlers_of(
        "file_sync /s/* ./sync-data\nrespond /x hi\nrate_limit /s/* {\n zone a {\n concurrent 3\n}\n}"
    )
    assert [handler["handler"] for handler in found] == [
        "rate_limit",
        "static_response",
        "file_sync",
    ]


def test_file_sync_has_its_fields_as_words():
    (handler,) = handlers_of(
        "file_sync {\n root ./sync-data\n enable_upload\n quota 1GiB\n history_age 24h\n quiet *.db 3s\n"
        " allowed_origins https://a.test\n allowed_origins https://b.test\n max_rate 9\n}"
    )
    assert handler == {
        "handler": "file_sync",
        "root": "./sync-data",
        "enable_upload": True,
        "quota": 2**30,
        "history_age": 86400 * SECOND,
        "quiet": {"*.db": 3 * SECOND},
        "allowed_origins": ["https://a.test", "https://b.test"],
        "max_rate": 9,
    }


def test_the_policy_of_our_own_is_chosen_like_caddys():
    (handler,) = handlers_of("reverse_proxy a:1 b:2 {\n lb_policy peak_ewma\n}")
    assert handler["load_balancing"]["selection_policy"] == {"policy": "peak_ewma"}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("rate_limit {\n zone a {\n events 2\n}\n}", "requires both a window and maximum events"),
        ("rate_limit {\n zone a {\n window soon\n}\n}", "invalid window duration 'soon'"),
        ("rate_limit {\n zones\n}", "unrecognized subdirective 'zones', at Caddyfile:3"),
        ("file_sync", "file_sync needs a folder"),
        ("file_sync ./d {\n upload\n}", "unrecognized subdirective 'upload', at Caddyfile:3"),
    ],
)
def test_a_mistake_names_its_line(body, problem):
    with pytest.raises(CaddyfileError) as mistake:
        handlers_of(body)
    assert problem in str(mistake.value)
