"""``quantum stop``: ask a running process to stop gracefully, through its admin API."""

from __future__ import annotations

import argparse
import json
import sys

from services.cli.endpoint import EndpointError, call
from services.cli.flags import EXIT_FAILED, EXIT_OK, Help, add_flag, address

DEFAULT_ADMIN = "localhost:2019"
"""Caddy's admin address."""

EXAMPLES = """\
examples:
  quantum stop
  quantum stop --address unix//run/quantum/admin.sock

The same as SIGTERM, for where the admin API can be reached and the process cannot.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_address(parser)


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add ``--address``, where the admin API is."""
    add_flag(
        parser, "--address", metavar="ADDR", default=DEFAULT_ADMIN, type=address,
        help=f"the admin API; default: {DEFAULT_ADMIN}",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    """Post /stop."""
    return post(args.address, "/stop", None, {})


def post(admin: str, path: str, body: bytes | None, fields: dict[str, str]) -> int:
    """Post to the admin API; print why it refused. Returns the exit code."""
    try:
        status, answer = call(admin, "POST", path, body, fields, timeout=60.0)
    except EndpointError as error:
        remedy = "is the process running, and its admin API not disabled? try --address"
        print(f"quantum: no admin API: {error} ({remedy})", file=sys.stderr)
        return EXIT_FAILED
    if 200 <= status < 300:
        return EXIT_OK
    reason = _reason(answer) or f"{status} (is {admin} an admin API? try --address)"
    print(f"quantum: refused: {reason}", file=sys.stderr)
    return EXIT_FAILED


def _reason(answer: str) -> str:
    try:
        found = json.loads(answer)
    except ValueError:
        return answer.strip()
    return str(found.get("error", answer)) if isinstance(found, dict) else answer.strip()
