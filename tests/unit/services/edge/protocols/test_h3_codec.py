"""HTTP/3's framing by the words of RFC 9114 and RFC 9204, byte by byte and without sockets."""

import contextlib

import pylsqpack
import pytest
from aioquic.h3.connection import ErrorCode
from hypothesis import given
from hypothesis import strategies as st

from services.edge.protocols.h3.codec import H3Codec, H3Failure, decode_integer, encode_length
from services.edge.protocols.h3.fields import Encoder

HEAD = [
    (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/"),
]  # fmt: skip
POST = [(b":method", b"POST"), *HEAD[1:]]


class Quic:
    """What the codec writes to."""

    def __init__(self) -> None:
        self.sent: dict[int, bytes] = {}

    def get_next_available_stream_id(self, is_unidirectional=False) -> int:
        return 3

    def send_stream_data(self, stream_id, data, end_stream=False) -> None:
        self.sent[stream_id] = self.sent.get(stream_id, b"") + data


class Sink:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def head_received(self, stream_id, fields, *, ended) -> None:
        self.told.append(("head", stream_id, fields, ended))

    def data_received(self, stream_id, data) -> None:
        if self.told and self.told[-1][0] == "data":
            data = self.told.pop()[2] + data
        self.told.append(("data", stream_id, data))

    def message_ended(self, stream_id, trailers) -> None:
        self.told.append(("ended", stream_id, trailers))

    def message_broken(self, stream_id, code, reason) -> None:
        self.told.append(("broken", stream_id, code))

    def head_too_large(self, stream_id) -> None:
        self.told.append(("large", stream_id))

    def frame_wasted(self) -> None:
        pass


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def codec(sink) -> H3Codec:
    return H3Codec(Quic(), sink, 4096)


def frame(kind: int, payload: bytes) -> bytes:
    return encode_length(kind) + encode_length(len(payload)) + payload


def head(fields) -> bytes:
    return frame(1, Encoder().encode(fields))


def failure(codec: H3Codec, stream: int, data: bytes, *, ended: bool = False) -> int:
    with pytest.raises(H3Failure) as raised:
        codec.receive(stream, data, ended=ended)
    return raised.value.code


def test_a_request_in_one_piece(codec, sink) -> None:
    codec.receive(0, head(HEAD), ended=True)
    assert sink.told == [("head", 0, HEAD, True)]


@given(st.lists(st.integers(1, 7), max_size=30), st.binary(max_size=100))
def test_a_message_may_be_cut_up_anywhere(sizes, body) -> None:
    sink = Sink()
    codec = H3Codec(Quic(), sink, 4096)
    trailers = [(b"sum", b"1")]
    data = head(POST) + frame(0, body) + frame(0x21, b"grease") + frame(0, body) + head(trailers)
    for size in sizes:
        codec.receive(0, data[:size], ended=False)
        data = data[size:]
    codec.receive(0, data, ended=True)
    told = [("head", 0, POST, False)] + ([("data", 0, body * 2)] if body else [])
    assert sink.told == [*told, ("ended", 0, trailers)]


def test_body_bytes_are_counted_for_the_window(codec) -> None:
    data = head(POST) + frame(0, b"12345")
    assert codec.receive(0, data, ended=False) == 5
    assert codec.receive(0, frame(0x21, b"grease"), ended=False) == 0


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 6, 7, 8, 9, 13])
def test_frames_that_are_not_for_requests_end_the_connection(codec, kind) -> None:
    assert failure(codec, 0, frame(kind, b"\0")) == ErrorCode.H3_FRAME_UNEXPECTED


def test_data_before_a_head_ends_the_connection(codec) -> None:
    assert failure(codec, 0, frame(0, b"x")) == ErrorCode.H3_FRAME_UNEXPECTED


def test_an_end_within_a_frame_ends_the_connection(codec) -> None:
    assert failure(codec, 0, head(POST) + b"\0\5abc", ended=True) == ErrorCode.H3_FRAME_ERROR


def test_a_stream_without_a_request_is_incomplete(codec, sink) -> None:
    codec.receive(0, frame(0x21, b""), ended=True)
    assert sink.told == [("broken", 0, ErrorCode.H3_REQUEST_INCOMPLETE)]


@pytest.mark.parametrize("body", [b"", b"1234", b"123456"])
def test_a_length_that_is_not_the_bodys_breaks_the_message(codec, sink, body) -> None:
    codec.receive(0, head([*POST, (b"content-length", b"5")]) + frame(0, body), ended=True)
    assert sink.told[-1] == ("broken", 0, ErrorCode.H3_MESSAGE_ERROR)


def test_a_bare_end_behind_a_length_breaks_the_message(codec, sink) -> None:
    codec.receive(0, head([*POST, (b"content-length", b"5")]), ended=False)
    codec.receive(0, b"", ended=True)
    assert sink.told[-1] == ("broken", 0, ErrorCode.H3_MESSAGE_ERROR)


@pytest.mark.parametrize(
    "fields",
    [
        HEAD[1:],
        HEAD[:1],
        [*HEAD, HEAD[0]],
        [(b"x", b"1"), *HEAD],
        [*HEAD, (b":status", b"200")],
        [*HEAD, (b":protocol", b"websocket")],
        [*HEAD[:3], (b":path", b"")],
        [(b":method", b"G T"), *HEAD[1:]],
        [(b":method", b"CONNECT"), *HEAD[1:]],
        [*HEAD, (b"X-Upper", b"1")],
        [*HEAD, (b"x y", b"1")],
        [*HEAD, (b"x", b"a\nb")],
        [*HEAD, (b"x", b"a\rb")],
        [*HEAD, (b"x", b"a\0b")],
        [*HEAD, (b"x", b" padded")],
        [*HEAD, (b"connection", b"close")],
        [*HEAD, (b"transfer-encoding", b"chunked")],
        [*HEAD, (b"upgrade", b"websocket")],
        [*HEAD, (b"te", b"gzip")],
        [*HEAD, (b"content-length", b"-1")],
        [*HEAD, (b"content-length", b"1, 1")],
        [*HEAD, (b"content-length", b"0"), (b"content-length", b"0")],
    ],
)
def test_a_malformed_head_breaks_its_message_alone(codec, sink, fields) -> None:
    codec.receive(0, head(fields), ended=True)
    assert sink.told == [("broken", 0, ErrorCode.H3_MESSAGE_ERROR)]
    codec.receive(4, head(HEAD), ended=True)
    assert sink.told[-1] == ("head", 4, HEAD, True)


def test_pseudo_fields_in_trailers_break_the_message(codec, sink) -> None:
    codec.receive(0, head(POST) + head([(b":path", b"/")]), ended=True)
    assert sink.told[-1] == ("broken", 0, ErrorCode.H3_MESSAGE_ERROR)


def test_extended_connect_is_a_head_that_does_not_end(codec, sink) -> None:
    fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *HEAD[1:]]
    codec.receive(0, head(fields), ended=False)
    assert sink.told == [("head", 0, fields, False)]


def test_a_head_over_the_bound_is_told_before_it_is_here(codec, sink) -> None:
    codec.receive(0, b"\x01" + encode_length(5000) + b"x" * 100, ended=False)
    codec.receive(0, b"x" * 4900, ended=True)
    assert sink.told == [("large", 0)]


def test_fields_that_point_into_a_table_we_do_not_have_end_the_connection(codec) -> None:
    assert failure(codec, 0, frame(1, b"\x02\x00\x80")) == ErrorCode.QPACK_DECOMPRESSION_FAILED


# Streams of the client's own.

SETTINGS = b"\x00" + frame(4, b"")


def test_settings_come_first_and_once(codec) -> None:
    assert failure(codec, 2, b"\x00" + frame(7, b"\0")) == ErrorCode.H3_MISSING_SETTINGS


def test_settings_again_end_the_connection(codec) -> None:
    codec.receive(2, SETTINGS, ended=False)
    assert failure(codec, 2, frame(4, b"")) == ErrorCode.H3_FRAME_UNEXPECTED


@pytest.mark.parametrize("payload", [b"\x02\x00", b"\x21\x00\x21\x00", b"\x08\x02"])
def test_settings_of_another_protocol_end_the_connection(codec, payload) -> None:
    assert failure(codec, 2, b"\x00" + frame(4, payload)) == ErrorCode.H3_SETTINGS_ERROR


@pytest.mark.parametrize("kind", [0, 1, 2, 5, 6, 8, 9])
def test_frames_that_are_not_for_control_end_the_connection(codec, kind) -> None:
    codec.receive(2, SETTINGS, ended=False)
    assert failure(codec, 2, frame(kind, b"\0")) == ErrorCode.H3_FRAME_UNEXPECTED


def test_settings_may_trickle_and_unknown_frames_are_skipped(codec) -> None:
    data = b"\x00" + frame(4, b"\x01\x00") + frame(0x21, b"x" * 300) + frame(7, b"\0")
    for index in range(len(data)):
        codec.receive(2, data[index : index + 1], ended=False)
    assert failure(codec, 2, frame(0, b"")) == ErrorCode.H3_FRAME_UNEXPECTED


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_a_critical_stream_exists_once_and_never_ends(codec, kind) -> None:
    opened = SETTINGS if kind == 0 else bytes([kind])
    codec.receive(2, opened, ended=False)
    assert failure(codec, 6, bytes([kind])) == ErrorCode.H3_STREAM_CREATION_ERROR
    assert failure(codec, 2, b"", ended=True) == ErrorCode.H3_CLOSED_CRITICAL_STREAM


def test_resetting_a_critical_stream_ends_the_connection(codec) -> None:
    codec.receive(2, SETTINGS, ended=False)
    with pytest.raises(H3Failure) as raised:
        codec.reset(2)
    assert raised.value.code == ErrorCode.H3_CLOSED_CRITICAL_STREAM


def test_a_client_cannot_push(codec) -> None:
    assert failure(codec, 2, b"\x01\x00") == ErrorCode.H3_STREAM_CREATION_ERROR


def test_streams_of_unknown_types_are_ignored(codec, sink) -> None:
    codec.receive(2, b"\x21anything", ended=False)
    codec.receive(2, b"more", ended=True)
    assert sink.told == []


def test_filling_a_table_that_has_no_room_ends_the_connection(codec) -> None:
    insert = b"\x02" + b"\x3f\xe1\x1f" + b"\xc0\x01x"
    assert failure(codec, 2, insert) == ErrorCode.QPACK_ENCODER_STREAM_ERROR


# Sending.


def test_settings_go_out_first_and_offer_no_table(codec) -> None:
    sent = codec._quic.sent[3]
    assert sent[:2] == b"\x00\x04"
    assert b"\x01" not in sent[3:4]


def test_a_head_and_its_body_are_one_piece(codec) -> None:
    codec.send(0, [(b":status", b"200"), (b"x", b"y")], b"body", ended=True)
    sent = codec._quic.sent[0]
    assert sent[0] == 1
    size, start = decode_integer(sent, 1)
    _, fields = pylsqpack.Decoder(0, 0).feed_header(0, sent[start : start + size])
    assert fields == [(b":status", b"200"), (b"x", b"y")]
    assert sent[start + size :] == b"\x00\x04body"


NAMES = st.from_regex(rb"[a-z][a-z0-9-]{0,20}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=50)), min_size=1))
def test_what_is_encoded_is_decoded(fields) -> None:
    section = Encoder().encode(fields)
    assert pylsqpack.Decoder(0, 0).feed_header(0, section)[1] == fields


@given(st.integers(0, 2**30 - 1))
def test_integers_are_read_as_they_are_written(value) -> None:
    data = encode_length(value)
    assert decode_integer(data, 0) == (value, len(data))
    assert decode_integer(data[:-1], 0)[1] == -1


@given(st.binary(max_size=300), st.booleans(), st.sampled_from([0, 2]))
def test_whatever_comes_is_taken_or_refused_in_order(data, ended, stream) -> None:
    sink = Sink()
    codec = H3Codec(Quic(), sink, 4096)
    with contextlib.suppress(H3Failure):
        assert 0 <= codec.receive(stream, data, ended=ended) <= len(data)
