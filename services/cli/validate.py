"""``quantum validate``: whether a configuration is usable, and where not."""

from __future__ import annotations

import argparse
import sys

from services import catalog
from services.cli.flags import EXIT_OK, Help, add_config_flags, read_document, require_config

EXAMPLES = """\
examples:
  quantum validate -c quantum.json
  quantum validate -c Caddyfile --envfile .env
  jq '.apps.http.grace_period = "5s"' quantum.json | quantum validate -c -

Prints the revision and exits with 0; or prints the JSON path of the first mistake, what is wrong
and what to do about it, and exits with 1.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_config_flags(parser)


def execute(args: argparse.Namespace) -> int:
    """Validate; ConfigError is printed by ``main``."""
    path = require_config(args.config)
    revision = catalog.parse(read_document(path, args.adapter, args.envfile))
    modules = len(revision.modules)
    print(f"{path}: valid (revision {revision.id}, {modules} modules)", file=sys.stderr)
    return EXIT_OK
