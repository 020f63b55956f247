"""``quantum version``: which release this is."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Declare no flags."""


def execute(args: argparse.Namespace) -> int:
    """Print it."""
    print(f"quantum {version()}")
    return 0


def version() -> str:
    """Return the version of the installed distribution, "0+unknown" in a bare source tree."""
    from importlib.metadata import PackageNotFoundError  # late: slow, and only two commands need it
    from importlib.metadata import version as version_of

    try:
        return version_of("quantum-edge")
    except PackageNotFoundError:
        return "0+unknown"
