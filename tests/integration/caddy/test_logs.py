"""Access logs of one configuration, written by the real Caddy and here: the same lines in the same files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from quantum.testing.topology import free_port
from tests.integration.caddy.differential import Client, caddy, quantum, running, say

PATIENCE = 30.0
OWN = {"ts", "duration", "took", "request_id", "process"}
"""What differs from run to run, or is in our lines only."""
FILTERS = {
    "request>remote_ip": {"filter": "ip_mask", "ipv4_cidr": 16, "ipv6_cidr": 32},
    "request>remote_port": {"filter": "delete"},
    "request>uri": {"filter": "query", "actions": [
        {"type": "replace", "parameter": "token", "value": "R"}, {"type": "hash", "parameter": "id"},
        {"type": "delete", "parameter": "z"}]},
    "request>headers>Cookie": {"filter": "cookie", "actions": [{"type": "hash", "name": "sid"}]},
    "request>headers>Authorization": {"filter": "rename", "name": "Auth"},
    "request>headers>X-F": {"filter": "ip_mask", "ipv4_cidr": 16, "ipv6_cidr": 32},
    "request>host": {"filter": "multi_regexp", "operations": [
        {"regexp": "^exa", "value": "$0-"}, {"regexp": "m", "value": "n"}]},
    "resp_headers>Set-Cookie": {"filter": "set_cookie", "actions": [{"type": "replace", "name": "a", "value": "X"}]},
    "resp_headers>Server": {"filter": "delete"},
    "user_id": {"filter": "hash"}, "status": {"filter": "hash"}, "duration": {"filter": "rename", "name": "took"},
    "request>proto": {"filter": "replace", "value": "P"}, "size": {"filter": "regexp", "regexp": ".", "value": "x"},
}  # fmt: skip
FIELDS = (
    ("Cookie", "sid=secret; theme=dark"), ("X-F", "10.1.2.3, 2001:db8::1"), ("Authorization", "Bearer x"),
)  # fmt: skip
TARGETS = ("/x?token=abc&id=7&id=8&z=1&q=a+b", "/", "/?token", "/y?z=1", "/z?%zz=1&a=b;c")


def document(port: int, folder: Path) -> dict[str, Any]:
    def log(name: str, **more: Any) -> dict[str, Any]:
        writer = {"output": "file", "filename": str(folder / name), "roll": False}
        return {"writer": writer, **more}

    encoder = {"format": "filter", "wrap": {"format": "json"}, "fields": FILTERS}
    logs = {
        "default": log("default.log", exclude=["http.log.access.own"]),
        "own": log("own.log", include=["http.log.access.own"], encoder=encoder),
        "columns": log("columns.log", include=["http.log.access.own"], encoder={"format": "append", "fields": {"os": "{system.os}"}, "wrap": {"format": "console", "time_key": "", "level_format": "upper"}}),
    }  # fmt: skip
    answer = say("y", headers={"Set-Cookie": ["a=1; Path=/; HttpOnly", "b=2"]})
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "logs": {"default_logger_name": "own", "should_log_credentials": True, "logger_names": {"other.example": [""]}},
        "routes": [{"handle": [answer]}],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
    }  # fmt: skip
    return {
        "admin": {"disabled": True},
        "logging": {"logs": logs},
        "apps": {"http": {"servers": {"s": server}}},
    }


def lines_of(path: Path, count: int) -> list[str]:
    """Wait for so many lines about requests."""
    deadline = time.monotonic() + PATIENCE
    while True:
        lines = [line for line in path.read_text().splitlines() if "handled request" in line]
        if len(lines) >= count or time.monotonic() > deadline:
            return lines
        time.sleep(0.05)


def without_own(line: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(line).items() if key not in OWN}


def test_lines_are_written_filtered_and_sorted_into_logs_as_caddy_does(tmp_path):
    written = []
    for program in (caddy, quantum):
        folder, port = tmp_path / program.__name__, free_port()
        folder.mkdir()
        config = folder / "config.json"
        config.write_text(json.dumps(document(port, folder)))
        command = caddy(config) if program is caddy else quantum(config, folder / "data")
        with running(command, port, folder / "output"):
            client = Client(port)
            for target in TARGETS:
                client.ask(0, "GET", target, FIELDS, "example.com")
            client.ask(0, "GET", "/", (), "other.example")
            client.close()
            own = [without_own(line) for line in lines_of(folder / "own.log", len(TARGETS))]
            default = [without_own(line) for line in lines_of(folder / "default.log", 1)]
            columns = [
                line.split("\t")[:3] for line in lines_of(folder / "columns.log", len(TARGETS))
            ]
            more = json.loads((folder / "columns.log").read_text().splitlines()[0].split("\t")[3])
        for line in default:
            line["request"].pop("remote_port")
            line["resp_headers"].pop("Server", None)
        written.append((own, default, columns, more["os"]))
    assert written[0] == written[1]
    assert len(written[0][0]) == len(TARGETS)
    assert len(written[0][1]) == 1
