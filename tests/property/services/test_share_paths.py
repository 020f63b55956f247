"""Names of a share: one form, no escape, no file where none may be."""

import os
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.sync.disk.folder import Folder, InTheWay, NotThere
from services.sync.share.paths import PathRefused, parse_path

NASTY = st.sampled_from([
    "..", ".", "", "a", "A", "é", "e\u0301", "CON", "con.txt", "x~1", "a:b", "a.", "a ", ".quantum", "\0", "\\", "link",
    "file", "dir", "n" * 256, "\u202e", "ß", "SS",
])  # fmt: skip
NAMES = st.one_of(st.lists(NASTY, min_size=1, max_size=6).map("/".join), st.text(max_size=30))


@settings(max_examples=3000, deadline=None)
@given(NAMES)
def test_a_path_that_is_accepted_is_relative_clean_and_in_one_form(text):
    try:
        path = parse_path(text)
    except PathRefused:
        return
    assert parse_path(path) == path == unicodedata.normalize("NFC", path)
    assert all(part not in {"", ".", ".."} for part in path.split("/"))
    assert not any(ord(c) < 32 or c in '\\:*?"<>|' for c in path)
    assert ".quantum" not in path.casefold().split("/")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("top")
    (top / "outside").mkdir()
    root = top / "root"
    (root / "dir").mkdir(parents=True)
    (root / "file").write_text("inside")
    (root / "link").symlink_to(top / "outside")
    (root / "dir/link").symlink_to("..")
    folder = Folder(str(root))
    folder.open_store()
    return top, folder


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=NAMES)
def test_no_name_reaches_outside_the_folder(folder, text):
    top, share = folder
    try:
        path = parse_path(text)
    except PathRefused:
        return
    temporary, descriptor = share.create_temporary()
    os.close(descriptor)
    try:
        above = path.rpartition("/")[0]
        if above:
            share.make_directories(above)
        share.place(temporary, path)
        share.remove(path)
    except (NotThere, InTheWay, FileExistsError, NotADirectoryError):
        share.drop_temporary(temporary)
    assert list((top / "outside").iterdir()) == []
    assert sorted(p.name for p in top.iterdir()) == ["outside", "root"]
