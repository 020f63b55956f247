"""Which answers are compressed, by what, and with which fields: as the real Caddy does."""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import os
from pathlib import Path

import zstandard

from quantum.testing.topology import free_port
from tests.integration.caddy.differential import caddy, quantum, running, say

BODY = "hello world " * 100
DATED = 1_700_000_000
IGNORED = {"date", "server", "content-length", "transfer-encoding", "connection"}
CONTENTS = {
    "a.txt": BODY.encode(), "long.json": b"[%b]" % (b"123, " * 80_000), "empty.txt": b"", "a.png": BODY.encode(),
    "p.js": b"plain" * 200, "p.js.gz": b"gz", "p.js.br": b"br", "p.js.zst": b"zst", "q.js": b"plain" * 200,
    "q.js.br": b"br",
}  # fmt: skip
ANSWERS = {
    "plain": say(BODY, headers={"Etag": ['"x"'], "X-A": ["kept"]}),
    "weak": say(BODY, headers={"Etag": ['W/"x"'], "Vary": ["Accept-Language"]}),
    "varied": say(BODY, headers={"Vary": ["Accept-Language, accept-encoding"]}),
    "short": say("x" * 512), "long-enough": say("x" * 513), "none": say("", status_code=204),
    "part": say(BODY, status_code=206), "same": say("", status_code=304, headers={"Etag": ['"x"']}),
    "error": say(BODY, status_code=500), "encoded": say(BODY, headers={"Content-Encoding": ["foo"]}),
    "identity": say(BODY, headers={"Content-Encoding": ["identity"]}),
    "picture": say(BODY, headers={"Content-Type": ["image/png"]}),
    "svg": say(BODY, headers={"Content-Type": ["image/svg+xml"]}),
    "json": say(json.dumps([BODY])), "fixed": say(BODY, headers={"Cache-Control": ["no-transform"]}),
}  # fmt: skip
HANDLERS = {
    "default": {"encodings": {"gzip": {}, "zstd": {}}},
    "gzip-first": {"encodings": {"gzip": {"level": 9}, "zstd": {"level": "best"}}, "prefer": ["gzip"]},
    "longer": {"encodings": {"gzip": {}}, "minimum_length": 3000},
    "pictures": {"encodings": {"gzip": {}}, "match": {"headers": {"Content-Type": ["image/*"]}, "status_code": [2]}},
    "nothing": {},
}  # fmt: skip
ACCEPTED = (
    "gzip", "zstd", "gzip, zstd", "gzip, br;q=0.9, zstd;q=0.8", "gzip;q=0.1, zstd;q=0.2", "gzip;q=0", "*", "identity", "GZIP", "",
    "br, zstd", "gzip;q=2, zstd;q=x",
)  # fmt: skip


def stripped(prefix: str, *handlers: dict) -> dict:
    rewrite = {"handler": "rewrite", "strip_path_prefix": f"/{prefix}"}
    chain = {"handler": "subroute", "routes": [{"handle": [rewrite, *handlers]}]}
    return {"match": [{"path": [f"/{prefix}/*"]}], "handle": [chain], "terminal": True}


def document(port: int, site: Path) -> dict:
    files = {"handler": "file_server", "root": str(site)}
    packed = {"precompressed": {"gzip": {}, "br": {}, "zstd": {}}}
    answers = [
        {"match": [{"path": [f"/{name}"]}], "handle": [answer], "terminal": True}
        for name, answer in ANSWERS.items()
    ]
    inside = [*answers, stripped("files", files), stripped("packed", {**files, **packed})]
    routes = [
        stripped("packed", {**files, **packed}),
        stripped("ordered", {**files, **packed, "precompressed_order": ["br", "zstd"]}),
        stripped("hiding", {**files, **packed, "hide": ["*.gz"]}),
    ]
    for name, config in HANDLERS.items():
        encode = {"handler": "encode", **config}
        routes.append(stripped(name, encode, {"handler": "subroute", "routes": inside}))
    server = {
        "listen": [f"127.0.0.1:{port}"], "routes": routes, "automatic_https": {"disable": True}, "protocols": ["h1"],
    }  # fmt: skip
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"srv0": server}}}}


def questions() -> list[tuple[str, str, dict[str, str]]]:
    """Method, target and fields of each."""
    asked = []
    for handler, answer in itertools.product(HANDLERS, ANSWERS):
        asked += [("GET", f"/{handler}/{answer}", {"Accept-Encoding": a}) for a in ACCEPTED[:3]]
    asked += [("GET", "/default/plain", {"Accept-Encoding": a}) for a in ACCEPTED]
    asked += [("GET", "/gzip-first/plain", {"Accept-Encoding": a}) for a in ACCEPTED]
    asked += [("GET", "/default/plain", {}), ("HEAD", "/default/plain", {})]
    gzipped = {"Accept-Encoding": "gzip"}
    asked.append(("GET", "/default/plain", {**gzipped, "Cache-Control": "no-transform"}))
    tag = '"cwyvpelgpse8-xc-gzip"'
    for more in ({}, {"Range": "bytes=0-700"}, {"If-None-Match": tag}, {"If-None-Match": f'"a", {tag}'},
                 {"If-Match": tag}, {"Range": "bytes=0-700", "If-Range": tag}):  # fmt: skip
        asked.append(("GET", "/default/files/a.txt", {**gzipped, **more}))
        if "Range" not in more:  # of HEAD there are no ranges here (RFC 9110 §14.2)
            asked.append(("HEAD", "/default/files/a.txt", {**gzipped, **more}))
    for name in ("a.txt", "long.json", "empty.txt", "a.png", "p.js"):
        asked.append(("GET", f"/default/files/{name}", gzipped))
    for place, name in itertools.product(
        ("packed", "ordered", "hiding", "default/packed"), ("p.js", "q.js", "a.txt", "p.js.gz")
    ):
        asked += [("GET", f"/{place}/{name}", {"Accept-Encoding": a}) for a in ACCEPTED]
        asked.append(("HEAD", f"/{place}/{name}", gzipped))
        asked.append(("GET", f"/{place}/{name}", {**gzipped, "Range": "bytes=0-1"}))
    return asked


def ask(connection: http.client.HTTPConnection, method: str, target: str, fields: dict[str, str]):
    """Return status, fields that matter, and the content as it was before ``encode``."""
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in fields.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    kept = sorted((k.lower(), v) for k, v in response.getheaders() if k.lower() not in IGNORED)
    if body.startswith(b"\x1f\x8b"):  # files that were packed before have other bytes here
        body = gzip.decompress(body)
    elif body.startswith(b"\x28\xb5\x2f\xfd"):
        body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
    if response.status in {304, 412}:  # see caddy-differences.md: not-modified
        kept = [field for field in kept if field[0] not in {"content-type", "last-modified"}]
    return response.status, kept, body


def test_every_answer_is_encoded_as_caddy_encodes_it(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    for name, content in CONTENTS.items():
        (site / name).write_bytes(content)
        os.utime(site / name, (DATED, DATED))
    ports = free_port(), free_port()
    configs = [tmp_path / f"{port}.json" for port in ports]
    for config, port in zip(configs, ports, strict=True):
        config.write_text(json.dumps(document(port, site)))
    different = []
    with (
        running(caddy(configs[0]), ports[0], tmp_path / "caddy.log"),
        running(quantum(configs[1], tmp_path / "data"), ports[1], tmp_path / "quantum.log"),
    ):
        clients = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for port in ports]
        for question in questions():
            expected, given = (ask(client, *question) for client in clients)
            if expected != given:
                different.append(f"{question}\n  {str(expected)[:400]}\n  {str(given)[:400]}")
        for client in clients:
            client.close()
    assert len(questions()) > 400
    assert not different, f"{len(different)}:\n" + "\n".join(different[:12])
