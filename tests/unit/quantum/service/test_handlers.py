"""The life of a room's handlers across revisions."""

from __future__ import annotations

import pytest

from quantum.config.model import StrictModel
from quantum.errors import ConfigError
from quantum.http.message import Response
from quantum.modules.spec import ModuleSpec
from quantum.service.handlers import KEPT_REVISIONS, HandlerRoom
from quantum.testing.clock import settle
from quantum.testing.context import make_context, make_module, make_revision

HERE = __name__


class Config(StrictModel):
    word: str = ""


class Shelf:
    """What the handlers of these tests ask of their room."""

    def __init__(self):
        self.closed = []
        self.superseded = []


class Handler:
    def __init__(self, config, provision):
        self.config = config
        if config.word == "absent file":
            raise FileNotFoundError("no such file")
        shelf = provision.get(Shelf)

        async def close():
            if config.word == "sticky":
                raise RuntimeError("will not close")
            shelf.closed.append(config.word)

        provision.on_cleanup(close)
        if config.word == "refused":
            raise ConfigError(provision.path, "refused")

        self.superseded = lambda: shelf.superseded.append(config.word)

    async def handle(self, request):
        return Response.text(200, self.config.word)


@pytest.fixture
def spec(monkeypatch):
    spec = ModuleSpec("http.handlers.word", "proxy", "x:Config", "x:Handler", terminal=True)
    monkeypatch.setattr(ModuleSpec, "load_config", lambda self: Config)
    monkeypatch.setattr(ModuleSpec, "load_implementation", lambda self: Handler)
    return spec


@pytest.fixture
def room(tmp_path):
    context = make_context("proxy", tmp_path)
    shelf = Shelf()
    room = HandlerRoom(context, {Shelf: shelf})
    room.context, room.shelf = context, shelf
    return room


def revision(spec, id, *words):
    modules = [make_module(spec, {"word": w}, f"routes[{i}]") for i, w in enumerate(words)]
    return make_revision(id, modules=tuple(modules))


async def take(room, revision):
    (await room.prepare(revision)).commit()
    await settle()


async def test_a_prepared_handler_is_found_before_commit(room, spec):
    await room.prepare(revision(spec, "r1", "a"))
    assert room.context.hop.handler("proxy", "r1", "routes[0]").config.word == "a"


async def test_an_unchanged_handler_stays_the_same_instance_even_at_another_path(room, spec):
    await take(room, revision(spec, "r1", "a"))
    await take(room, revision(spec, "r2", "b", "a"))
    find = room.context.hop.table.find
    assert find("proxy", "r1", "routes[0]") is find("proxy", "r2", "routes[1]")
    assert room.shelf.closed == []


async def test_a_discarded_revision_leaves_nothing_and_disturbs_nothing(room, spec):
    await take(room, revision(spec, "r1", "a"))
    prepared = await room.prepare(revision(spec, "r2", "a", "b"))
    await prepared.discard()
    assert room.shelf.closed == ["b"]
    assert not room.context.hop.table.has_revision("proxy", "r2")
    assert room.context.hop.table.has_revision("proxy", "r1")
    assert len(room) == 1


async def test_a_handler_hears_at_once_that_the_active_revision_has_it_no_more(room, spec):
    await take(room, revision(spec, "r1", "a", "b"))
    await take(room, revision(spec, "r2", "b", "c"))
    assert (room.shelf.superseded, room.shelf.closed) == (["a"], [])
    await take(room, revision(spec, "r1", "a", "b"))
    assert room.shelf.superseded == ["a", "c"]


async def test_a_refusing_handler_closes_those_made_before_it_and_itself(room, spec):
    with pytest.raises(ConfigError) as caught:
        await room.prepare(revision(spec, "r1", "a", "refused"))
    await settle()
    assert caught.value.path == "routes[1]"
    assert sorted(room.shelf.closed) == ["a", "refused"]
    assert not room.context.hop.table.has_revision("proxy", "r1")


async def test_an_operating_system_error_names_the_handlers_path(room, spec):
    with pytest.raises(ConfigError, match=r"routes\[0\]: cannot be used: no such file"):
        await room.prepare(revision(spec, "r1", "absent file"))


async def test_old_revisions_are_kept_for_late_requests_and_then_closed(room, spec):
    for number in range(KEPT_REVISIONS):
        await take(room, revision(spec, f"r{number}", f"w{number}"))
    assert room.context.hop.table.has_revision("proxy", "r0")
    assert room.shelf.closed == []
    await take(room, revision(spec, "last", "last"))
    assert not room.context.hop.table.has_revision("proxy", "r0")
    assert room.shelf.closed == ["w0"]


async def test_going_back_to_a_kept_revision_makes_nothing_and_makes_it_the_newest(room, spec):
    await take(room, revision(spec, "r1", "a"))
    await take(room, revision(spec, "r2", "b"))
    await take(room, revision(spec, "r1", "a"))
    assert len(room) == 2
    for number in range(KEPT_REVISIONS - 1):
        await take(room, revision(spec, f"n{number}", "c"))
    assert room.context.hop.table.has_revision("proxy", "r1")
    assert room.shelf.closed == ["b"]


async def test_discarding_a_kept_revision_keeps_it(room, spec):
    await take(room, revision(spec, "r1", "a"))
    await (await room.prepare(revision(spec, "r1", "a"))).discard()
    assert room.context.hop.table.has_revision("proxy", "r1")


async def test_closing_the_room_closes_every_handler_although_one_fails(room, spec):
    await take(room, revision(spec, "r1", "a", "sticky", "b"))
    await room.aclose()
    assert sorted(room.shelf.closed) == ["a", "b"]
    assert len(room) == 0
    assert not room.context.hop.table.has_revision("proxy", "r1")


async def test_handlers_of_other_rooms_are_left_alone(room, spec):
    other = ModuleSpec("http.handlers.other", "static", "x:Config", "x:Handler", terminal=True)
    await take(room, make_revision("r1", modules=(make_module(other, {}),)))
    assert len(room) == 0
