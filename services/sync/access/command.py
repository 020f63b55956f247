"""``quantum sync token``: makes the tokens that a share believes, from its key; asks no server."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from quantum.errors import ConfigError

if TYPE_CHECKING:
    from services.sync.access.tokens import Claims


def add_token_flags(parser: argparse.ArgumentParser) -> None:
    """Declare what a token may say."""
    parser.add_argument(
        "--key-file", metavar="FILE", type=Path, required=True,
        help="a file with the share's token_key, and nothing else; - is standard input",
    )  # fmt: skip
    parser.add_argument(
        "--share", metavar="NAME", default="", help="default: every share of the key"
    )
    parser.add_argument(
        "--path", metavar="GLOB", action="append", default=[],
        help="only these paths, and all below them (repeatable); default: all",
    )  # fmt: skip
    parser.add_argument(
        "--write", action="store_true", help="allow changes; default: reading alone"
    )
    parser.add_argument(
        "--expires", metavar="TIME", type=_seconds, help='such as "12h" or "30d"; default: never'
    )
    parser.add_argument(
        "--client", metavar="NAME", help="who has it is always called so; default: as it says"
    )
    parser.add_argument("--json", action="store_true", help="print what it says and its id as well")


def token_of(args: argparse.Namespace, key: str, now: datetime) -> str:
    """Return what the command prints; ConfigError for what cannot be."""
    from services.sync.access.patterns import compile_patterns  # late: only this command needs RE2
    from services.sync.access.tokens import Claims, describe, make_token
    from services.sync.config import SHORTEST_KEY

    key = key.strip()
    if len(key) < SHORTEST_KEY:
        raise ConfigError("", f"the key is shorter than {SHORTEST_KEY} characters")
    expires = None if args.expires is None else now + timedelta(seconds=args.expires)
    try:
        claims: Claims = Claims(
            share=args.share, paths=args.path, write=args.write, expires=expires, client=args.client
        )
        if claims.paths:
            compile_patterns(claims.paths)
    except ValueError as error:
        raise ConfigError("", f"no token can say this: {error}") from None
    token = make_token(key, claims)
    return json.dumps({"token": token, **describe(claims)}, indent=2) if args.json else token


def _seconds(text: str) -> float:
    from quantum.config.units import parse_duration  # late: a sync need not wait for pydantic

    try:
        value = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value <= 0:
        raise argparse.ArgumentTypeError("must be positive")
    return value
