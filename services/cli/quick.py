"""Configurations that a command line describes, run in this process: ``respond``, ``file-server``, ``reverse-proxy``.

As Caddy's: no admin API, nothing remembered. Without TLS the data directory is a temporary one.
"""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quantum.errors import ConfigError, in_words
from quantum.service.options import RunOptions
from services import catalog
from services.cli.flags import add_flag
from services.cli.run import default_data_dir
from services.cli.version import version

Document = dict[str, Any]


def add_quick_flags(parser: argparse.ArgumentParser, short_access_log: bool = False) -> None:
    """Add what all of these commands take."""
    names = ("-a", "--access-log") if short_access_log else ("--access-log",)
    parser.add_argument(*names, action="store_true", help="log each request")
    parser.add_argument("-v", "--debug", action="store_true", help="log at level debug")
    add_flag(
        parser, "--data-dir", metavar="DIR", type=Path,
        help="keys and certificates; default: a temporary one, with HTTPS $XDG_DATA_HOME/quantum/quick",
    )  # fmt: skip


def document(args: argparse.Namespace, http: Document, **apps: Document) -> Document:
    """Return the whole configuration: these servers, logs as asked for, no admin API."""
    if args.access_log:
        for server in http["servers"].values():
            server["logs"] = {}
    made: Document = {"admin": {"disabled": True}, "apps": {"http": http, **apps}}
    if args.debug:
        made["logging"] = {"logs": {"default": {"level": "DEBUG"}}}
    return made


def run(
    args: argparse.Namespace, made: Document, rooms: set[str], announce: Callable[[], None]
) -> int:
    """Run until stopped; ``announce`` is called once it serves. With HTTPS ``rooms`` names certs."""
    from quantum.http.placeholders.surroundings import use_environment  # late, as in ``run``

    use_environment(os.environ)
    if args.data_dir is not None or "certs" in rooms:
        return _run(made, rooms, args.data_dir or default_data_dir() / "quick", announce)
    with tempfile.TemporaryDirectory(prefix="quantum-") as folder:
        return _run(made, rooms, Path(folder), announce)


def _run(made: Document, rooms: set[str], data_dir: Path, announce: Callable[[], None]) -> int:
    from quantum.service import runner

    return runner.run(
        RunOptions(
            manifests=catalog.MANIFESTS,
            registry=catalog.registry(),
            parse=catalog.parse,
            rooms=frozenset(rooms),
            data_dir=data_dir.absolute(),
            version=version(),
            load=lambda: made,
            ops="",
            on_ready=lambda _: announce(),
        )
    )


def header_field(text: str) -> tuple[str, str]:
    """Read ``Field: value``."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not "Field: value"')
    return name.strip(), value.strip()


def grouped(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the values of each field."""
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return found


def free_port(host: str) -> int:
    """Return a port that nobody listens on; ConfigError when the host is none of this machine's."""
    try:
        family, *_, place = socket.getaddrinfo(host or "::", 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(place)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigError("", f"no port of {host!r} can be had: {in_words(error)}") from error
