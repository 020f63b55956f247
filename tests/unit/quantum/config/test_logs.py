"""The ``logging`` section."""

from __future__ import annotations

import pytest

from quantum.config.logs.section import LoggingConfig
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
        ({"sampler": {}}, "logging.logs.default.sampler", "unknown field"),
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
            {"writer": {"output": "file", "filename": "x", "roll_at": ["25:00"]}},
            "logging.logs.default.writer.roll_at[0]",
            "HH:MM",
        ),
        ({"writer": {"output": "net"}}, "logging.logs.default.writer.address", "required"),
        (
            {"writer": {"output": "net", "address": "a:1-2"}},
            "logging.logs.default.writer.address",
            "one address",
        ),
        (
            {"writer": {"output": "nett"}},
            "logging.logs.default.writer.output",
            "did you mean 'net'",
        ),
        ({"encoder": {"wrap": {}}}, "logging.logs.default.encoder", "key 'format' is missing"),
        (
            {"encoder": {"format": "jsn"}},
            "logging.logs.default.encoder.format",
            "did you mean 'json'",
        ),
        (
            {
                "encoder": {
                    "format": "filter",
                    "fields": {"a>b": {"filter": "regexp", "regexp": "("}},
                }
            },
            "logging.logs.default.encoder.fields.a>b.regexp",
            "not a regular expression",
        ),
        (
            {
                "encoder": {
                    "format": "filter",
                    "fields": {
                        "a": {"filter": "query", "actions": [{"type": "drop", "parameter": "x"}]}
                    },
                }
            },
            "logging.logs.default.encoder.fields.a.actions[0].type",
            "input should be",
        ),
        (
            {"encoder": {"format": "append", "wrap": {"format": "json", "x": 1}}},
            "logging.logs.default.encoder.wrap.x",
            "unknown field",
        ),
        ({"include": ["a"], "exclude": ["a"]}, "logging.logs.default", "included and excluded"),
        ({"sampling": {"first": -1}}, "logging.logs.default.sampling.first", "greater"),
    ],
)
def test_what_is_not_obeyed_is_refused_with_its_path(log, path, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        parse({"logs": {"default": log}})
    assert caught.value.path == path


def test_a_file_has_caddys_defaults():
    writer = parse(
        {"logs": {"default": {"writer": {"output": "file", "filename": "x"}}}}
    ).default.writer
    settings = writer.settings
    assert (settings.mode, settings.max_bytes, settings.keep) == (0o600, 100 * 1024 * 1024, 10)
    assert (settings.max_age, settings.compress) == (90 * 86400, True)


def test_a_file_that_is_not_rolled_has_no_bound():
    log = {"writer": {"output": "file", "filename": "x", "roll": False}}
    assert parse({"logs": {"default": log}}).default.writer.settings.max_bytes == 0
