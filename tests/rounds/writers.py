"""People who write: each request is repeated as it was until it has an answer, and its outcome is noted."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import secrets
from dataclasses import dataclass, field

import aiohttp

from quantum.testing.patience import PAUSE_SECONDS, Patience

HASTY = 0.15
"""Of so many requests nobody waits for the answer: they are repeated at once, perhaps at another replica."""

ANSWER_SECONDS = 60.0
"""How long a request is repeated: the longest fault, a restart and a queue of others."""


@dataclass
class Account:
    """What the writers of a round know: contents they may rely on, writes that won."""

    promised: set[tuple[str, str]] = field(default_factory=set)
    """Path as answered, and hash."""
    winners: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Who was told that a write upon a version succeeded."""
    answers: dict[int, int] = field(default_factory=dict)
    unanswered: int = 0

    def note(self, status: int) -> None:
        self.answers[status] = self.answers.get(status, 0) + 1


class Writer:
    """One client over HTTP."""

    def __init__(self, url: str, folder: str, name: str, dice: random.Random, account: Account):
        self._url = url
        self._folder = folder
        self._name = name
        self._dice = dice
        self._account = account
        self._versions: dict[str, str] = {}

    async def work(self, end: asyncio.Event) -> None:
        """Write until told to stop; the last request is carried to its answer."""
        timeout = aiohttp.ClientTimeout(total=PAUSE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            while not end.is_set():
                act = self._dice.choices(
                    [self._put, self._batch, self._delete, self._move], [6, 2, 1, 1]
                )[0]
                await act()
                await asyncio.sleep(self._dice.uniform(0, 0.03))

    async def _ask(self, method: str, target: str, **more: object) -> tuple[int, dict, dict]:
        """Ask until there is an answer that is not "repeat it"."""
        patience, last = Patience(ANSWER_SECONDS), ""
        while not patience.is_over:
            try:
                url = self._url + target
                async with (
                    asyncio.timeout(self._haste()),
                    self._session.request(method, url, **_streamed(more)) as answer,  # type: ignore[arg-type]
                ):
                    body = await answer.read()
                    if answer.status < 500 or answer.status == 507:
                        self._account.note(answer.status)
                        return answer.status, json.loads(body or b"{}"), dict(answer.headers)
                    last = f"{answer.status} {body[:200]!r}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                last = repr(error)
            self._account.unanswered += 1
            await asyncio.sleep(self._dice.choice([0, 0, 0.1]))
        raise TimeoutError(f"{method} {target}: {last}")

    def _haste(self) -> float:
        """Return how long one attempt may take: sometimes it is repeated while the first is at work."""
        is_hasty = self._dice.random() < HASTY
        return self._dice.uniform(0.002, 0.05) if is_hasty else PAUSE_SECONDS

    def _path(self) -> str:
        return f"{self._folder}/d{self._dice.randrange(2)}/f{self._dice.randrange(4)}"

    def _content(self, size: int | None = None) -> bytes:
        size = self._dice.choice([0, 10, 3000, 90_000, 700_000]) if size is None else size
        return self._dice.randbytes(size) + f"{self._name} {secrets.token_hex(4)}".encode()

    async def _put(self) -> None:
        path, data = self._path(), self._content()
        base = self._versions.get(path)
        fields = {"X-Client-Id": self._name, "Sync-Op-Id": secrets.token_hex(8)}
        fields |= {"If-None-Match": "*"} if base is None else {"If-Match": f'"{base}"'}
        copies = self._dice.random() < 0.3
        target = f"/api/files/{path}" + ("?on_conflict=copy" if copies else "")
        status, told, headers = await self._ask("PUT", target, data=data, headers=fields)
        if status in {200, 201}:
            is_copy = "Sync-Conflict" in headers
            stands = None if copies else base  # an edit beats a delete: then it replaced nothing
            self._won(path, stands, told["path"], data, f"v{headers['Sync-Version']}", is_copy)
        elif status == 412:
            self._learn(path, told.get("current"))
        else:
            self._versions.pop(path, None)

    async def _batch(self) -> None:
        items = {}
        is_packed = (
            self._dice.random() < 0.5
        )  # so many small ones are one file on the server's disk
        for _ in range(40 if is_packed else self._dice.randrange(2, 20)):
            items[self._path() if self._dice.random() < 0.3 else f"{self._folder}/b/{secrets.token_hex(3)}"] = (
                self._content(60 if is_packed else None), secrets.token_hex(8)
            )  # fmt: skip
        body = b""
        for path, (data, op_id) in items.items():
            base = self._versions.get(path)
            facts: dict[str, object] = {"path": path, "size": len(data), "op_id": op_id}
            facts |= {"if_none_match": "*"} if base is None else {"if_match": base}
            body += json.dumps(facts).encode() + b"\n" + data
        left = dict(items)
        patience = Patience(ANSWER_SECONDS)
        while left:
            status, told, _ = await self._ask(
                "POST", "/api/batch", data=body, headers={"X-Client-Id": self._name}
            )
            assert status == 200, told
            if patience.is_over:
                raise TimeoutError(f"of a batch was only told {told['results'][:3]}")
            for result in told["results"]:
                path = result["path"]
                if path not in left or (result["status"] >= 500 and result["status"] != 507):
                    continue
                data, _ = left.pop(path)
                self._account.note(result["status"])
                if result["status"] in {200, 201}:
                    version = f"v{result['version']}"
                    self._won(path, self._versions.get(path), path, data, version, False)
                elif result["status"] == 412:
                    self._learn(path, result.get("current"))
                else:
                    self._versions.pop(path, None)

    async def _delete(self) -> None:
        path = self._path()
        base = self._versions.get(path)
        if base is None:
            return
        fields = {
            "X-Client-Id": self._name,
            "If-Match": f'"{base}"',
            "Sync-Op-Id": secrets.token_hex(8),
        }
        status, told, _ = await self._ask("DELETE", f"/api/files/{path}", headers=fields)
        self._versions.pop(path, None)
        if status == 412:
            self._learn(path, told.get("current"))

    async def _move(self) -> None:
        folder = f"{self._folder}/d{self._dice.randrange(2)}"
        to = f"{self._folder}/moved-{secrets.token_hex(3)}"
        fields = {"X-Client-Id": self._name, "Sync-Op-Id": secrets.token_hex(8)}
        await self._ask("POST", "/api/move", json={"from": folder, "to": to}, headers=fields)

    def _won(
        self, path: str, base: str | None, stored: str, data: bytes, version: str, is_copy: bool
    ) -> None:
        self._account.promised.add((stored, hashlib.sha256(data).hexdigest()))
        if not is_copy:
            if base is not None:
                self._account.winners.setdefault((path, base), []).append(self._name)
            self._versions[path] = version

    def _learn(self, path: str, current: dict | None) -> None:
        if current is None:
            self._versions.pop(path, None)
        else:
            self._versions[path] = f"v{current['version']}"


def _streamed(more: dict[str, object]) -> dict[str, object]:
    """Return the arguments of a request with its body as a file: aiohttp warns of long ones in memory."""
    data = more.get("data")
    return {**more, "data": io.BytesIO(data)} if isinstance(data, bytes) else more
