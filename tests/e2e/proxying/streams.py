"""An upstream that streams: server-sent events, early hints, answers before requests have ended."""

import socket
import socketserver
import threading
import time


class Streams:
    """/stream/events, /stream/hints, /stream/duplex, /stream/cut; one connection per request."""

    def __init__(self) -> None:
        streams = self
        self.gone = threading.Event()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line = self.rfile.readline().decode()
                while self.rfile.readline().strip():
                    pass
                getattr(streams, line.split()[1].rpartition("/")[2])(self.rfile, self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients that leave are part of the scenarios."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.dial = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def events(self, _, sock) -> None:
        """Thirty events, each with the time at which it left."""
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        for _ in range(30):
            time.sleep(0.01)
            sock.sendall(b"data: %.6f\n\n" % time.monotonic())

    def endless(self, _, sock) -> None:
        """Events until nobody reads them any more."""
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        try:
            while True:
                sock.sendall(b"data: x\n\n")
                time.sleep(0.01)
        except OSError:
            self.gone.set()

    def hints(self, _, sock) -> None:
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        time.sleep(0.2)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def duplex(self, rfile, sock) -> None:
        """Answer each chunk of the request as it comes."""
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n"
        )
        total = 0
        while size := int(rfile.readline().strip() or b"0", 16):
            chunk = rfile.read(size + 2)[:-2]
            total += size
            sock.sendall(b"%x\r\n%s\r\n" % (size, chunk.upper()))
        sock.sendall(b"0\r\nX-Sum: %d\r\n\r\n" % total)

    def cut(self, _, sock) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
