"""``http.matchers.path``: compared in the decoded, cleaned form, without regard to case.

That form is the file server's too (``quantum.http.target``): what a rule protects cannot be reached by
writing it another way. A ``%`` in a pattern says that those bytes are meant as they were sent: then
the pattern walks the escaped path and decodes only what it does not spell out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from quantum.http.target import clean_path, decode_path, normalise
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import PathConfig
from services.edge.matchers.glob import compile_glob, is_plain, reveal

REMEMBERED_PATHS = 1024
"""Paths whose comparable form is kept, so that the tenth route does not clean the path again."""
REMEMBERED_LENGTH = 256
"""Longer paths are not kept: the table stays under half a megabyte whatever clients send."""

Question = Callable[[str], bool]

_folded: dict[str, str] = {}


def folded_path(request: Request) -> str:
    """Return the cleaned path in lower case; HttpError 400 for one that ``clean_path`` refuses."""
    path = request.path
    folded = _folded.get(path)
    if folded is None:
        folded = clean_path(path).lower()
        if len(path) <= REMEMBERED_LENGTH:
            if len(_folded) >= REMEMBERED_PATHS:
                _folded.clear()
            _folded[path] = folded
    return folded


def path(config: PathConfig, provision: Provision) -> Matcher:
    """Return the question whether the path has one of the forms."""
    if "*" in config.root:
        return lambda request: True
    dynamic = [compile_template(pattern) for pattern in config.root if "{" in pattern]
    is_literal = _any_of([pattern for pattern in config.root if "{" not in pattern])
    if not dynamic:
        return is_literal

    def matches(request: Request) -> bool:
        if is_literal(request):
            return True
        return any(expanded == "*" or _any_of([expanded])(request) for expanded in
                   (expand(request) for expand in dynamic))  # fmt: skip

    return matches


def _any_of(patterns: list[str]) -> Matcher:
    patterns = [pattern.lower() for pattern in patterns]
    unusual = [_unusual(p) for p in patterns if "%" in p or "//" in p]
    usual = _usual([p for p in patterns if "%" not in p and "//" not in p])
    if not unusual:
        return lambda request: usual(folded_path(request))
    return lambda request: usual(folded_path(request)) or any(ask(request) for ask in unusual)


def _unusual(pattern: str) -> Matcher:
    merge = "//" not in pattern
    if "%" in pattern:
        is_like = compile_glob(pattern.replace("%*", "*"))

        def escaped(request: Request) -> bool:
            shown = reveal(normalise(request.path, merge_slashes=merge), pattern)
            return shown is not None and is_like(shown)

        return escaped
    ask = _usual([pattern])
    return lambda request: ask(normalise(decode_path(request.path), merge_slashes=False).lower())


def _usual(patterns: list[str]) -> Question:
    """Sort patterns by kind: sets and tuples are asked in C, only globs need an automaton."""
    exact, prefixes, suffixes, parts, globs = set(), [], [], [], []
    for pattern in patterns:
        core = pattern.strip("*")
        stars = pattern.count("*")
        if stars == 2 and pattern[0] == "*" and pattern[-1] == "*" and len(pattern) > 1:
            parts.append(core)
        elif stars == 1 and pattern[0] == "*":
            suffixes.append(core)
        elif stars == 1 and pattern[-1] == "*":
            prefixes.append(core)
        elif is_plain(pattern):
            exact.add(pattern)
        else:
            globs.append(compile_glob(pattern))
    questions: list[Question] = []
    if exact:
        questions.append(partial(str.__eq__, next(iter(exact))) if len(exact) == 1 else exact.__contains__)  # fmt: skip
    if prefixes:
        starts: str | tuple[str, ...] = prefixes[0] if len(prefixes) == 1 else tuple(prefixes)
        questions.append(lambda text: text.startswith(starts))
    if suffixes:
        questions.append(lambda text: text.endswith(tuple(suffixes)))
    questions.extend(_containing(part) for part in parts)
    questions.extend(globs)
    if not questions:
        return lambda text: False
    if len(questions) == 1:
        return questions[0]
    return lambda text: any(ask(text) for ask in questions)


def _containing(part: str) -> Question:
    return lambda text: part in text
