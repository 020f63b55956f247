"""Heads of HTTP/3: what is remembered of them."""

import pylsqpack
import pytest

from services.edge.protocols.h3 import fields as fields_of_h3

HEAD = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


@pytest.mark.parametrize(
    ("fields", "is_kept"),
    [
        ([*HEAD, (b"accept", b"*/*")], True),
        ([*HEAD, (b"cookie", b"a=secret")], False),
        ([*HEAD, (b"authorization", b"secret")], False),
        ([*HEAD[:3], (b":path", b"/?token=secret")], False),
        ([*HEAD, (b"x-long", b"x" * 4 * fields_of_h3.KNOWN_HEAD_BYTES)], False),
    ],
)
def test_a_head_that_comes_again_is_remembered_unless_it_may_hold_a_secret(
    monkeypatch, fields, is_kept
) -> None:
    known: dict = {}
    monkeypatch.setattr(fields_of_h3, "_heads", known)
    decoder = pylsqpack.Decoder(0, 0)
    section = fields_of_h3.Encoder().encode(fields)
    for _ in range(2):
        assert fields_of_h3.read_head(decoder, 0, section) == (fields, None)
    assert (section in known) is is_kept


def test_no_more_heads_are_remembered_than_there_is_room_for(monkeypatch) -> None:
    known: dict = {}
    monkeypatch.setattr(fields_of_h3, "_heads", known)
    decoder, encoder = pylsqpack.Decoder(0, 0), fields_of_h3.Encoder()
    for number in range(fields_of_h3.KNOWN_HEADS + 5):
        head = encoder.encode([*HEAD, (b"x-number", b"%d" % number)])
        fields_of_h3.read_head(decoder, 0, head)
    assert len(known) == 5


def test_a_malformed_head_is_malformed_each_time() -> None:
    decoder = pylsqpack.Decoder(0, 0)
    section = fields_of_h3.Encoder().encode([*HEAD, (b"connection", b"close")])
    for _ in range(2):
        with pytest.raises(fields_of_h3.MalformedMessage):
            fields_of_h3.read_head(decoder, 0, section)
