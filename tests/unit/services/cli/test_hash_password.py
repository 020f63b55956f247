"""``quantum hash-password``."""

import io

import pytest

from services.__main__ import main
from services.edge.authentication.hashes import Argon2id, Bcrypt


@pytest.mark.parametrize(
    ("flags", "algorithm"),
    [
        (["--bcrypt-cost", "4"], Bcrypt()),
        (["--algorithm", "argon2id", "--argon2id-memory", "64"], Argon2id()),
    ],
)
def test_what_it_prints_is_a_hash_of_the_line_it_reads(flags, algorithm, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("pässword \r\nignored\n"))
    assert main(["hash-password", *flags]) == 0
    hashed = capsys.readouterr().out.strip()
    assert algorithm.is_of(hashed, "pässword ".encode())
    assert not algorithm.is_of(hashed, b"other")


@pytest.mark.parametrize(
    ("typed", "flags"),
    [
        ("\n", []),
        ("x" * 73, ["--bcrypt-cost", "4"]),
        ("x\n", ["--bcrypt-cost", "3"]),
        ("x\n", ["--algorithm", "argon2id", "--argon2id-time", "0"]),
        ("x\n", ["--algorithm", "argon2id", "--argon2id-memory", "-1"]),
    ],
)
def test_what_cannot_be_hashed_is_refused_in_one_line(typed, flags, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(["hash-password", *flags]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
