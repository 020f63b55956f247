"""``quantum file-server``: serve a folder."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from services.cli.flags import Help
from services.cli.quick import add_quick_flags, document, run

PRECOMPRESSED = {"br": "br", "gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}

EXAMPLES = """\
examples:
  quantum file-server --listen :8080                    this folder
  quantum file-server --root public --browse -l :8080   another one, with lists of files
  quantum file-server --domain example.com              over HTTPS, with a certificate
  quantum file-server -l :8080 -p br -p gzip            files that are there compressed
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    parser.add_argument("-d", "--domain", metavar="NAME", default="", help="serve it by HTTPS")
    parser.add_argument("-r", "--root", metavar="DIR", default="", help="default: this folder")
    parser.add_argument(
        "-l", "--listen", metavar="ADDR", default="", help="default: :80, or :443 with --domain"
    )
    parser.add_argument("-b", "--browse", action="store_true", help="list folders without an index")
    parser.add_argument(
        "--reveal-symlinks", action="store_true", help="lists show where links lead"
    )
    parser.add_argument("-f", "--file-limit", metavar="N", type=int, help="names of a list at most")
    parser.add_argument("-t", "--templates", action="store_true", help="execute templates")
    parser.add_argument("--no-compress", action="store_true", help="no zstd, no gzip")
    parser.add_argument(
        "-p", "--precompressed", metavar="EXT", action="extend", default=[], type=encodings,
        help="take FILE.EXT where a client does: br, gzip, zstd; in the order of preference",
    )  # fmt: skip
    add_quick_flags(parser, short_access_log=True)


def encodings(text: str) -> list[str]:
    """Read names of encodings, or of their files' ends, with commas."""
    try:
        return [PRECOMPRESSED[name] for name in text.split(",")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(
            f"{error.args[0]!r} is none of {', '.join(PRECOMPRESSED)}"
        ) from None


def execute(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    listen = args.listen or (":443" if args.domain else ":80")
    made = document(args, {"servers": {"static": server(args, listen)}})
    rooms = {"edge", "static", *(["certs"] if args.domain else [])}

    def announce() -> None:
        print(f"serving {args.root or '.'} at {args.domain or listen}", file=sys.stderr)

    return run(args, made, rooms, announce)


def server(args: argparse.Namespace, listen: str) -> dict[str, Any]:
    """Return the server that the flags describe."""
    handlers: list[dict[str, Any]] = []
    if not args.no_compress:
        encodings: dict[str, Any] = {"zstd": {}, "gzip": {}}
        handlers.append({"handler": "encode", "encodings": encodings, "prefer": list(encodings)})
    if args.templates:
        handlers.append({"handler": "templates"})
    handlers.append(_files(args))
    route: dict[str, Any] = {"handle": handlers}
    if args.domain:
        route["match"] = [{"host": [args.domain]}]
    return {"listen": [listen], "routes": [route]}


def _files(args: argparse.Namespace) -> dict[str, Any]:
    handler: dict[str, Any] = {"handler": "file_server", "root": args.root or "."}
    if args.browse:
        handler["browse"] = {"reveal_symlinks": args.reveal_symlinks}
        if args.file_limit:
            handler["browse"]["file_limit"] = args.file_limit
    kinds = list(dict.fromkeys(args.precompressed))
    if kinds:
        handler["precompressed"] = {kind: {} for kind in kinds}
        handler["precompressed_order"] = kinds
    return handler
