"""A client that knows the six messages and nothing else stays in sync with clients of version 2."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest
from websockets.asyncio.client import connect

from tests.integration.sync_client.conftest import eventually
from tests.integration.sync_client.snippet import a_browser_hears_of_a_file

pytestmark = [pytest.mark.slow]
KNOWN = {"Subscribe", "FileOperation", "Ack", "Error", "Ping", "Pong"}


@pytest.fixture(scope="module", params=["all", "three"])
def topology(request):
    return request.param


class OldClient:
    """Reads no field and no message that version 1 does not have."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.files: dict[str, str] = {}

    def fetch(self, path: str, data: bytes | None = None) -> bytes:
        method = "GET" if data is None else "PUT"
        fields = {"X-Client-Id": self.name}
        request = urllib.request.Request(f"{self.url}/api/{path}", data, fields, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def list(self) -> None:
        entries = json.loads(self.fetch("list"))
        self.files = {e["path"]: e["hash"] for e in entries if not e["is_directory"]}

    def _at(self, path: str) -> list[str]:
        return [p for p in self.files if p == path or p.startswith(path + "/")]

    async def subscribe(self, socket) -> None:
        await socket.send(json.dumps({"type": "Subscribe", "client_id": self.name}))
        told = json.loads(await socket.recv())
        assert (told["type"], told["operation_id"]) == ("Ack", "subscribe")
        await asyncio.to_thread(self.list)

    async def hear(self, socket, done) -> None:
        async with asyncio.timeout(40):
            while not done():
                message = json.loads(await socket.recv())
                assert message["type"] in KNOWN
                if message["type"] == "FileOperation" and message["source_client"] != self.name:
                    await asyncio.to_thread(self._apply, message["operation"])

    def _apply(self, operation) -> None:
        ((kind, body),) = operation.items()
        if kind == "Delete":
            for path in self._at(body["path"]):
                del self.files[path]
        elif kind == "Move":
            for path in self._at(body["from"]):
                self.files[body["to"] + path[len(body["from"]) :]] = self.files.pop(path)
        elif not body["metadata"]["is_directory"]:
            path, size = body["metadata"]["path"], body["metadata"]["size"]
            data = self.fetch(f"files/{quote(path)}")
            assert len(data) == size
            self.files[path] = hashlib.sha256(data).hexdigest()
            assert self.files[path] == body["metadata"]["hash"]


async def test_a_client_of_the_six_messages_follows_and_is_followed(clients):
    new = clients.make("new")
    await asyncio.to_thread(clients.once, new)
    clients.start(new)
    old = OldClient(clients.url, "old-1")
    async with connect(clients.url.replace("http", "ws") + "/ws") as socket:
        await old.subscribe(socket)
        await socket.send(json.dumps({"type": "Ping"}))
        assert json.loads(await socket.recv()) == {"type": "Pong"}
        (new / "from-new").write_bytes(b"one")
        (new / "large").write_bytes(b"x" * 300_000)
        await old.hear(socket, lambda: {"from-new", "large"} <= old.files.keys())
        await asyncio.to_thread(old.fetch, "files/from-old", b"two")
        answer = await asyncio.to_thread(_seen, new / "from-old", b"two", clients)
        assert answer
        (new / "from-new").write_bytes(b"three")
        wanted = hashlib.sha256(b"three").hexdigest()
        await old.hear(socket, lambda: old.files.get("from-new") == wanted)
        (new / "large").rename(new / "moved")
        await old.hear(socket, lambda: "moved" in old.files and "large" not in old.files)
        await socket.send(json.dumps({
            "type": "FileOperation", "operation": {"Delete": {"path": "from-old"}},
            "source_client": "old-1",
        }))  # fmt: skip
        await asyncio.to_thread(eventually, lambda: not (new / "from-old").exists())
        (new / "from-new").unlink()
        await old.hear(socket, lambda: "from-new" not in old.files)


def _seen(path, data, clients) -> bool:
    eventually(lambda: path.read_bytes() == data, told=clients.logs)
    return True


FILES = 300


class NewPeer:
    """What clients of version 2 do to a share, by requests."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, data: bytes = b"", **fields: str):
        names = {name.replace("_", "-"): value for name, value in fields.items()}
        request = urllib.request.Request(
            f"{self.url}/api/{path}", data, {"X-Client-Id": "new", **names}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            if refusal.code != 428:
                raise
            confirm = json.load(refusal)["confirm"]  # it was meant
        return self.ask(method, path, data, **fields, Sync_Confirm=confirm)

    def tell(self, what: str, **body: object):
        return self.ask("POST", what, json.dumps(body).encode())

    def many(self, below: str, mark: bytes) -> list[dict]:
        records = []
        for number in range(FILES):
            data = bytes(range(256)) + mark + b"%d" % number  # no text
            record = {"path": f"{below}/{number % 7}/f{number}", "size": len(data)}
            records.append(json.dumps(record).encode() + b"\n" + data)
        return self.ask("POST", "batch", b"".join(records))["results"]

    def large(self, path: str, size: int) -> None:
        """Upload by chunks that are cut here, as a client that travels light does."""
        data = random.Random(path).randbytes(size)
        pieces = [data[at : at + 300_000] for at in range(0, size, 300_000)]
        names = [hashlib.sha256(piece).hexdigest() for piece in pieces]
        for name, piece in zip(names, pieces, strict=True):
            self.ask("PUT", f"chunks/{name}", piece)
        chunks = [[name, len(piece)] for name, piece in zip(names, pieces, strict=True)]
        whole = {"hash": hashlib.sha256(data).hexdigest(), "size": size, "chunks": chunks}
        self.ask("PUT", f"manifests/{path}", json.dumps(whole).encode())


async def test_a_client_of_the_six_messages_follows_what_only_version_2_can_do(clients):
    old, new = OldClient(clients.url, "old-2"), NewPeer(clients.url)
    async with connect(clients.url.replace("http", "ws") + "/ws") as socket:
        await old.subscribe(socket)

        async def do(function, *arguments, **more):
            return await asyncio.to_thread(function, *arguments, **more)

        async def follows():
            """It knows of every file what a fresh list says, by what it was told alone."""
            told = json.loads(await do(old.fetch, "list"))
            wanted = {e["path"]: e["hash"] for e in told if not e["is_directory"]}
            await old.hear(socket, lambda: old.files == wanted)
            return wanted

        made = await do(new.many, "photos", b"one")
        assert {result["status"] for result in made} == {201}
        assert len(await follows()) >= FILES
        cursor = (await do(new.ask, "GET", "status"))["head"]
        await do(new.tell, "move", **{"from": "photos", "to": "pictures/2026"})
        assert len([p for p in await follows() if p.startswith("pictures/2026/")]) == FILES
        await do(new.ask, "PUT", "files/plan", b"first")
        mine = await do(new.ask, "PUT", "files/plan?on_conflict=copy", b"late", If_Match='"v1"')
        assert "conflict of new" in mine["path"]
        assert {"plan", mine["path"]} <= (await follows()).keys()
        await do(new.large, "film", 3_000_000)
        assert "film" in await follows()
        await do(new.ask, "DELETE", "dirs/pictures?recursive=true")
        assert not [p for p in await follows() if p.startswith("pictures/")]
        await do(new.tell, "restore", path="photos", seq=cursor)
        assert len([p for p in await follows() if p.startswith("photos/")]) == FILES


def test_the_specification_s_browser_client_hears_of_a_file(clients, topology):
    if topology == "all":
        pytest.skip("tests/browser has it")
    a_browser_hears_of_a_file(clients)
