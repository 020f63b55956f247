"""The house keeps its own rules; and each rule is shown to catch a planted violation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import rules

ROOT = Path(__file__).parents[2]

SIZE_REASONS: dict[str, str] = {}
FOLDER_REASONS: dict[str, str] = {
    "services/cli": "one file for each command, so that `quantum ready` imports its own and no other",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources, to plant things in."""
    for package in rules.SOURCE:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def plant(root: Path, place: str, code: str) -> None:
    path = root / place
    path.write_text((path.read_text() if path.exists() else "") + "\n" + code + "\n")


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("services/edge/__init__.py", "import services.proxy"),
        ("quantum/ids.py", "import quantum.http.message"),
        ("quantum/http/message.py", "import services.edge"),
        ("quantum/http/message.py", "import quantum.bus.api"),
    ],
)
def test_a_planted_breach_of_the_floors_is_caught(tree: Path, place: str, code: str) -> None:
    plant(tree, place, code)
    result = lint_imports(tree)
    assert result.returncode != 0, result.stdout


def test_third_party_packages_have_one_door_each() -> None:
    assert rules.door_violations(ROOT) == []


def test_a_planted_second_door_is_caught(tree: Path) -> None:
    plant(tree, "quantum/http/message.py", "def late():\n    import ngh2")
    assert "imports ngh2" in rules.door_violations(tree)[0]


def test_configuration_models_load_in_every_image() -> None:
    assert rules.config_floor_violations(ROOT) == []


def test_a_planted_heavy_import_in_a_configuration_model_is_caught(tree: Path) -> None:
    plant(tree, "services/proxy/config.py", "from quantum.http import message")
    assert len(rules.config_floor_violations(tree)) == 1


def test_no_file_and_no_function_is_oversized() -> None:
    assert rules.oversized(ROOT, SIZE_REASONS) == []


def test_nine_files_and_functions_in_ten_are_short() -> None:
    assert rules.percentile(list(rules.file_lengths(ROOT).values()), 0.9) <= rules.P90_FILE
    assert rules.percentile(list(rules.function_lengths(ROOT).values()), 0.9) <= rules.P90_FUNCTION


def test_a_planted_giant_is_caught(tree: Path) -> None:
    plant(tree, "quantum/ids.py", "def giant():\n" + "    x = 1\n" * 600)
    assert len(rules.oversized(tree, SIZE_REASONS)) == 2


def test_no_folder_hides_a_room() -> None:
    assert rules.crowded_folders(ROOT, FOLDER_REASONS) == []


def test_files_are_named_for_the_one_thing_in_them(tree: Path) -> None:
    assert rules.badly_named(ROOT) == []
    plant(tree, "quantum/http/utils.py", "")
    assert rules.badly_named(tree) == ["quantum/http/utils.py"]


def test_only_the_hop_asks_which_rooms_run_here(tree: Path) -> None:
    assert rules.questions_about_topology(ROOT) == []
    plant(tree, "services/edge/__init__.py", "# if 'proxy' in context.rooms:")
    assert len(rules.questions_about_topology(tree)) == 1
