"""Flags, environment, messages and exit codes of the command line."""

import argparse
import io
import json
from pathlib import Path

import pytest

from quantum.errors import ConfigError
from quantum.service.options import RunOptions
from services import catalog
from services.__main__ import COMMANDS, main, make_parser
from services.cli import run


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, with no flag in the environment."""
    for name in (
        "CONFIG",
        "DATA_DIR",
        "TARGET",
        "NATS",
        "OPS",
        "GRACE",
        "WATCH",
        "NATS_TOKEN_FILE",
    ):
        monkeypatch.delenv(f"QUANTUM_{name}", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def simple(tmp_path: Path) -> Path:
    path = tmp_path / "simple.json"
    path.write_text('{"static_files": {"./public": ":8080"}}')
    return path


def options(*arguments: str) -> RunOptions:
    return run.make_options(make_parser("run").parse_args(["run", *arguments]))


def test_every_command_has_help_with_an_example(capsys):
    for command, summary in COMMANDS.items():
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert summary in text
        if command != "version":
            assert f"quantum {command}" in text.split("examples:")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["run", "--wings"],
        ["run", "--target", "engine"],
        ["run", "--target", ","],
        ["run", "--grace", "soon"],
        ["run", "--grace", "-1s"],
        ["run", "--ops", "localhost"],
        ["run", "--ops", "udp/:1"],
        ["run", "--hop", ":1-2"],
        ["run", "-a", "yaml"],
        ["run", "--log-level", "loud"],
        ["ready", "--timeout", "x"],
        ["list-modules", "--json", "--markdown"],
    ],
)
def test_a_wrong_command_line_exits_with_64(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    assert "--help" in capsys.readouterr().err


def test_no_command_prints_help_and_exits_with_64(capsys):
    assert main([]) == 64
    assert "run --demo" in capsys.readouterr().err


def test_flags_become_options(simple):
    made = options(
        "-c", str(simple), "--target", "proxy, static", "--data-dir", "d", "--nats", "nats://x:1",
        "--ops", "off", "--hop", "0.0.0.0:9", "--hop-advertise", "10.0.0.1:9", "--grace", "1m",
        "--pidfile", "p", "--log-level", "debug", "--watch",
    )  # fmt: skip
    assert made.rooms == {"proxy", "static"}
    assert made.data_dir == Path("d").absolute()
    assert (made.nats, made.ops, made.hop, made.hop_advertise) == (
        "nats://x:1", "", "0.0.0.0:9", "10.0.0.1:9",
    )  # fmt: skip
    assert (made.grace, made.pidfile, made.log_level, made.watch) == (
        60.0,
        Path("p"),
        "DEBUG",
        True,
    )
    assert made.load is not None
    assert "apps" in made.load()


def test_the_environment_stands_for_flags_and_the_flag_wins(simple, monkeypatch):
    monkeypatch.setenv("QUANTUM_CONFIG", str(simple))
    monkeypatch.setenv("QUANTUM_TARGET", "edge")
    monkeypatch.setenv("QUANTUM_WATCH", "1")
    monkeypatch.setenv("QUANTUM_GRACE", "5s")
    made = options("--grace", "7s")
    assert made.rooms == {"edge"}
    assert made.watch
    assert made.config_file == simple
    assert made.grace == 7.0


def test_a_switch_in_the_environment_is_1_or_0(monkeypatch, capsys):
    monkeypatch.setenv("QUANTUM_WATCH", "perhaps")
    with pytest.raises(SystemExit) as ended:
        main(["run"])
    assert ended.value.code == 64
    assert "QUANTUM_WATCH" in capsys.readouterr().err


def test_all_rooms_run_by_default(simple):
    made = options("-c", str(simple))
    assert made.rooms == frozenset(catalog.ROOMS)
    assert made.ops == "127.0.0.1:2020"
    assert made.hop is None
    assert made.data_dir.parts[-2:] == ("share", "quantum")


def test_a_relative_xdg_directory_is_ignored(simple, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert options("-c", str(simple)).data_dir == Path("/home/someone/.local/share/quantum")


def test_the_file_in_the_folder_is_used_without_a_flag(clean_place):
    (clean_place / "quantum.json").write_text("{}")
    assert options().config_file == Path("quantum.json")


def test_nothing_to_run_says_what_to_do(capsys):
    assert main(["run"]) == 1
    assert "give --config FILE, or try --demo" in capsys.readouterr().err


def test_a_process_without_a_file_runs_the_last_or_the_deployments_configuration(clean_place):
    assert options("--nats", "nats://x:1").load is None
    kept = clean_place / "data" / "config"
    kept.mkdir(parents=True)
    (kept / "active.json").write_text("{}")
    assert options("--data-dir", str(clean_place / "data")).load is None


def test_standard_input_is_read_once_and_not_watched(monkeypatch):
    monkeypatch.setattr("sys.stdin", argparse.Namespace(buffer=io.BytesIO(b'{"apps": {}}')))
    made = options("-c", "-", "--watch")
    assert made.load is not None
    assert made.load() == made.load() == {"apps": {}}
    assert made.config_file is None
    assert not made.watch


def test_the_token_is_read_from_its_file(simple, clean_place):
    (clean_place / "token").write_text("s3cret\n")
    assert options("-c", str(simple), "--nats-token-file", "token").nats_token == "s3cret"
    (clean_place / "token").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        options("-c", str(simple), "--nats-token-file", "token")
    with pytest.raises(ConfigError, match="No such file"):
        options("-c", str(simple), "--nats-token-file", "nowhere")


def test_a_file_that_is_read_again_gives_its_new_content(simple):
    made = options("-c", str(simple))
    simple.write_text('{"static_files": {"./public": ":9090"}}')
    assert made.load is not None
    assert made.load()["apps"]["http"]["servers"]["srv0"]["listen"] == [":9090"]


def test_adapt_prints_the_full_format(simple, capsys):
    assert main(["adapt", "-c", str(simple), "--pretty"]) == 0
    printed = capsys.readouterr().out
    assert '\n\t"apps"' in printed
    assert json.loads(printed)["apps"]["http"]["servers"]["srv0"]["listen"] == [":8080"]


def test_adapting_an_adapted_document_changes_nothing(simple, capsys):
    main(["adapt", "-c", str(simple)])
    first = capsys.readouterr().out
    simple.write_text(first)
    main(["adapt", "-c", str(simple)])
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"apps": {', "simple.json:1:"),
        ('{"apps": {"htp": {}}}', "apps.htp: unknown app"),
        ('{"proxy": {}}', "nothing to serve"),
    ],
)
def test_validate_names_the_mistake_and_exits_with_1(simple, capsys, content, says):
    simple.write_text(content)
    assert main(["validate", "-c", str(simple)]) == 1
    assert says in capsys.readouterr().err


def test_validate_without_a_configuration_says_how_to_name_one(capsys):
    assert main(["validate"]) == 1
    assert "--config FILE" in capsys.readouterr().err


def test_a_caddyfile_beside_the_program_is_its_configuration(clean_place, capsys):
    (clean_place / "Caddyfile").write_text("localhost\n\nrespond {$WORD:hi}\n")
    assert main(["adapt"]) == 0
    assert '"body":"hi"' in capsys.readouterr().out
    assert main(["validate"]) == 0
    assert "Caddyfile: valid" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Caddyfile", "Caddyfile.dev", "site.caddyfile"])
def test_a_caddyfile_is_known_by_its_name(clean_place, capsys, name):
    (clean_place / name).write_text(":80\nrespond hi\n")
    assert main(["adapt", "-c", name, "--pretty"]) == 0
    assert '"handler": "static_response"' in capsys.readouterr().out


def test_a_caddyfile_by_another_name_is_said_to_be_one(clean_place, capsys):
    (clean_place / "site.conf").write_text(":80\nrespond hi\n")
    assert main(["adapt", "-c", "site.conf", "-a", "caddyfile"]) == 0
    assert '"static_response"' in capsys.readouterr().out


def test_a_mistake_in_a_caddyfile_names_its_line(clean_place, capsys):
    (clean_place / "Caddyfile").write_text(":80 {\n\trespond\n}\n")
    assert main(["validate"]) == 1
    assert "after 'respond', at Caddyfile:2" in capsys.readouterr().err


def test_the_simple_file_wins_over_a_caddyfile_beside_it(clean_place, capsys):
    (clean_place / "Caddyfile").write_text(":80\nrespond hi\n")
    (clean_place / "quantum.json").write_text('{"apps": {}}')
    assert main(["adapt"]) == 0
    assert json.loads(capsys.readouterr().out) == {"apps": {}}


def test_variables_come_from_files_unless_they_are_set(clean_place, capsys, monkeypatch):
    monkeypatch.setenv("CF_SET", "kept")
    monkeypatch.delenv("CF_WORD", raising=False)
    (clean_place / ".env").write_text('# words\nexport CF_WORD="two words"\nCF_SET=lost # no\n')
    (clean_place / "Caddyfile").write_text(':80\nrespond "{$CF_WORD} {$CF_SET}"\n')
    assert main(["adapt", "--envfile", ".env"]) == 0
    assert '"body":"two words kept"' in capsys.readouterr().out
    monkeypatch.delenv("CF_WORD", raising=False)


@pytest.mark.parametrize(
    ("text", "says"), [("A=1\nno\n", ".env:2: not NAME=value"), ('A="x\n', ".env:1: a quote")]
)
def test_a_broken_file_of_variables_names_its_line(clean_place, capsys, text, says):
    (clean_place / ".env").write_text(text)
    (clean_place / "Caddyfile").write_text(":80\n")
    assert main(["validate", "--envfile", ".env"]) == 1
    assert says in capsys.readouterr().err


def test_fmt_prints_the_usual_form_and_fails_for_another(clean_place, capsys):
    (clean_place / "Caddyfile").write_text(":80 {\n  respond hi\n}")
    assert main(["fmt"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ":80 {\n\trespond hi\n}\n"
    assert "Caddyfile:2: not formatted" in printed.err
    assert main(["fmt", "--diff"]) == 1
    assert "-   respond hi\n+ \trespond hi\n" in capsys.readouterr().out
    assert main(["fmt", "--overwrite", "Caddyfile"]) == 0
    assert (clean_place / "Caddyfile").read_text() == printed.out
    assert main(["fmt"]) == 0


def test_list_modules_knows_what_is_built(capsys):
    assert main(["list-modules"]) == 0
    assert "http.handlers.reverse_proxy" in capsys.readouterr().out.split()
    assert main(["list-modules", "--json"]) == 0
    listed = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["http.handlers.reverse_proxy"]["room"] == "proxy"
    assert listed["http.handlers.reverse_proxy"]["state"] == "built"
    assert {row["state"] for row in listed.values()} <= {"built", "known, not built yet"}


def test_the_version_is_that_of_the_distribution(capsys):
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("quantum ")


def test_a_second_configuration_is_refused_and_not_silently_taken_instead(capsys, simple):
    with pytest.raises(SystemExit) as ended:
        main(["validate", "-c", "other.json", "-c", str(simple)])
    assert ended.value.code == 64
    assert "--config: given twice" in capsys.readouterr().err


def test_an_address_that_no_nats_server_has_is_refused_with_those_it_may_have(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--nats", "nats://a:4222,http://b"])
    assert ended.value.code == 64
    assert "'http://b' is no address of NATS: one of nats://, tls://" in capsys.readouterr().err


def test_a_mistyped_flag_is_told_with_the_usage_of_its_command_and_the_flag_that_was_meant(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--targt", "edge"])
    assert ended.value.code == 64
    told = capsys.readouterr().err
    assert "usage: quantum run" in told
    assert "--targt edge, did you mean --target?" in told


def test_a_mistyped_command_is_told_with_the_one_that_was_meant(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["rnu"])
    assert ended.value.code == 64
    assert "there is no command 'rnu', did you mean run?" in capsys.readouterr().err
