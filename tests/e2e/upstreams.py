"""Upstreams for end-to-end tests: small real servers, in threads of the test process or in containers.

``python upstreams.py NAME PORT`` runs one; ``/control/ill`` and ``/control/well`` set its health, ``/go-on`` ends the wait of ``/events``.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Upstream:
    """Answers with its name and what it was asked; can be told to be ill."""

    def __init__(self, name: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self.name = name
        self.is_healthy = True
        self.goes_on = threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/events":
                    self._tell_events()
                else:
                    self._answer(b"")

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                self._answer(self.rfile.read(length))

            def _answer(self, body: bytes) -> None:
                if self.path == "/go-on":
                    upstream.goes_on.set()
                if self.path.startswith("/control/"):
                    upstream.is_healthy = self.path == "/control/well"
                    status, text = 200, b"done"
                elif self.path == "/health":
                    status = 200 if upstream.is_healthy else 503
                    text = b"ok"
                else:
                    status = 200
                    facts = {
                        "upstream": upstream.name,
                        "method": self.command,
                        "target": self.path,
                        "headers": {k.lower(): v for k, v in self.headers.items()},
                        "length": len(body),
                    }
                    if self.path.startswith("/slow"):
                        time.sleep(1.5)
                    text = json.dumps(facts).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _tell_events(self) -> None:
                """One event at once, the other when told to."""
                self.close_connection = True
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(b"data: first\n\n")
                if upstream.goes_on.wait(60):
                    self.wfile.write(b"data: second\n\n")

            def log_message(self, *_: object) -> None:
                """Say nothing: the platform's logs are what a failure needs."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, *_: object) -> None:
                """Connections cut by a killed proxy are part of the scenarios."""

        self._server = Server((host, port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    Upstream(sys.argv[1], "0.0.0.0", int(sys.argv[2]))
    threading.Event().wait()
