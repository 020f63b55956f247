"""The hop's frames, both ends in memory."""

import struct
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantum.wire.h2 import (
    CANCEL,
    FLOW_CONTROL_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    H2Failure,
    H2Settings,
    H2Sink,
    H2StreamGone,
)
from quantum.wire.mux import frames as mux
from quantum.wire.mux.codec import MuxCodec

HEAD = [(b"line", b"lead"), (b"facts", b""), (b"accept", b"*/*")]
ANSWER = [(b":status", b"200"), (b"server", b"x")]
WINDOW = 1000
SETTINGS = H2Settings(max_streams=3, stream_window=WINDOW)


class Ear(H2Sink):
    """Notes what it hears; gives window back unless it is ``slow``."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []
        self.codec: MuxCodec | None = None
        self.is_slow = False

    def request_received(self, stream_id, fields, ended, body=b""):
        self.heard.append(("request", stream_id, list(fields), ended, body))

    def response_received(self, stream_id, fields, ended):
        self.heard.append(("response", stream_id, list(fields), ended))

    def answer_received(self, stream_id, fields, body):
        self.heard.append(("answer", stream_id, list(fields), body))

    def informational_received(self, stream_id, fields):
        self.heard.append(("informational", stream_id, list(fields)))

    def bytes_received(self, stream_id, data, ended):
        self.heard.append(("bytes", stream_id, data, ended))
        if data and not self.is_slow:
            self.codec.consumed(stream_id, len(data))

    def trailers_received(self, stream_id, fields):
        self.heard.append(("trailers", stream_id, list(fields)))

    def stream_closed(self, stream_id, error_code):
        self.heard.append(("closed", stream_id, error_code))

    def settings_received(self):
        self.heard.append(("settings",))

    def goaway_received(self, last_stream_id, error_code):
        self.heard.append(("goaway", last_stream_id, error_code))

    def ping_acknowledged(self):
        self.heard.append(("pong",))

    def connection_closed(self, error_code):
        self.heard.append(("over", error_code))


class Pair:
    """A client and a server; ``settle`` carries what they say until neither says more."""

    def __init__(self, pieces: int = 1 << 20) -> None:
        self.near, self.far = Ear(), Ear()
        self.client = self.near.codec = MuxCodec("client", SETTINGS, self.near)
        self.server = self.far.codec = MuxCodec("server", SETTINGS, self.far)
        self.pieces = pieces
        self.settle()
        assert self.near.heard == self.far.heard == [("settings",)]
        self.forget()

    def settle(self) -> None:
        while True:
            up = self.client.take_output(1 << 20)
            self._give(self.server, up)
            down = self.server.take_output(1 << 20)
            self._give(self.client, down)
            if not up and not down:
                return

    def _give(self, codec: MuxCodec, data: bytes) -> None:
        for at in range(0, len(data), self.pieces):
            codec.receive(data[at : at + self.pieces])

    def forget(self) -> None:
        self.near.heard.clear()
        self.far.heard.clear()


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize("pieces", [1, 7, 1 << 20])
def test_what_is_all_here_is_told_in_one_step_however_the_socket_cuts_it(pieces):
    pair = Pair(pieces)
    one = pair.client.request(HEAD, True, b"body")
    pair.settle()
    assert pair.far.heard == [("request", one, HEAD, True, b"body")]
    assert pair.server.respond(one, ANSWER, True, b"answer"), "the stream is not over"
    pair.settle()
    assert pair.near.heard == [("answer", one, ANSWER, b"answer")]
    assert not pair.far.heard[1:], "what respond told is told again"
    assert not pair.client._streams
    assert not pair.server._streams


def test_bodies_in_pieces_end_with_their_trailers(pair):
    one = pair.client.request(HEAD, False)
    pair.client.send_data(one, b"a")
    pair.client.send_trailers(one, [(b"x-sum", b"1")])
    pair.settle()
    pair.server.inform(one, [(b":status", b"103")])
    pair.server.respond(one, ANSWER, False)
    pair.server.send_data(one, b"b")
    pair.server.send_data(one, b"", True)
    pair.settle()
    assert pair.far.heard == [
        ("request", one, HEAD, False, b""), ("bytes", one, b"a", False),
        ("trailers", one, [(b"x-sum", b"1")]), ("closed", one, 0),
    ]  # fmt: skip
    assert pair.near.heard == [
        ("informational", one, [(b":status", b"103")]), ("response", one, ANSWER, False),
        ("bytes", one, b"b", False), ("bytes", one, b"", True), ("closed", one, 0),
    ]  # fmt: skip


def test_an_answer_before_the_end_of_the_upload_leaves_the_stream_open(pair):
    one = pair.client.request(HEAD, False)
    pair.settle()
    assert not pair.server.respond(one, ANSWER, True, b"no"), "its upload is not over"
    pair.settle()
    assert pair.near.heard == [("response", one, ANSWER, False), ("bytes", one, b"no", True)]
    pair.client.send_data(one, b"late", True)
    pair.settle()
    assert pair.near.heard[2:] == pair.far.heard[2:] == [("closed", one, 0)]


def test_a_reader_that_does_not_read_stops_its_sender_and_no_other(pair):
    pair.far.is_slow = True
    slow, quick = pair.client.request(HEAD, False), pair.client.request(HEAD, False)
    pair.client.send_data(slow, b"s" * 3 * WINDOW)
    pair.settle()
    assert pair.client.queued(slow) == 2 * WINDOW == pair.client.queued_bytes
    pair.client.send_data(quick, b"q", True)
    pair.settle()
    assert ("bytes", quick, b"q", True) in pair.far.heard
    pair.server.consumed(slow, WINDOW // 2)
    pair.settle()
    assert pair.client.queued(slow) == 3 * WINDOW // 2
    pair.far.is_slow = False
    pair.server.consumed(slow, WINDOW // 2)
    pair.client.send_trailers(slow, [(b"t", b"1")])
    pair.settle()
    told = b"".join(h[2] for h in pair.far.heard if h[:2] == ("bytes", slow))
    assert told == b"s" * 3 * WINDOW
    assert pair.far.heard[-1] == ("trailers", slow, [(b"t", b"1")])
    assert pair.client.queued_bytes == 0


def test_a_long_body_is_told_as_it_comes(pair):
    one = pair.client.request(HEAD, False)
    pair.settle()
    pair.forget()
    pair.client.send_data(one, b"x" * WINDOW, True)
    sent = pair.client.take_output(1 << 20)
    for at in range(0, len(sent), 300):
        pair.server.receive(sent[at : at + 300])
    sizes = [len(h[2]) for h in pair.far.heard]
    assert (sum(sizes), len(sizes)) == (WINDOW, 4)
    assert [h[3] for h in pair.far.heard] == [False, False, False, True]


def test_long_bodies_leave_as_they_are_behind_their_heads(pair):
    body = b"x" * (mux.JOINED_BYTES + 1)
    pair.client.request(HEAD, True, body)
    head, piece = pair.client.take_pieces(1 << 20)
    assert piece is body
    pair.server.receive(head + piece)
    pair.server.respond(1, ANSWER, True, b"short")
    assert len(pair.server.take_pieces(1 << 20)) == 1


def test_heads_are_remembered_but_no_secrets_and_nothing_of_one_request(pair):
    known = [HEAD[2], (b"x-known", b"1")]
    for field in ((b"cookie", b"secret"), (b"quantum-vars", b"{}"), (b":protocol", b"websocket")):
        pair.client.request([*HEAD[:2], *known, field], True)
        pair.settle()
        assert pair.far.heard[-1][2] == [*HEAD[:2], *known, field]
    pair.client.request([*HEAD[:2], *known], True)
    pair.server.respond(1, [*ANSWER, (b"set-cookie", b"secret")], True)
    pair.settle()
    assert mux._known[b"\n".join(chain.from_iterable(known))] == tuple(known)
    kept = b"".join(mux._known)
    assert b"secret" not in kept
    assert b"quantum-vars" not in kept
    assert b":protocol" not in kept


def test_streams_take_turns(pair):
    both = [pair.client.request(HEAD, False) for _ in range(2)]
    pair.settle()
    pair.forget()
    for stream in both:
        pair.client._streams[stream].credit = pair.server._streams[stream].window = 1 << 30
        pair.client.send_data(stream, b"x" * 5 * mux.DATA_BYTES, True)
    pair.settle()
    order = [h[1] for h in pair.far.heard if h[0] == "bytes"]
    assert order == both * 5


def test_a_reset_drops_what_is_queued(pair):
    pair.far.is_slow = True
    one = pair.client.request(HEAD, False)
    pair.client.send_data(one, b"x" * 2 * WINDOW)
    pair.settle()
    pair.client.reset(one, CANCEL)
    pair.settle()
    assert pair.client.queued_bytes == 0
    assert pair.near.heard[-1] == pair.far.heard[-1] == ("closed", one, CANCEL)
    with pytest.raises(H2StreamGone):
        pair.client.send_data(one, b"more")
    with pytest.raises(H2StreamGone):
        pair.server.respond(one, ANSWER, True)
    pair.client.reset(one, CANCEL)
    pair.settle()


def test_more_streams_than_allowed_are_refused(pair):
    for _ in range(SETTINGS.max_streams):
        pair.client.request(HEAD, True)
    refused = pair.client.request(HEAD, True)
    pair.settle()
    assert pair.client.peer_max_streams == SETTINGS.max_streams
    assert pair.near.heard == [("closed", refused, REFUSED_STREAM)]


def test_a_goodbye_refuses_what_came_after_and_finishes_what_came_before(pair):
    before = pair.client.request(HEAD, True)
    pair.settle()
    pair.server.notice_shutdown()
    pair.server.goaway()
    after = pair.client.request(HEAD, True)
    pair.settle()
    assert ("closed", after, REFUSED_STREAM) in pair.near.heard
    assert [h[0] for h in pair.far.heard] == ["request"]
    pair.server.respond(before, ANSWER, True, b"")
    pair.settle()
    assert pair.near.heard[-1] == ("answer", before, ANSWER, b"")
    assert pair.far.heard[-1] == ("over", 0)


def test_an_end_with_words_is_the_last_output(pair):
    one = pair.client.request(HEAD, True)
    pair.settle()
    pair.server.respond(one, ANSWER, True, b"dropped")
    pair.server.terminate(PROTOCOL_ERROR)
    pair.settle()
    assert pair.near.heard == [("goaway", one, PROTOCOL_ERROR)]
    assert ("over", PROTOCOL_ERROR) in pair.far.heard


def test_a_ping_is_answered(pair):
    pair.client.ping()
    pair.settle()
    assert pair.near.heard == [("pong",)]


line = st.binary(max_size=20).map(lambda b: b.replace(b"\n", b""))


@given(st.lists(st.tuples(line, line), max_size=6), st.binary(max_size=50))
def test_any_fields_arrive(fields, body):
    pair = Pair()
    fields = [(b"first", b""), *fields]
    one = pair.client.request(fields, True, body)
    pair.settle()
    assert pair.far.heard == [("request", one, fields, True, body)]


def test_a_line_end_in_a_value_makes_no_field_of_its_own(pair):
    one = pair.client.request([(b"a", b"1\nquantum-forged\nx"), (b"b", b"2")], True)
    pair.settle()
    assert pair.far.heard[0][2] == [(b"a", b"1 quantum-forged x"), (b"b", b"2")]
    assert pair.far.heard[0][1] == one


def frame(kind, payload=b"", stream=1, flags=0, length=None):
    size = len(payload) if length is None else length
    return struct.pack("!IBBQ", size, kind, flags, stream) + payload


HELLO = frame(mux.HELLO, struct.pack("!11sHI", b"quantum-hop", mux.VERSION, 3), 0)
REQUEST = frame(mux.REQUEST, struct.pack("!I", 3) + b"a\nb")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PROTOCOL_ERROR),
        (b"GET / HTTP/1.1\r\n\r\n", PROTOCOL_ERROR),
        (REQUEST, PROTOCOL_ERROR),
        (frame(mux.HELLO, b"", 0, length=mux.HELLO_BYTES + 1), PROTOCOL_ERROR),
        (frame(mux.HELLO, struct.pack("!11sHI", b"quantum-hop", 2, 3)), PROTOCOL_ERROR),
        (frame(mux.HELLO, b"short"), PROTOCOL_ERROR),
        (HELLO + frame(mux.DATA, length=mux.FRAME_BYTES + 1), PROTOCOL_ERROR),
        (HELLO + frame(99), PROTOCOL_ERROR),
        (HELLO + REQUEST + REQUEST, PROTOCOL_ERROR),
        (HELLO + frame(mux.REQUEST, struct.pack("!I", 99) + b"a\nb"), PROTOCOL_ERROR),
        (HELLO + frame(mux.REQUEST, struct.pack("!I", 1) + b"a"), PROTOCOL_ERROR),
        (HELLO + frame(mux.REQUEST, b"\0"), PROTOCOL_ERROR),
        (HELLO + REQUEST + frame(mux.WINDOW, b"\0"), PROTOCOL_ERROR),
        (HELLO + REQUEST + frame(mux.DATA, b"x" * (WINDOW + 1)), FLOW_CONTROL_ERROR),
    ],
)  # fmt: skip
def test_what_breaks_the_rules_ends_the_connection(said, code):
    ear = Ear()
    server = ear.codec = MuxCodec("server", SETTINGS, ear)
    with pytest.raises(H2Failure) as raised:
        server.receive(said)
    assert raised.value.code == code


@given(st.binary(max_size=200))
def test_no_bytes_break_more_than_their_connection(noise):
    ear = Ear()
    server = ear.codec = MuxCodec("server", SETTINGS, ear)
    try:
        server.receive(HELLO + REQUEST)
        server.receive(noise)
    except H2Failure:
        return


def test_frames_for_streams_that_are_gone_are_passed_over(pair):
    one = pair.client.request(HEAD, False)
    pair.settle()
    pair.forget()
    pair.server.reset(one, CANCEL)
    pair.client.send_data(one, b"on its way", True)
    pair.settle()
    assert pair.far.heard == [("closed", one, CANCEL)]
