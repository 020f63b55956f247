"""The lines of the contract, looked at after a round."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import aiohttp

from quantum.testing.patience import PAUSE_SECONDS, Patience
from tests.rounds.evidence import Replay, otherwise, replicas_otherwise
from tests.rounds.followers import Follower
from tests.rounds.writers import Account

SETTLE_SECONDS = 40.0
"""How long followers and the folder may take after the last fault."""


async def _get(session: aiohttp.ClientSession, method: str, url: str, **more: object) -> object:
    """Ask until there is an answer."""
    patience, last = Patience(SETTLE_SECONDS), "nothing was asked"
    while not patience.is_over:
        try:
            async with session.request(method, url, **more) as answer:  # type: ignore[arg-type]
                if answer.status == 200:
                    return json.loads(await answer.read())
                last = f"{answer.status} {await answer.text()}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            last = repr(error)
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{method} {url}: {last}")


async def judge(
    url: str, root: Path, account: Account, followers: list[Follower], replay: Replay, since: int
) -> tuple[list[str], int]:
    """Return what is wrong, and the head. ``root`` is beside what the processes keep."""
    problems = [problem for follower in followers for problem in follower.problems]
    timeout = aiohttp.ClientTimeout(total=PAUSE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        operations, head = await _log(session, url, since)
        problems += _log_problems(operations, account)
        listed = await _converged(session, url, root, head, followers, problems)
        problems += _told_otherwise(followers, listed, operations)
        problems += await _log_otherwise(root.parent, followers, operations, since)
        problems += replay.idle((o["seq"], o["operation"]) for o in operations)
        problems += _losses(operations, account, listed)
        problems += await _unreadable(session, url, account, operations)
    return problems, head


async def _log(session: aiohttp.ClientSession, url: str, since: int) -> tuple[list[dict], int]:
    found: list[dict] = []
    cursor = since
    while True:
        asked = {"cursor": cursor, "limit": 1000}
        told = await _get(session, "POST", f"{url}/api/sync", json=asked)
        assert isinstance(told, dict)
        found += told["operations"]
        cursor = told["cursor"]
        if cursor >= told["head"]:
            return found, cursor


def _log_problems(operations: list[dict], account: Account) -> list[str]:
    problems = []
    ids = [operation["op_id"] for operation in operations]
    if len(set(ids)) != len(ids):
        problems.append("an op_id is in the log twice")
    for (path, base), names in account.winners.items():
        if len(names) > 1:
            problems.append(f"{names} were all told that they replaced {base} of {path}")
    versions: dict[str, int] = {}
    for operation in operations:
        ((kind, body),) = operation["operation"].items()
        path = body["path"] if kind == "Delete" else body["metadata"]["path"]
        base = operation.get("base_version")
        known = versions.get(path)
        if base is not None and known is not None and kind == "Update" and base != known:
            problems.append(f"{operation['seq']} replaced {base} of {path}, where {known} was")
        versions[path] = operation["seq"]
        if kind == "Move":
            versions = {p: v for p, v in versions.items() if not p.startswith(body["from"])}
    return problems


async def _converged(
    session: aiohttp.ClientSession,
    url: str,
    root: Path,
    head: int,
    followers: list[Follower],
    problems: list[str],
) -> dict[str, tuple[str, bool]]:
    """Wait until followers and the folder are as the list says."""
    listed: dict[str, tuple[str, bool]] = {}
    wrong: list[str] = ["nothing was compared"]
    patience = Patience(SETTLE_SECONDS)
    while wrong and not patience.is_over:
        told = await _get(session, "GET", f"{url}/api/list")
        assert isinstance(told, list)
        listed = {entry["path"]: (entry["hash"], entry["is_directory"]) for entry in told}
        wrong = [
            f"follower {number} at {follower.cursor} of {head} differs"
            for number, follower in enumerate(followers)
            if follower.tree != listed
        ]
        wrong += await asyncio.to_thread(_folder_differs, root, listed)
        if wrong:
            await asyncio.sleep(0.2)
    problems += wrong[:5]
    return listed


async def _log_otherwise(
    directory: Path, followers: list[Follower], operations: list[dict], since: int
) -> list[str]:
    """Say who has something else than the log; every replica comes to its head."""
    log = {operation["seq"]: operation["op_id"] for operation in operations}
    problems = ["no replica was looked at"]
    patience = Patience(SETTLE_SECONDS)
    while problems and not patience.is_over:
        problems = await asyncio.to_thread(replicas_otherwise, directory, log, since)
        if problems:
            await asyncio.sleep(0.2)
    for number, follower in enumerate(followers):
        problems += otherwise(f"follower {number}", follower.heard, log)
    return problems


def _told_otherwise(
    followers: list[Follower], listed: dict[str, tuple[str, bool]], operations: list[dict]
) -> list[str]:
    """Say what followers and the list make of the paths they differ in, and this round's operations on them."""
    problems = []
    for number, follower in enumerate(followers):
        tree = follower.tree
        names = sorted(n for n in tree.keys() | listed.keys() if tree.get(n) != listed.get(n))
        for name in names[:3]:
            problems.append(
                f"{name}: {tree.get(name)} to follower {number}, {listed.get(name)} in the list"
            )
            problems += [json.dumps(o) for o in operations if name in json.dumps(o)][-6:]
    return problems


def _folder_differs(root: Path, listed: dict[str, tuple[str, bool]]) -> list[str]:
    found = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if name.split("/")[0] == ".quantum":
            continue
        try:
            is_directory = path.is_dir()
            data = b"" if is_directory else path.read_bytes()
        except FileNotFoundError:
            continue
        digest = "" if is_directory else hashlib.sha256(data).hexdigest()
        found[name] = (digest, is_directory)
    names = {name for name in found.keys() | listed.keys() if found.get(name) != listed.get(name)}
    return [
        f"{name} is {found.get(name)} in the folder and {listed.get(name)} in the share"
        for name in sorted(names)
    ]


def _losses(
    operations: list[dict], account: Account, listed: dict[str, tuple[str, bool]]
) -> list[str]:
    logged = {
        body["metadata"]["hash"]
        for operation in operations
        for kind, body in operation["operation"].items()
        if kind in {"Create", "Update"}
    } | {digest for digest, _ in listed.values()}
    return [
        f"{path} {digest} was answered and is nowhere"
        for path, digest in account.promised
        if digest not in logged
    ]


async def _unreadable(
    session: aiohttp.ClientSession, url: str, account: Account, operations: list[dict]
) -> list[str]:
    """Every promised content can be read, byte for byte, from history."""
    seqs = {}
    for operation in operations:
        for kind, body in operation["operation"].items():
            if kind in {"Create", "Update"}:
                metadata = body["metadata"]
                seqs[metadata["hash"]] = (metadata["path"], metadata["size"])
    wrong = []
    for path, digest in sorted(account.promised)[:60]:
        if digest not in seqs:
            continue
        name = hashlib.sha256()
        told = await _manifest(session, url, digest, seqs[digest][1])
        for chunk in told:
            async with session.get(f"{url}/api/chunks/{chunk}") as answer:
                if answer.status != 200:
                    wrong.append(f"{path}: chunk {chunk} is {answer.status}")
                    break
                name.update(await answer.read())
        else:
            if told and name.hexdigest() != digest:
                wrong.append(f"{path}: the chunks of {digest} are {name.hexdigest()}")
    return wrong


async def _manifest(session: aiohttp.ClientSession, url: str, digest: str, size: int) -> list[str]:
    """Return the chunks of a content that is one chunk; larger ones are read in the folder."""
    return [digest] if 0 < size <= 64 * 1024 else []
