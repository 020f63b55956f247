"""What a hop tells others about where it listens."""

import socket

import pytest

from quantum.hop.address import reachable


@pytest.mark.parametrize("wildcard", ["0.0.0.0:7000", ":7000", "[::]:7000"])
def test_a_wildcard_is_told_as_the_name_of_the_machine(wildcard) -> None:
    assert reachable(wildcard) == f"{socket.gethostname()}:7000"


@pytest.mark.parametrize("address", ["10.0.0.7:7000", "unix//run/edge.sock", "edge:7000"])
def test_an_address_that_others_can_use_is_told_as_it_is(address) -> None:
    assert reachable(address) == address
