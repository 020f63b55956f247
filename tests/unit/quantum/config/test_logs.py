"""The ``logging`` section."""

from __future__ import annotations

import pytest

from quantum.config.logs import LoggingConfig
from quantum.config.model import locate
from quantum.errors import ConfigError


def parse(value):
    return LoggingConfig.parse(locate(value, "logging"))


def test_without_a_default_log_it_is_caddys_default():
    assert parse({}).default.level == "INFO"
    assert parse({"logs": {"default": {"level": "debug"}}}).default.level == "DEBUG"


@pytest.mark.parametrize(
    ("log", "path", "problem"),
    [
        ({"level": "LOUD"}, "logging.logs.default.level", "input should be"),
        ({"sampling": {}}, "logging.logs.default.sampling", "unknown field"),
        ({"writer": {"output": "file"}}, "logging.logs.default.writer.filename", "required"),
        (
            {"writer": {"output": "stderr", "filename": "x"}},
            "logging.logs.default.writer.filename",
            "unknown field",
        ),
        (
            {"writer": {"output": "file", "filename": "x", "mode": "0999"}},
            "logging.logs.default.writer.mode",
            "match",
        ),
        (
            {"writer": {"output": "file", "filename": "x", "roll_interval": "1h"}},
            "logging.logs.default.writer.roll_interval",
            "not built here yet",
        ),
        (
            {"writer": {"output": "net", "address": "x"}},
            "logging.logs.default.writer",
            "not built here yet: caddy.logging.writers.net",
        ),
        (
            {"encoder": {"format": "filter"}},
            "logging.logs.default.encoder",
            "not built here yet: caddy.logging.encoders.filter",
        ),
    ],
)
def test_what_is_not_obeyed_is_refused_with_its_path(log, path, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        parse({"logs": {"default": log}})
    assert caught.value.path == path


def test_another_log_is_refused():
    with pytest.raises(ConfigError, match="not built here yet: the log 'access'") as caught:
        parse({"logs": {"access": {"level": "INFO"}}})
    assert caught.value.path == "logging.logs.access"


def test_a_file_has_caddys_defaults():
    writer = parse(
        {"logs": {"default": {"writer": {"output": "file", "filename": "x"}}}}
    ).default.writer
    settings = writer.target
    assert (settings.mode, settings.max_bytes, settings.keep) == (0o600, 100 * 1024 * 1024, 10)
    assert (settings.max_age, settings.compress) == (90 * 86400, True)


def test_a_file_that_is_not_rolled_has_no_bound():
    log = {"writer": {"output": "file", "filename": "x", "roll": False}}
    assert parse({"logs": {"default": log}}).default.writer.target.max_bytes == 0
