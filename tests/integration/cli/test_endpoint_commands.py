"""ready, stop and reload against an endpoint that plays the running process."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.__main__ import main


class Played(BaseHTTPRequestHandler):
    """Answers from ``server.answers`` and remembers what came."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        answers = self.server.answers
        status, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def address_string(self) -> str:
        return "peer"

    def log_message(self, *_: object) -> None:
        pass


class UnixServer(HTTPServer):
    """The same over a unix socket."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0


def playing(server: HTTPServer) -> Iterator[HTTPServer]:
    server.seen, server.answers = [], [(200, "ok")]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def process() -> Iterator[HTTPServer]:
    yield from playing(ThreadingHTTPServer(("127.0.0.1", 0), Played))


@pytest.fixture
def unix_process(tmp_path: Path) -> Iterator[HTTPServer]:
    yield from playing(UnixServer(str(tmp_path / "ops.sock"), Played))


def place(server: HTTPServer) -> str:
    return f"127.0.0.1:{server.server_address[1]}"


def test_ready_waits_until_the_process_is(process):
    process.answers = [(503, "starting"), (503, "starting"), (200, "ok")]
    assert main(["ready", "--ops", place(process), "--timeout", "10"]) == 0
    assert [path for _, path, _, _ in process.seen] == ["/readyz"] * 3


def test_ready_speaks_to_unix_sockets(unix_process):
    assert main(["ready", "--ops", f"unix/{unix_process.server_address}", "--timeout", "5s"]) == 0


def test_ready_gives_up_with_the_last_answer(process, capsys):
    process.answers = [(503, "waiting for certs")]
    assert main(["ready", "--ops", place(process), "--timeout", "300ms"]) == 1
    assert "503 waiting for certs" in capsys.readouterr().err


def test_ready_gives_up_when_nobody_listens(capsys):
    assert main(["ready", "--ops", "unix//nonexistent/ops.sock", "--timeout", "0.2"]) == 1
    assert "unix//nonexistent/ops.sock" in capsys.readouterr().err


def test_stop_asks_the_admin_api(process):
    assert main(["stop", "--address", place(process)]) == 0
    assert process.seen[0][:2] == ("POST", "/stop")


def test_stop_without_an_admin_api_says_what_to_try(capsys):
    assert main(["stop", "--address", "unix//nonexistent/admin.sock"]) == 1
    assert "try --address" in capsys.readouterr().err


def test_reload_posts_the_adapted_document(process, tmp_path):
    config = tmp_path / "c.json"
    config.write_text('{"static_files": {"./public": ":8080"}}')
    assert main(["reload", "-c", str(config), "--address", place(process), "--force"]) == 0
    method, path, fields, body = process.seen[0]
    assert (method, path) == ("POST", "/load")
    assert fields["Content-Type"] == "application/json"
    assert fields["Cache-Control"] == "must-revalidate"
    assert "apps" in json.loads(body)


def test_a_refused_reload_prints_the_reason(process, tmp_path, capsys):
    process.answers = [(400, '{"error": "apps.http: no such thing"}')]
    config = tmp_path / "c.json"
    config.write_text('{"apps": {}}')
    assert main(["reload", "-c", str(config), "--address", place(process)]) == 1
    assert "refused: apps.http: no such thing" in capsys.readouterr().err
