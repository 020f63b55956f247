"""``http.matchers.file``: which of several files is there (``try_files``).

Edge asks its own view of the root (docs/decisions/0205): where ``static`` or an application server runs
elsewhere, the root must be visible in both places. A name is joined, cleaned and kept below the root
as the file server does it: what is found here is found there.

What was found is left in ``{http.matchers.file.relative}``, ``.absolute``, ``.type`` and
``.remainder`` (what follows ``split_path``).
"""

# ruff: noqa: PTH112, PTH207 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from quantum.errors import HttpError
from quantum.http.files.beneath import join, status_beneath
from quantum.http.files.root import compile_root
from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from quantum.http.placeholders.template import constant
from quantum.http.target import normalise
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import FileConfig

SCOPE = "http.matchers.file."
MAX_GLOBBED = 1000
"""Names that one pattern may stand for: the folder of a site has fewer, an upload folder may not."""

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_NEGATED = re.compile(r"\[\^")
_STATUS = re.compile(r"=([1-9]\d\d)")


class Candidate(NamedTuple):
    """A name that may be there; ``relative`` counts from the root, which itself is "" as a file, "/" as a directory."""

    relative: str
    remainder: str = ""


Attempt = Callable[[Request, str], Iterable[Candidate]]
"""The candidates of one entry of ``try_files`` below a root; HttpError for ``=404``."""
Better = Callable[[os.stat_result, os.stat_result], bool]

BETTER: dict[str, Better] = {
    "smallest_size": lambda new, old: new.st_size < old.st_size,
    "largest_size": lambda new, old: new.st_size > old.st_size,
    "most_recently_modified": lambda new, old: new.st_mtime_ns > old.st_mtime_ns,
}


def file(config: FileConfig, provision: Provision) -> Matcher:
    """Return the question whether one of the files is there."""
    root = compile_root(config.root)
    fixed = constant(config.root) if config.root else None
    if fixed is not None and not os.path.isdir(fixed):
        provision.log.warning(
            "file_matcher_without_root",
            root=fixed,
            place=provision.path,
            remedy="the matcher runs in edge: the root must be visible to that process",
        )
    splits = [re.compile(re.escape(text), re.IGNORECASE | re.ASCII) for text in config.split_path]
    attempts = [_attempt(text, splits) for text in config.try_files]
    better = BETTER.get(config.try_policy)
    if better is not None:
        return lambda request: _best(request, root(request), attempts, better)
    unasked = len(attempts) - 1 if config.try_policy == "first_exist_fallback" else -1
    return lambda request: _first(request, root(request), attempts, unasked)


def _first(request: Request, root: str, attempts: list[Attempt], unasked: int) -> bool:
    """Take the first that is there; the last entry of a fallback is taken without looking."""
    for position, attempt in enumerate(attempts):
        for candidate in attempt(request, root):
            if position == unasked:
                return _tell(request, root, candidate, is_directory=False)
            status = status_beneath(root, join(root, candidate.relative))
            if status is None:
                continue
            is_directory = stat.S_ISDIR(status.st_mode)
            if is_directory == candidate.relative.endswith("/"):
                return _tell(request, root, candidate, is_directory=is_directory)
    return False


def _best(request: Request, root: str, attempts: list[Attempt], better: Better) -> bool:
    """Compare all that are there; the earlier one stays where two are alike."""
    best: tuple[os.stat_result, Candidate] | None = None
    for attempt in attempts:
        for candidate in attempt(request, root):
            status = status_beneath(root, join(root, candidate.relative))
            if status is not None and (best is None or better(status, best[0])):
                best = status, candidate
    if best is None:
        return False
    return _tell(request, root, best[1], is_directory=stat.S_ISDIR(best[0].st_mode))


def _tell(request: Request, root: str, candidate: Candidate, *, is_directory: bool) -> bool:
    variables = request.vars
    variables[f"{SCOPE}relative"] = candidate.relative or "/"
    variables[f"{SCOPE}absolute"] = join(root, candidate.relative)
    variables[f"{SCOPE}type"] = "directory" if is_directory else "file"
    variables[f"{SCOPE}remainder"] = candidate.remainder
    return True


def _attempt(text: str, splits: list[re.Pattern[str]]) -> Attempt:
    status = _STATUS.fullmatch(text)
    if status is not None:
        return _failing(int(status[1]))
    ending = "/" if text.endswith("/") else ""
    is_glob = any(mark in _PLACEHOLDER.sub("", text) for mark in "*?[")
    if is_glob:
        expand = compile_template(text, change=lambda key, value, request: glob.escape(value))
    else:
        expand = compile_template(text)

    def one(request: Request, root: str) -> Iterable[Candidate]:
        return (_candidate(expand(request), ending, splits),)

    def several(request: Request, root: str) -> Iterator[Candidate]:
        pattern, remainder = _candidate(expand(request), ending, splits)
        for name in _globbed(root, pattern):
            yield Candidate(name, remainder)

    return several if is_glob else one


def _failing(status: int) -> Attempt:
    def fail(request: Request, root: str) -> Iterable[Candidate]:
        raise HttpError(status, str(status))

    return fail


def _candidate(text: str, ending: str, splits: list[re.Pattern[str]]) -> Candidate:
    """Clean a path; only the slash at the end of the pattern says that a directory is meant."""
    path = normalise(f"/{text}").rstrip("/")
    for split in splits:
        found = split.search(path)
        if found is not None and path[found.end() : found.end() + 1] in {"", "/"}:
            return Candidate(path[: found.end()] + ending, path[found.end() :])
    return Candidate(path + ending)


def _globbed(root: str, pattern: str) -> list[str]:
    """Return the names below the root that a pattern stands for, sorted as Go's ``Glob`` does."""
    whole = join(glob.escape(root.rstrip("/")), _NEGATED.sub("[!", pattern))
    found: list[str] = []
    for name in glob.iglob(whole, include_hidden=True):
        found.append(name[len(root.rstrip("/")) :])
        if len(found) >= MAX_GLOBBED:
            break
    return sorted(found)
