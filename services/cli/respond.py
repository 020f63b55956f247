"""``quantum respond``: an HTTP server that gives one answer, for development and tests."""

from __future__ import annotations

import argparse
import re
import sys

from quantum.config.units import NetworkAddress
from quantum.errors import ConfigError
from services.cli.flags import Help
from services.cli.quick import add_quick_flags, document, free_port, grouped, header_field, run

EXAMPLES = """\
examples:
  quantum respond                                  200 without a body, on a free port that is printed
  quantum respond --listen :8080 "Hello"           this body
  quantum respond --listen :8080 503               this status
  quantum respond --listen :8081-8083 "server {{.N}} on port {{.Port}}"
  echo hello | quantum respond -l :8080 -H "Content-Type: text/plain"

Three digits are a status, anything else is the body, unless --status or --body say otherwise. The
body may hold {{.N}}, {{.Port}} and {{.Address}} of the server, and placeholders.
"""

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    parser.add_argument("answer", metavar="BODY|STATUS", nargs="?", default="")
    parser.add_argument(
        "-l",
        "--listen",
        metavar="ADDR",
        default=":0",
        help="with a range of ports: several servers",
    )
    parser.add_argument("-s", "--status", metavar="CODE", type=int, help="default: 200")
    parser.add_argument("-b", "--body", metavar="TEXT", default="")
    parser.add_argument(
        "-H", "--header", metavar='"Field: value"', action="append", default=[], type=header_field
    )
    add_quick_flags(parser)


def execute(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    status, body = answer_of(args)
    addresses = _addresses(args.listen)
    servers = {}
    for number, address in enumerate(addresses):
        handler = {
            "handler": "static_response",
            "status_code": status,
            "headers": grouped(args.header),
            "body": _filled(body, number, address),
        }
        servers[f"static{number}"] = {
            "listen": [address],
            "routes": [{"handle": [handler]}],
            "automatic_https": {"disable": True},
        }

    def announce() -> None:
        for address in addresses:
            print(f"Server address: {address}", flush=True)

    return run(args, document(args, {"servers": servers}), {"edge"}, announce)


def answer_of(args: argparse.Namespace) -> tuple[int, str]:
    """Return status and body; ConfigError: a status that is none."""
    status, body = args.status, args.body
    is_status = re.fullmatch(r"[1-9]\d\d", args.answer) is not None
    if is_status and status is None and not body:
        status = int(args.answer)
    elif args.answer and not body:
        body = args.answer
    if not body and not args.answer and not sys.stdin.isatty():
        body = sys.stdin.read()
    if status is not None and not 100 <= status <= 999:
        raise ConfigError("", f"--status {status} is no status", "three digits")
    return status or 200, body


def _addresses(listen: str) -> list[str]:
    try:
        parsed = NetworkAddress.parse(listen)
    except ValueError as error:
        raise ConfigError("", f"--listen: {error}") from error
    if parsed.is_unix or parsed.is_fd:
        return [listen]
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    ports = range(parsed.start_port, parsed.end_port + 1)
    return [f"{host}:{port or free_port(parsed.host)}" for port in ports]


def _filled(body: str, number: int, address: str) -> str:
    known = {".N": str(number), ".Port": address.rpartition(":")[2], ".Address": address}

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ConfigError(
                "", f"{match[0]} in the body is not known", f"only {', '.join(known)}"
            )
        return known[match[1]]

    return _ACTION.sub(value, body)
