"""Durations, sizes and addresses mean what Go and Caddy mean by them."""

import pytest
from pydantic import Field

from quantum.config.model import StrictModel
from quantum.config.units import (
    ByteSize,
    Duration,
    NetworkAddress,
    Secret,
    StringArray,
    WeakString,
    format_duration,
    parse_byte_size,
    parse_duration,
)
from quantum.errors import ConfigError


class Fields(StrictModel):
    """One field of each unit."""

    wait: Duration = 1.0
    size: ByteSize = 0
    listen: list[NetworkAddress] = Field(default_factory=list)
    status_code: WeakString = ""
    names: StringArray = Field(default_factory=list)
    password: Secret | None = None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("1d12h", 129600.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("1h2m3.5s", 3723.5),
        ("-1s", -1.0),
        ("+2m", 120.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("10us", 1e-05),
        ("10µs", 1e-05),
        ("0", 0.0),
        (5_000_000_000, 5.0),
        (0, 0.0),
    ],
)
def test_a_duration_is_go_text_or_nanoseconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "s",
        "5",
        "5 s",
        "1x",
        "1sm",
        "1h-2m",
        ".s",
        "٣s",
        1.5,
        True,
        None,
        [],
        "9" * 30 + "h",
        2**63,
    ],
)
def test_what_go_refuses_as_a_duration_is_refused(wrong):
    with pytest.raises(ValueError):
        parse_duration(wrong)


def test_a_bare_number_in_quotes_is_told_about_seconds():
    with pytest.raises(ValueError, match='write "30s"'):
        parse_duration("30")


@pytest.mark.parametrize("text", ["1d12h", "1m30s", "250ms", "0s", "-2h", "1us500ns"])
def test_a_formatted_duration_reads_back(text):
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (10, 10),
        ("10", 10),
        ("64KiB", 65536),
        ("10MB", 10_000_000),
        ("1.5 kib", 1536),
        ("1G", 10**9),
    ],
)
def test_a_size_counts_in_1000s_unless_it_says_i(text, size):
    assert parse_byte_size(text) == size


@pytest.mark.parametrize("wrong", [-1, "1 XB", "", "MB", True, None, 1.5])
def test_a_wrong_size_is_refused(wrong):
    with pytest.raises(ValueError):
        parse_byte_size(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8080", NetworkAddress("tcp", "", 8080, 8080)),
        ("localhost:80", NetworkAddress("tcp", "localhost", 80, 80)),
        ("udp/10.0.0.1:53-55", NetworkAddress("udp", "10.0.0.1", 53, 55)),
        ("TCP4/:1", NetworkAddress("tcp4", "", 1, 1)),
        ("[::1]:8443", NetworkAddress("tcp", "::1", 8443, 8443)),
        ("unix//run/app.sock", NetworkAddress("unix", "/run/app.sock")),
        ("unix/relative.sock", NetworkAddress("unix", "relative.sock")),
        ("unix//run/app.sock|0222", NetworkAddress("unix", "/run/app.sock", mode=0o222)),
        ("unix/@abstract", NetworkAddress("unix", "@abstract")),
        ("fd/3", NetworkAddress("fd", "3")),
        ("{http.vars.host}:80", NetworkAddress("tcp", "{http.vars.host}", 80, 80)),
    ],
)
def test_an_address_is_read_as_caddy_reads_it(text, expected):
    assert NetworkAddress.parse(text) == expected
    assert NetworkAddress.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "network address"),
        ("localhost", "no port"),
        ("http://localhost:80", "URL"),
        ("quic/:80", "unknown network"),
        ("::1:80", "brackets"),
        ("[::1:80", "brackets"),
        ("[::1]80", "brackets"),
        (":http", "no port: a number"),
        (":70000", "65535"),
        (":20-10", "backwards"),
        (":10-", "from-to"),
        ("tcp/a b:1", "form network/host:port"),
        ("unix/", "path"),
        ("unix//a|9", "file mode"),
        ("unix//a|0044", "owner"),
        ("fd/x", "number"),
        ("fd/-1", "number"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(wrong, says):
    with pytest.raises(ValueError, match=says):
        NetworkAddress.parse(wrong)


def test_a_missing_port_takes_the_default():
    assert NetworkAddress.parse("localhost", default_port=2019).port == 2019
    assert NetworkAddress.parse("[::1]", default_port=1).host_port() == "[::1]:1"


def test_a_port_range_expands_to_its_ports():
    assert [a.port for a in NetworkAddress.parse(":8000-8002").expand()] == [8000, 8001, 8002]
    assert len(NetworkAddress.parse("unix//run/a").expand()) == 1


def test_models_take_units_and_name_the_field_that_is_wrong():
    fields = Fields.parse(
        {
            "wait": "1m",
            "size": "1KiB",
            "listen": [":80"],
            "status_code": 404,
            "names": "a",
            "password": "p",
        }
    )
    assert (fields.wait, fields.size, fields.status_code, fields.names) == (
        60.0,
        1024,
        "404",
        ["a"],
    )
    assert fields.listen[0].port == 80
    with pytest.raises(ConfigError) as caught:
        Fields.parse({"listen": [":80", "nope"]})
    assert caught.value.path == "listen[1]"
    with pytest.raises(ConfigError, match="string or a number"):
        Fields.parse({"status_code": {}})


def test_a_secret_shows_itself_only_when_asked():
    fields = Fields.parse({"password": "hunter2"})
    assert fields.password is not None
    assert fields.password.reveal() == "hunter2"
    assert "hunter2" not in repr(fields) + str(fields.model_dump()) + fields.model_dump_json()
