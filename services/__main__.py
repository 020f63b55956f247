"""The command line's entry: ``quantum`` and ``python -m services``."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from quantum.errors import ConfigError
from services.cli import version
from services.cli.flags import EXIT_FAILED, EXIT_USAGE, Help, Parser, refuse, refuse_unknown

COMMANDS = {
    "run": "start the platform, or some of its rooms",
    "ready": "wait until a process is ready",
    "validate": "check a configuration without starting anything",
    "adapt": "print a configuration in the full format",
    "fmt": "put a Caddyfile into the usual form",
    "reload": "load a configuration into a running process",
    "stop": "stop a running process",
    "respond": "run a server that gives one answer",
    "file-server": "serve a folder",
    "reverse-proxy": "pass requests on to other addresses",
    "sync": "keep a folder the same as a share",
    "trust": "let this machine trust the root of a local authority",
    "untrust": "trust it no more",
    "hash-password": "hash a password for basic authentication",
    "storage": "move certificates and keys out of a storage and into one",
    "list-modules": "list the modules a configuration can name",
    "environ": "print the environment that configurations see",
    "completion": "print a script with which a shell completes",
    "build-info": "print the release and its packages",
    "version": "print the version",
}
"""Each is the module of that name in ``services/cli``, imported only when it is called: `quantum ready`
runs every few seconds in every container."""

EPILOG = """\
examples:
  quantum run --demo                     see it work
  quantum run -c quantum.json            run a configuration, simple or in Caddy's JSON
  quantum COMMAND --help                 flags and examples of a command

Every flag marked [env: NAME] may be given as that environment variable.
"""


def make_parser(called: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; only the ``called`` command has its flags."""
    parser = Parser(
        prog="quantum", epilog=EPILOG, formatter_class=Help,
        description="An edge platform: HTTP, TLS, load balancing, files, real-time sync.",
    )  # fmt: skip
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, summary in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        if name == called:
            command = import_module(f"services.cli.{name.replace('-', '_')}")
            command.add(subparser)
            subparser.set_defaults(
                execute=command.execute,
                commands=COMMANDS,
                make_parser=make_parser,
                parser=subparser,
            )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code of the process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = make_parser(arguments[0] if arguments else None)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        parser.error(f"there is no command {arguments[0]!r}{hint}")
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        refuse_unknown(getattr(args, "parser", parser), unknown)
    if args.version:
        return version.execute(args)
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
