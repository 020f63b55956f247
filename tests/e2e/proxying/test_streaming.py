"""What streams arrives as it is sent: events, hints, both directions at once, and proper or broken ends."""

import socket
import statistics
import time

GET = "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def open_raw(port: int, text: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(text.encode())
    return sock


def read_until(sock: socket.socket, mark: bytes, seen: bytes = b"") -> bytes:
    while mark not in seen:
        data = sock.recv(65536)
        assert data, f"ended before {mark!r}: {seen!r}"
        seen += data
    return seen


def delays(port: int) -> list[float]:
    """Return how long each event of /stream/events took to arrive."""
    got: list[float] = []
    with open_raw(port, GET.format("/stream/events")) as sock:
        while data := sock.recv(65536):
            now = time.monotonic()
            got += [now - float(part.split()[0]) for part in data.split(b"data: ")[1:]]
    return got


def test_events_arrive_within_five_milliseconds_of_a_direct_connection(site, streams):
    direct = delays(int(streams.dial.rpartition(":")[2]))
    proxied = delays(site.port)
    assert len(proxied) == len(direct) == 30
    # The fast quarter: the rest says how busy the machine is.
    assert statistics.quantiles(proxied)[0] - statistics.quantiles(direct)[0] < 0.005


def test_a_client_that_leaves_ends_the_stream_upstream(site, streams):
    streams.gone.clear()
    sock = open_raw(site.port, GET.format("/stream/endless"))
    read_until(sock, b"data: x")
    assert not streams.gone.is_set()
    sock.close()
    assert streams.gone.wait(5)


def test_early_hints_come_before_the_answer(site):
    with open_raw(site.port, GET.format("/stream/hints")) as sock:
        head = read_until(sock, b"\r\n\r\n")
        assert b"200 OK" not in head
        assert head.startswith(b"HTTP/1.1 103 ")
        assert b"</a.css>" in head
        assert b"200 OK" in read_until(sock, b"ok", head)


def test_an_answer_may_begin_before_the_request_has_ended(site):
    head = "POST /stream/duplex HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with open_raw(site.port, head) as sock:
        for word in (b"one", b"two", b"three"):
            sock.sendall(b"%x\r\n%s\r\n" % (len(word), word))
            read_until(sock, word.upper())
        sock.sendall(b"0\r\n\r\n")
        assert b"x-sum: 11" in read_until(sock, b"11\r\n\r\n").lower()


def test_an_answer_that_is_cut_upstream_does_not_end_cleanly(site):
    with open_raw(site.port, GET.format("/stream/cut")) as sock:
        seen = read_until(sock, b"only this")
        try:
            while data := sock.recv(65536):
                seen += data
        except ConnectionResetError:
            pass
        assert b"Content-Length: 100" in seen
        assert seen.endswith(b"only this")
