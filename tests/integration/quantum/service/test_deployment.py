"""Several processes and one NATS: one configuration everywhere."""

from __future__ import annotations

import json
import os
import signal


def revision(process):
    return json.loads(process.get("/services")[1])["revision"]


def join(start, leader, name, **options):
    """Start a process with the proxy room on the bus of ``leader``."""
    nats = leader.data_dir / "nats"
    return start(
        name,
        rooms=["proxy"],
        data_dir=str(leader.data_dir.parent / name),
        nats=f"nats://127.0.0.1:{(nats / 'port').read_text()}",
        nats_token=(nats / "token").read_text(),
        **options,
    )


def test_a_process_without_file_takes_the_deployments_and_follows_it(start, config):
    leader = start(rooms=["admin"], config_file=str(config)).ready()
    follower = join(start, leader, "follower").ready()
    assert follower.notes[-1] == "proxy committed one"
    config.write_text('{"word": "two"}')
    leader.signal(signal.SIGHUP)
    follower.wait(lambda: follower.notes[-1] == "proxy committed two", "the new revision")
    assert revision(leader) == revision(follower)
    assert follower.stop() == 0
    assert leader.stop() == 0


def test_a_revision_that_is_refused_somewhere_changes_nothing_there(start, config):
    leader = start(rooms=["admin"], config_file=str(config)).ready()
    follower = join(start, leader, "follower").ready()
    before = revision(follower)
    config.write_text('{"word": "two", "refused_by": "proxy"}')
    leader.signal(signal.SIGUSR1)
    follower.wait(lambda: "config_refused" in follower.events, "the refusal")
    assert revision(follower) == before
    assert follower.get("/readyz")[0] == 200


def test_a_changed_file_is_loaded_when_it_is_watched(start, config):
    process = start(config_file=str(config), watch=True).ready()
    config.write_text("{")
    process.wait(lambda: "config_reload_failed" in process.events, "the refusal")
    assert process.get("/readyz")[0] == 200
    config.write_text('{"word": "two"}')
    process.wait(lambda: process.notes[-1] == "admin committed two", "the new file")
    assert process.stop() == 0


def test_rooms_go_on_and_restart_while_the_bus_is_away_and_catch_up_after(start, config):
    leader = start(rooms=["admin"], config_file=str(config)).ready()
    follower = join(start, leader, "follower").ready()
    kept = follower.data_dir / "config/active.json"
    follower.wait(kept.exists, "the kept configuration")
    leader.signal(signal.SIGSTOP)  # nobody restarts nats-server now
    os.kill(leader.nats_pid, signal.SIGKILL)
    follower.wait(lambda: "away" in follower.get("/services")[1], "the outage")
    assert follower.get("/readyz")[0] == 200
    assert follower.stop() == 0
    again = join(start, leader, "follower").ready()
    assert again.notes[-1] == "proxy committed one"
    config.write_text('{"word": "two"}')
    leader.signal(signal.SIGCONT)
    leader.wait(lambda: "bus_server_restarted" in leader.events, "nats-server")
    leader.signal(signal.SIGHUP)
    again.wait(lambda: again.notes[-1] == "proxy committed two", "the new revision")
    assert again.stop() == 0
    assert leader.stop() == 0


def test_a_configuration_outlives_a_restart_of_everything(start, config):
    first = start(config_file=str(config)).ready()
    assert first.stop() == 0
    second = start("second").ready()
    assert second.notes[-1] == "admin committed one"
    assert second.stop() == 0
