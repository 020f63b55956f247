"""Contexts for tests of one room."""

from __future__ import annotations

import pytest

from quantum.bus.subjects import CONFIG_APPLIED
from quantum.errors import ConfigError, HttpError
from quantum.testing.context import make_context, make_revision


class Service:
    def __init__(self):
        self.notes = []

    async def prepare(self, revision):
        if revision.id == "bad":
            raise ConfigError("x", "refused")
        return self

    def commit(self):
        self.notes.append("commit")

    async def discard(self):
        self.notes.append("discard")


async def test_the_switch_prepares_and_commits_in_the_services_it_was_given(tmp_path):
    context, service = make_context("proxy", tmp_path), Service()
    context.switch.use(service)
    await context.switch.apply(make_revision("r"))
    assert service.notes == ["commit"]
    assert context.switch.active.id == "r"


async def test_a_refusal_discards_what_was_prepared(tmp_path):
    context, service = make_context("proxy", tmp_path), Service()
    context.switch.use(service, Service())
    with pytest.raises(ConfigError):
        await context.switch.apply(make_revision("bad"))
    assert context.switch.active is None


async def test_an_absent_room_answers_503(tmp_path):
    handler = make_context("edge", tmp_path).hop.handler("proxy", "r", "path")
    with pytest.raises(HttpError) as caught:
        await handler.handle(None)
    assert caught.value.status == 503


def test_a_stop_is_noted_with_its_failure(tmp_path):
    context = make_context("edge", tmp_path)
    error = RuntimeError("broken")
    context.stop_process("asked")
    context.stop_process("failed", error)
    assert context.stop_process.reasons == ["asked", "failed"]
    assert context.stop_process.failures == [error]


async def test_time_to_live_of_the_bus_runs_on_the_contexts_clock(tmp_path):
    context = make_context("edge", tmp_path)
    assert context.bus.server.clock is context.clock
    assert CONFIG_APPLIED.name.startswith("quantum.")
