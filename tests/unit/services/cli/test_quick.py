"""What ``respond``, ``file-server`` and ``reverse-proxy`` make of their flags, and other small commands."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from services import catalog
from services.__main__ import COMMANDS, main
from services.cli import file_server, quick, respond, reverse_proxy


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what would have been run, once a command was called."""
    found: dict[str, Any] = {}

    def note(args: Any, document: Any, rooms: set[str], announce: Any) -> int:
        assert catalog.parse(document)
        found.update(servers=document["apps"]["http"]["servers"], document=document, rooms=rooms)
        return 0

    for command in (respond, file_server, reverse_proxy):
        monkeypatch.setattr(command, "run", note)
    return found


def test_respond_runs_a_server_for_each_port(made):
    assert (
        main(["respond", "-l", ":7001-7002", "-H", "X: 1", "-H", "X: 2", "n={{.N}} {{.Port}}"]) == 0
    )
    assert [server["listen"] for server in made["servers"].values()] == [[":7001"], [":7002"]]
    (handler,) = made["servers"]["static1"]["routes"][0]["handle"]
    assert handler["body"] == "n=1 7002"
    assert handler["headers"] == {"X": ["1", "2"]}
    assert made["rooms"] == {"edge"}


@pytest.mark.parametrize(
    ("words", "status", "body"),
    [
        (["404"], 404, ""),
        (["hello"], 200, "hello"),
        (["--status", "200", "404"], 200, "404"),
        (["--body", "x", "404"], 200, "x"),
        ([], 200, "from a pipe"),
    ],
)
def test_three_digits_are_a_status_unless_flags_say_otherwise(
    made, monkeypatch, words, status, body
):
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    assert main(["respond", "-l", ":7001", *words]) == 0
    (handler,) = made["servers"]["static0"]["routes"][0]["handle"]
    assert (handler["status_code"], handler["body"]) == (status, body)


def test_respond_without_a_port_takes_one_that_is_free(made):
    assert main(["respond", "x"]) == 0
    assert int(made["servers"]["static0"]["listen"][0].removeprefix(":")) > 0


def test_a_body_with_an_unknown_action_is_refused(made, capsys):
    assert main(["respond", "-l", ":1", "{{.Nonsense}}"]) == 1
    assert "only .N, .Port, .Address" in capsys.readouterr().err


def test_a_folder_is_served_compressed_and_listed(made):
    words = [
        "-l",
        ":7001",
        "-r",
        "pub",
        "-b",
        "-f",
        "9",
        "-t",
        "-p",
        "br,gz",
        "-p",
        "gzip",
        "-a",
        "-v",
    ]
    assert main(["file-server", *words]) == 0
    (server,) = made["servers"].values()
    assert [handler["handler"] for handler in server["routes"][0]["handle"]] == [
        "encode", "templates", "file_server",
    ]  # fmt: skip
    assert server["routes"][0]["handle"][2] == {
        "handler": "file_server",
        "root": "pub",
        "browse": {"reveal_symlinks": False, "file_limit": 9},
        "precompressed": {"br": {}, "gzip": {}},
        "precompressed_order": ["br", "gzip"],
    }
    assert server["logs"] == {}
    assert made["document"]["logging"]["logs"]["default"]["level"] == "DEBUG"
    assert made["rooms"] == {"edge", "static"}


def test_a_domain_is_served_by_https(made):
    assert main(["file-server", "-d", "example.com", "--no-compress"]) == 0
    (server,) = made["servers"].values()
    assert server["listen"] == [":443"]
    assert server["routes"][0]["match"] == [{"host": ["example.com"]}]
    assert "certs" in made["rooms"]


def test_a_proxy_is_https_where_it_has_a_host_and_plain_where_not(made):
    assert main(["reverse-proxy", "--to", ":9000", "-r", "-i"]) == 0
    (server,) = made["servers"].values()
    assert server["listen"] == [":443"]
    assert server["automatic_https"] == {"disable_redirects": True}
    assert "certs" in made["rooms"]
    assert main(["reverse-proxy", "--from", ":8080", "--to", ":9000-9001"]) == 0
    (server,) = made["servers"].values()
    assert server["automatic_https"] == {"disable": True}
    handler = server["routes"][0]["handle"][0]
    assert [upstream["dial"] for upstream in handler["upstreams"]] == [":9000", ":9001"]
    assert "certs" not in made["rooms"]


def test_fields_are_added_set_and_deleted_on_both_ways(made):
    words = ["--from", ":1", "--to", "https://a.test", "--insecure", "-c"]
    fields = ["-H", "A: 1", "-H", "+B: 2", "--header-down=-Server:"]
    assert main(["reverse-proxy", *words, *fields]) == 0
    handler = made["servers"]["proxy"]["routes"][0]["handle"][0]
    assert handler["transport"] == {"protocol": "http", "tls": {"insecure_skip_verify": True}}
    assert handler["upstreams"] == [{"dial": "a.test:443"}]
    assert handler["headers"] == {
        "request": {"add": {"B": ["2"]}, "set": {"A": ["1"], "Host": [reverse_proxy.ITS_ADDRESS]}},
        "response": {"delete": ["Server"]},
    }


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "--to ADDR"),
        (["--from", "a.test/x", "--to", ":1"], "paths are not allowed"),
        (["--to", "https://a", "--to", "http://b"], "either all upstreams"),
        (["--to", "https://a/x"], "only support scheme, host, and port"),
    ],
)
def test_a_proxy_that_cannot_be_is_refused_in_words(made, capsys, words, problem):
    assert main(["reverse-proxy", *words]) == 1
    assert problem in capsys.readouterr().err


def test_a_storage_moves_with_its_modes_and_nothing_else(tmp_path: Path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    key = old / "certificates" / "acme" / "a.test" / "a.test.key"
    key.parent.mkdir(parents=True)
    key.write_bytes(b"secret")
    (old / "nats").mkdir()
    (old / "nats" / "store").write_bytes(b"this machine's")
    archive = tmp_path / "storage.tar"
    assert main(["storage", "export", "-o", str(archive), "--data-dir", str(old)]) == 0
    assert archive.stat().st_mode & 0o777 == 0o600
    assert main(["storage", "import", "-i", str(archive), "--data-dir", str(new)]) == 0
    moved = [path for path in new.rglob("*") if path.is_file()]
    assert moved == [new / "certificates" / "acme" / "a.test" / "a.test.key"]
    assert moved[0].read_bytes() == b"secret"
    assert {path.stat().st_mode & 0o077 for path in new.rglob("*")} == {0}
    assert "1 files" in capsys.readouterr().err


def test_an_archive_that_leads_out_of_the_storage_is_refused(tmp_path: Path, capsys):
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as writer:
        member = tarfile.TarInfo("acme/../../evil")
        member.size = 1
        writer.addfile(member, io.BytesIO(b"x"))
    assert main(["storage", "import", "-i", str(archive), "--data-dir", str(tmp_path / "d")]) == 1
    assert "no file of a storage" in capsys.readouterr().err
    assert not (tmp_path / "evil").exists()


def test_an_archive_has_to_be_named(capsys):
    assert main(["storage", "export"]) == 1
    assert "--output is required" in capsys.readouterr().err


def test_the_environment_is_printed_with_that_of_files(tmp_path, monkeypatch, capsys):
    (tmp_path / ".env").write_text("OF_A_FILE=1\n")
    monkeypatch.setattr(os, "environ", {"OF_HERE": "2", "HOME": "/root"})
    assert main(["environ", "--envfile", str(tmp_path / ".env")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"OF_A_FILE=1", "OF_HERE=2"} <= set(lines)
    assert any(line.startswith("quantum.Version=") for line in lines)


def test_build_info_names_what_it_runs_with(capsys):
    assert main(["build-info"]) == 0
    assert "dep\tcryptography\t" in capsys.readouterr().out


def test_a_shell_completes_commands_and_their_flags(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out + (
        "COMP_WORDS=(quantum re); COMP_CWORD=1; _quantum; echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(quantum reload --fo); COMP_CWORD=2; _quantum; echo ${COMPREPLY[@]}\n"
    )
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "ready reload respond reverse-proxy\n--force\n".replace(
        "ready reload respond reverse-proxy",
        " ".join(name for name in COMMANDS if name.startswith("re")),
    )
    assert main(["completion", "fish"]) == 0
    assert "-a file-server -d" in capsys.readouterr().out


def test_a_field_without_a_colon_is_a_wrong_command_line():
    with pytest.raises(SystemExit) as ended:
        main(["respond", "-H", "nothing"])
    assert ended.value.code == 64


def test_a_port_is_free_on_the_interface_that_is_named():
    assert quick.free_port("127.0.0.1") > 0
