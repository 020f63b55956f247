"""Routes around proxies: the same configuration for Quantum in each topology and for the real Caddy."""

from pathlib import Path
from typing import Any


def proxy(dial: str, **config: Any) -> dict[str, Any]:
    return {"handler": "reverse_proxy", "upstreams": [{"dial": dial}], **config}


def say(body: str, **config: Any) -> dict[str, Any]:
    return {"handler": "static_response", "body": body, **config}


def below(path: str, *handle: dict[str, Any]) -> dict[str, Any]:
    return {"match": [{"path": [path]}], "handle": list(handle), "terminal": True}


def rules(files: Path) -> list[dict[str, Any]]:
    """What becomes of an upstream's answers."""
    serve = [
        {
            "handle": [
                {"handler": "rewrite", "uri": "{http.reverse_proxy.header.X-Accel-Redirect}"},
                {"handler": "file_server", "root": str(files)},
            ]
        }
    ]
    told = "{http.reverse_proxy.status_code} {http.reverse_proxy.header.X-Reason}"
    denied = [
        {"handler": "copy_response_headers", "include": ["X-Reason"]},
        say("denied", status_code=403),
    ]
    added = {"handler": "headers", "response": {"set": {"X-Added": ["1"]}}}
    return [
        {"match": {"headers": {"X-Accel-Redirect": ["*"]}}, "routes": serve},
        {
            "match": {"status_code": [404]},
            "routes": [{"handle": [say("told " + told, status_code=404)]}],
        },
        {"match": {"status_code": [403]}, "routes": [{"handle": denied}]},
        {
            "match": {"status_code": [418]},
            "routes": [{"handle": [added, {"handler": "copy_response", "status_code": 200}]}],
        },
        {"match": {"status_code": [410]}, "routes": [{"handle": [added]}]},
        {"match": {"status_code": [5]}, "status_code": "599"},
    ]


def routes(dial: str, files: Path) -> list[dict[str, Any]]:
    """Everything the scenarios of answers and retries ask for."""
    identify = {
        "match": {"status_code": [2]},
        "routes": [
            {
                "handle": [
                    {
                        "handler": "headers",
                        "request": {"set": {"X-User": ["{http.reverse_proxy.header.X-User}"]}},
                    }
                ]
            }
        ],
    }
    verify = proxy(
        dial,
        rewrite={"method": "GET", "uri": "/verify"},
        headers={"request": {"set": {"X-Forwarded-Uri": ["{http.request.uri}"]}}},
        handle_response=[identify],
    )
    stamped = {"response": {"set": {"X-Stamped": ["1"]}, "delete": ["X-Inner"]}}
    retrying = {"retries": 3, "try_duration": "5s", "retry_match": [{"method": ["PUT"]}]}
    return [
        below(
            "/rules/*",
            proxy(dial, headers=stamped, handle_response=rules(files)),
            say("after the proxy"),
        ),
        below("/auth/*", verify, proxy(dial)),
        below(
            "/moved/*",
            proxy(
                dial,
                rewrite={
                    "strip_path_prefix": "/moved",
                    "query": {"add": [{"key": "q", "val": "1"}]},
                },
            ),
        ),
        below("/buffered/*", proxy(dial, request_buffers=4096, response_buffers=4096)),
        below("/outside/*", {"handler": "copy_response"}),
        below("/gone/*", proxy("127.0.0.1:1", load_balancing=retrying)),
    ]
