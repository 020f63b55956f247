"""``quantum hash-password``: the hash that an account of ``http_basic`` holds."""

from __future__ import annotations

import argparse
import getpass
import sys

from services.cli.flags import EXIT_FAILED, EXIT_OK, Help

EXAMPLES = """\
examples:
  quantum hash-password                          ask for a password, print its hash
  quantum hash-password --algorithm argon2id     needs memory to guess, not only time
  echo secret | quantum hash-password            from a script
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    parser.add_argument(
        "--plaintext", help="the password; other users of the machine can see it: better not"
    )
    parser.add_argument("--algorithm", choices=("bcrypt", "argon2id"), default="bcrypt")
    parser.add_argument(
        "--bcrypt-cost", type=int, default=14, metavar="N", help="4 to 31, default 14"
    )
    parser.add_argument(
        "--argon2id-time", type=int, default=1, metavar="N", help="passes, default 1"
    )
    parser.add_argument(
        "--argon2id-memory", type=int, default=46 * 1024, metavar="KIB", help="default 47104"
    )
    parser.add_argument("--argon2id-threads", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument(
        "--argon2id-keylen", type=int, default=32, metavar="BYTES", help="default 32"
    )


def execute(args: argparse.Namespace) -> int:
    """Print the hash on standard output."""
    password = args.plaintext if args.plaintext is not None else _read()
    if not password:
        return _refuse("the password is empty")
    try:
        from services.edge.authentication.hashes import (
            Argon2id,
            Bcrypt,
        )  # late: needs edge's packages
    except ImportError:
        return _refuse("needs the packages of the edge room: pip install 'quantum-edge[edge]'")
    try:
        if args.algorithm == "bcrypt":
            print(Bcrypt.make(password.encode(), args.bcrypt_cost))
        else:
            print(Argon2id.make(
                password.encode(), args.argon2id_time, args.argon2id_memory, args.argon2id_threads,
                args.argon2id_keylen,
            ))  # fmt: skip
    except (ValueError, OverflowError) as error:
        return _refuse(str(error))
    return EXIT_OK


def _read() -> str:
    """Return a line of standard input; a terminal is asked twice and shows nothing."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Again: "):
        print("quantum hash-password: the passwords differ", file=sys.stderr)
        return ""
    return password


def _refuse(problem: str) -> int:
    print(f"quantum hash-password: {problem}", file=sys.stderr)
    return EXIT_FAILED
