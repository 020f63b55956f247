"""Cases for handlers and matchers that need files, accounts or routes of their own."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.edge.authentication.hashes import Argon2id, Bcrypt
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


def basic(text: str, scheme: str = "Basic") -> tuple[tuple[str, str], ...]:
    """Return the field that holds credentials."""
    return (("Authorization", f"{scheme} {base64.b64encode(text.encode()).decode()}"),)


CREDENTIALS: list[tuple[tuple[str, str], ...]] = [
    (), basic("ann:secret"), basic("ann:wrong"), basic("bob:secret"), basic("ann:"), basic("ann"), basic(":secret"), basic("Ann:secret"),
    basic("ann:secret", "basic"), basic("ann:secret", "Bearer"), basic("béa:pa:ss"), basic("béa:pass"), (("Authorization", "Basic"),),
    (("Authorization", "Basic !!!"),), (("Authorization", "Basic YW5uOnNlY3JldA"),), (("Authorization", ""),),
    (*basic("ann:wrong"), *basic("ann:secret")), basic("ann:" + "x" * 100),
]  # fmt: skip


def authentication_cases() -> list[Case]:
    """Return what ``http.handlers.authentication`` is tried with; hashes are as cheap as they get."""

    def guarded(providers: dict[str, Any]) -> list[dict[str, Any]]:
        user = say("{http.auth.user.id}")
        return [{"handle": [{"handler": "authentication", "providers": providers}, user]}]

    def accounts(make: Callable[[bytes], str]) -> list[dict[str, str]]:
        return [
            {"username": "ann", "password": make(b"secret")},
            {"username": "béa", "password": base64.b64encode(make(b"pa:ss").encode()).decode()},
        ]

    weak = accounts(lambda password: Bcrypt.make(password, 4))
    modern = accounts(lambda password: Argon2id.make(password, memory=64))
    argon2id = {"algorithm": "argon2id"}
    asked = [("GET", "/x", fields, "example.com") for fields in CREDENTIALS]
    providers: list[dict[str, Any]] = [
        {"http_basic": {"accounts": weak}},
        {"http_basic": {"accounts": weak, "realm": "the house", "hash": {"algorithm": "bcrypt"}}},
        {"http_basic": {"accounts": weak, "hash_cache": {}}},
        {"http_basic": {"accounts": modern, "hash": argon2id, "hash_cache": {}}},
        {"http_basic": {"accounts": modern, "hash": argon2id}},
        {},
    ]
    return [
        Case(f"authentication {list(p.get('http_basic', p))} {i}", guarded(p), asked)
        for i, p in enumerate(providers)
    ]


def chain_cases() -> list[Case]:
    """Return what ``intercept``, ``invoke`` and ``log_append`` are tried with."""

    def intercepting(
        *rules: dict[str, Any], behind: list[dict[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        whole = [
            say("whole {http.request.uri}", headers={"X-A": ["1"], "X-B": ["2"]}, status_code=203)
        ]
        handler = {"handler": "intercept", "handle_response": list(rules)}
        return [{"handle": [handler, *(behind or whole)]}]

    shown = {
        "handle": [say("{http.intercept.status_code}", headers={"X-B": ["new"]}, status_code=202)]
    }
    vars_only = {"handle": [{"handler": "vars", "a": "1"}]}
    fails = [{"handler": "error", "status_code": 409}]
    chains: list[tuple[str, list[dict[str, Any]]]] = [
        ("no rules", intercepting()),
        ("status", intercepting({"status_code": 418})),
        ("status by status", intercepting({"match": {"status_code": [4]}, "status_code": 418}, {"match": {"status_code": [2]}, "status_code": "201"})),
        ("status by field", intercepting({"match": {"headers": {"X-A": ["1"]}}, "status_code": 299})),
        ("no rule fits", intercepting({"match": {"status_code": [500]}, "routes": [shown]})),
        ("routes", intercepting({"match": {"status_code": [203]}, "routes": [shown]})),
        ("routes that do not answer", intercepting({"routes": [vars_only]})),
        ("a rule that says nothing", intercepting({})),
        ("an error passes by", intercepting({"routes": [shown]}, behind=fails)),
        ("an error from the routes", intercepting({"routes": [{"handle": fails}]})),
        ("one inside another", [{"handle": [{"handler": "intercept", "handle_response": [{"status_code": 299}]}]}, *intercepting({"routes": [shown]})]),
        ("an empty answer", intercepting({"routes": [shown]}, behind=[say("", status_code=404)])),
    ]  # fmt: skip
    cases = [Case(f"intercept: {name}", routes, _ANY) for name, routes in chains]
    cases += [
        Case("invoke", [{"handle": [{"handler": "invoke", "name": "answers"}]}], _ANY),
        Case("invoke goes on", [{"handle": [{"handler": "invoke", "name": "sets"}, say("{http.vars.named}")]}], _ANY),
        Case("invoke does not match", [{"handle": [{"handler": "invoke", "name": "never"}, say("after")]}], _ANY),
        Case("invoke inside invoke", [{"handle": [{"handler": "invoke", "name": "nested"}, say("after {http.vars.named}")]}], _ANY),
        Case("log_append", [{"handle": [{"handler": "log_append", "key": "k", "value": "{http.response.body}"}, say("b")]}], _ANY),
    ]  # fmt: skip
    return cases


_ANY = [("GET", "/a?b=c", (), "example.com"), ("POST", "/", (), "example.com")]
NAMED_ROUTES: dict[str, Any] = {
    "answers": {"handle": [say("named " + "{http.request.uri}")]},
    "sets": {"handle": [{"handler": "vars", "named": "yes"}]},
    "never": {"match": [{"method": ["DELETE"]}], "handle": [say("never")]},
    "nested": {"handle": [{"handler": "invoke", "name": "sets"}]},
}
"""What a server with these cases has beside its routes."""


EXPRESSIONS: list[Any] = [
    "{http.request.method} == 'GET'", "{http.request.method}.startsWith('G') && path('/foo*', '/a*')", "!path('/foo*')",
    "path({http.request.uri.path} + '*')", "method('GET', 'POST')", "host('example.com', '*.example.com')", "host({http.request.host})",
    "header({'X-A': 'one'})", "header({'X-A': ['two', 'o*'], 'X-B': ['*']})", "query({'a': '1'})", "query({'a': ['*']}) || query({'b': 'x'})",
    "protocol('http/1.1') && !protocol('https')", "remote_ip('127.0.0.0/8', '::1')", "client_ip('10.0.0.0/8')",
    "path_regexp('^/f(o+)') && {http.regexp.1} == 'oo'", "path_regexp('x', '^/([a-z]+)') && {http.regexp.x.1} in ['foo', 'a', 'api']",
    {"expr": "path_regexp('^/([a-z]+)') && {http.regexp.n.1}.size() == 3", "name": "n"}, "header_regexp('X-A', '^o') && {http.regexp.0} == 'o'",
    "header_regexp('h', 'X-A', '^(.)') && {http.regexp.h.1} != 't'", "vars({'v': 'GET'})", "vars_regexp('v', '^G')",
    "{http.vars.v} == 'GET'", "{http.vars.n} == 7", "{http.vars.n} > 6 && {http.vars.n} < 8", "{http.vars.b} == true", "{http.vars.none} == null",
    "{http.vars.none} == ''", "{http.request.header.X-A} == ''", "{http.request.uri.query.a} == '1'", "{http.request.cookie.none} == ''", "{http.request.duration} < duration('3h')", "{time.now} > timestamp('2020-01-01T00:00:00Z')",
    "{http.nothing} == null",
    "'x' in [{http.request.method}, 'x']", "{http.request.uri.path}.split('/').exists(p, p == 'bar')",
    "{http.request.uri.path}.matches('^/f.*r$')", "{http.request.host} in ['example.com', 'localhost']", "size({http.request.uri}) > 5",
    "{http.request.host.labels.0} == 'com' ? path('/foo') : path('/a*')", "{http.request.method} == 1 || true",
    "{http.vars.l}.size() == 2 && 'a' in {http.vars.l}", "{http.vars.l}[0] == 'a'", "{http.request.port} == '80'", "1 == 1",
    "{http.request.remote.host} == '127.0.0.1'", "{http.request.uri.path.0}.upperAscii() == 'FOO'", "{http.vars.f} == 1.5",
    "{http.vars.n} == 7.0", "{http.request.body} == ''", "{time.now.year} != ''", "{http.request.tls.version} == ''", "{http.request.tls.version} == null",
    "{env.NOTHING_OF_THE_KIND} == ''", "{http.request.proto} == 'HTTP/1.1'", "{http.request.remote.port} != ''",
]  # fmt: skip


def expression_cases(root: Path) -> list[Case]:
    """Return what ``http.matchers.expression`` is tried with; those without a value fail in both, and differ in what error routes see."""
    left = {
        "handler": "vars",
        "v": "{http.request.method}",
        "n": 7,
        "b": True,
        "f": 1.5,
        "l": ["a", "b"],
    }
    asked: list[Any] = [
        ("GET", "/foo", (), "example.com"), ("GET", "/foo/bar?a=1", (("X-A", "one"),), "www.example.com"),
        ("POST", "/a/b?a=x&b=x", (("X-A", "two"), ("X-B", "b")), "localhost:80"), ("GET", "/API/foo/bar?b=x", (), "[::1]"),
        ("GET", "/%66oo?a=", (("X-A", "one"), ("X-A", "two")), "127.0.0.1"),
    ]  # fmt: skip
    files = [
        f"file({{'root': '{root}'}})",
        f"file({{'root': '{root}', 'try_files': ['/nowhere', '/a.txt']}})",
    ]
    return [
        Case(f"expression {text}", [{"handle": [left]}, *asking({"expression": text})], asked)
        for text in EXPRESSIONS + files
    ]


URL_PATTERNS: list[dict[str, Any]] = [
    {"pattern": "/books/:id"}, {"pattern": "/books/:id(\\d+)"}, {"pattern": "/*"}, {"pattern": "http://example.com/:a/:b?"},
    {"pattern": "/books/:id", "base_url": "http://example.com"}, {"pattern": "/a?q=:q"},
    {"pattern": "http://*.example.com:*/*"}, {"pattern": "https://*.example.com/*"}, {"pattern": "/:x+"}, {"pattern": "*"}, {"pattern": "/b{oo}?ks/*"},
    {"pattern": "/(foo|bar)/*"}, {"pattern": "/f%C3%BC"}, {"pattern": "/:a?"}, {"pattern": "/a{/:b}*"},
]  # fmt: skip
GROUPS = (
    "pathname.id", "pathname.0", "pathname.1", "pathname.a", "pathname.b", "pathname.x", "hostname.0", "search.q", "protocol.0",
)  # fmt: skip


def url_pattern_cases() -> list[Case]:
    """Return what ``http.matchers.url_pattern`` is tried with."""
    shown = say("yes " + "|".join(f"{{http.url_pattern.{group}}}" for group in GROUPS))
    targets = (
        "/books/12", "/books/x%20y?q=1", "/", "/a?q=7", "/Books/12", "//books/1", "/books/../books/1", "/foo/bar", "/f%C3%BC", "/a/b/c", "/books/",
    )  # fmt: skip
    asked: list[Any] = [
        ("GET", target, (), host)
        for target in targets
        for host in ("example.com", "www.example.com:8080", "EXAMPLE.com")
    ]
    return [
        Case(
            f"url_pattern {pattern}",
            [
                {"match": [{"url_pattern": pattern}], "handle": [shown], "terminal": True},
                {"handle": [say("no")]},
            ],
            asked,
        )
        for pattern in URL_PATTERNS
    ]
