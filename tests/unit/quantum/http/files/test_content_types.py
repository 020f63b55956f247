import pytest

from quantum.http.files.content_types import content_type_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", b"text/html; charset=utf-8"),
        ("a/b.C/APP.JS", b"text/javascript; charset=utf-8"),
        ("x.tar.gz", b"application/gzip"),
        ("x.wasm", b"application/wasm"),
        ("x.svg", b"image/svg+xml"),
        ("x.json", b"application/json"),
        ("Makefile", None),
        ("a.html/Makefile", None),
        (".html", b"text/html; charset=utf-8"),
        ("x.", None),
        ("", None),
    ],
)
def test_the_extension_decides(name, kind):
    assert content_type_of(name) == kind
