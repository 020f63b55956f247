"""A client that knows the six messages and nothing else stays in sync with clients of version 2."""

import asyncio
import hashlib
import json
import urllib.request

import pytest
from websockets.asyncio.client import connect

from tests.integration.sync_client.conftest import eventually

pytestmark = [pytest.mark.slow]
KNOWN = {"Subscribe", "FileOperation", "Ack", "Error", "Ping", "Pong"}


@pytest.fixture(scope="module", params=["all", "split"])
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

    async def subscribe(self, socket) -> None:
        await socket.send(json.dumps({"type": "Subscribe", "client_id": self.name}))
        told = json.loads(await socket.recv())
        assert (told["type"], told["operation_id"]) == ("Ack", "subscribe")
        await asyncio.to_thread(self.list)

    async def hear(self, socket, done) -> None:
        async with asyncio.timeout(20):
            while not done():
                message = json.loads(await socket.recv())
                assert message["type"] in KNOWN
                if message["type"] == "FileOperation" and message["source_client"] != self.name:
                    await asyncio.to_thread(self._apply, message["operation"])

    def _apply(self, operation) -> None:
        ((kind, body),) = operation.items()
        if kind == "Delete":
            self.files.pop(body["path"], None)
        elif kind == "Move":
            self.files[body["to"]] = self.files.pop(body["from"])
        elif not body["metadata"]["is_directory"]:
            path, size = body["metadata"]["path"], body["metadata"]["size"]
            data = self.fetch(f"files/{path}")
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
