"""The jobs every contender does, and how each is told to do them."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BODY = "Hello from the edge, " * 4
H3_NAMES = "*.localhost"
"""The names by which HTTP/3 clients call, each with a connection of its own."""


@dataclass(frozen=True)
class Job:
    """One measured job: a server's key in the configurations, and what is fetched from or sent to it."""

    name: str
    server: str
    tls: bool
    path: str
    body_bytes: int = 0
    """Bytes that each request posts; 0: GET."""
    generator: str = "wrk"
    spoken_by_nginx: bool = True
    """Debian's nginx has no HTTP/3."""
    accept: str = ""
    """The content coding that the client takes."""


JOBS = (
    Job("h1-static_response", "response", False, "/"),
    Job("h1-static_response-tls", "response", True, "/"),
    Job("h1-file-1KiB", "files", False, "/1k.bin"),
    Job("h1-file-1KiB-tls", "files", True, "/1k.bin"),
    Job("h1-file-1MiB", "files", False, "/1m.bin"),
    Job("h1-file-1MiB-tls", "files", True, "/1m.bin"),
    Job("h1-encode-gzip-100KiB", "encoded", False, "/100k.json", accept="gzip"),
    Job(
        "h1-encode-zstd-100KiB",
        "encoded",
        False,
        "/100k.json",
        accept="zstd",
        spoken_by_nginx=False,
    ),
    Job("h1-encode-gzip-100KiB-ever-new", "encoded", False, "/new/100k.json", accept="gzip"),
    Job(
        "h1-encode-zstd-100KiB-ever-new",
        "encoded",
        False,
        "/new/100k.json",
        accept="zstd",
        spoken_by_nginx=False,
    ),
    Job("h1-proxy", "proxy", False, "/"),
    Job("h1-proxy-tls", "proxy", True, "/"),
    Job("h1-proxy-10-upstreams", "balanced", False, "/"),
    Job("h1-proxy-10-upstreams-post-10KiB", "balanced", False, "/", 10 * 1024),
    Job("h2-static_response-tls", "response", True, "/", 0, "h2load"),
    Job("h2-file-1KiB-tls", "files", True, "/1k.bin", 0, "h2load"),
    Job("h2-proxy-tls", "proxy", True, "/", 0, "h2load"),
    Job("h3-static_response", "response", True, "/", 0, "h3", spoken_by_nginx=False),
    Job("h3-file-1KiB", "files", True, "/1k.bin", 0, "h3", spoken_by_nginx=False),
    Job("h3-proxy", "proxy", True, "/", 0, "h3", spoken_by_nginx=False),
    Job("handshakes-tls1.3", "response", True, "/", 0, "tls-handshakes"),
    Job("handshakes-quic", "response", True, "/", 0, "quic-handshakes", spoken_by_nginx=False),
)
MARK = "to-be-replaced"
"""Where the upstream of "ever new" answers writes another text each time."""
BALANCED = 10
"""Upstreams of the job that balances: least_conn, checked actively and passively."""


@dataclass(frozen=True)
class Surroundings:
    """What the contenders share: a folder of files, certificates, upstreams' ports, a scratch folder."""

    site: Path
    certificate: Path
    key: Path
    upstreams: tuple[int, ...]
    scratch: Path


def make_site(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1k.bin").write_bytes(b"x" * 1024)
    (folder / "1m.bin").write_bytes(b"x" * 1024 * 1024)
    (folder / "100k.json").write_text(some_json(100 * 1024))


def some_json(size: int) -> str:
    """Return a list of records, as an API answers; the mark in it is what the upstream replaces."""
    rng = random.Random(1)
    rows: list[dict[str, Any]] = [{"mark": MARK}]
    length = 0
    while length < size:
        rows.append(
            {
                "id": rng.randrange(10**9),
                "name": rng.choice(("alpha", "beta", "gamma")) + str(rng.randrange(9999)),
                "active": rng.random() < 0.5,
                "email": f"user{rng.randrange(10**6)}@example.com",
                "tags": [rng.choice(("red", "green", "blue")) for _ in range(3)],
                "score": round(rng.random() * 100, 3),
            }
        )
        length += len(json.dumps(rows[-1])) + 2
    return json.dumps(rows)


def caddy_document(around: Surroundings, ports: dict[str, int], admin: int) -> dict[str, Any]:
    """Return the configuration that Caddy and Quantum both run; ports by "server" and "server-tls"."""
    files = {"handler": "file_server", "root": str(around.site)}
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{around.upstreams[0]}"}],
    }
    encode = {"handler": "encode", "encodings": {"gzip": {}, "zstd": {}}}
    new = {"handler": "subroute", "routes": [{"match": [{"path": ["/new/*"]}], "handle": [proxy]}]}
    handlers: dict[str, list[dict[str, Any]]] = {
        "response": [{"handler": "static_response", "body": BODY}],
        "files": [files],
        "proxy": [proxy],
        "balanced": [balancer(around)],
        "encoded": [encode, new, files],
    }
    servers: dict[str, Any] = {}
    for name, chain in handlers.items():
        for suffix in suffixes(name):
            servers[name + suffix] = {
                "listen": [f"127.0.0.1:{ports[name + suffix]}"],
                "protocols": ["h1", "h2", "h3"] if suffix else ["h1"],
                "automatic_https": {"disable": True},
                "routes": [{"handle": chain}],
            }
            if suffix:
                servers[name + suffix]["tls_connection_policies"] = [{}]
    load = [{"certificate": str(around.certificate), "key": str(around.key)}]
    return {
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "apps": {
            "http": {"servers": servers},
            "tls": {"certificates": {"load_files": load}, "disable_ocsp_stapling": True},
        },
    }


def suffixes(server: str) -> tuple[str, ...]:
    """Return the ways a server is offered: in clear, and over TLS where a job asks for it."""
    return ("", "-tls") if any(job.tls for job in JOBS if job.server == server) else ("",)


def servers() -> list[str]:
    """Return the keys of all servers."""
    return [n + suffix for n in dict.fromkeys(j.server for j in JOBS) for suffix in suffixes(n)]


def balancer(around: Surroundings) -> dict[str, Any]:
    """Return a proxy as it is run in earnest: several upstreams, chosen by load, watched both ways."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{port}"} for port in around.upstreams],
        "load_balancing": {"selection_policy": {"policy": "least_conn"}, "retries": 2},
        "health_checks": {
            "active": {"uri": "/", "interval": "1s", "timeout": "1s"},
            "passive": {
                "fail_duration": "10s",
                "max_fails": 5,
                "unhealthy_status": [5],
                "unhealthy_latency": "2s",
            },
        },
    }


def nginx_configuration(around: Surroundings, ports: dict[str, int]) -> str:
    """Return nginx's configuration for the same jobs, one worker, no access log, as ours and Caddy's."""
    tls = f"ssl_certificate {around.certificate}; ssl_certificate_key {around.key};"
    tls += " ssl_protocols TLSv1.2 TLSv1.3;"  # off by default before 1.23
    locations = {
        "response": f'return 200 "{BODY}";',
        "files": f"root {around.site};",
        "proxy": "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection '';",
        "encoded": f"root {around.site};",
        "balanced": "proxy_pass http://ten; proxy_http_version 1.1; proxy_set_header Connection '';",
    }
    offered = "".join(
        f"server {{ listen 127.0.0.1:{ports[name + suffix]}{f' ssl http2; {tls}' if suffix else ';'}"
        f" location / {{ {what} }} location /new/ {{ {locations['proxy']} }} }}\n"
        for name, what in locations.items()
        for suffix in suffixes(name)
    )
    ten = " ".join(f"server 127.0.0.1:{p} max_fails=5;" for p in around.upstreams)
    return nginx_frame(
        around.scratch,
        offered,
        f"upstream up {{ server 127.0.0.1:{around.upstreams[0]}; keepalive 64; }}"
        f"upstream ten {{ least_conn; {ten} keepalive 64; }}",
    )


def nginx_frame(scratch: Path, servers: str, upstreams: str = "") -> str:
    return f"""
worker_processes 1; daemon off; pid {scratch}/nginx.pid; error_log {scratch}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  types {{ application/json json; }} gzip on; gzip_comp_level 5; gzip_types application/json; gzip_proxied any; http2_max_concurrent_streams 256;
  client_body_buffer_size 64k; client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
  uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
  {upstreams}
  {servers} }}
"""
