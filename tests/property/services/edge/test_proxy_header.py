"""The PROXY protocol's header against any bytes in any pieces."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.listening.proxy_header import (
    V1_BYTES,
    V2_START,
    MalformedHeader,
    ProxyHeader,
    crc32c,
    read_header,
)

PORTS = st.integers(0, 65535)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)


def v1(pair, ports):
    kind = "TCP4" if pair[0].version == 4 else "TCP6"
    return f"PROXY {kind} {pair[0]} {pair[1]} {ports[0]} {ports[1]}\r\n".encode()


def v2(pair, ports, extensions=b"", command=0x21):
    family = 0x11 if pair[0].version == 4 else 0x21
    body = pair[0].packed + pair[1].packed + struct.pack("!HH", *ports) + extensions
    return V2_START + struct.pack("!BBH", command, family, len(body)) + body


@given(PAIRS, st.tuples(PORTS, PORTS), st.booleans(), st.binary(max_size=50))
def test_what_was_written_is_read_and_what_follows_is_left(pair, ports, text, rest):
    header = v1(pair, ports) if text else v2(pair, ports)
    read = read_header(header + rest)
    assert isinstance(read, ProxyHeader)
    assert (read.peer, read.local) == ((str(pair[0]), ports[0]), (str(pair[1]), ports[1]))
    assert read.size == len(header)


@given(PAIRS, st.tuples(PORTS, PORTS), st.booleans())
def test_every_beginning_of_a_header_asks_for_more(pair, ports, text):
    header = v1(pair, ports) if text else v2(pair, ports)
    assert all(read_header(header[:size]) is True for size in range(len(header)))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(data):
    for prefix in (b"", b"PROXY ", b"PROXY TCP4 ", V2_START, V2_START + b"\x21\x11"):
        try:
            read = read_header(prefix + data)
        except MalformedHeader:
            continue
        if isinstance(read, ProxyHeader):
            assert 0 < read.size <= len(prefix + data)
            if read.peer and read.peer[0]:
                ipaddress.ip_address(read.peer[0])


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY " + b"x" * V1_BYTES,
        V2_START + b"\x22\x11\x00\x0c" + bytes(12), V2_START + b"\x31\x11\x00\x0c" + bytes(12),
        V2_START + b"\x21\x12\x00\x0c" + bytes(12), V2_START + b"\x21\x11\x00\x0b" + bytes(12),
        V2_START + b"\x21\x11\xff\xff", V2_START + b"\x21\x11\x00\x0e" + bytes(14),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(line):
    with pytest.raises(MalformedHeader):
        read_header(line)


def test_local_and_unknown_say_nothing_of_the_connection():
    for header in (
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN a b c\r\n",
        V2_START + b"\x20\x00\x00\x00",
    ):
        read = read_header(header)
        assert read == ProxyHeader(len(header))


def test_extensions_are_skipped_and_a_checksum_is_checked():
    pair = ipaddress.ip_address("1.2.3.4"), ipaddress.ip_address("5.6.7.8")
    zero = v2(pair, (1, 2), b"\x04\x00\x02ab" + b"\x03\x00\x04\0\0\0\0")
    good = zero[:-4] + crc32c(zero).to_bytes(4, "big")
    assert isinstance(read_header(good), ProxyHeader)
    with pytest.raises(MalformedHeader, match="checksum"):
        read_header(zero)


def test_the_checksum_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PRI * HTTP/2.0", b"\r\n\r\nG"]
)
def test_what_is_no_header_is_told_at_once(data):
    assert read_header(data) is False
