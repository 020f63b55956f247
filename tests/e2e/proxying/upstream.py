"""An upstream that does what its path says, in a thread of the test process."""

import http.server
import json
import threading
from collections import Counter


class Talker:
    """/status/N answers N; /flaky/KEY fails twice; /verify knows one user; the rest is an echo."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        talker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                talker.seen[self.path] += 1
                status, fields, text = talker.answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.dial = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, method, path, headers, body):
        parts = path.partition("?")[0].strip("/").split("/")
        if parts[0] == "verify":
            user = headers.get("X-Token", "")
            asked = {"X-User": user, "X-Asked": f"{method} {headers.get('X-Forwarded-Uri')}"}
            return (200 if user else 401), asked, "who are you?"
        if "status" in parts:
            status = int(parts[parts.index("status") + 1])
            return status, {"X-Reason": f"because {status}", "X-Inner": "1"}, f"status {status}"
        if "elsewhere" in parts:
            return 200, {"X-Accel-Redirect": "/files/inside.txt", "X-Inner": "1"}, "dropped"
        if "flaky" in parts:
            count = self.seen[path]
            return (503 if count % 3 else 200), {"X-Count": str(count)}, f"{method} {body.decode()}"
        echo = {
            "method": method,
            "target": path,
            "user": headers.get("X-User"),
            "body": body.decode(),
        }
        return 200, {"X-Inner": "1"}, json.dumps(echo)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
