"""``quantum fmt``: a Caddyfile in the usual form, on standard output or in place."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from quantum.caddyfile.language.format import first_difference, format_text
from quantum.config.load import load_text
from services.cli.flags import DEFAULT_CADDYFILE, EXIT_FAILED, EXIT_OK, Help

EXAMPLES = """\
examples:
  quantum fmt                        print ./Caddyfile formatted
  quantum fmt --overwrite sites/*    format in place
  quantum fmt --diff Caddyfile       what would change

Exits with 1 when the file is not in the usual form already, unless it was overwritten.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help='"-" is standard input')
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help="the same as FILE")
    parser.add_argument("-w", "--overwrite", action="store_true", help="write the file anew")
    parser.add_argument("-d", "--diff", action="store_true", help="print what would change")


def execute(args: argparse.Namespace) -> int:
    """Format; ConfigError is printed by ``main``."""
    given = [*args.files, *([args.config] if args.config else [])] or [DEFAULT_CADDYFILE]
    codes = [_format(path, args) for path in given]
    return max(codes)


def _format(path: Path, args: argparse.Namespace) -> int:
    text = load_text(path)
    formatted = format_text(text.replace("\r\n", "\n"))
    if args.overwrite and str(path) != "-":
        if formatted != text:
            path.write_text(formatted, encoding="utf-8")
        return EXIT_OK
    if args.diff:
        sys.stdout.writelines(_differences(text, formatted))
    else:
        print(formatted, end="")
    line = first_difference(text)
    if not line or str(path) == "-":
        return EXIT_OK
    print(
        f"quantum: {path}:{line}: not formatted (use --overwrite to change the file)",
        file=sys.stderr,
    )
    return EXIT_FAILED


def _differences(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line if line.endswith("\n") else f"{line}\n" for line in lines if line[0] != "?"]
