"""``quantum trust``: let this machine trust the root of a local authority."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from services.cli.endpoint import EndpointError, call
from services.cli.flags import EXIT_FAILED, EXIT_OK, Help, add_flag
from services.cli.stop import add_address
from services.cli.trust_stores import (
    NssStore,
    Root,
    SystemStore,
    TrustError,
    nss_stores,
    system_store,
)

EXAMPLES = """\
examples:
  sudo quantum trust                      the authority "local" of the process on this machine
  sudo quantum trust --ca inner           another one of apps.pki
  sudo quantum trust --cert root.crt      a root from a file: another machine's

Whoever has the key of a trusted root can be any site for this machine's users: trust your own
roots only. Undo it with `quantum untrust`. Browsers on Linux keep stores of their own (NSS): those of
the calling user are changed where `certutil` (package libnss3-tools) is installed.
"""

Store = SystemStore | NssStore


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    add_root_flags(parser)


def add_root_flags(parser: argparse.ArgumentParser) -> None:
    """Add what says which root is meant."""
    add_flag(parser, "--ca", metavar="ID", default="local", help="the authority; default: local")
    add_flag(parser, "--cert", metavar="FILE", type=Path, help="a root in PEM, instead")
    add_address(parser)


def execute(args: argparse.Namespace) -> int:
    """Install the root wherever this machine keeps some."""
    return change(args, lambda store, root: store.install(root), ("trusted", "trusted already"))


def change(
    args: argparse.Namespace, act: Callable[[Store, Root], bool], words: tuple[str, str]
) -> int:
    """Do something in every store and say what came of it; fails when a store fails, or there is none."""
    try:
        root = _root(args)
    except (TrustError, EndpointError, OSError) as error:
        print(f"quantum: no root: {error}", file=sys.stderr)
        return EXIT_FAILED
    system = system_store()
    stores: list[Store] = [*([system] if system is not None else []), *nss_stores(Path.home())]
    if system is None:
        print(
            "quantum: the system's store is not known here: add the root by hand", file=sys.stderr
        )
    code = EXIT_OK if stores else EXIT_FAILED
    for store in stores:
        try:
            print(f"{store.folder}: {words[0] if act(store, root) else words[1]} ({root.name})")
        except TrustError as error:
            print(f"quantum: {error}", file=sys.stderr)
            code = EXIT_FAILED
    return code


def _root(args: argparse.Namespace) -> Root:
    if args.cert is not None:
        return Root.read(args.cert.read_text("ascii"))
    status, body = call(args.address, "GET", f"/pki/ca/{quote(args.ca, safe='')}")
    if status != 200:
        raise TrustError(f"the admin API has no authority {args.ca!r} ({status})")
    try:
        return Root.read(str(json.loads(body)["root_certificate"]))
    except (ValueError, KeyError, TypeError):
        raise TrustError("the admin API answers something else") from None
