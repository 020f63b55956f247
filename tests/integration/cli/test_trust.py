"""``quantum trust`` and ``untrust``, with the real programs of the stores and folders of the test's own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from quantum.testing.certificates import make_certificates
from quantum.testing.debian import has_program
from services.__main__ import main
from services.cli import trust_stores
from services.cli.trust_stores import SystemStore


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, and a system store below it."""
    local, bundles = tmp_path / "local", tmp_path / "certs"
    local.mkdir()
    bundles.mkdir()
    update = ("update-ca-certificates", "--fresh", "--localcertsdir", str(local), "--etccertsdir", str(bundles), "--hooksdir", str(tmp_path / "none"), "--certsconf", str(tmp_path / "conf"))  # fmt: skip
    (tmp_path / "none").mkdir()
    (tmp_path / "conf").write_text("")
    monkeypatch.setattr(trust_stores, "STORES", (SystemStore(local, ".crt", update),))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def has(bundle: Path, root: Path) -> bool:
    return root.read_text().strip() in bundle.read_text()


@pytest.mark.skipif(shutil.which("update-ca-certificates") is None, reason="not a Debian")
def test_the_system_trusts_a_root_and_then_no_more(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "other").mkdir()
    _, _, other = make_certificates(home / "other", ["other.test"])
    shutil.copy(
        other, home / "local" / "other.crt"
    )  # the bundle is never empty, as on real systems
    _, _, root = make_certificates(home, ["localhost"])
    bundle = home / "certs" / "ca-certificates.crt"
    assert main(["trust", "--cert", str(root)]) == 0
    assert has(bundle, root)
    assert main(["trust", "--cert", str(root)]) == 0
    assert "trusted already" in capsys.readouterr().out
    assert main(["untrust", "--cert", str(root)]) == 0
    assert not has(bundle, root)
    assert main(["untrust", "--cert", str(root)]) == 0
    assert "was not trusted" in capsys.readouterr().out


def test_browsers_of_the_user_trust_it_too(home: Path) -> None:
    if not has_program("certutil", "libnss3-tools"):
        pytest.skip("Debian's package libnss3-tools is not here and cannot be installed")
    _, _, root = make_certificates(home, ["localhost"])
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    made = ["certutil", "-N", "-d", f"sql:{database}", "--empty-password"]
    subprocess.run(made, check=True, capture_output=True)

    def listed() -> str:
        command = ["certutil", "-L", "-d", f"sql:{database}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert main(["trust", "--cert", str(root)]) == 0
    assert "quantum_" in listed()
    assert "C,," in listed()
    assert main(["untrust", "--cert", str(root)]) == 0
    assert "quantum_" not in listed()


def test_what_is_no_root_is_not_trusted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaf, _, _ = make_certificates(home, ["localhost"])
    (home / "text").write_text("nothing")
    for file in (leaf, home / "text", home / "absent"):
        assert main(["trust", "--cert", str(file)]) == 1
    assert "only a root is trusted" in capsys.readouterr().err
    assert list((home / "local").iterdir()) == []


def test_without_a_process_it_says_where_it_looked(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trust", "--address", "127.0.0.1:9"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_asks_for_root(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, root = make_certificates(home, ["localhost"])
    sealed = Path("/proc/self")  # where nobody, root included, makes files
    monkeypatch.setattr(trust_stores, "STORES", (SystemStore(sealed, ".crt", ("true",)),))
    assert main(["trust", "--cert", str(root)]) == 1
    assert "sudo" in capsys.readouterr().err
