"""``quantum sync``: keep a folder the same as a share; and ``realtime-sync-client``, its older name."""

from __future__ import annotations

import argparse
import asyncio
import re
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantum.errors import ConfigError, in_words
from services.cli.flags import EXIT_OK, Help, Parser, add_flag, refuse

if TYPE_CHECKING:
    from services.sync.client.app import Options

EXIT_BLOCKED, EXIT_HELD, EXIT_LOST = 4, 5, 6
"""Synced but for some paths · a mass deletion waits for a yes · the folder is not there."""

COMMANDS = {
    "run": "sync a folder, once or for as long as it runs",
    "status": "what waits, what is skipped and why",
    "conflicts": "conflict copies that were made here",
    "history": "versions of a file on the server",
    "restore": "make a path what it was on the server",
    "token": "make a bearer token for a share",
    "why": "why a path is what it is: from the client's journal and the server's log",
}

EXAMPLES = """\
examples:
  quantum sync run --server https://files.example.com --local-path ~/notes --realtime
  quantum sync run --server localhost:8082 --local-path ./copy --dry-run
  quantum sync run --server … --local-path … --pull --exclude '*.tmp' --exclude 'node_modules/'
  quantum sync status --local-path ~/notes
  quantum sync why --local-path ~/notes docs/plan.md
  quantum sync restore --local-path ~/notes docs/plan.md --seq 41
  quantum sync token --key-file key --write --path 'docs/**' --expires 720h

exit codes: 0 both sides are equal · 1 failed · 4 equal but for some paths, which are listed ·
5 too much would be deleted: --confirm-deletes · 6 the folder is not the one that was synced
"""

MODES = ("two-way", "pull", "push", "mirror")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    commands = parser.add_subparsers(dest="sync_command", metavar="COMMAND", parser_class=Parser, required=True)  # fmt: skip
    for name, summary in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        subparser.epilog, subparser.formatter_class = EXAMPLES, Help
        if name == "run":
            add_run_flags(subparser)
        elif name == "token":
            from services.sync.access.command import add_token_flags

            add_token_flags(subparser)
        else:
            _add_question(subparser, name)


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Declare what a sync needs to know."""
    _add_place(parser, is_needed=True)
    parser.add_argument(
        "--realtime", action="store_true", help="stay connected and sync as changes happen"
    )
    parser.add_argument(
        "--initial-sync", action="store_true",
        help="sync everything at the start; this is always done, because changes have no order without it",
    )  # fmt: skip
    add_flag(parser, "--client-id", metavar="NAME", help="this machine's name in conflict copies and logs; default: made once from the host's name")  # fmt: skip
    way = parser.add_mutually_exclusive_group()
    for mode, text in zip(MODES, _MODE_HELP, strict=True):
        way.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode, help=text)
    parser.set_defaults(mode=MODES[0])
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="sync only what matches (gitignore's syntax; repeatable)")  # fmt: skip
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="leave out what matches; .quantumignore in the folder does the same")  # fmt: skip
    add_flag(parser, "--bandwidth", metavar="SIZE", type=_size, default=0, help="bytes per second in both directions together, such as 2MB; default: no limit")  # fmt: skip
    add_flag(parser, "--parallel", metavar="N", type=_count, default=16, help="transfers at once; default: 16")  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be done and do nothing"
    )
    parser.add_argument("--confirm-deletes", action="store_true", help="delete even if it is most of the files")  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of every step")


_MODE_HELP = (
    "changes go both ways (default)",
    "the server's changes come down; local ones stay here",
    "local changes go up; the server's stay there",
    "make the folder a copy of the share; what differs goes to .quantum/trash",
)


def _add_place(parser: argparse.ArgumentParser, *, is_needed: bool) -> None:
    add_flag(parser, "--server", metavar="URL", help="the share; default: the one the folder was synced with")  # fmt: skip
    parser.add_argument("--local-path", metavar="DIR", type=Path, required=is_needed, default=Path(), help="the folder" + ("" if is_needed else "; default: the current one"))  # fmt: skip
    add_flag(parser, "--token", metavar="TOKEN", default="", help="bearer token; better as the variable, which other users cannot see")  # fmt: skip
    parser.add_argument(
        "--insecure", action="store_true", help="do not verify the server's certificate"
    )


def _add_question(parser: argparse.ArgumentParser, name: str) -> None:
    _add_place(parser, is_needed=False)
    parser.add_argument("--json", action="store_true", help="print JSON")
    if name in {"history", "restore", "why"}:
        parser.add_argument("path", metavar="PATH", help="as in the share, / between names")
    if name == "restore":
        moment = parser.add_mutually_exclusive_group(required=True)
        moment.add_argument("--seq", type=int, metavar="N", help="as it was after this operation")
        moment.add_argument("--time", metavar="TIME", help="as it was then (RFC 3339)")
        parser.add_argument("--dry-run", action="store_true", help="only print what would change")


def execute(args: argparse.Namespace) -> int:
    """Run one subcommand."""
    _require_client()
    if args.sync_command == "run":
        return run(args)
    if args.sync_command == "token":
        return _print_token(args)
    questions = import_module("services.cli.sync.questions")
    code: int = questions.answer(args)
    return code


def _require_client() -> None:
    """Raise ConfigError where the client's own dependencies are not installed: most server images."""
    missing = [name for name in ("pathspec", "rich", "watchfiles") if find_spec(name) is None]
    if missing:
        problem = f"{', '.join(missing)} not installed"
        raise ConfigError("", problem, "pip install 'quantum-edge[client]'")


def _print_token(args: argparse.Namespace) -> int:
    from quantum.clock import SystemClock
    from services.sync.access.command import token_of

    path: Path = args.key_file
    try:
        key = sys.stdin.read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("", f"--key-file {path}: {in_words(error)}", "check the path") from error
    print(token_of(args, key, SystemClock().now()))
    return EXIT_OK


def client(arguments: Sequence[str] | None = None) -> int:
    """Run ``realtime-sync-client``: the same flags as ``quantum sync run``."""
    parser = Parser(prog="realtime-sync-client", description=COMMANDS["run"], epilog=EXAMPLES,
                    formatter_class=Help, allow_abbrev=False)  # fmt: skip
    add_run_flags(parser)
    args = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    try:
        _require_client()
        return run(args)
    except ConfigError as error:
        return refuse(error)


def run(args: argparse.Namespace) -> int:
    """Sync; return the exit code. Errors are told with what to do about them."""
    from services.cli.sync.report import explain

    try:
        return asyncio.run(_run(args))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        code, problem, remedy = told
        print(f"quantum sync: error: {problem} ({remedy})", file=sys.stderr)
        return code


async def _run(args: argparse.Namespace) -> int:
    from quantum.clock import SystemClock
    from services.cli.sync.report import finish, progress_on, show_plan
    from services.sync.client.app import Client, connect, follow_patterns
    from services.sync.client.opened import open_folder

    if args.server is None:
        args.server = remembered(args.local_path, "server")
    server = server_url(args.server)
    with open_folder(args.local_path, str(server)) as (folder, state):
        options = make_options(args, state)
        follow_patterns(options, state)
        async with connect(options) as (http, executor):
            with progress_on(sys.stderr, is_verbose=args.verbose) as progress:
                syncer = Client(options, folder, state, SystemClock(), progress, http, executor)
                if args.dry_run:
                    return show_plan(await syncer.plan())
                if not args.realtime:
                    return finish(await syncer.once())
                return await _follow(syncer, is_verbose=args.verbose)


async def _follow(syncer: Any, *, is_verbose: bool) -> int:
    """Stay until a signal says to stop."""
    from services.cli.sync.report import configure, report

    configure(is_verbose=is_verbose)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(_unwrapped(syncer.follow(report)))
        stopping = group.create_task(stop.wait())
        await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        following.cancel()
    if not following.cancelled() and (error := following.result()) is not None:
        raise error
    return 0


async def _unwrapped(following: Any) -> Exception | None:
    """Return the error instead of raising it: a group would wrap it."""
    try:
        await following
    except Exception as error:  # noqa: BLE001 - handed on, not swallowed
        return error
    return None


def make_options(args: argparse.Namespace, state: Any) -> Options:
    """Turn flags into what the client takes."""
    from services.sync.client.app import Options
    from services.sync.client.planning.model import Mode
    from services.sync.client.settings import Settings

    settings = Settings(
        client=_client_id(getattr(args, "client_id", None), state),
        mode=Mode(getattr(args, "mode", MODES[0])),
        parallel=getattr(args, "parallel", 4),
        confirm_deletes=getattr(args, "confirm_deletes", False),
    )
    return Options(
        server=server_url(args.server), root=args.local_path.resolve(), settings=settings,
        token=args.token, include=getattr(args, "include", []), exclude=getattr(args, "exclude", []),
        rate=getattr(args, "bandwidth", 0), verify_tls=not args.insecure,
    )  # fmt: skip


def server_url(text: str | None) -> Any:
    """Read ``--server``."""
    from services.sync.client.remote.http import share_url

    if not text:
        raise ConfigError("", "no server", "give --server URL")
    return share_url(text)


def remembered(folder: Path, name: str) -> str:
    """Return a fact of a folder that was synced before, "" when there is none."""
    from services.sync.client.disk.folder import FolderLost
    from services.sync.client.opened import open_folder

    try:
        with open_folder(folder, "", is_read_only=True) as (_, state):
            return str(state.fact(name))
    except FolderLost:
        return ""


def _client_id(given: str | None, state: Any) -> str:
    """Return the client's name: given, remembered, or made from the host's name."""
    name = given or state.fact("client")
    if not name:
        host = re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname().partition(".")[0])[:40]
        name = f"{host or 'client'}-{secrets.token_hex(2)}"
    if not re.fullmatch(r"[!-~]{1,128}", name):
        raise ConfigError("", f"--client-id {name!r}", "use 1 to 128 visible ASCII characters")
    if name != state.fact("client"):
        state.set_fact("client", name)
        state.commit()
    return str(name)


def _size(text: str) -> int:
    from quantum.config.units import parse_byte_size

    try:
        return parse_byte_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)
