"""The questions of ``quantum sync``: answered from the folder's state, or by the server."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from typing import Any

from quantum.clock import SystemClock
from services.cli.flags import EXIT_FAILED, EXIT_OK
from services.cli.sync.command import EXIT_BLOCKED, make_options, server_url
from services.cli.sync.report import explain
from services.sync.client.app import Client, connect, patterns_of
from services.sync.client.opened import open_folder
from services.sync.client.planning.planner import plan
from services.sync.client.progress import Silent
from services.sync.client.remote.api import RemoteError
from services.sync.client.remote.http import HttpRemote
from services.sync.client.state import Event, State


def answer(args: argparse.Namespace) -> int:
    """Answer one question; return the exit code."""
    try:
        with open_folder(args.local_path, "", is_read_only=True) as (folder, state):
            args.server = args.server or state.fact("server")
            if args.sync_command == "conflicts":
                return _show_events(args, state.conflicts())
            if args.sync_command == "status":
                return asyncio.run(_status(args, folder, state))
            return asyncio.run(_ask(args, state))
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        print(f"quantum sync: error: {told[1]} ({told[2]})", file=sys.stderr)
        return told[0]


async def _status(args: argparse.Namespace, folder: Any, state: State) -> int:
    """Compare the folder with what is known of the server; ask nobody."""
    patterns = patterns_of(state)
    options = replace(
        make_options(args, state),
        include=patterns.get("include", []), exclude=patterns.get("exclude", []),
    )  # fmt: skip
    async with connect(options) as (http, executor):
        client = Client(options, folder, state, SystemClock(), Silent(), http, executor)
        await client.replica.look()
        waiting = plan(
            client.replica.tree, client.view.tree, state.synced, client=options.settings.client, date=""
        )  # fmt: skip
    skipped = client.replica.skipped
    unknown = {path: why for path, why in client.replica.unknown.items() if path not in skipped}
    facts = {
        "server": args.server, "client": options.settings.client, "synced": len(state.synced),
        "cursor": client.view.cursor, "waiting": [str(a) for a in waiting.actions],
        "skipped": skipped, "unknown": unknown,
        "conflicts": len(state.conflicts()),
    }  # fmt: skip
    if args.json:
        print(json.dumps(facts, indent=2))
        return EXIT_OK if not waiting else EXIT_BLOCKED
    for name, value in facts.items():
        if isinstance(value, dict):
            for path, reason in value.items():
                print(f"{name}: {path}: {reason}")
        elif isinstance(value, list):
            print(f"{name}: {len(value)}")
            print("".join(f"  {line}\n" for line in value), end="")
        else:
            print(f"{name}: {value}")
    return EXIT_OK if not waiting else EXIT_BLOCKED


async def _ask(args: argparse.Namespace, state: State) -> int:
    options = make_options(args, state)
    async with connect(options) as (http, _):
        remote = HttpRemote(http, server_url(args.server))
        if args.sync_command == "why":
            return await _why(args, state, remote)
        if args.sync_command == "history":
            found = await remote.get(f"history/{args.path}")
        else:
            wanted: dict[str, Any] = {"path": args.path, "dry_run": args.dry_run}
            wanted |= {"seq": args.seq} if args.seq is not None else {"time": args.time}
            found = await remote.post("restore", wanted)
    if args.json:
        print(json.dumps(found, indent=2))
    if args.sync_command == "history":
        return _show_history(args, found["versions"])
    return _show_restored(args, found["operations"], found["missing"])


def _show_history(args: argparse.Namespace, versions: list[dict[str, Any]]) -> int:
    """Print one line for each version, newest first: the number is what ``restore --seq`` takes."""
    if not versions:
        print(f"quantum sync: no version of {args.path} is known", file=sys.stderr)
        return EXIT_FAILED
    for version in () if args.json else versions:
        size = f"{version['size']:,} bytes" if "size" in version else ""
        gone = "" if version.get("is_available", True) else "  (not kept any more)"
        line = (
            f"{version['seq']:>8}  {_second(version['ts'])}  {version['operation']:<6}  {size:>20}"
        )
        print(f"{line}  {version['source_client']}  {version['path']}{gone}")
    return EXIT_OK


def _show_restored(
    args: argparse.Namespace, operations: list[dict[str, Any]], missing: list[str]
) -> int:
    """Print what was done, or would be; what cannot be had back is told apart."""
    for operation in () if args.json else operations:
        for kind, body in operation.items():
            print(f"{kind.lower()}: {body.get('path') or body['metadata']['path']}")
    if not operations and not missing and not args.json:
        print(f"nothing to restore: {args.path or 'the share'} is as it was then")
    elif operations and not args.dry_run and not args.json:
        print(f"restored on the server: {args.local_path} follows at its next sync")
    for path in missing:
        print(f"not kept any more: {path}", file=sys.stderr)
    return EXIT_BLOCKED if missing else EXIT_OK


def _second(time: str) -> str:
    """Return a server's time to the second."""
    return time[:19] + "Z"


async def _why(args: argparse.Namespace, state: State, remote: HttpRemote) -> int:
    """Print what was decided here, then what the server's log says, if it can be asked."""
    code = _show_events(args, state.events(args.path))
    try:
        found = await remote.get(f"why/{args.path}")
    except RemoteError as error:
        print(f"the server does not say: {error}", file=sys.stderr)
        return code
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        for event in found.get("events", []):
            rule = f"  [{event['rule']}]" if event["rule"] else ""
            print(f"{_second(event['ts'])}  server: {event['what']}, by {event['who']}{rule}")
    return EXIT_OK


def _show_events(args: argparse.Namespace, events: list[Event]) -> int:
    if args.json:
        print(json.dumps([event._asdict() for event in events], indent=2))
    else:
        for event in events:
            print(f"{event.at}  {event.what}  [{event.rule}]")
    return EXIT_OK
