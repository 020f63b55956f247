"""Which codings a client takes."""

from __future__ import annotations

import pytest

from quantum.http.negotiation.accept_encoding import MOST_CODINGS, accepted_encodings


@pytest.mark.parametrize(
    ("field", "order", "codings"),
    [
        (b"gzip", (), ("gzip",)),
        (b"gzip, br, zstd", (), ("gzip", "br", "zstd")),
        (b"gzip, br, zstd", ("zstd", "br"), ("zstd", "br", "gzip")),
        (b"gzip;q=0.5, zstd;q=0.4", ("zstd",), ("gzip", "zstd")),
        (b"gzip;q=0, br", (), ("br",)),
        (b"gzip;q=0.000, identity", (), ("identity",)),
        (b" GZIP ; Q=0.3 ,\tbr", (), ("br", "gzip")),
        (b"gzip;q=2, br;q=nonsense, zstd;level=3", (), ("gzip", "br", "zstd")),
        (b"gzip;q=nan", (), ("gzip",)),
        (b"gzip;q=-1", (), ("gzip",)),
        (b"*", (), ("*",)),
        (b"", (), ()),
        (b" , ;q=1,", (), ()),
        (b"\xff\xfe", (), ("\xff\xfe",)),
    ],
)
def test_codings_come_by_weight_then_by_preference_then_as_listed(field, order, codings):
    assert accepted_encodings(field, order) == codings


def test_a_field_of_any_length_costs_no_more_than_its_first_codings():
    found = accepted_encodings(b"x," * 4000 + b"gzip")
    assert found == ("x",) * MOST_CODINGS
