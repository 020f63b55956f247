"""``quantum run``: start the platform, or some of its rooms, in this process."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from quantum.errors import ConfigError, in_words
from quantum.service.options import DEFAULT_GRACE, DEFAULT_OPS, RunOptions
from services import catalog
from services.cli.demo import Demo
from services.cli.flags import (
    Help,
    add_config_flags,
    add_flag,
    add_switch,
    address,
    config_path,
    read_document,
    seconds,
)
from services.cli.version import version

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
ALL = "all"
NATS_SCHEMES = ("nats", "tls", "ws", "wss")
MAX_WORKERS = 256
"""More is a typing error: a worker is meant for a core."""
ACTIVE = Path("config") / "active.json"
"""Where a process keeps its last configuration, below the data directory."""

EXAMPLES = """\
examples:
  quantum run -c quantum.json                      everything in one process
  quantum run -c quantum.json --watch              the same; a changed file is loaded at once
  quantum run -c Caddyfile                         the same from a Caddyfile
  quantum run --workers 4                          four processes share the work of the data plane
  quantum run --demo                               the demo configuration with its upstreams
  quantum run --target edge --nats nats://bus:4222 --hop 0.0.0.0:9001
                                                   one room of a deployment

Relative paths in a configuration start at the working directory. Without --config the file
./quantum.json is used, or ./Caddyfile; if there is none, the deployment's active configuration (with --nats) or the
last one this data directory has seen.
signals: TERM and INT stop gracefully (a second one at once), HUP reads the configuration again
exit codes: 0 stopped, 1 could not start or failed, 2 forced to quit, 3 failed to quit, 64 usage
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_config_flags(parser)
    add_switch(parser, "-w", "--watch", help="load the configuration again when its file changes")
    add_switch(
        parser, "--demo", help="run the demo configuration and its upstreams; print the URLs"
    )
    add_flag(
        parser, "--target", metavar="ROOMS", default=ALL, type=rooms,
        help=f"the rooms to run: {ALL} (default), or some of {','.join(catalog.ROOMS)}",
    )  # fmt: skip
    add_flag(
        parser, "--workers", metavar="N", default="0", type=workers,
        help=f"processes that share {', '.join(sorted(catalog.WORKER_ROOMS))}; default: 0, none",
    )  # fmt: skip
    add_flag(
        parser, "--data-dir", metavar="DIR", type=Path,
        help="keys, certificates, bus, last configuration; default: $XDG_DATA_HOME/quantum",
    )  # fmt: skip
    _add_network_flags(parser)
    add_flag(parser, "--pidfile", metavar="FILE", type=Path, help="write the process id there")
    add_flag(
        parser, "--grace", metavar="DURATION", default=f"{DEFAULT_GRACE:.0f}s", type=seconds,
        help="how long requests under way may take at a stop; default: 30s",
    )  # fmt: skip
    add_flag(
        parser, "--log-level", metavar="LEVEL", type=str.upper, choices=LEVELS,
        help="DEBUG, INFO, WARN or ERROR; wins over the configuration",
    )  # fmt: skip
    add_flag(
        parser, "--log-format", metavar="FORMAT", choices=("json", "console"),
        help="json or console; default: console on a terminal, json elsewhere",
    )  # fmt: skip


def _add_network_flags(parser: argparse.ArgumentParser) -> None:
    add_flag(
        parser, "--nats", metavar="URL", type=nats_servers,
        help="the NATS server(s), comma separated; default: an embedded one",
    )  # fmt: skip
    add_flag(parser, "--nats-token-file", metavar="FILE", type=Path, help="the token NATS asks for")
    add_flag(
        parser, "--ops", metavar="ADDR", default=DEFAULT_OPS, type=ops_address,
        help=f'/livez /readyz /metrics /services; "off" for none; default: {DEFAULT_OPS}',
    )  # fmt: skip
    add_flag(
        parser, "--hop", metavar="ADDR", type=address,
        help="where other processes reach these rooms; default: a unix socket in the data directory",
    )  # fmt: skip
    add_flag(
        parser, "--hop-advertise", metavar="ADDR", type=address,
        help="how others reach --hop, when that differs (containers, several interfaces)",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    """Run until stopped."""
    demo = Demo() if args.demo else None
    if demo is not None:
        demo.enter_home()
        args.config = args.config or demo.config
        args.data_dir = args.data_dir or demo.data_dir
    options = make_options(args)
    # Late: the other commands need neither loop nor bus.
    from quantum.http.placeholders.surroundings import use_environment
    from quantum.service import runner

    use_environment(os.environ)

    if demo is None:
        return runner.run(options)
    with demo.running(options.load() if options.load else {}):
        return runner.run(options)


def make_options(args: argparse.Namespace) -> RunOptions:
    """Turn flags into what the runner takes; ConfigError when there is nothing to run."""
    data_dir = (args.data_dir or default_data_dir()).absolute()
    path = config_path(args.config)
    if path is None and args.nats is None and not (data_dir / ACTIVE).exists():
        raise ConfigError("", "no configuration to run", "give --config FILE, or try --demo")
    if args.workers and not args.target & catalog.WORKER_ROOMS:
        raise ConfigError("", "--workers: none of these rooms can be shared", "leave it out")
    if args.workers and args.hop:
        raise ConfigError(
            "", "--workers does not go with --hop", "run replicas of the rooms instead"
        )
    from_stdin = path is not None and str(path) == "-"
    return RunOptions(
        manifests=catalog.MANIFESTS,
        registry=catalog.registry(),
        parse=catalog.parse,
        rooms=args.target,
        data_dir=data_dir,
        version=version(),
        load=_loader(path, args, from_stdin),
        config_file=None if from_stdin else path,
        watch=args.watch and not from_stdin,
        nats=args.nats,
        nats_token=_read_token(args.nats_token_file),
        ops=args.ops,
        hop=args.hop,
        hop_advertise=args.hop_advertise,
        pidfile=args.pidfile,
        grace=args.grace,
        log_level=args.log_level,
        log_format=args.log_format,
        on_ready=_on_ready(args),
        workers=args.workers,
        worker_rooms=catalog.WORKER_ROOMS,
        worker_command=(sys.executable, "-P", "-m", "services.cli.worker"),
    )


def _loader(
    path: Path | None, args: argparse.Namespace, from_stdin: bool
) -> Callable[[], Any] | None:
    if path is None:
        return None
    if not from_stdin:
        return partial(read_document, path, args.adapter, args.envfile)
    document = read_document(
        path, args.adapter, args.envfile
    )  # standard input can be read once only
    return lambda: document


def _on_ready(args: argparse.Namespace) -> Callable[[Any], None] | None:
    return Demo.announce if args.demo else None


def rooms(text: str) -> frozenset[str]:
    """Read the value of ``--target``."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if names == {ALL}:
        return frozenset(catalog.ROOMS)
    unknown = sorted(names - set(catalog.ROOMS))
    if unknown or not names:
        known = ", ".join((ALL, *catalog.ROOMS))
        raise argparse.ArgumentTypeError(f"unknown room {', '.join(unknown)!r}: there are {known}")
    return names


def workers(text: str) -> int:
    """Read the value of ``--workers``."""
    if not text.isdecimal() or int(text) > MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MAX_WORKERS}")
    return int(text)


def ops_address(text: str) -> str:
    """Read the value of ``--ops``; "" is none."""
    return "" if text in {"", "off"} else address(text)


def nats_servers(text: str) -> str:
    """Check the value of ``--nats``: addresses that NATS can have."""
    for server in text.split(","):
        scheme, is_url, _ = server.strip().partition("://")
        if is_url and scheme not in NATS_SCHEMES:
            known = ", ".join(f"{name}://" for name in NATS_SCHEMES)
            raise argparse.ArgumentTypeError(f"{server!r} is no address of NATS: one of {known}")
    return text


def default_data_dir() -> Path:
    """Return the XDG data directory of the user for this program."""
    given = os.environ.get("XDG_DATA_HOME", "")
    if given.startswith("/"):  # the specification: a relative path is invalid and ignored
        return Path(given) / "quantum"
    try:
        return Path.home() / ".local" / "share" / "quantum"
    except RuntimeError as error:
        raise ConfigError("", "this user has no home directory", "give --data-dir DIR") from error


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "", f"--nats-token-file {path}: {in_words(error)}", "check the path"
        ) from error
    if not token:
        raise ConfigError("", f"--nats-token-file {path} is empty", "write the token into it")
    return token
