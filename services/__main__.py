"""The command line's entry: ``quantum`` and ``python -m services``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from quantum.errors import ConfigError
from services.cli import adapt, list_modules, ready, reload, run, stop, validate, version
from services.cli.flags import EXIT_FAILED, EXIT_USAGE, Help, Parser, refuse

COMMANDS: tuple[ModuleType, ...] = (
    run, ready, validate, adapt, list_modules, version, stop, reload,
)  # fmt: skip

EPILOG = """\
examples:
  quantum run --demo                     see it work
  quantum run -c quantum.json            run a configuration, simple or in Caddy's JSON
  quantum COMMAND --help                 flags and examples of a command

Every flag marked [env: NAME] may be given as that environment variable.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="quantum", epilog=EPILOG, formatter_class=Help,
        description="An edge platform: HTTP, TLS, load balancing, files, real-time sync.",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"quantum {version.version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        subparser = commands.add_parser(
            command.NAME, help=command.SUMMARY, description=command.SUMMARY, allow_abbrev=False
        )
        command.add(subparser)
        subparser.set_defaults(execute=command.execute)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code of the process."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        code: int = args.execute(args)
    except ConfigError as error:
        return refuse(error)
    except BrokenPipeError:
        # Whoever reads the output went away (`| head`): nothing is left to say, and nobody to say it to.
        sys.stderr.close()
        return EXIT_FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
