"""Documents lead somewhere: every relative link is of a file that is there."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)")


def links(document: Path) -> Iterator[str]:
    for target in LINK.findall(document.read_text()):
        if not (document.parent / target).exists():
            yield f"{document.relative_to(ROOT)}: {target}"


def documents() -> list[Path]:
    places = [ROOT, *(ROOT / name for name in ("docs", "services", "config", "deploy", "bench"))]
    found = {path for place in places for path in place.glob("*.md")}
    return sorted(found | {path for place in places[1:] for path in place.rglob("*.md")})


def test_every_link_leads_to_a_file() -> None:
    assert len(documents()) > 80
    assert [broken for document in documents() for broken in links(document)] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("[a](page.md#part) [b](https://x.example) [c](gone.md)")
    assert list(links(page)) == ["page.md: gone.md"]
