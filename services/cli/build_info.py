"""``quantum build-info``: this release and the packages it runs with."""

from __future__ import annotations

import argparse
import platform
import re
import ssl

from services.cli.flags import EXIT_OK, Help
from services.cli.version import version

EXAMPLES = """\
examples:
  quantum build-info                 to put into a report of a fault
"""

DISTRIBUTION = "quantum-edge"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags: none."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help


def execute(args: argparse.Namespace) -> int:
    """Print a line for each."""
    print(f"quantum\t{version()}")
    print(f"python\t{platform.python_version()} ({platform.python_implementation()})")
    print(f"openssl\t{ssl.OPENSSL_VERSION}")
    print(f"system\t{platform.platform()}")
    for name, found in packages().items():
        print(f"dep\t{name}\t{found}")
    return EXIT_OK


def packages() -> dict[str, str]:
    """Return the versions of the packages this distribution names, those that are installed."""
    from importlib.metadata import PackageNotFoundError, requires  # late: slow
    from importlib.metadata import version as version_of

    found: dict[str, str] = {}
    try:
        wanted = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # a bare source tree
        return found
    names = {re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0] for line in wanted}
    for name in sorted(names - {DISTRIBUTION}):
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            continue
    return found
