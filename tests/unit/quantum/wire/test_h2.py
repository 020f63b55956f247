"""HTTP/2 with two endpoints in memory: what our codec promises, and what it relies on in ngh2."""

import random

import pytest

from quantum.wire.h2 import (
    CANCEL,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    H2Codec,
    H2Failure,
    H2Settings,
    H2Sink,
    H2StreamGone,
    never_indexed,
)

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]
OK = [(b":status", b"200")]


class Recorder(H2Sink):
    """Writes down what it hears, one tuple each."""

    def __init__(self):
        self.heard = []
        self.codec = None
        self.consumes = True

    def take(self):
        heard, self.heard = self.heard, []
        return heard

    def request_received(self, stream_id, fields, ended):
        self.heard.append(("request", stream_id, list(fields), ended))

    def response_received(self, stream_id, fields, ended):
        self.heard.append(("response", stream_id, list(fields), ended))

    def informational_received(self, stream_id, fields):
        self.heard.append(("informational", stream_id, list(fields)))

    def bytes_received(self, stream_id, data, ended):
        self.heard.append(("bytes", stream_id, data, ended))
        if data and self.consumes:
            self.codec.consumed(stream_id, len(data))

    def trailers_received(self, stream_id, fields):
        self.heard.append(("trailers", stream_id, list(fields)))

    def stream_closed(self, stream_id, error_code):
        self.heard.append(("closed", stream_id, error_code))

    def goaway_received(self, last_stream_id, error_code):
        self.heard.append(("goaway", last_stream_id, error_code))

    def ping_acknowledged(self):
        self.heard.append(("pong",))

    def connection_closed(self, error_code):
        self.heard.append(("connection closed",))


class Pair:
    """A client and a server, and the wire between them."""

    def __init__(self, client=H2Settings(), server=H2Settings(), piece=None):  # noqa: B008
        self.client_hears, self.server_hears = Recorder(), Recorder()
        self.client = H2Codec("client", client, self.client_hears)
        self.server = H2Codec("server", server, self.server_hears)
        self.client_hears.codec, self.server_hears.codec = self.client, self.server
        self.piece = piece
        self.shake()

    def shake(self):
        """Carry bytes until both are quiet."""
        while True:
            forth = self.client.take_output(1 << 20)
            self._carry(forth, self.server)
            back = self.server.take_output(1 << 20)
            self._carry(back, self.client)
            if not forth and not back:
                return

    def _carry(self, data, target):
        step = self.piece or len(data) or 1
        for start in range(0, len(data), step):
            target.receive(data[start : start + step])


def kinds(heard):
    return [item[0] for item in heard]


def body_of(heard):
    return b"".join(item[2] for item in heard if item[0] == "bytes")


@pytest.mark.parametrize("piece", [None, 1, 7])
def test_an_exchange_arrives_whole_however_the_bytes_are_cut(piece):
    pair = Pair(piece=piece)
    stream = pair.client.request([*POST, (b"x", b"y")], False)
    pair.client.send_data(stream, b"ask", True)
    pair.shake()
    heard = pair.server_hears.take()
    assert heard[0] == ("request", stream, [*POST, (b"x", b"y")], False)
    assert body_of(heard) == b"ask"
    pair.server.inform(stream, [(b":status", b"103"), (b"link", b"</a>")])
    pair.server.respond(stream, OK, False)
    pair.server.send_data(stream, b"answer")
    pair.server.send_trailers(stream, [(b"sum", b"1")])
    pair.shake()
    heard = pair.client_hears.take()
    assert kinds(heard) == ["informational", "response", "bytes", "trailers", "closed"]
    assert body_of(heard) == b"answer"
    assert heard[-2:] == [("trailers", stream, [(b"sum", b"1")]), ("closed", stream, NO_ERROR)]


def test_a_field_that_must_not_be_remembered_arrives_as_any_other():
    pair = Pair()
    pair.client.request([*GET, never_indexed(b"secret", b"1")], True)
    pair.shake()
    assert pair.server_hears.take()[0][2] == [*GET, (b"secret", b"1")]


def test_bytes_that_nobody_consumes_stop_their_sender_and_no_other_stream():
    pair = Pair(server=H2Settings(stream_window=65_536, connection_window=1 << 20))
    pair.server_hears.consumes = False
    slow, quick = pair.client.request(POST, False), pair.client.request(POST, False)
    pair.client.send_data(slow, bytes(200_000), True)
    pair.shake()
    assert len(body_of(pair.server_hears.take())) == 65_536
    assert pair.client.queued(slow) == 200_000 - 65_536
    pair.client.send_data(quick, b"still here", True)
    pair.shake()
    assert body_of(pair.server_hears.take()) == b"still here"
    pair.server_hears.consumes = True
    pair.server.consumed(slow, 65_536)
    pair.shake()
    assert len(body_of(pair.server_hears.take())) == 200_000 - 65_536
    assert pair.client.queued(slow) == 0


def test_bytes_of_a_stream_that_is_gone_can_still_be_consumed():
    pair = Pair(server=H2Settings(stream_window=65_536, connection_window=65_536))
    pair.server_hears.consumes = False
    first = pair.client.request(POST, False)
    pair.client.send_data(first, bytes(65_536))
    pair.shake()
    pair.server.reset(first, CANCEL)
    pair.shake()
    pair.server.consumed(first, 65_536)
    pair.shake()
    second = pair.client.request(POST, False)
    pair.client.send_data(second, bytes(60_000), True)
    pair.shake()
    assert pair.client.queued(second) == 0


def test_resets_in_the_middle_of_frames_never_use_the_connection_up():
    pair = Pair(server=H2Settings(resets=(10**6, 10**6)))
    for _ in range(400):
        stream = pair.client.request(POST, False)
        pair.client.send_data(stream, bytes(16_000))
        sent = pair.client.take_output(1 << 20)
        pair.server.receive(sent[:-1000])  # most of a DATA frame, never all of it
        pair.server.reset(stream, CANCEL)
        answer = pair.server.take_output(1 << 20)
        pair.server.receive(sent[-1000:])
        pair.client.receive(answer)
        pair.shake()
    last = pair.client.request(POST, False)
    pair.client.send_data(last, bytes(60_000), True)
    pair.shake()
    assert pair.client.queued(last) == 0


@pytest.mark.parametrize(("length", "body"), [(10, b"short"), (2, b"long"), (5, b"")])
def test_a_body_of_another_length_than_announced_resets_its_stream(length, body):
    pair = Pair()
    stream = pair.client.request([*POST, (b"content-length", b"%d" % length)], False)
    pair.client.send_data(stream, body, True)
    pair.shake()
    heard = pair.server_hears.take()
    assert heard[-1] == ("closed", stream, PROTOCOL_ERROR)
    assert not any(item[0] == "bytes" and item[3] for item in heard), "it must not look ended"


@pytest.mark.parametrize(
    "fields",
    [
        [*GET, (b"connection", b"close")],
        [*GET, (b"transfer-encoding", b"chunked")],
        [*GET, (b"te", b"gzip")],
        [*GET, (b"a b", b"1")],
        [*GET, (b"a", b"1\r\nb: 2")],
        [*GET, (b"a", b"nul\0")],
        [*GET, (b":path", b"/twice")],
        [*GET[:3]],
        [(b"a", b"1"), *GET],
        [*GET[:3], (b":path", b"/a b")],
        [*GET, (b"content-length", b"1"), (b"content-length", b"2")],
        [*GET, (b"content-length", b"+1")],
        [(b":method", b"CONNECT"), *GET[1:]],
    ],
)
def test_a_malformed_request_is_reset_and_never_told(fields):
    pair = Pair()
    pair.client.request(fields, True)
    pair.shake()
    assert kinds(pair.server_hears.take()) in ([], ["closed"])
    assert ("closed", 1, PROTOCOL_ERROR) in pair.client_hears.take()


def test_a_malformed_response_is_reset_and_never_told():
    pair = Pair()
    stream = pair.client.request(GET, True)
    pair.shake()
    pair.server.respond(stream, [*OK, (b"x", b"a\nb")], True)
    pair.shake()
    assert pair.client_hears.take() == [("closed", stream, PROTOCOL_ERROR)]


def test_a_tunnel_needs_the_server_to_offer_it():
    pair = Pair()
    assert pair.client.peer_takes_extended_connect
    connect = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]
    stream = pair.client.request(connect, False)
    pair.shake()
    assert pair.server_hears.take() == [("request", stream, connect, False)]
    assert not Pair(server=H2Settings(extended_connect=False)).client.peer_takes_extended_connect


def test_streams_beyond_the_limit_wait_for_one_to_end():
    pair = Pair(server=H2Settings(max_streams=2))
    assert pair.client.peer_max_streams == 2
    first, _, third = [pair.client.request(GET, True) for _ in range(3)]
    pair.shake()
    assert len(pair.server_hears.take()) == 2
    pair.server.respond(first, OK, True)
    pair.shake()
    assert ("request", third, GET, True) in pair.server_hears.take()


def test_a_goaway_tells_which_streams_were_not_touched():
    pair = Pair()
    served = pair.client.request(GET, True)
    pair.shake()
    pair.server.goaway()
    on_its_way = pair.client.request(GET, True)
    pair.shake()
    heard = pair.client_hears.take()
    assert ("closed", on_its_way, REFUSED_STREAM) in heard
    assert ("goaway", served, NO_ERROR) in heard
    assert not pair.client.takes_requests
    with pytest.raises(H2Failure):
        pair.client.request(GET, True)
    pair.server.respond(served, OK, True)
    pair.shake()
    heard = pair.client_hears.take()
    assert kinds(heard) == ["response", "closed", "connection closed"]
    assert pair.server_hears.take()[-1] == ("connection closed",)


def test_a_shutdown_notice_lets_requests_on_their_way_in():
    pair = Pair()
    on_its_way = pair.client.request(GET, True)
    sent = pair.client.take_output(1 << 20)
    pair.server.notice_shutdown()
    pair.shake()
    pair.server.receive(sent)
    assert pair.server_hears.take() == [("request", on_its_way, GET, True)]


@pytest.mark.parametrize("count", [300, 3000])
def test_too_many_fields_end_the_connection(count):
    pair = Pair(server=H2Settings(field_count=256))
    pair.client.request([*GET, *[(b"cookie", b"a") for _ in range(count)]], True)
    with pytest.raises(H2Failure, match="count"):
        pair.shake()
    assert pair.server_hears.take() == []


def test_a_small_block_that_decodes_to_a_large_head_ends_the_connection():
    pair = Pair(client=H2Settings(field_bytes=1 << 20), server=H2Settings(field_bytes=64 * 1024))
    big = [(b"x", b"v" * 3000)] * 40  # indexed after the first: some forty bytes on the wire
    pair.client.request([*GET, *big], True)
    with pytest.raises(H2Failure, match="size"):
        pair.shake()


def test_resetting_streams_as_fast_as_they_open_ends_the_connection():
    pair = Pair(server=H2Settings(resets=(10, 1)))  # the codec itself takes ten times as many
    for _ in range(150):
        stream = pair.client.request(GET, True)
        pair.client.reset(stream, CANCEL)
        pair.server.receive(_opened_and_reset(pair, stream))
    pair.shake()
    assert kinds(pair.client_hears.take())[-1] == "connection closed"


def _opened_and_reset(pair, stream):
    # nghttp2 drops a request that is reset before it left, so the frames are made by hand.
    head = bytes.fromhex("828684") + b"\x41\x01a"
    opening = len(head).to_bytes(3, "big") + b"\x01\x05" + stream.to_bytes(4, "big") + head
    return opening + b"\x00\x00\x04\x03\x00" + stream.to_bytes(4, "big") + CANCEL.to_bytes(4, "big")


def test_what_is_said_to_a_closed_stream_is_refused_and_harms_nobody():
    pair = Pair()
    stream = pair.client.request(GET, True)
    pair.shake()
    pair.client.reset(stream, CANCEL)
    pair.shake()
    with pytest.raises(H2StreamGone):
        pair.server.respond(stream, OK, True)
    with pytest.raises(H2StreamGone):
        pair.server.send_data(stream, b"x")
    pair.server.reset(stream, CANCEL)
    other = pair.client.request(GET, True)
    pair.shake()
    pair.server.respond(other, OK, True)
    pair.shake()
    assert ("response", other, OK, True) in pair.client_hears.take()


def test_a_ping_is_answered():
    pair = Pair()
    pair.client.ping()
    pair.shake()
    assert ("pong",) in pair.client_hears.take()


def test_bytes_that_are_not_http2_end_the_connection():
    pair = Pair()
    server = H2Codec("server", H2Settings(), Recorder())
    with pytest.raises(H2Failure):
        server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert pair.client.takes_requests


def test_noise_raises_nothing_but_a_failure():
    noise = random.Random(7)
    for _ in range(300):
        pair = Pair()
        pair.client.request(POST, False)
        sent = bytearray(pair.client.take_output(1 << 20))
        for _ in range(3):
            sent[noise.randrange(len(sent))] = noise.randrange(256)
        try:
            pair.server.receive(bytes(sent) + noise.randbytes(40))
            pair.server.take_output(1 << 20)
        except H2Failure:
            continue
