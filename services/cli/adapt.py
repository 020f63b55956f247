"""``quantum adapt``: print the full-format equivalent of a configuration."""

from __future__ import annotations

import argparse

from quantum.caddyfile.values.encoding import encode
from services import catalog
from services.cli.flags import EXIT_OK, Help, add_config_flags, read_document, require_config

EXAMPLES = """\
examples:
  quantum adapt -c simple.json --pretty            what the five keys stand for
  quantum adapt -c Caddyfile --pretty              what `caddy adapt` gives
  quantum adapt -c simple.json --validate > full.json
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_config_flags(parser)
    parser.add_argument("-p", "--pretty", action="store_true", help="indent the output")
    parser.add_argument("--validate", action="store_true", help="fail when the result is not valid")


def execute(args: argparse.Namespace) -> int:
    """Adapt and print; ConfigError is printed by ``main``."""
    document = read_document(require_config(args.config), args.adapter, args.envfile)
    if args.validate:
        catalog.parse(document)
    print(encode(document, pretty=args.pretty))
    return EXIT_OK
