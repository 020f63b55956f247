"""FastCGI: Caddy and Quantum before one PHP-FPM must tell scripts the same and bring back the same."""

import difflib
import http.client
import json

import pytest

from quantum.testing.topology import free_port
from tests.integration.caddy import differential
from tests.integration.proxy import fpm

pytestmark = [
    pytest.mark.skipif(fpm.program() is None, reason="no php-fpm here"),
]
OURS = {
    "SERVER_SOFTWARE", "SERVER_PORT", "HTTP_HOST", "HTTP_X_FORWARDED_HOST", "REMOTE_PORT", "REQUEST_TIME",
    "REQUEST_TIME_FLOAT", "HTTP_VIA", "argv", "argc",
}  # fmt: skip
"""Each program's own name, its port, the time."""
NEVER_SAME = {"HTTP_ACCEPT_ENCODING"}
"""Row ``accept-encoding`` of docs/caddy-differences.md; CONTENT_TYPE, where there is none, is another."""
ASKS = [
    ("GET", "/index.php", {}, None),
    ("GET", "/index.php/a/b%20c?x=1&y=%C3%BC", {"X-Twice": "a", "Cookie": "k=v; l=w"}, None),
    ("GET", "/INDEX.PHP/up", {}, None),
    ("GET", "/index.phpx", {}, None),
    ("GET", "/sub//index.php/../index.php/x", {}, None),
    ("GET", "/index.php/x.php/y", {"Proxy": "http://evil", "X-Forwarded-For": "9.9.9.9"}, None),
    ("POST", "/index.php", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&b=2"),
    ("POST", "/index.php", {}, b""),
    ("PUT", "/index.php/put", {"Content-Type": "text/plain"}, b"x" * 100_000),
    ("DELETE", "/index.php/gone", {}, None),
    ("HEAD", "/index.php/big", {}, None),
    ("GET", "/index.php/redirect", {}, None),
    ("GET", "/index.php/teapot", {}, None),
    ("GET", "/index.php/empty", {}, None),
    ("GET", "/index.php/cookies", {"Cookie": "c=3"}, None),
    ("GET", "/missing.php", {}, None),
    ("GET", "/pretty/link?p=1", {"X-Rewrite": "yes"}, None),
]


def document(port, dial, root):
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial}],
        "transport": {
            "protocol": "fastcgi", "root": root, "split_path": [".php"],
            "env": {"APP_METHOD": "{http.request.method}", "EMPTY": ""},
        },
    }  # fmt: skip
    rewriting = {
        "match": [{"header": {"X-Rewrite": ["yes"]}}],
        "handle": [{"handler": "rewrite", "uri": "/index.php"}],
    }
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "routes": [rewriting, {"handle": [proxy]}],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
    }
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"srv0": server}}}}


def answers(port):
    """Return what came back of each request; what a script was told without what cannot be the same."""
    seen = []
    for method, target, fields, body in ASKS:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, target, body, {"User-Agent": "tests", **fields})
        response = connection.getresponse()
        content = response.read()
        headers = sorted((n.lower(), v) for n, v in response.getheaders() if n.lower() in KEPT)
        if content.startswith(b'{"server"'):
            told = json.loads(content)
            left_out = OURS | NEVER_SAME | (set() if "Content-Type" in fields else {"CONTENT_TYPE"})
            told["server"] = {n: v for n, v in told["server"].items() if n not in left_out}
            content = json.dumps(told, sort_keys=True, indent=1).encode()
        seen.append(f"{method} {target} -> {response.status} {headers} {content.decode()[:6000]}")
        connection.close()
    return seen


KEPT = {"content-type", "location", "set-cookie", "x-powered-by"}


def test_scripts_are_told_the_same_and_clients_hear_the_same(tmp_path):
    with fpm.running(tmp_path) as dial:
        root = str(tmp_path / "site")
        both = {}
        for program in ("caddy", "quantum"):
            port, config = free_port(), tmp_path / f"{program}.json"
            config.write_text(json.dumps(document(port, dial, root)))
            command = differential.caddy(config)
            if program == "quantum":
                command = differential.quantum(config, tmp_path / "data")
                command += ["--target", "edge,proxy,health"]
            with differential.running(command, port, tmp_path / f"{program}.log"):
                both[program] = answers(port)
    differing = []
    for caddys, ours in zip(both["caddy"], both["quantum"], strict=True):
        lines = difflib.unified_diff(caddys.splitlines(), ours.splitlines(), lineterm="", n=0)
        differing += [f"{caddys.splitlines()[0][:60]}: {line}" for line in list(lines)[2:]]
    assert not differing, "\n".join(differing)
