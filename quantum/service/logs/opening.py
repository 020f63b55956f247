"""Logs of a revision: opened while it is prepared, taken into use with it, given up when it is discarded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from quantum.config.logs.section import (
    FileWriter,
    LogConfig,
    LoggingConfig,
    NetWriter,
    Sampling,
)
from quantum.errors import ConfigError, in_words
from quantum.service.api import Revision
from quantum.service.logs.encoders import compile_encoder
from quantum.service.logs.network import SocketWriter
from quantum.telemetry.entries import LEVELS, Log, Sampler, Writer
from quantum.telemetry.log import encoder_named, stream_writer, use_logs
from quantum.telemetry.rolling import RollingFile

SAMPLING_SECONDS, SAMPLING_COUNT = 1.0, 100
"""What 0 means for the fields of ``sampling``, as in Caddy."""
DEFAULT = "default"


class Logging:
    """Takes part in changes of the configuration; the command line's level and format have the last word."""

    def __init__(self, level: str | None, format: str | None) -> None:
        self._level = level
        self._format = format

    async def prepare(self, revision: Revision) -> PreparedLogs:
        """Open what the revision wants; ConfigError names the writer that cannot be opened.

        A revision without a ``logging`` section leaves the logs as they are.
        """
        section = revision.section("logging")
        if section is None:
            return PreparedLogs(None)
        return PreparedLogs(await asyncio.to_thread(self._open, section))

    def _open(self, section: LoggingConfig) -> list[Log]:
        opened: list[Log] = []
        try:
            for name, config in {DEFAULT: section.default, **section.logs}.items():
                opened.append(self._log(name, config))
        except ConfigError:
            close_logs(opened)
            raise
        return opened

    def _log(self, name: str, config: LogConfig) -> Log:
        writer, is_terminal = _writer(name, config)
        level, form = (self._level, self._format) if name == DEFAULT else (None, None)
        return Log(
            encoder_named(form)
            if form
            else compile_encoder(config.encoder, is_terminal=is_terminal),
            writer,
            LEVELS[(level or config.level).upper()],
            include=config.include,
            exclude=config.exclude,
            sampler=_sampler(config.sampling),
        )


class PreparedLogs:
    """Logs that are open and not yet in use."""

    def __init__(self, logs: list[Log] | None) -> None:
        self._logs = logs

    def commit(self) -> None:
        """Use them; the former ones are closed."""
        if self._logs is not None:
            close_logs(use_logs(self._logs))

    async def discard(self) -> None:
        """Close them."""
        close_logs(self._logs or ())


def close_logs(logs: Sequence[Log]) -> None:
    """Close the writers of logs; what waits to be sent is still sent, within seconds."""
    for log in logs:
        log.writer.close()


def release_logs() -> None:
    """Close the logs at the end of the process, when what waits was sent or its time is over."""
    standard = Log(encoder_named("json"), stream_writer("stderr")[0])
    former = use_logs([standard])
    close_logs(former)
    for log in former:
        if isinstance(log.writer, SocketWriter):
            log.writer.join()


def _writer(name: str, config: LogConfig) -> tuple[Writer, bool]:
    """Return what writes lines, and whether a person reads them."""
    given = config.writer
    try:
        if isinstance(given, FileWriter):
            return RollingFile(given.settings), False
        if isinstance(given, NetWriter):
            return SocketWriter(given), False
    except OSError as error:
        field = "filename" if isinstance(given, FileWriter) else "address"
        what = "opened" if isinstance(given, FileWriter) else "reached"
        remedy = "" if isinstance(given, FileWriter) else '"soft_start": true starts without it'
        path = f"logging.logs.{name}.writer.{field}"
        raise ConfigError(path, f"cannot be {what}: {in_words(error)}", remedy) from None
    return stream_writer(given.output if given is not None else "stderr")


def _sampler(config: Sampling | None) -> Sampler | None:
    if config is None:
        return None
    return Sampler(
        config.interval or SAMPLING_SECONDS,
        config.first or SAMPLING_COUNT,
        config.thereafter or SAMPLING_COUNT,
    )
