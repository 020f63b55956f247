"""Logs of a configuration: which entries they take, how lines look, what is kept out, and that nothing waits."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading

import pytest
import structlog

from quantum.config.go_time import format_time
from quantum.config.logs.section import LoggingConfig, NetWriter
from quantum.config.model import locate
from quantum.errors import ConfigError
from quantum.service.logs.encoders import compile_encoder
from quantum.service.logs.network import MAX_WAITING_BYTES, SocketWriter
from quantum.service.logs.opening import Logging, close_logs
from quantum.telemetry.access import AccessLog
from quantum.telemetry.entries import Entry, Log, Sampler
from quantum.telemetry.log import use_logs
from quantum.testing.routing import make_request

PATIENCE = 30
MOMENT = 1_795_717_086.581842


def entry(**fields):
    return Entry("info", MOMENT, "http.log.access", "handled request", fields)


def encode(config, given):
    section = LoggingConfig.parse(locate({"logs": {"default": {"encoder": config}}}, "logging"))
    return compile_encoder(section.default.encoder, is_terminal=False)(given)


def filtered(fields, **given):
    return json.loads(encode({"format": "filter", "fields": fields}, entry(**given)))


@pytest.mark.parametrize(
    ("config", "before", "after"),
    [
        ({"filter": "hash"}, "7", "7902699b"),
        ({"filter": "hash"}, ["7", "8"], ["7902699b", "2c624232"]),
        ({"filter": "hash"}, 200, 200),
        ({"filter": "replace", "value": "x"}, 200, "x"),
        ({"filter": "ip_mask", "ipv4_cidr": 16, "ipv6_cidr": 32}, ["10.1.2.3, 2001:db8::1", "no address"], ["10.1.0.0, 2001:db8::", "no address"]),
        ({"filter": "ip_mask", "ipv4_cidr": 24}, "10.1.2.3:80", "10.1.2.0:80"),
        ({"filter": "ip_mask", "ipv6_cidr": 64}, "[2001:db8::1]:80", "[2001:db8::]:80"),
        ({"filter": "ip_mask", "ipv4_cidr": 24}, "2001:db8::1", "::"),
        ({"filter": "regexp", "regexp": "(b)+", "value": "<$1>"}, "abba", "a<b>a"),
        ({"filter": "multi_regexp", "operations": [{"regexp": "a", "value": "b"}, {"regexp": "b+", "value": "c"}]}, "ab", "c"),
        ({"filter": "query", "actions": [{"type": "replace", "parameter": "t", "value": "R"}, {"type": "delete", "parameter": "z"}]}, "/x?z=1&t=abc&q=a+b", "/x?q=a+b&t=R"),
        ({"filter": "query", "actions": [{"type": "delete", "parameter": "z"}]}, "/x?z=1", "/x"),
        ({"filter": "cookie", "actions": [{"type": "hash", "name": "sid"}, {"type": "delete", "name": "b"}]}, ["sid=7; theme=dark; b=1"], ["sid=7902699b; theme=dark"]),
        ({"filter": "cookie", "actions": [{"type": "delete", "name": "sid"}]}, ["sid=7"], []),
        ({"filter": "cookie", "actions": [{"type": "delete", "name": "sid"}]}, ["REDACTED"], ["REDACTED"]),
        ({"filter": "set_cookie", "actions": [{"type": "replace", "name": "a", "value": "X"}]}, ["a=1; Path=/; HttpOnly", "b=2"], ["a=X; Path=/; HttpOnly", "b=2"]),
    ],
)  # fmt: skip
def test_a_filter_changes_a_field(config, before, after):
    assert filtered({"one>two": config}, one={"two": before, "other": before})["one"] == {
        "two": after,
        "other": before,
    }


def test_a_field_is_deleted_or_renamed_and_the_rest_stays_as_it_was():
    fields = {"request": {"headers": {"A": ["1"]}, "tls": {"x": 1}}, "size": 3}
    filters = {"request>tls": {"filter": "delete"}, "size": {"filter": "rename", "name": "length"}}
    line = filtered(filters, **fields)
    assert line["request"] == {"headers": {"A": ["1"]}}
    assert "size" not in line
    assert line["length"] == 3
    assert fields["request"]["tls"] == {"x": 1}


def test_json_has_the_keys_and_forms_that_are_configured():
    config = {"format": "json", "time_format": "iso8601", "level_format": "upper", "duration_format": "string",
              "message_key": "m", "name_key": "", "line_ending": " END\n"}  # fmt: skip
    line = encode(config, entry(duration=0.00123))
    assert (
        line
        == '{"level": "INFO", "ts": "2026-11-26T18:18:06.581Z", "m": "handled request", "duration": "1.23ms"} END'
    )


def test_console_with_fields_of_its_own_has_caddys_columns():
    config = {"format": "console", "time_format": "wall", "level_format": "upper"}
    line = encode(config, entry(size=1))
    assert line == '2026/11/26 18:18:06\tINFO\thttp.log.access\thandled request\t{"size": 1}'


def test_the_journal_is_told_priorities_and_appended_fields_are_looked_up():
    config = {
        "format": "append",
        "wrap": {"format": "journald"},
        "fields": {"os": "{system.os}", "n": 5, "plain": "{x"},
    }
    line = encode(config, entry())
    assert line.startswith("<6>{")
    assert json.loads(line[3:])["os"] == "linux"
    assert json.loads(line[3:])["n"] == 5
    assert json.loads(line[3:])["plain"] == "{x"
    assert encode({"format": "journald"}, entry()._replace(level="error")).startswith("<3>")


@pytest.mark.parametrize(
    ("layout", "shown"),
    [
        ("02/Jan/2006:15:04:05 -0700", "26/Nov/2026:18:18:06 +0000"), ("2006-01-02T15:04:05.999999999Z07:00", "2026-11-26T18:18:06.581842Z"),
        ("Monday, 2 January 2006 3:04PM", "Thursday, 26 November 2026 6:18PM"), ("15:04:05.000", "18:18:06.581"), ("Jan _2 06 MST", "Nov 26 26 UTC"),
    ],
)  # fmt: skip
def test_layouts_are_gos(layout, shown):
    from datetime import UTC, datetime

    assert format_time(datetime.fromtimestamp(MOMENT, UTC), layout) == shown


class Lines:
    dropped = 0

    def __init__(self):
        self.lines = []

    def write(self, line):
        self.lines.append(line)

    def close(self):
        pass


@pytest.fixture
def taking():
    """Use logs for the length of a test; what was before is put back."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    former = []

    def take(*logs):
        former.append(use_logs(logs))

    yield take
    use_logs(former[0])
    structlog.configure(**before)
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)


def messages(writer):
    return [json.loads(line)["msg"] for line in writer.lines]


def test_loggers_go_to_the_logs_that_include_them_and_not_where_they_are_excluded(taking):
    default, access = Lines(), Lines()
    plain = compile_encoder(None, is_terminal=False)
    taking(
        Log(plain, default, exclude=["http.log.access.own"]),
        Log(plain, access, include=["http.log.access"], exclude=["http.log.access.other"]),
    )
    for name in ("http.log.access.own", "http.log.access.other", "http.log.accessory", "tls"):
        structlog.get_logger(name).info(name)
    assert messages(default) == ["http.log.access.other", "http.log.accessory", "tls"]
    assert messages(access) == ["http.log.access.own"]


def test_each_log_has_its_level_and_libraries_reach_them_too(taking):
    loud, quiet = Lines(), Lines()
    plain = compile_encoder(None, is_terminal=False)
    taking(Log(plain, loud, logging.DEBUG), Log(plain, quiet, logging.ERROR))
    structlog.get_logger("x").debug("detail")
    structlog.get_logger("x").error("failure")
    logging.getLogger("library").error("theirs")
    assert messages(loud) == ["detail", "failure", "theirs"]
    assert messages(quiet) == ["failure", "theirs"]


def test_a_sampler_lets_the_first_through_and_then_each_so_many():
    sampler = Sampler(3600, 2, 3)
    assert [sampler.admits(entry()) for _ in range(8)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert sampler.admits(entry()._replace(message="another"))


def test_credentials_are_logged_only_where_a_server_says_so(taking):
    writer = Lines()
    taking(Log(compile_encoder(None, is_terminal=False), writer))
    request = make_request("GET", "/", ("Cookie", "sid=1"), ("X-Api-Key", "k"))
    AccessLog().record(request, None, 200, 0, 0.1)
    AccessLog(with_credentials=True).record(request, None, 200, 0, 0.1)
    hidden, shown = (json.loads(line)["request"]["headers"] for line in writer.lines)
    assert hidden == {"Cookie": ["REDACTED"], "X-Api-Key": ["REDACTED"]}
    assert shown == {"Cookie": ["sid=1"], "X-Api-Key": ["k"]}


class Peer:
    """A listener that takes one connection at a time and keeps the lines."""

    def __init__(self, port=0):
        self.server = socket.create_server(("127.0.0.1", port))
        self.port = self.server.getsockname()[1]
        self.lines = []
        self.heard = threading.Condition()
        self.connection = None
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        with self.server:
            while True:
                try:
                    self.connection, _ = self.server.accept()
                except OSError:
                    return
                with self.connection, self.connection.makefile() as lines:
                    for line in lines:
                        with self.heard:
                            self.lines.append(line.rstrip("\n"))
                            self.heard.notify_all()

    def wait_for(self, line):
        with self.heard:
            assert self.heard.wait_for(lambda: line in self.lines, PATIENCE), self.lines[-5:]

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):  # the other side may have ended it
            self.connection.shutdown(socket.SHUT_RDWR)
        self.thread.join()


def net(port, **more):
    return NetWriter.parse({"output": "net", "address": f"127.0.0.1:{port}", **more})


def test_lines_go_to_a_socket_and_again_when_the_peer_is_back(capsys):
    peer = Peer()
    writer = SocketWriter(net(peer.port))
    writer.write("one")
    peer.wait_for("one")
    peer.close()
    writer.write("while it is away")  # the first may be lost with the connection that broke
    writer.write("second")
    again = Peer(peer.port)
    writer.write("after")
    again.wait_for("after")
    writer.close()
    writer.join()
    again.close()
    assert "is reached again" in capsys.readouterr().err


def test_a_peer_that_is_not_there_is_an_error_unless_the_start_is_soft(capsys):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(OSError):
        SocketWriter(net(port))
    writer = SocketWriter(net(port, soft_start=True))
    for _ in range(3 * MAX_WAITING_BYTES // 1_000_000):
        writer.write("x" * 1_000_000)
    assert writer.dropped >= MAX_WAITING_BYTES // 1_000_000
    writer.close()
    writer.join()
    assert "cannot be reached" in capsys.readouterr().err


def test_datagrams_go_to_a_socket_in_a_folder(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(str(tmp_path / "log"))
        peer.settimeout(PATIENCE)
        writer = SocketWriter(
            NetWriter.parse({"output": "net", "address": f"unixgram/{tmp_path}/log"})
        )
        writer.write("a line")
        assert peer.recv(100) == b"a line\n"
        writer.close()
        writer.join()


class Section:
    def __init__(self, document):
        self._section = LoggingConfig.parse(locate(document, "logging"))

    def section(self, name):
        return self._section


@pytest.mark.parametrize("output", ["file", "net"])
async def test_a_log_that_cannot_be_opened_refuses_the_configuration_and_leaves_nothing_open(
    tmp_path, output
):
    (tmp_path / "taken").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    bad = {
        "file": {"filename": str(tmp_path / "taken" / "x.log")},
        "net": {"address": f"127.0.0.1:{port}"},
    }[output]
    document = {"logs": {"good": {"writer": {"output": "file", "filename": str(tmp_path / "good.log")}},
                         "bad": {"writer": {"output": output, **bad}}}}  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        await Logging(None, None).prepare(Section(document))
    assert caught.value.path == f"logging.logs.bad.writer.{next(iter(bad))}"


async def test_the_command_line_has_the_last_word_on_the_default_log():
    document = {
        "logs": {
            "default": {"level": "ERROR"},
            "other": {"level": "WARN", "writer": {"output": "discard"}},
        }
    }
    prepared = await Logging("DEBUG", "json").prepare(Section(document))
    logs = prepared._logs
    assert [log.level for log in logs] == [logging.DEBUG, logging.WARNING]
    close_logs(logs)
