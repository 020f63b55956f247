"""Sections are those of RFC 6455."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.frames import Opcode as PeerOpcode

from quantum.wire.websocket import (
    CloseCode,
    FrameReader,
    Message,
    Opcode,
    ProtocolFailure,
    accept_deflate,
    deflate,
    encode_close,
    encode_frame,
    unmask,
)

KEY = b"\x01\x02\x03\x04"


def frame(opcode, payload=b"", *, fin=True, masked=True, reserved=0, length=None):
    head = bytes([(0x80 if fin else 0) | reserved | opcode])
    if length is None:
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 65536:
            length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
        else:
            length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + bytes([length[0] & 0x7F]) + length[1:] + payload
    return head + length + KEY + unmask(payload, KEY)


def failure(*frames, limit=1000):
    reader = FrameReader(limit)
    for data in frames[:-1]:
        reader.feed(data)
    with pytest.raises(ProtocolFailure) as info:
        reader.feed(frames[-1])
    return info.value.code


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 4096, 4097, 65535, 65536, 70000])
def test_5_2_payloads_of_every_length_form_are_read(size):
    payload = bytes(range(256)) * (size // 256 + 1)
    assert FrameReader().feed(frame(2, payload[:size])) == [Message(Opcode.BINARY, payload[:size])]


@given(st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_messages_are_the_same_however_the_bytes_are_cut(payloads, data):
    stream = b"".join(frame(2, payload) for payload in payloads)
    reader, messages = FrameReader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        messages += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert [m.data for m in messages] == payloads


@given(st.binary(max_size=10_000), st.binary(min_size=4, max_size=4))
def test_5_3_unmasking_is_exclusive_or_with_the_repeated_key(payload, key):
    assert unmask(payload, key) == bytes(b ^ key[i % 4] for i, b in enumerate(payload))


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_or_a_protocol_failure(data):
    with contextlib.suppress(ProtocolFailure):
        FrameReader(64).feed(data)


def test_5_1_a_frame_without_mask_fails_the_connection():
    assert failure(frame(1, b"x", masked=False)) == 1002


def test_5_2_reserved_bits_and_opcodes_fail_the_connection():
    assert failure(frame(1, b"x", reserved=0x40)) == 1002
    assert failure(frame(3, b"x")) == 1002
    assert failure(frame(11, b"x")) == 1002


def test_5_2_a_length_must_be_in_its_shortest_form():
    assert failure(frame(2, b"abc", length=bytes([0xFE]) + (3).to_bytes(2, "big"))) == 1002
    assert failure(frame(2, b"abc", length=bytes([0xFF]) + (3).to_bytes(8, "big"))) == 1002


def test_5_4_fragments_are_joined_and_control_frames_may_stand_between():
    reader = FrameReader()
    stream = frame(1, b"a", fin=False) + frame(9, b"p") + frame(0, b"b", fin=False) + frame(0, b"c")
    assert reader.feed(stream) == [Message(Opcode.PING, b"p"), Message(Opcode.TEXT, b"abc")]


def test_5_4_fragments_out_of_order_fail_the_connection():
    assert failure(frame(0, b"x")) == 1002
    assert failure(frame(1, b"x", fin=False) + frame(1, b"y")) == 1002


def test_5_5_control_frames_are_short_and_whole():
    assert failure(frame(9, b"x" * 126)) == 1002
    assert failure(frame(9, b"x", fin=False)) == 1002


def test_5_6_text_is_utf8_even_where_fragments_cut_a_character():
    euro = "€".encode()
    reader = FrameReader()
    assert reader.feed(frame(1, euro[:1], fin=False) + frame(0, euro[1:]))[0].data == euro
    assert failure(frame(1, b"\xff")) == 1007
    assert failure(frame(1, euro[:1], fin=False), frame(0, b"a", fin=False)) == 1007
    assert failure(frame(1, b"a", fin=False) + frame(0, euro[:2])) == 1007


def test_a_message_over_the_limit_fails_before_its_bytes_are_here():
    assert failure(frame(2, b"", length=bytes([0xFE]) + (1001).to_bytes(2, "big"))) == 1009
    assert failure(frame(2, b"x" * 600, fin=False), frame(0, b"x" * 600)) == 1009


def test_7_1_5_a_close_frame_gives_code_and_reason_and_ends_reading():
    reader = FrameReader()
    data = frame(8, (1000).to_bytes(2, "big") + b"bye") + frame(1, b"late")
    assert reader.feed(data) == [Message(Opcode.CLOSE, b"bye", 1000)]
    assert reader.feed(frame(1, b"later")) == []
    assert FrameReader().feed(frame(8)) == [Message(Opcode.CLOSE, b"", 1005)]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_7_4_codes_that_may_not_be_sent_fail_the_connection(code):
    assert failure(frame(8, code.to_bytes(2, "big"))) == 1002


def test_7_4_a_close_of_one_byte_or_with_a_bad_reason_fails_the_connection():
    assert failure(frame(8, b"x")) == 1002
    assert failure(frame(8, (1000).to_bytes(2, "big") + b"\xff")) == 1007


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_we_send_are_those_of_another_implementation(size):
    peer = Frame(PeerOpcode.TEXT, b"x" * size).serialize(mask=False)
    assert encode_frame(Opcode.TEXT, b"x" * size) == peer


def test_a_close_reason_is_cut_at_a_character():
    data = encode_close(1008, "€" * 60)
    assert data[1] == len(data) - 2 <= 125
    data[4:].decode()


def masked(first, payload):
    length = (
        bytes([0x80 | len(payload)])
        if len(payload) < 126
        else b"\xfe" + len(payload).to_bytes(2, "big")
    )
    return bytes([first]) + length + b"mask" + unmask(payload, b"mask")


@pytest.mark.parametrize(
    ("offers", "accepted"),
    [
        (b"permessage-deflate", True),
        (b"permessage-deflate; client_max_window_bits", True),
        (b"x-unknown, permessage-deflate; server_max_window_bits=15", True),
        (b"permessage-deflate; server_max_window_bits=10", False),
        (b"permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        (b"permessage-deflate; colour=red", False),
        (b"", False),
        (None, False),
    ],
)
def test_an_offer_of_compression_is_taken_if_it_can_be_kept(offers, accepted):
    assert (accept_deflate(offers) is not None) == accepted


def test_a_compressed_message_is_inflated_whole_or_in_fragments():
    reader = FrameReader(inflates=True)
    text = ("compressible " * 50).encode()
    data = deflate(text)
    assert [m.data for m in reader.feed(masked(0xC1, data))] == [text]
    parts = masked(0x41, data[:5]) + masked(0x89, b"ping") + masked(0x80, data[5:])
    assert [(m.opcode, m.data) for m in reader.feed(parts)] == [
        (Opcode.PING, b"ping"),
        (Opcode.TEXT, text),
    ]
    assert [m.data for m in reader.feed(masked(0x81, b"plain"))] == [b"plain"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (masked(0xC1, deflate(b"\0" * 5_000_000)), CloseCode.TOO_BIG),
        (masked(0xC1, b"\xff\xff\xff"), CloseCode.BAD_DATA),
        (masked(0xC1, deflate(b"\xff\xfe")), CloseCode.BAD_DATA),
        (masked(0x41, deflate(b"a")) + masked(0xC0, b""), CloseCode.PROTOCOL_ERROR),
        (masked(0xC9, b""), CloseCode.PROTOCOL_ERROR),
        (masked(0xE1, b""), CloseCode.PROTOCOL_ERROR),
    ],
)
def test_what_compression_must_not_do_fails(frame, code):
    with pytest.raises(ProtocolFailure) as info:
        FrameReader(64 * 1024, inflates=True).feed(frame)
    assert info.value.code == code


def test_without_agreement_a_compressed_message_is_an_error():
    with pytest.raises(ProtocolFailure):
        FrameReader().feed(masked(0xC1, deflate(b"a")))
