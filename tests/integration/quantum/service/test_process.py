"""A process from its start to its exit status."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from pathlib import Path


def is_alive(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def test_rooms_start_in_order_of_needs_and_stop_in_reverse(start, config):
    process = start(config_file=str(config)).ready()
    assert process.stop() == 0
    assert process.notes == [
        "proxy started", "admin started",
        "proxy prepared one", "admin prepared one", "proxy committed one", "admin committed one",
        "admin stopped", "proxy stopped",
    ]  # fmt: skip


def test_the_ops_endpoint_tells_what_runs(start, config):
    process = start(config_file=str(config), version="9.8.7").ready()
    assert process.get("/livez")[0] == 200
    assert json.loads(process.get("/readyz")[1]) == {"status": "ready", "reasons": []}
    services = json.loads(process.get("/services")[1])
    assert services["rooms"] == {"admin": "running", "proxy": "running"}
    assert services["bus"] == "connected"
    assert services["version"] == "9.8.7"
    assert len(services["revision"]) == 16
    metrics = process.get("/metrics")[1]
    assert "quantum_bus_connected 1.0" in metrics
    assert 'quantum_config_changes_total{result="applied"} 1.0' in metrics
    assert process.get("/other")[0] == 404
    assert process.stop() == 0


def test_secrets_and_state_on_disk_are_for_their_owner_alone(start, config):
    process = start(config_file=str(config), pidfile=str(config.parent / "pid")).ready()
    assert int((config.parent / "pid").read_text()) == process.process.pid
    process.wait((process.data_dir / "config/active.json").exists, "the kept configuration")
    assert json.loads((process.data_dir / "config/active.json").read_text()) == {"word": "one"}
    assert stat.S_IMODE(process.data_dir.stat().st_mode) == 0o700
    for name in ("nats/token", "nats/server.conf", "config/active.json"):
        assert stat.S_IMODE((process.data_dir / name).stat().st_mode) == 0o600, name
    token = (process.data_dir / "nats/token").read_text()
    assert token.encode() not in Path(f"/proc/{process.nats_pid}/cmdline").read_bytes()
    assert token not in process.log_file.read_text()
    assert process.stop() == 0
    assert not (config.parent / "pid").exists()


def test_a_configuration_that_cannot_be_used_ends_the_start(start, config):
    config.write_text("{}")
    process = start(config_file=str(config))
    assert process.exit_code() == 1
    assert "word: required field is missing (add it)" in process.log_file.read_text()
    assert process.notes[-2:] == ["admin stopped", "proxy stopped"]
    assert not is_alive(process.nats_pid)


def test_a_room_that_does_not_start_ends_the_process(start, config):
    process = start(config_file=str(config), behaviour={"admin": "fail start"})
    assert process.exit_code() == 1
    assert "room admin did not start: the port is taken" in process.log_file.read_text()
    assert "proxy stopped" in process.notes


def test_a_room_that_fails_later_ends_the_process(start, config):
    process = start(config_file=str(config), behaviour={"admin": "fail later"}).ready()
    assert process.exit_code() == 1
    assert process.notes[-2:] == ["admin stopped", "proxy stopped"]


def test_a_room_that_fails_to_stop_shows_in_the_exit_status_and_stops_no_other(start, config):
    process = start(config_file=str(config), behaviour={"admin": "fail stop"}).ready()
    assert process.stop() == 3
    assert process.notes[-1] == "proxy stopped"
    assert not is_alive(process.nats_pid)


def test_a_second_signal_forces_the_exit(start, config):
    process = start(config_file=str(config), behaviour={"admin": "hang"}, grace=30.0).ready()
    nats = process.nats_pid
    process.signal(signal.SIGTERM)
    process.wait(lambda: "admin hanging" in process.notes, "the stop")
    status, body = process.get("/readyz")
    assert status == 503
    assert "stopping" in json.loads(body)["reasons"]
    process.signal(signal.SIGINT)
    assert process.exit_code(5) == 2
    process.wait(lambda: not is_alive(nats), "the end of nats-server")


def test_sigquit_ends_at_once(start, config):
    process = start(config_file=str(config), behaviour={"admin": "hang"}).ready()
    process.signal(signal.SIGQUIT)
    assert process.exit_code(5) == 2


def test_a_stuck_room_is_given_up_after_its_grace(start, config):
    process = start(config_file=str(config), behaviour={"admin": "hang"}, grace=0.2).ready()
    assert process.stop() == 3
    assert process.notes[-1] == "proxy stopped"


def test_two_processes_do_not_share_rooms_of_a_data_directory(start, config):
    first = start(config_file=str(config)).ready()
    second = start("second", config_file=str(config))
    assert second.exit_code() == 1
    text = second.log_file.read_text()
    assert "already runs in this data directory" in text
    assert f"process {first.process.pid}" in text
    assert first.get("/readyz")[0] == 200
    assert first.stop() == 0
    assert start("third", config_file=str(config)).ready().stop() == 0


def test_nats_server_does_not_outlive_a_process_that_was_killed(start, config):
    process = start(config_file=str(config)).ready()
    nats = process.nats_pid
    assert is_alive(nats)
    process.signal(signal.SIGKILL)
    process.wait(lambda: not is_alive(nats), "the end of nats-server", 5)


def test_a_killed_nats_server_comes_back_with_its_data_while_rooms_go_on(start, config):
    process = start(config_file=str(config)).ready()
    process.wait(lambda: "config_applied" in process.events, "the configuration")
    killed = process.nats_pid
    port = (process.data_dir / "nats/port").read_text()
    os.kill(killed, signal.SIGKILL)
    process.wait(lambda: "bus_server_restarted" in process.events, "the restart")
    assert process.get("/readyz")[0] == 200
    services = lambda: json.loads(process.get("/services")[1])  # noqa: E731
    process.wait(lambda: services()["bus"] == "connected", "the connection")
    assert process.nats_pid != killed
    assert (process.data_dir / "nats/port").read_text() == port
    assert process.stop() == 0
    assert process.notes.count("proxy committed one") == 1


def test_a_leftover_nats_server_is_ended_at_the_next_start(start, config, tmp_path):
    import subprocess

    from quantum.service.embedded import find_server

    process = start(config_file=str(config)).ready()
    assert process.stop() == 0
    leftover = subprocess.Popen(
        [find_server(), "--config", str(process.data_dir / "nats/server.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(lambda: process.nats_pid == leftover.pid, "the leftover's pid file")
        again = start("again", config_file=str(config)).ready()
        assert leftover.wait(5) is not None
        assert "bus_server_leftover_ended" in again.events
        assert again.stop() == 0
    finally:
        leftover.kill()
        leftover.wait()


def test_an_ops_address_that_is_taken_ends_the_start_with_its_name(start, config):
    first = start(config_file=str(config)).ready()
    second = start("second", config_file=str(config), data_dir=str(config.parent / "d2"),
                   ops=first.ops)  # fmt: skip
    assert second.exit_code() == 1
    assert f"--ops {first.ops}: Address already in use (something" in second.log_file.read_text()
    assert first.stop() == 0


def test_ops_on_a_unix_socket(start, config):
    import http.client
    import socket

    path = config.parent / "ops.sock"
    process = start(config_file=str(config), ops=f"unix/{path}")

    def status():
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(path))
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    process.wait(lambda: status() == 200, "ready on the socket")
    assert process.stop() == 0


def test_a_stop_during_the_start_is_obeyed(start, config):
    process = start(rooms=["proxy"], nats="nats://127.0.0.1:9", config_file=str(config))
    process.wait(lambda: process.get("/readyz")[0] == 503, "the ops endpoint")
    assert "starting" in process.get("/readyz")[1]
    started = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - started < 5
