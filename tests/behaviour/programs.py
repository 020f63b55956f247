"""Both programs with one configuration: every case is a route, and has its own upstreams in each program."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantum.testing.topology import free_port
from tests.behaviour.backends import Backend, Fleet, Seen
from tests.integration.caddy import differential

PROGRAMS = ("caddy", "quantum")
ROOMS = "edge,proxy,health"
CASE = "X-Case"
IGNORED_FIELDS = {"date", "content-length", "sec-websocket-accept"}


@dataclass(frozen=True)
class Ask:
    """One request. ``do`` tells the upstream what to do; ``raw`` are bytes sent after the answer's head."""

    method: str = "GET"
    target: str = "/"
    fields: tuple[tuple[str, str], ...] = ()
    body: str = ""
    do: str = ""
    raw: bytes = b""
    chunked: bool = False
    pause: float = 0.0
    closes: bool = False


@dataclass(frozen=True)
class Case:
    """A ``reverse_proxy`` and requests. ``modes`` and ``healths`` name what its upstreams do.

    ``differs`` names the row of docs/caddy-differences.md that explains why the programs do not agree: then
    they must not. ``counts`` compares how many requests each upstream got, and not which.
    """

    name: str
    proxy: dict[str, Any]
    asks: tuple[Ask, ...]
    modes: tuple[str, ...] = ("ok",)
    healths: tuple[str, ...] = ()
    differs: str = ""
    counts: bool = False
    compares_checks: bool = False
    limits: tuple[dict[str, Any], ...] = ()
    build: Callable[[list[str]], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Answer:
    """What a client saw."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: str
    is_whole: bool
    early: tuple[int, ...] = ()
    after: str = ""


@dataclass
class Run:
    """One program and its upstreams."""

    program: str
    port: int
    backends: dict[str, list[Backend]] = field(default_factory=dict)


def document(cases: list[Case], run: Run) -> dict[str, Any]:
    """Return the configuration: a route for each case, told apart by a field."""
    routes = []
    for case in cases:
        backends = run.backends[case.name]
        dials = [backend.dial for backend in backends]
        config = case.build(dials) if case.build else case.proxy
        limits = case.limits or ({},) * len(dials)
        proxy = {
            "handler": "reverse_proxy",
            "upstreams": [{"dial": d, **limit} for d, limit in zip(dials, limits, strict=True)],
            **config,
        }
        routes.append({"match": [{"header": {CASE: [case.name]}}], "handle": [proxy]})
    server = {
        "listen": [f"127.0.0.1:{run.port}"],
        "routes": [{**route, "terminal": True} for route in routes],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
    }
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"srv0": server}}}}


@contextmanager
def both(cases: list[Case], folder: Path) -> Iterator[tuple[Fleet, list[Run]]]:
    """Run Caddy and Quantum with ``cases`` until the block ends."""
    fleet, runs = Fleet(), []
    for program in PROGRAMS:
        run = Run(program, free_port())
        for case in cases:
            healths = case.healths or ("status 200",) * len(case.modes)
            run.backends[case.name] = [
                fleet.start(Backend(f"b{index}", mode, health))
                for index, (mode, health) in enumerate(zip(case.modes, healths, strict=True))
            ]
        (folder / f"{program}.json").write_text(json.dumps(document(cases, run)))
        runs.append(run)
    commands = (
        differential.caddy(folder / "caddy.json"),
        [*differential.quantum(folder / "quantum.json", folder / "data"), "--target", ROOMS],
    )
    try:
        with (
            differential.running(commands[0], runs[0].port, folder / "caddy.log"),
            differential.running(commands[1], runs[1].port, folder / "quantum.log"),
        ):
            yield fleet, runs
    finally:
        fleet.close()


def ask(run: Run, case: Case, request: Ask) -> Answer:
    """Send one request on a connection of its own and read the answer, as far as it comes."""
    time.sleep(request.pause)
    with socket.create_connection(("127.0.0.1", run.port), timeout=8) as sock:
        sock.sendall(_encode(case, request))
        with sock.makefile("rb") as stream:
            try:
                return _read(stream, sock, request)
            except OSError as error:
                return Answer(0, (), type(error).__name__, False)


def _encode(case: Case, request: Ask) -> bytes:
    lines = [f"{request.method} {request.target} HTTP/1.1", f"{CASE}: {case.name}"]
    if not any(name.lower() == "host" for name, _ in request.fields):
        lines.append("Host: site.example")
    lines += [f"{name}: {value}" for name, value in request.fields if value]
    if not any(name.lower() == "accept-encoding" for name, _ in request.fields):
        lines.append("Accept-Encoding: identity")
    if request.do:
        lines.append(f"X-Do: {request.do}")
    body = request.body.encode()
    if request.chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    elif body:
        lines.append(f"Content-Length: {len(body)}")
    if request.closes:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _read(stream: Any, sock: socket.socket, request: Ask) -> Answer:
    early: list[int] = []
    while True:
        status, fields = _head(stream)
        if status == 101 or status >= 200 or status == 0:
            break
        early.append(status)
    named = dict(fields)
    after = ""
    if request.raw and status == 101:
        sock.sendall(request.raw)
        after = stream.read(len(request.raw) + 2).decode()
        return Answer(status, fields, "", True, tuple(early), after)
    try:
        body, is_whole = _payload(stream, named, is_head=request.method == "HEAD")
    except OSError:
        body, is_whole = b"", False
    return Answer(status, fields, body.decode("latin-1"), is_whole, tuple(early))


def _head(stream: Any) -> tuple[int, tuple[tuple[str, str], ...]]:
    line = stream.readline().decode("latin-1")
    if not line:
        return 0, ()
    fields = []
    while entry := stream.readline().decode("latin-1").strip():
        name, _, value = entry.partition(":")
        fields.append((name.lower(), value.strip()))
    return int(line.split(" ")[1]), tuple(sorted(fields))


def _payload(stream: Any, named: dict[str, str], *, is_head: bool) -> tuple[bytes, bool]:
    is_chunked = named.get("transfer-encoding") == "chunked"
    has_end = is_chunked or "content-length" in named or named.get("connection") == "close"
    if is_head or not has_end:
        return b"", True
    if is_chunked:
        data = b""
        while True:
            line = stream.readline()
            if not line.strip():
                return data, False
            size = int(line, 16)
            if not size:
                trailers = b""
                while entry := stream.readline().strip():
                    trailers += entry
                return data + b"|" + trailers, True
            data += stream.read(size)
            stream.readline()
    if "content-length" in named:
        length = int(named["content-length"])
        data = stream.read(length)
        return data, len(data) == length
    return stream.read(), True


def tidy(answer: Answer, run: Run) -> Answer:
    """Take out what the programs say of themselves: their name, ports, the moment."""
    fields = [
        (name, _neutral(value, run)) for name, value in answer.fields if name not in IGNORED_FIELDS
    ]
    return Answer(
        answer.status, tuple(fields), answer.body, answer.is_whole, answer.early, answer.after
    )


def tidy_seen(seen: Seen, run: Run) -> Seen:
    """The same for a request at an upstream."""
    fields = [(name.lower(), _neutral(value, run)) for name, value in seen.fields]
    kept = [f for f in fields if f[0] not in {"x-case", "x-do", "sec-websocket-key"}]
    return Seen(seen.line, tuple(sorted(kept)), seen.body)


def _neutral(value: str, run: Run) -> str:
    for program in ("Caddy", "Quantum"):
        value = value.replace(program, "Program")
    for backends in run.backends.values():
        for backend in backends:
            value = value.replace(backend.dial, f"<{backend.name}>")
            value = value.replace(str(backend.port), f"<port of {backend.name}>")
    return value.replace(f":{run.port}", ":<port>")
