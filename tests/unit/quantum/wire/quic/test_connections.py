"""Connections that write their own packets, against aioquic's as it is, over a network made of lists."""

from __future__ import annotations

import random
import ssl
from typing import Any

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    ProtocolNegotiated,
    StreamDataReceived,
    StreamReset,
)
from aioquic.tls import CipherSuite

from quantum.testing.certificates import make_certificates
from quantum.wire.quic.pacing import BURST_PACKETS, BURST_SECONDS, Pacer
from quantum.wire.quic.packets import encode_integer
from quantum.wire.quic.windows import ReadPacedConnection

CLIENT, SERVER = ("192.0.2.1", 1), ("192.0.2.2", 2)
WINDOW = 64 * 1024
STEP = 0.002
"""Seconds that a datagram takes."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("quic"), ["localhost"])


class World:
    """A client and a server, the time, and what is on its way between them."""

    def __init__(self, certificates, *, ours: str, loss: float = 0.0, suite: Any = None) -> None:
        chain, key, root = certificates
        self._random = random.Random(7)
        self._loss = loss
        self.now = 1000.0
        windows = {"max_data": 4 * WINDOW, "max_stream_data": WINDOW, "alpn_protocols": ["h3"]}
        here = QuicConfiguration(is_client=False, **windows)
        here.load_cert_chain(chain, key)
        there = QuicConfiguration(is_client=True, server_name="localhost", **windows)
        there.load_verify_locations(cadata=root.read_bytes())
        there.verify_mode = ssl.CERT_REQUIRED
        if suite is not None:
            there.cipher_suites = [suite]
        client_type, server_type = (
            (ReadPacedConnection, QuicConnection)
            if ours == "client"
            else (QuicConnection, ReadPacedConnection)
        )
        self.client = client_type(configuration=there)
        self.client.connect(SERVER, now=self.now)
        self._first = self.client.datagrams_to_send(now=self.now)
        self.server = server_type(
            configuration=here,
            original_destination_connection_id=self.client.original_destination_connection_id,
        )
        for data, _ in self._first:
            self.server.receive_datagram(data, CLIENT, now=self.now)
        self.events: dict[Any, list[Any]] = {self.client: [], self.server: []}
        self.read: dict[Any, dict[int, bytes]] = {self.client: {}, self.server: {}}
        self.ended: dict[Any, set[int]] = {self.client: set(), self.server: set()}
        self.reads = True

    def turn(self) -> None:
        """Let time pass, timers go off, and datagrams arrive, or get lost."""
        self.now += STEP
        for one, other, address in (
            (self.client, self.server, CLIENT), (self.server, self.client, SERVER),
        ):  # fmt: skip
            at = one.get_timer()
            if at is not None and at <= self.now:
                one.handle_timer(now=self.now)
            for data, _ in one.datagrams_to_send(now=self.now):
                if self._random.random() >= self._loss:
                    other.receive_datagram(data, address, now=self.now)
                    self._take_events(other)
            self._take_events(one)

    def _take_events(self, one: Any) -> None:
        while (event := one.next_event()) is not None:
            self.events[one].append(event)
            if isinstance(event, StreamDataReceived):
                known = self.read[one].get(event.stream_id, b"")
                self.read[one][event.stream_id] = known + event.data
                if event.end_stream:
                    self.ended[one].add(event.stream_id)
                if self.reads and isinstance(one, ReadPacedConnection):
                    one.consumed(event.stream_id, len(event.data))
            elif isinstance(event, StreamReset) and isinstance(one, ReadPacedConnection):
                one.was_reset(event.stream_id)

    def until(self, question: Any, turns: int = 20_000) -> None:
        for _ in range(turns):
            if question():
                return
            self.turn()
        raise AssertionError("it never came to that")

    def connect(self) -> None:
        self.until(lambda: any(isinstance(e, ProtocolNegotiated) for e in self.events[self.client]))
        for _ in range(20):
            self.turn()


@pytest.mark.parametrize("ours", ["client", "server"])
@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize(
    "suite", [CipherSuite.AES_128_GCM_SHA256, CipherSuite.CHACHA20_POLY1305_SHA256]
)
def test_what_is_sent_on_many_streams_arrives_whole_both_ways(
    certificates, ours, loss, suite
) -> None:
    world = World(certificates, ours=ours, loss=loss, suite=suite)
    world.connect()
    sent = {}
    for number in range(12):
        stream = world.client.get_next_available_stream_id()
        sent[stream] = random.Random(number).randbytes(number * number * 1500)
        world.client.send_stream_data(stream, sent[stream], end_stream=True)
    world.until(lambda: len(world.ended[world.server]) == len(sent))
    assert world.read[world.server] == sent
    for stream, data in sent.items():
        world.server.send_stream_data(stream, data, end_stream=True)
    world.until(lambda: len(world.ended[world.client]) == len(sent))
    assert {n: d for n, d in world.read[world.client].items() if n % 4 == 0} == sent
    assert not any(
        isinstance(e, ConnectionTerminated) for log in world.events.values() for e in log
    )


@pytest.mark.parametrize("ours", ["client", "server"])
def test_keys_change_in_the_middle_of_a_transfer(certificates, ours) -> None:
    world = World(certificates, ours=ours)
    world.connect()
    stream, data = world.client.get_next_available_stream_id(), random.Random(1).randbytes(300_000)
    world.client.send_stream_data(stream, data, end_stream=True)
    for changing in (world.client, world.server, world.client):
        for _ in range(15):
            world.turn()
        changing.request_key_update()
    world.until(lambda: world.ended[world.server])
    assert world.read[world.server] == {stream: data}


def test_a_peer_may_send_its_window_and_no_more_until_it_is_read(certificates) -> None:
    world = World(certificates, ours="server")
    world.connect()
    world.reads = False
    stream, data = world.client.get_next_available_stream_id(), bytes(3 * WINDOW)
    world.client.send_stream_data(stream, data, end_stream=True)
    for _ in range(500):
        world.turn()
    assert len(world.read[world.server][stream]) == WINDOW
    world.reads = True
    world.server.consumed(stream, WINDOW)
    world.until(lambda: world.ended[world.server])
    assert len(world.read[world.server][stream]) == len(data)


@pytest.mark.parametrize("ours", ["client", "server"])
def test_what_was_sent_on_streams_that_were_reset_costs_no_window(certificates, ours) -> None:
    world = World(certificates, ours=ours, loss=0.2)
    world.connect()
    for _ in range(40):  # ten connection windows
        stream = world.client.get_next_available_stream_id()
        world.client.send_stream_data(stream, bytes(WINDOW))
        world.until(lambda n=stream: world.read[world.server].get(n))
        if ours == "client":
            world.client.reset_stream(stream, 1)
            world.server.send_stream_data(stream, bytes(WINDOW))
            world.until(lambda n=stream: world.read[world.client].get(n))
            world.server.reset_stream(stream, 1)
        else:
            world.client.reset_stream(stream, 1)
            world.server.send_stream_data(stream, b"", end_stream=True)
        world.until(lambda n=stream: n not in world.server._streams)
    stream = world.client.get_next_available_stream_id()
    world.client.send_stream_data(stream, bytes(WINDOW), end_stream=True)
    world.until(lambda: stream in world.ended[world.server])
    mine = world.client if ours == "client" else world.server
    assert len(mine._consumed) <= 2


def test_a_fast_path_has_bursts_of_a_millisecond_and_a_slow_one_those_of_aioquic() -> None:
    pacer = Pacer(max_datagram_size=1350)
    pacer.update_rate(congestion_window=1_350_000, smoothed_rtt=0.01)  # 100 packets a millisecond
    assert pacer.bucket_max == pytest.approx(BURST_PACKETS * pacer.packet_time)
    pacer.update_rate(congestion_window=405_000, smoothed_rtt=0.01)  # 30 packets a millisecond
    assert pacer.bucket_max == pytest.approx(BURST_SECONDS)
    assert pacer.next_send_time(now=5.0) is None  # full at first
    while pacer.next_send_time(now=5.0) is None:
        pacer.update_after_send(now=5.0)
    assert pacer.next_send_time(now=5.0) == pytest.approx(5.0 + BURST_SECONDS)
    pacer.update_rate(congestion_window=27_000, smoothed_rtt=0.1)  # a packet in five milliseconds
    assert pacer.bucket_max == pytest.approx(5 * pacer.packet_time)
    assert pacer.next_send_time(now=5.0) == pytest.approx(5.0 + pacer.packet_time)


@pytest.mark.parametrize(
    ("value", "size"), [(0, 1), (63, 1), (64, 2), (16383, 2), (16384, 4), (1 << 30, 8), ((1 << 62) - 1, 8)]
)  # fmt: skip
def test_integers_are_as_short_as_can_be(value: int, size: int) -> None:
    encoded = encode_integer(value)
    assert len(encoded) == size
    assert int.from_bytes(encoded, "big") & ((1 << (8 * size - 2)) - 1) == value
