"""``quantum reload``: hand a running process a new configuration, through its admin API."""

from __future__ import annotations

import argparse
import json

from services.cli.flags import Help, add_config_flags, read_document, require_config
from services.cli.stop import add_address, post

EXAMPLES = """\
examples:
  quantum reload -c quantum.json
  quantum reload -c quantum.json --address localhost:2019 --force

Either the whole configuration is taken into use, in every process of the deployment, or nothing
changes: then the reason is printed and the exit code is 1. Requests under way are not disturbed.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_config_flags(parser)
    add_address(parser)
    parser.add_argument(
        "-f", "--force", action="store_true", help="load it even if it is the one in force"
    )


def execute(args: argparse.Namespace) -> int:
    """Post /load."""
    document = read_document(require_config(args.config), args.adapter, args.envfile)
    fields = {"Content-Type": "application/json"}
    if args.force:
        fields["Cache-Control"] = "must-revalidate"
    return post(args.address, "/load", json.dumps(document).encode(), fields)
