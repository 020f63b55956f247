"""Cases for handlers and matchers that need files, accounts or routes of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.integration.caddy.differential import Case, asking, say

FOUND = "{http.matchers.file.relative}|{http.matchers.file.type}|{http.matchers.file.remainder}"
FILES = {
    "index.html": "home", "a.txt": "a", "dir/index.html": "in dir", "dir/b.txt": "bbbb", "app.php": "php",
    "api.php/x.txt": "odd", "w ü.txt": "spaces", "star*.txt": "star", "star1.txt": "one", "c[1].txt": "brackets",
    "new/app-1.js": "1", "new/app-22.js": "22", "new/.hidden.js": "h", "UP.PHP": "upper",
}  # fmt: skip
PATHS = [
    "/", "/a.txt", "/A.txt", "/dir", "/dir/", "/dir/b.txt", "/dir/../a.txt", "/../a.txt", "//a.txt", "/missing", "/missing/",
    "/w%20%C3%BC.txt", "/star*.txt", "/star%2A.txt", "/c[1].txt", "/app.php", "/app.php/more/x", "/APP.php/more", "/api.php/x.txt",
    "/app.php5/x", "/dir/app.php", "/up.php/x", "/%2e%2e/a.txt", "/a.txt/", "/dir/./b.txt", "/new/app-1.js",
]  # fmt: skip
TRIES: list[dict[str, Any]] = [
    {},
    {"try_files": ["{http.request.uri.path}", "/index.html"]},
    {"try_files": ["{http.request.uri.path}", "{http.request.uri.path}/", "index.html"]},
    {"try_files": ["{http.request.uri.path}/index.html", "{http.request.uri.path}", "=404"]},
    {"try_files": ["{http.request.uri.path}", "=410"]},
    {"try_files": ["=99", "=abc", "/nowhere"]},
    {"try_files": ["dir/", "dir"]},
    {"try_files": ["dir"]},
    {"try_files": []},
    {"try_files": ["/new/app-*.js"]},
    {"try_files": ["/new/app-??.js", "/a.txt"]},
    {"try_files": ["/new/*"]},
    {"try_files": ["/c[[]1].txt", "/[^a-z]*.PHP"]},
    {"try_files": ["{http.request.uri.path}*"]},
    {"try_files": ["/a.txt", "/dir/b.txt"], "try_policy": "largest_size"},
    {"try_files": ["/dir/b.txt", "/a.txt", "/nowhere"], "try_policy": "smallest_size"},
    {"try_files": ["/a.txt", "/dir/b.txt", "/new/app-1.js"], "try_policy": "most_recently_modified"},
    {"try_files": ["/nowhere"], "try_policy": "largest_size"},
    {"try_files": ["{http.request.uri.path}", "{http.request.uri.path}/index.php", "index.html"],
     "try_policy": "first_exist_fallback", "split_path": [".php"]},
    {"try_files": ["{http.request.uri.path}", "/index.html"], "split_path": [".php"]},
    {"split_path": [".php", ".txt"]},
]  # fmt: skip


def make_site(folder: Path) -> Path:
    """Write the files that the matchers are asked for; no two are equally old."""
    for age, (name, text) in enumerate(FILES.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_700_000_000 + age, 1_700_000_000 + age))
    return folder


def file_cases(root: Path) -> list[Case]:
    """Return what ``http.matchers.file`` is tried with."""
    asked = [("GET", path, (), "example.com") for path in PATHS]
    cases = []
    for tried in TRIES:
        matcher = {"file": {"root": str(root), **tried}}
        found = [
            {"match": [matcher], "handle": [say(FOUND)], "terminal": True},
            {"handle": [say("none")]},
        ]
        cases.append(Case(f"file {tried}", found, asked))
    by_variable = [
        {"handle": [{"handler": "vars", "root": str(root)}]},
        {
            "match": [{"file": {"try_files": ["{http.request.uri.path}", "/index.html"]}}],
            "handle": [
                {"handler": "rewrite", "uri": "{http.matchers.file.relative}"},
                say("{http.request.uri} {http.matchers.file.relative}"),
            ],
        },
    ]
    cases.append(Case("file: the root is a variable, then a rewrite", by_variable, asked))
    negated = asking({"not": [{"file": {"root": str(root)}}]})
    return [*cases, Case("file: not", negated, asked)]
