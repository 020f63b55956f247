"""What is written is read back; what is read never breaks in another way than it says."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from quantum.config.units import (
    MAX_DURATION_NS,
    NetworkAddress,
    format_duration,
    parse_byte_size,
    parse_duration,
)

ports = st.integers(0, 65535)
hosts = st.sampled_from(["", "localhost", "10.0.0.1", "::1", "fe80::1", "a.example.com"])


@given(st.integers(-(10**15), 10**15))
def test_formatted_durations_up_to_days_read_back(nanoseconds: int) -> None:
    seconds = parse_duration(nanoseconds)
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**6), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_a_unit_scales_its_number(count: int, unit: str) -> None:
    one = parse_duration(f"1{unit}")
    assert abs(parse_duration(f"{count}{unit}") - count * one) <= 1e-9 * max(1.0, count * one)


@given(st.text(max_size=40) | st.text("0123456789.+-smhdnuµ", max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert abs(parse_duration(text)) <= MAX_DURATION_NS / 1e9


@given(st.text(max_size=20) | st.integers())
def test_any_value_is_a_size_or_a_value_error(value: str | int) -> None:
    with suppress(ValueError):
        assert parse_byte_size(value) >= 0


@given(st.sampled_from(["tcp", "tcp4", "udp6"]), hosts, ports, ports)
def test_addresses_read_back(network: str, host: str, one: int, other: int) -> None:
    address = NetworkAddress(network, host, min(one, other), max(one, other))
    assert NetworkAddress.parse(str(address)) == address


@given(st.text("abc/:@[]|{}.-0123456789", max_size=24) | st.text(max_size=24))
def test_any_text_is_an_address_that_reads_back_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        address = NetworkAddress.parse(text)
        assert attempt(str(address)) == address


def attempt(text: str) -> NetworkAddress | None:
    """Read an address, None when it cannot be: what was written must not count as a refusal."""
    with suppress(ValueError):
        return NetworkAddress.parse(text)
    return None
