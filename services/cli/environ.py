"""``quantum environ``: the environment as a process of this program sees it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

from services.cli.flags import EXIT_OK, Help, add_envfile_flag, read_variables
from services.cli.run import default_data_dir
from services.cli.version import version

EXAMPLES = """\
examples:
  quantum environ
  quantum environ --envfile .env      with the variables of a file

What {$NAME} and {env.NAME} of a configuration stand for. There may be secrets in it.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_envfile_flag(parser)


def execute(args: argparse.Namespace) -> int:
    """Print it."""
    read_variables(args.envfile)
    for name, value in facts().items():
        print(f"{name}={value}")
    for name, value in os.environ.items():
        print(f"{name}={value}")
    return EXIT_OK


def facts() -> dict[str, str]:
    """Return what this program knows of itself and the machine."""
    return {
        "quantum.DataDir": str(default_data_dir()),
        "quantum.Version": version(),
        "python.Version": platform.python_version(),
        "python.Executable": sys.executable,
        "os.Name": platform.system().lower(),
        "os.Machine": platform.machine(),
        "os.CPUs": str(os.cpu_count() or 1),
        "os.Getwd": str(Path.cwd()),
    }
