"""docs/subjects.md says what the code says."""

from __future__ import annotations

from pathlib import Path

from quantum.bus.page import COMMAND, page

PAGE = Path(__file__).parents[4] / "docs" / "subjects.md"


def test_the_page_of_subjects_is_current():
    assert PAGE.read_text() == page(), f"run: {COMMAND}"


def test_every_kind_is_on_the_page_with_its_fields():
    text = page()
    for name in ("quantum.admin.config_applied", "quantum_rooms", "quantum_share_<key>"):
        assert f"### `{name}`" in text
    assert "A value lives 15 s" in text
    assert "| `outcome` | `Literal['ok', 'failed']` |  |" in text
