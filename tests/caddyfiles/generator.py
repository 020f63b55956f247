"""Makes up Caddyfiles from the parts of the written cases: sites, nesting, matchers, options, mistakes."""

from __future__ import annotations

import random
import re

from quantum.caddyfile.adapt import adapt
from quantum.caddyfile.errors import CaddyfileError
from tests.integration.caddyfile.cases import read_cases

HOSTS = (
    "a.com",
    "b.com",
    "*.a.com",
    "x.a.com",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "",
    "",
    "c.localhost",
    "{env.H}",
)
PORTS = ("", "", "", ":80", ":443", ":8080", ":8443")
SCHEMES = ("", "", "", "http://", "https://")
PATHS = ("", "", "", "", "", "/x", "/y*")
WRAPPERS = (
    "handle",
    "handle /w*",
    "route",
    "route /r",
    "handle_path /p/*",
    "handle_errors",
    "handle_errors 404 5xx",
    "handle @m",
)
MATCHERS = (
    "@m path /m",
    "@m host m.com",
    "@m {\n\tpath /q\n\tmethod GET\n}",
    "@m not path /n",
    "@m `{path} == '/e'`",
    "@m header X *",
)
NOISE = '{}"`\\#<@/* \n\t>,'
FACTS = ("bind", "handle_errors", "log", "tls")
"""Directives that give no handler: they stand in sites only, and too many of them contradict."""


class Generator:
    """One stream of Caddyfiles for each seed."""

    def __init__(self, seed: int, mistakes: float) -> None:
        self._random = random.Random(seed)
        self._mistakes = mistakes
        self._handlers: list[str] = []
        self._facts: list[str] = []
        self._options: list[str] = []
        for name, text in sorted(read_cases().items()):
            if not name.startswith("language."):
                self._collect(text)

    def _collect(self, text: str) -> None:
        depth, chunk, is_options = 0, [], False
        for line in text.splitlines():
            bare = line.strip()
            if depth == 0:
                is_options = bare == "{"
            else:
                chunk.append(line[1:])
            depth += bare.endswith("{") - (bare == "}")
            if depth == 1 and chunk and not bare.startswith("@"):
                self._keep("\n".join(chunk), is_options=is_options)
            if depth <= 1:
                chunk = []

    def _keep(self, chunk: str, *, is_options: bool) -> None:
        """Keep a part that is right by itself; the mistakes come later."""
        # Caddy's registry of the order is global: a text with ``order`` changes the next ones.
        if chunk.startswith("order "):
            return
        text = f"{{\n{chunk}\n}}\n" if is_options else f"a.com {{\n@m path /m\n{chunk}\n}}\n"
        try:
            adapt(re.sub(r"^(\S+) @\w+", r"\1 @m", text, flags=re.MULTILINE), environment={})
        except CaddyfileError:
            return
        is_fact = chunk.split()[0] in FACTS
        (self._options if is_options else self._facts if is_fact else self._handlers).append(chunk)

    def make(self) -> str:
        """Return a new Caddyfile."""
        pick = self._random
        parts = []
        if pick.random() < 0.4:
            parts.append(
                self._block("", [pick.choice(self._options) for _ in range(pick.randint(1, 4))])
            )
        if pick.random() < 0.2:
            parts.append(self._block("(s)", self._some(2)))
        parts += [self._site("(s)" in "".join(parts)) for _ in range(pick.randint(1, 4))]
        text = "".join(parts)
        return self._spoiled(text) if pick.random() < self._mistakes else text

    def _site(self, has_snippet: bool) -> str:
        pick = self._random
        keys = ", ".join(self._address() for _ in range(pick.choice((1, 1, 1, 2, 3))))
        chunks = [pick.choice(MATCHERS)] if pick.random() < 0.7 else []
        chunks += self._some(6)
        if has_snippet and pick.random() < 0.5:
            chunks.append("import s")
        for _ in range(pick.choice((0, 0, 1, 2))):
            chunks.append(
                self._block(pick.choice(WRAPPERS), self._some(3, inside=True)).rstrip("\n")
            )
        return self._block(keys, chunks)

    def _address(self) -> str:
        pick = self._random
        host, port = pick.choice(HOSTS), pick.choice(PORTS)
        if not host and not port:
            port = ":9000"
        return pick.choice(SCHEMES) + host + port + pick.choice(PATHS)

    def _some(self, most: int, *, inside: bool = False) -> list[str]:
        pick = self._random
        chosen = [pick.choice(self._handlers) for _ in range(pick.randint(0, most))]
        if not inside and pick.random() < 0.4:
            chosen.append(pick.choice(self._facts))
        return [self._with_matcher(chunk) for chunk in chosen]

    def _with_matcher(self, chunk: str) -> str:
        """Give a directive the site's matcher, sometimes."""
        name, space, rest = chunk.partition(" ")
        if self._random.random() < 0.15 and space and rest[0] not in "/@*":
            return f"{name} {self._random.choice(('@m', '/z', '*', '/z/*'))} {rest}"
        return re.sub(r"^(\S+) @\w+", r"\1 @m", chunk)

    def _block(self, head: str, chunks: list[str]) -> str:
        inside = "".join("\t" + line + "\n" for chunk in chunks for line in chunk.splitlines())
        return f"{head} {{\n".lstrip() + inside + "}\n"

    def _spoiled(self, text: str) -> str:
        for _ in range(self._random.randint(1, 3)):
            at = self._random.randrange(len(text))
            kind = self._random.random()
            if kind < 0.4:
                text = text[:at] + text[at + self._random.randint(1, 4) :]
            elif kind < 0.8:
                text = text[:at] + self._random.choice(NOISE) + text[at:]
            else:
                lines = text.splitlines(keepends=True)
                del lines[self._random.randrange(len(lines))]
                text = "".join(lines) or "x"
        return text
