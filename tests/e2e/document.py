"""The configuration that end-to-end scenarios run: every room has something to do."""

from pathlib import Path
from typing import Any


def platform_document(
    *,
    http: int,
    https: int,
    plain: int,
    admin: int,
    upstreams: list[str],
    site: Path,
    share: Path,
    bind: str = "127.0.0.1",
    marker: str = "one",
) -> dict[str, Any]:
    """A site, a balanced proxy below /app, a synced folder, HTTPS on localhost and the redirect to it.

    ``plain`` serves the same routes without TLS, for tools that would only be slowed by it;
    ``marker`` is what /marker answers: reloads are told apart by it.
    """
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial} for dial in upstreams],
        "load_balancing": {"selection_policy": {"policy": "round_robin"}},
        "health_checks": {
            "active": {"path": "/health", "interval": "300ms", "timeout": "1s", "fails": 1}
        },
    }
    sync = {"handler": "file_sync", "root": str(share), "enable_upload": True}
    encode = {"handler": "encode", "encodings": {"gzip": {}, "zstd": {}}, "minimum_length": 32}
    files = {"handler": "file_server", "root": str(site), "precompressed": {"br": {}}}
    routes = [
        {
            "match": [{"path": ["/marker"]}],
            "handle": [{"handler": "static_response", "body": marker}],
        },
        {"handle": [encode]},
        {"match": [{"matcher": "path", "paths": ["/api/*", "/ws"]}], "handle": [sync]},
        {
            "match": [{"path": ["/app", "/app/*"]}],
            "handle": [{"handler": "rewrite", "strip_path_prefix": "/app"}, proxy],
        },
        *handler_routes(proxy, site),
        {"handle": [files]},
    ]
    return {
        "admin": {"listen": f"{bind}:{admin}"},
        "apps": {
            "http": {
                "http_port": http,
                "servers": {
                    "secure": {
                        "listen": [f"{bind}:{https}"],
                        "routes": [
                            {
                                "match": [{"host": ["localhost"]}],
                                "handle": [{"handler": "subroute", "routes": routes}],
                            }
                        ],
                    },
                    "plain": {
                        "listen": [f"{bind}:{plain}"],
                        "automatic_https": {"disable": True},
                        "routes": routes,
                    },
                },
            }
        },
    }


SECRET = "$2b$04$D.RZnZqN0yrT3tVMl2HNs.JErZaiVRjp70pZXnhYxAECl3Vt9KZk6"
"""A hash of "secret"."""


def handler_routes(proxy: dict[str, Any], site: Path) -> list[dict[str, Any]]:
    """Return a single-page app below /spa, a guarded upstream below /private, one whose answers are caught."""
    accounts = [{"username": "ann", "password": SECRET}]
    guard = {
        "handler": "authentication",
        "providers": {"http_basic": {"accounts": accounts, "hash_cache": {}}},
    }
    named = {**proxy, "headers": {"request": {"set": {"X-User": ["{http.auth.user.id}"]}}}}
    caught = {
        "match": {"status_code": [2]},
        "routes": [{"handle": [{"handler": "static_response", "status_code": 203,
                                "body": "caught {http.intercept.status_code}"}]}],
    }  # fmt: skip
    tried = {"root": str(site), "try_files": ["{http.request.uri.path}", "/index.html"]}
    zone = {"key": "{http.request.header.X-Who}", "window": "1h", "max_events": 3}
    limit = {"handler": "rate_limit", "rate_limits": {"limited": zone}, "distributed": {}}
    return [
        {
            "match": [{"path": ["/folder/*"]}],
            "handle": [
                {"handler": "rewrite", "strip_path_prefix": "/folder"},
                {"handler": "file_server", "root": str(site), "browse": {}, "index_names": []},
            ],
            "terminal": True,
        },
        {
            "match": [{"path": ["/limited/*"]}],
            "handle": [
                limit, {"handler": "rewrite", "strip_path_prefix": "/limited"},
                {"handler": "file_server", "root": str(site)},
            ],
            "terminal": True,
        },
        {
            "match": [{"path": ["/spa/*"]}],
            "handle": [{"handler": "subroute", "routes": [
                {"handle": [{"handler": "rewrite", "strip_path_prefix": "/spa"}]},
                {
                    "match": [{"file": tried}],
                    "handle": [{"handler": "rewrite", "uri": "{http.matchers.file.relative}"}],
                },
                {"handle": [{"handler": "file_server", "root": str(site), "canonical_uris": False}]},
            ]}],
            "terminal": True,
        },
        {
            "match": [{"expression": "path('/traced') && {http.request.header.X-Trace} == 'yes'"}],
            "handle": [{"handler": "tracing"}, {"handler": "push", "resources": [{"target": "/a.css"}]}, proxy],
            "terminal": True,
        },
        {
            "match": [{"url_pattern": {"pattern": "/pages/:name.html"}}],
            "handle": [
                {"handler": "rewrite", "uri": "/{http.url_pattern.pathname.name}.html"},
                {"handler": "templates", "file_root": str(site)},
                {"handler": "file_server", "root": str(site)},
            ],
            "terminal": True,
        },
        {"match": [{"path": ["/private/*"]}], "handle": [guard, named], "terminal": True},
        {
            "match": [{"path": ["/caught"]}],
            "handle": [{"handler": "intercept", "handle_response": [caught]}, proxy],
            "terminal": True,
        },
    ]  # fmt: skip
