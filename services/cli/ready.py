"""``quantum ready``: wait until a process serves; for scripts and container health checks."""

from __future__ import annotations

import argparse
import sys
import time

from quantum.service.options import DEFAULT_OPS
from services.cli.endpoint import EndpointError, call
from services.cli.flags import EXIT_FAILED, EXIT_OK, Help, add_flag, address, seconds

POLL_SECONDS = 0.1
EXAMPLES = """\
examples:
  quantum ready --timeout 30s && curl -k https://localhost:8443/
  quantum ready --ops unix//run/quantum/ops.sock

Exits with 0 as soon as /readyz of the ops address answers 200, with 1 when the time is over.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_flag(
        parser, "--ops", metavar="ADDR", default=DEFAULT_OPS, type=address,
        help=f"the process's ops address; default: {DEFAULT_OPS}",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", metavar="DURATION", default="60s", type=timeout,
        help="how long to wait: 30s, or a number of seconds; default: 60s",
    )  # fmt: skip


def timeout(text: str) -> float:
    """Read seconds as a plain number or a duration."""
    return seconds(f"{text}s" if text.replace(".", "", 1).isdecimal() else text)


def execute(args: argparse.Namespace) -> int:
    """Poll until ready or out of time."""
    deadline = time.monotonic() + args.timeout
    while True:
        left = max(deadline - time.monotonic(), POLL_SECONDS)
        try:
            status, body = call(args.ops, "GET", "/readyz", timeout=left)
        except EndpointError as error:
            said = str(error)
        else:
            if status == 200:
                return EXIT_OK
            said = f"{args.ops}: {status} {body.strip()}"
        if time.monotonic() + POLL_SECONDS > deadline:
            print(f"quantum: not ready after {args.timeout:g} s: {said}", file=sys.stderr)
            return EXIT_FAILED
        time.sleep(POLL_SECONDS)
