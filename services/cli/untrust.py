"""``quantum untrust``: let this machine trust the root of a local authority no more."""

from __future__ import annotations

import argparse

from services.cli.flags import Help
from services.cli.trust import add_root_flags, change

EXAMPLES = """\
examples:
  sudo quantum untrust                    what `sudo quantum trust` installed
  sudo quantum untrust --cert root.crt    where the process is gone

Removes only what `quantum trust` installed.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_root_flags(parser)


def execute(args: argparse.Namespace) -> int:
    """Remove the root from every store that has it."""
    return change(args, lambda store, root: store.remove(root), ("removed", "was not trusted"))
