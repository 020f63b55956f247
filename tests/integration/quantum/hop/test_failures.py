"""What goes wrong between processes, and what the client sees of it."""

import asyncio
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from quantum import __version__
from quantum.errors import HttpError
from quantum.hop import peer, remote, server
from quantum.hop.envelope import Address
from quantum.http.body import StreamBody, read_all
from quantum.http.message import Response
from quantum.testing.handler import FunctionHandler, PulledBody, make_request
from quantum.testing.topology import freeze
from quantum.wire.mux.codec import MuxCodec
from tests.integration.quantum.hop.deployment import (
    PATH,
    REVISION,
    ROOM,
    Deployment,
    deployment,
    install,
    pair,
    reach,
    settle,
)


def saying(text):
    async def answer(request):
        return Response.text(200, text)

    return FunctionHandler(answer)


async def test_a_wrong_token_opens_nothing(tmp_path):
    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, saying("secret"))
        far.server._token = b"another"
        with pytest.raises(HttpError) as raised:
            await reach(near).handle(make_request())
        assert raised.value.status == 502


async def test_the_token_and_the_socket_are_for_their_user_alone(tmp_path):
    async with deployment(tmp_path) as made:
        far = await made.start("far", ROOM)
        assert stat.S_IMODE((tmp_path / "run" / "hop.token").stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(far.address.removeprefix("unix/")).stat().st_mode) == 0o600


async def test_a_revision_that_comes_late_is_waited_for(tmp_path):
    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, saying("old"))
        waiting = asyncio.gather(
            reach(near, "r2").handle(make_request()),
            reach(near, "r2").handle(make_request("POST", StreamBodyOf(b"upload"))),
        )
        await asyncio.sleep(0.15)
        assert not waiting.done()

        async def answer(request):
            return Response.text(200, f"new{(await read_all(request.body, 99)).decode()}")

        install(far, FunctionHandler(answer), "r2")
        first, second = await waiting
        assert await read_all(first.body, 99) == b"new"
        assert await read_all(second.body, 99) == b"newupload"


def StreamBodyOf(data):
    body = StreamBody()
    body.feed(data)
    body.finish()
    return body


async def test_a_revision_that_never_comes_is_a_503(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "REVISION_SECONDS", 0.2)
    async with deployment(tmp_path) as made:
        near, _ = await pair(made)
        with pytest.raises(HttpError) as raised:
            await reach(near, "r9").handle(make_request())
        assert (raised.value.status, dict(raised.value.headers)) == (503, {b"retry-after": b"1"})


async def test_an_unknown_handler_of_a_known_revision_is_an_error_at_once(tmp_path):
    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, saying("x"))
        with pytest.raises(HttpError) as raised:
            await near.hop.handler(ROOM, REVISION, "elsewhere").handle(make_request())
        assert raised.value.status == 404


async def test_a_deadline_ends_the_wait_and_the_handler(tmp_path):
    cancelled = asyncio.Event()

    async def answer(request):
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))
        request = make_request()
        request.deadline = asyncio.get_running_loop().time() + 0.1
        with pytest.raises(HttpError) as raised:
            await reach(near).handle(request)
        assert raised.value.status == 504
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_defect_of_a_handler_is_a_500_and_ends_nothing_else(tmp_path):
    async def answer(request):
        if request.query == "bad":
            raise ValueError("a defect")
        return Response.text(200, "fine")

    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))
        request = make_request()
        request.query = "bad"
        with pytest.raises(HttpError) as raised:
            await reach(near).handle(request)
        assert raised.value.status == 500
        assert (await reach(near).handle(make_request())).body == b"fine"


async def test_a_room_without_a_process_is_waited_for(tmp_path):
    async with deployment(tmp_path) as made:
        near = await made.start("near", "edge")
        waiting = asyncio.gather(reach(near).handle(make_request()))
        await asyncio.sleep(0.1)
        far = await made.start("far", ROOM)
        install(far, saying("here now"))
        await far.announce(REVISION)
        (response,) = await waiting
        assert response.body == b"here now"


async def test_a_room_that_stays_away_is_a_503(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "ABSENCE_SECONDS", 0.1)
    async with deployment(tmp_path) as made:
        near = await made.start("near", "edge")
        with pytest.raises(HttpError) as raised:
            await reach(near).handle(make_request())
        assert raised.value.status == 503


class NextVersion(MuxCodec):
    """What a process of another release speaks."""

    __slots__ = ()
    version = MuxCodec.version + 1


async def test_a_process_of_another_version_is_named_and_passed_over(tmp_path, monkeypatch, capsys):
    async with deployment(tmp_path) as made:
        near = await made.start("near", "edge")
        monkeypatch.setattr(server, "MuxCodec", NextVersion)
        newer = await made.start("newer", ROOM)
        install(newer, saying("never"))
        await newer.announce(REVISION)
        await settle(near)
        for body in (b"", PulledBody([b"a", b"b"])):
            with pytest.raises(HttpError) as raised:
                await reach(near).handle(make_request("POST", body=body))
            assert raised.value.status == 502
            for part in (newer.address, __version__, "speaks version 1", "speaks version 2"):
                assert part in raised.value.reason
        assert capsys.readouterr().out.count("hop_version_mismatch") == 1
        monkeypatch.undo()
        same = await made.start("same", ROOM)
        install(same, saying("one of ours"))
        await same.announce(REVISION)
        await settle(near, 2)
        for _ in range(4):
            assert (await reach(near).handle(make_request())).body == b"one of ours"


async def test_requests_are_shared_among_the_processes_of_a_room(tmp_path):
    async with deployment(tmp_path) as made:
        near = await made.start("near", "edge")
        for name in ("one", "two", "three"):
            far = await made.start(name, ROOM)
            install(far, saying(name))
            await far.announce(REVISION)
        await settle(near, 3)
        answers = [await reach(near).handle(make_request()) for _ in range(30)]
        counts = [sum(a.body == name for a in answers) for name in (b"one", b"two", b"three")]
        assert min(counts) >= 8


async def test_a_process_that_stops_finishes_what_it_has_and_the_next_takes_over(tmp_path):
    release = asyncio.Event()

    async def answer(request):
        if request.query == "slow":
            await release.wait()
        return Response.text(200, "first")

    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, FunctionHandler(answer))
        slow = make_request()
        slow.query = "slow"
        under_way = asyncio.gather(reach(near).handle(slow))
        await asyncio.sleep(0.1)
        second = await made.start("second", ROOM)
        install(second, saying("second"))
        await second.announce(REVISION)
        await settle(near, 2)
        stopping = asyncio.gather(made.stop(far, grace=5))
        await asyncio.sleep(0.3)
        assert {(await reach(near).handle(make_request())).body for _ in range(9)} == {b"second"}
        release.set()
        assert (await under_way)[0].body == b"first"
        await stopping


async def test_what_was_known_is_found_again_while_the_bus_is_away(tmp_path):
    async with deployment(tmp_path) as made:
        near, far = await pair(made)
        install(far, saying("still here"))
        await made.stop(near)
        for bus in made.buses:
            bus.cut()
        again = await made.start("again", "edge")
        assert (await reach(again).handle(make_request())).body == b"still here"


async def test_a_process_that_died_without_a_word_is_forgotten_unless_the_bus_is_away(tmp_path):
    from quantum.testing.clock import ManualClock

    made = Deployment(tmp_path, clock=ManualClock())
    try:
        near, far = await pair(made)
        far.directory._own = {}  # it says nothing any more
        made.buses[1].cut()
        await made.clock.advance(30)
        assert near.directory.pick(ROOM, set()) is not None
        await made.buses[1].restore()
        await made.clock.advance(30)
        assert near.directory.pick(ROOM, set()) is None
    finally:
        await made.aclose()


class Processes:
    """Real processes that serve the room at one address, told to an edge in this process."""

    def __init__(self, tmp_path):
        self.data_dir = tmp_path
        self.running = []

    async def start(self, address):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
        log = (self.data_dir / "far.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.quantum.hop.far_process",
            str(self.data_dir), address, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        self.running.append(process)
        until = time.monotonic() + 20
        while not (self.data_dir / f"up-{process.pid}").exists():
            assert time.monotonic() < until, (self.data_dir / "far.log").read_text()
            await asyncio.sleep(0.05)
        return process

    async def aclose(self):
        for process in self.running:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def processes(tmp_path):
    made = Processes(tmp_path)
    yield made
    await made.aclose()


async def announce_far(near, address, process="p"):
    from quantum.bus.api import Entry
    from quantum.bus.subjects import RoomPresence

    presence = RoomPresence(process=process, room=ROOM, address=address, revision=REVISION)
    await near.directory._on_entry(Entry(f"static.{process}", presence, 1))


async def test_killing_a_process_fails_its_posts_and_nothing_else(tmp_path, processes, monkeypatch):
    monkeypatch.setattr(remote, "ABSENCE_SECONDS", 60.0)  # a start on a busy machine takes seconds
    address = f"unix/{tmp_path}/far.sock"
    first = await processes.start(address)
    async with deployment(tmp_path) as made:
        near = await made.start("near", "edge")
        await announce_far(near, address)
        handler = near.hop.make_remote(ROOM, REVISION, PATH)
        handler._lead = Address(ROOM, REVISION, PATH).lead("shared")
        assert (await handler.handle(make_request())).body == str(first.pid).encode()

        slow_get, slow_post = make_request(), make_request("POST", b"x")
        slow_post.path = "/slow"
        post = asyncio.gather(handler.handle(slow_post), return_exceptions=True)
        await asyncio.sleep(0.1)
        first.kill()
        await first.wait()
        (failure,) = await asyncio.wait_for(post, 20)
        assert isinstance(failure, HttpError)
        assert failure.status == 502
        get = asyncio.gather(handler.handle(slow_get))
        second = await processes.start(address)
        ((response),) = await get
        assert response.body == str(second.pid).encode()


async def test_a_process_that_falls_silent_holds_up_what_it_has_and_nothing_else(
    tmp_path, processes, monkeypatch
):
    monkeypatch.setattr(peer, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(
        peer, "CONNECT_SECONDS", 600.0
    )  # longer than the test: who waits for it fails
    addresses = [f"unix/{tmp_path}/{name}.sock" for name in ("silent", "well")]
    silent, well = [await processes.start(address) for address in addresses]
    async with deployment(tmp_path) as made:
        near = await made.start("near", "edge")
        for name, address in zip("pq", addresses, strict=True):
            await announce_far(near, address, name)
        handler = near.hop.make_remote(ROOM, REVISION, PATH)
        handler._lead = Address(ROOM, REVISION, PATH).lead("shared")

        async def ask():
            return int((await handler.handle(make_request())).body)

        assert {await ask() for _ in range(20)} == {silent.pid, well.pid}
        freeze(silent.pid)
        try:
            async with asyncio.timeout(60):
                assert {await ask() for _ in range(200)} == {well.pid}
                assert near.directory._peers[addresses[0]].is_lost
        finally:
            silent.send_signal(signal.SIGCONT)
        async with asyncio.timeout(60):
            while await ask() != silent.pid:
                await asyncio.sleep(0.01)


async def test_an_idempotent_request_is_sent_again_to_the_process_that_is_left(tmp_path):
    async with deployment(tmp_path) as made:
        near = await made.start("near", "edge")
        dying = await made.start("dying", ROOM)
        began = asyncio.Event()

        async def answer(request):
            began.set()
            await asyncio.sleep(30)

        install(dying, FunctionHandler(answer))
        await dying.announce(REVISION)
        await settle(near)
        get = asyncio.gather(reach(near).handle(make_request()))
        upload = PulledBody(_forever())
        put = asyncio.gather(
            reach(near).handle(make_request("PUT", upload)), return_exceptions=True
        )
        await began.wait()
        await asyncio.sleep(0.1)
        left = await made.start("left", ROOM)
        install(left, saying("left"))
        await left.announce(REVISION)
        await settle(near, 2)
        for connection in list(dying.server._connections):
            connection.transport.abort()
        assert (await get)[0].body == b"left"
        (failure,) = await put
        assert isinstance(failure, HttpError), "a body that was sent in part is not sent again"
        assert failure.status == 502


async def _forever():
    while True:
        yield b"x" * 1000
        await asyncio.sleep(0.01)
