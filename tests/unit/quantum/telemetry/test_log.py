"""What a log line looks like, what is never in it, and that writing it never waits."""

from __future__ import annotations

import io
import json
import logging
import os
from types import SimpleNamespace

import pytest
import structlog

from quantum.ids import PROCESS_ID
from quantum.telemetry import log
from quantum.telemetry.log import LineWriter, configure_logging


@pytest.fixture
def stream(monkeypatch):
    """Standard error of the module under test."""
    stream = io.StringIO()
    monkeypatch.setattr(log, "sys", SimpleNamespace(stderr=stream, stdout=stream))
    return stream


@pytest.fixture
def lines(stream):
    """Log as JSON into memory; the configuration before is put back."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("INFO", "json")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.configure(**before)
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)


def test_a_line_has_caddys_keys_and_the_process(lines):
    structlog.get_logger("quantum.proxy").bind(room="proxy").warning("upstream_left", dial="a:1")
    (line,) = lines()
    assert line["level"] == "warn"
    assert line["logger"] == "quantum.proxy"
    assert line["msg"] == "upstream_left"
    assert line["room"] == "proxy"
    assert line["dial"] == "a:1"
    assert line["process"] == PROCESS_ID
    assert line["ts"] > 1_700_000_000


def test_loggers_made_earlier_follow_a_change_of_level(lines):
    bound = structlog.get_logger("quantum.x").bind(room="x")
    bound.debug("hidden")
    configure_logging("debug", "json")
    bound.debug("shown")
    configure_logging("ERROR", "json")
    bound.warning("hidden")
    assert [line["msg"] for line in lines()] == ["shown"]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"token": "s3cret"}, {"token": "REDACTED"}),
        ({"hop_password": "s3cret"}, {"hop_password": "REDACTED"}),
        ({"headers": {"Authorization": ["s3cret"]}}, {"headers": {"Authorization": ["REDACTED"]}}),
        ({"a": [{"set-cookie": "s3cret"}]}, {"a": [{"set-cookie": "REDACTED"}]}),
        ({"url": "nats://u:s3cret@host:1"}, {"url": "nats://REDACTED@host:1"}),
        ({"token": ""}, {"token": ""}),
        ({"tokens_total": 3}, {"tokens_total": 3}),
        ({"mail": "a@b"}, {"mail": "a@b"}),
    ],
)
def test_secrets_are_redacted_wherever_they_stand(lines, fields, kept):
    structlog.get_logger("quantum.x").info("happened", **fields)
    (line,) = lines()
    assert {key: line[key] for key in kept} == kept
    assert "s3cret" not in json.dumps(line)


def test_an_exception_is_one_line(lines):
    try:
        raise ValueError("broken")
    except ValueError as error:
        structlog.get_logger("quantum.x").error("failed", exc_info=error)
    (line,) = lines()
    assert "ValueError: broken" in line["exception"]


def test_a_value_that_json_cannot_carry_is_written_as_text(lines):
    structlog.get_logger("quantum.x").info("happened", path=os)
    assert "module 'os'" in lines()[0]["path"]


def test_warnings_of_libraries_come_in_the_same_form(lines):
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").info("chatter")
    (line,) = lines()
    assert line["logger"] == "asyncio"
    assert line["msg"] == "slow callback"


def test_a_blocked_pipe_costs_lines_and_never_waits():
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        writer = LineWriter(stream)
        for _ in range(200):
            writer.write("x" * 1000)
        assert writer.dropped > 0
        os.set_blocking(read, False)
        while len(os.read(read, 1 << 20)) == 1 << 20:
            pass
        writer.write("after")
        rest = os.read(read, 1 << 20).decode()
        assert rest.startswith("after\n")
        assert json.loads(rest.splitlines()[1])["lines"] == writer.dropped
    os.close(read)


def test_a_line_longer_than_a_pipes_page_arrives_whole():
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        for size in (4094, 4095, 4096, 9000):
            LineWriter(stream).write("y" * size)
            assert os.read(read, 1 << 20) == b"y" * size + b"\n"
    os.close(read)


def test_a_closed_output_is_no_error():
    stream = io.StringIO()
    writer = LineWriter(stream)
    stream.close()
    writer.write("lost")
    assert writer.dropped == 1


def test_console_lines_are_for_people(lines, stream):
    configure_logging("INFO", "console")
    structlog.get_logger("quantum.x").info("happened", what="a thing")
    text = stream.getvalue()
    assert "happened" in text
    assert not text.startswith("{")
