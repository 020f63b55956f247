"""Flags, the environment variables that stand for them, and what several commands share.

``--data-dir`` may be given as ``QUANTUM_DATA_DIR``, and so on; the flag wins. Exit codes are Caddy's
(0 done, 1 failed, 2 forced to quit, 3 failed to quit) and 64 for a wrong command line (sysexits.h).
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from quantum.errors import ConfigError

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 64
DEFAULT_CONFIG = Path("quantum.json")
DEFAULT_CADDYFILE = Path("Caddyfile")
ADAPTERS = ("json", "simple", "caddyfile")

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})


class Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors exit with 64: argparse's own 2 means "forced to quit"."""

    def error(self, message: str) -> NoReturn:
        """Print usage and the mistake, and exit."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def refuse_unknown(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    """Exit with usage for words that ``parser`` does not know, and the flag that the first may have meant."""
    flags = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001
    near = difflib.get_close_matches(unknown[0].partition("=")[0], flags, n=1)
    hint = f", did you mean {near[0]}?" if near else ""
    parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")


class Help(argparse.RawDescriptionHelpFormatter):
    """Help whose examples keep their lines."""


def variable(flag: str) -> str:
    """Return the environment variable that stands for ``--some-flag``."""
    return "QUANTUM_" + flag.lstrip("-").replace("-", "_").upper()


class Once(argparse.Action):
    """A flag that may be given once: the last of two would win in silence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the value, or refuse the second."""
        mark = f"_{self.dest}_given"
        if hasattr(namespace, mark):
            parser.error(f"argument {'/'.join(self.option_strings)}: given twice, and one is taken")
        setattr(namespace, mark, True)
        setattr(namespace, self.dest, values)


def add_flag(parser: argparse.ArgumentParser, *names: str, help: str, **settings: Any) -> None:
    """Add a flag with a value; its last name gives the environment variable."""
    name = variable(names[-1])
    default = os.environ.get(name, settings.pop("default", None))
    parser.add_argument(*names, help=f"{help} [env: {name}]", default=default, **settings)


def add_switch(parser: argparse.ArgumentParser, *names: str, help: str) -> None:
    """Add a flag without a value; in the environment it is 1 or 0."""
    name = variable(names[-1])
    word = os.environ.get(name, "").lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        parser.error(f"{name}={word!r} is neither 1 nor 0")
    parser.add_argument(
        *names, help=f"{help} [env: {name}]", action="store_true", default=word in TRUE_WORDS
    )


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` and ``--adapter``."""
    add_flag(
        parser, "-c", "--config", metavar="FILE", type=Path, action=Once,
        help=f'the configuration; "-" is standard input; default: ./{DEFAULT_CONFIG} or '
        f"./{DEFAULT_CADDYFILE}, whichever is present",
    )  # fmt: skip
    add_flag(
        parser, "-a", "--adapter", metavar="NAME", default="json", type=adapter,
        help="the file's format: json (simple or full, told from its keys; default), simple, or "
        "caddyfile (also told from the name: Caddyfile*, *.caddyfile)",
    )  # fmt: skip
    add_envfile_flag(parser)


def add_envfile_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--envfile``."""
    parser.add_argument(
        "--envfile", metavar="FILE", type=Path, action="append", default=[],
        help="variables for {$NAME} and {env.NAME}; those already set win; may be repeated",
    )  # fmt: skip


def adapter(text: str) -> str:
    """Check the name of a configuration adapter."""
    if text not in ADAPTERS:
        raise argparse.ArgumentTypeError(f"unknown adapter {text!r}: {' or '.join(ADAPTERS)}")
    return text


def seconds(text: str) -> float:
    """Read a duration that is not negative ("30s", "1m30s")."""
    from quantum.config.units import parse_duration  # late: most calls need not wait for pydantic

    try:
        value = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def address(text: str) -> str:
    """Check an address that one stream socket can listen on or dial."""
    from quantum.config.units import NetworkAddress

    try:
        parsed = NetworkAddress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not parsed.is_stream or parsed.start_port != parsed.end_port:
        raise argparse.ArgumentTypeError(f"{text!r} is not one TCP or unix address")
    return text


def refuse(error: ConfigError) -> int:
    """Print what is wrong with a configuration; return the exit code."""
    print(f"quantum: error: {error}", file=sys.stderr)
    return EXIT_FAILED


def config_path(given: Path | None) -> Path | None:
    """Return the configuration file to use: the given one, one that is present here, or None."""
    present = (path for path in (DEFAULT_CONFIG, DEFAULT_CADDYFILE) if path.is_file())
    return given or next(present, None)


def require_config(given: Path | None) -> Path:
    """Return the configuration file to use; ConfigError when there is none."""
    found = config_path(given)
    if found is None:
        raise ConfigError("", "no configuration", f"give --config FILE or make ./{DEFAULT_CONFIG}")
    return found


def is_caddyfile(path: Path, adapter: str = "json") -> bool:
    """Whether the file is a Caddyfile: said by ``--adapter``, or told from its name."""
    if adapter == "caddyfile":
        return True
    named = path.name.startswith("Caddyfile") and path.suffix != ".json"
    return adapter == "json" and (named or path.suffix == ".caddyfile")


def read_document(path: Path, adapter: str = "json", envfiles: Sequence[Path] = ()) -> Any:
    """Return the document in ``path`` as full-format JSON, adapted but not validated.

    What is odd about a Caddyfile is printed to standard error.
    """
    # Late: only commands with a configuration need the models.
    from quantum.config.load import load_file
    from quantum.config.simple import adapt, is_simple

    read_variables(envfiles)
    if is_caddyfile(path, adapter):
        return _read_caddyfile(path)
    document = load_file(path)
    if adapter == "simple" or is_simple(document):
        return adapt(document)
    return document


def _read_caddyfile(path: Path) -> Any:
    from quantum.caddyfile.adapt import adapt
    from quantum.config.load import load_text

    adapted = adapt(load_text(path), file=str(path), environment=os.environ)
    for notice in adapted.notices:
        print(f"quantum: warning: {notice}", file=sys.stderr)
    return adapted.document


def read_variables(files: Sequence[Path]) -> None:
    """Set the variables of ``--envfile`` that are not set yet; ConfigError where one is not read."""
    if files:
        from services.cli.envfile import parse_envfile

        for file in files:
            for name, value in parse_envfile(file).items():
                os.environ.setdefault(name, value)
