"""The order in which rooms start."""

from __future__ import annotations

import random

import pytest

from quantum.errors import QuantumError
from quantum.modules.spec import Manifest
from quantum.service.graph import start_order


def manifests(**needs):
    return [Manifest(room, "x:Y", "", needs=tuple(n.split())) for room, n in needs.items()]


def names(order):
    return [manifest.room for manifest in order]


def test_needs_come_first_whatever_the_order_of_the_list():
    rooms = manifests(edge="proxy static certs", proxy="health", static="", certs="", health="")
    expected = ["certs", "health", "static", "proxy", "edge"]
    for seed in range(10):
        shuffled = rooms[:]
        random.Random(seed).shuffle(shuffled)
        assert names(start_order(shuffled, frozenset(expected))) == expected


def test_a_need_that_runs_elsewhere_still_orders_what_is_beyond_it():
    rooms = manifests(a="b", b="c", c="")
    assert names(start_order(rooms, frozenset({"a", "c"}))) == ["c", "a"]


def test_a_circle_is_refused_with_its_members():
    with pytest.raises(QuantumError, match=r"circle.*a.*b"):
        start_order(manifests(a="b", b="a"), frozenset({"a"}))


def test_an_unknown_room_is_refused_with_the_known_ones():
    with pytest.raises(QuantumError, match=r"no such room: x \(there are: a\)"):
        start_order(manifests(a=""), frozenset({"x"}))


def test_a_need_nobody_knows_is_refused():
    with pytest.raises(QuantumError, match="room a needs unknown rooms"):
        start_order(manifests(a="ghost"), frozenset({"a"}))
