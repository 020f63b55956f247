"""``quantum storage``: certificates, keys and accounts as a tar archive, out of a storage and into one.

The layout is Caddy's, and so are the archives: what ``caddy storage export`` wrote can be imported.
"""

from __future__ import annotations

import argparse
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from quantum.service.private import write_private
from services.cli.flags import EXIT_FAILED, EXIT_OK, Help, add_flag
from services.cli.run import default_data_dir

FOLDERS = ("acme", "certificates", "pki")
"""What of the data directory is storage: the rest belongs to this machine."""
MAX_FILE = 1024 * 1024
"""Bytes of one file: a chain with its key has a few thousand."""

EXAMPLES = """\
examples:
  quantum storage export --output quantum.tar          certificates, keys and accounts of this machine
  quantum storage import --input quantum.tar           on another one, before it is started
  caddy storage export -c Caddyfile -o - | quantum storage import -i -
                                                       certificates move here from Caddy

The archive holds private keys: it is written for this user alone. Files that are there already are
replaced; a running process sees them when it needs a certificate next.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    parser.add_argument("action", choices=("export", "import"))
    parser.add_argument("-o", "--output", metavar="FILE", help='of export; "-" is standard output')
    parser.add_argument("-i", "--input", metavar="FILE", help='of import; "-" is standard input')
    add_flag(
        parser, "--data-dir", metavar="DIR", type=Path,
        help="the data directory; default: $XDG_DATA_HOME/quantum",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    """Copy; what cannot be read or written is told."""
    root: Path = args.data_dir or default_data_dir()
    place = args.output if args.action == "export" else args.input
    if not place:
        flag = "--output" if args.action == "export" else "--input"
        print(f"quantum: {flag} is required ({flag} - for a pipe)", file=sys.stderr)
        return EXIT_FAILED
    try:
        count = export(root, place) if args.action == "export" else take(root, place)
    except (OSError, tarfile.TarError, ValueError) as error:
        print(f"quantum: storage {args.action}: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{count} files", file=sys.stderr)
    return EXIT_OK


def export(root: Path, place: str) -> int:
    """Write every file of the storage; return how many. OSError."""
    files = list(_files(root))
    with (
        open(1, "wb", closefd=False) if place == "-" else _private(place) as target,
        tarfile.open(fileobj=target, mode="w|") as archive,
    ):
        for path in files:
            archive.add(path, str(path.relative_to(root)), recursive=False)
    return len(files)


def take(root: Path, place: str) -> int:
    """Write every file of an archive below ``root``; return how many. OSError, TarError, ValueError.

    Only regular files in the folders of a storage are taken, and none leads out of them.
    """
    count = 0
    with (
        open(0, "rb", closefd=False) if place == "-" else Path(place).open("rb") as source,
        tarfile.open(fileobj=source, mode="r|*") as archive,
    ):
        for member in archive:
            parts = PurePosixPath(member.name.removeprefix("/")).parts
            if not member.isreg() or not parts or parts[0] not in FOLDERS:
                continue
            content = archive.extractfile(member)
            if ".." in parts or member.size > MAX_FILE or content is None:
                raise ValueError(f"{member.name!r} is no file of a storage")
            _write(root, parts, content.read())
            count += 1
    return count


def _files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder")
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path


def _private(place: str) -> IO[bytes]:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")


def _write(root: Path, parts: tuple[str, ...], content: bytes) -> None:
    folder = root
    root.mkdir(parents=True, exist_ok=True)
    for name in parts[:-1]:
        folder /= name
        folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / parts[-1], content)
