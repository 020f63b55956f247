"""Files of variables: ``NAME=value`` lines, comments, quotes that may span lines."""

from __future__ import annotations

import re
from pathlib import Path

from quantum.errors import ConfigError, in_words

NAME = re.compile(r"(?:export\s+)?([^\s=#\"']+)\s*=")
COMMENT = re.compile(r"\s#.*")


def parse_envfile(path: Path) -> dict[str, str]:
    """Return the variables of a file; ConfigError names the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("", f"--envfile {path}: {in_words(error)}", "check the path") from error
    found: dict[str, str] = {}
    rest = list(enumerate(lines, 1))
    while rest:
        number, line = rest.pop(0)
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = NAME.match(text)
        if match is None:
            raise ConfigError("", f"{path}:{number}: not NAME=value", "one variable on each line")
        value = text[match.end() :].strip()
        if value[:1] in {'"', "'"}:
            value = _quoted(value, rest, f"{path}:{number}")
        else:
            value = COMMENT.sub("", value)
        found[match[1]] = value
    return found


def _quoted(value: str, rest: list[tuple[int, str]], place: str) -> str:
    """Return what stands in quotes; lines are taken from ``rest`` until they close."""
    quote, text = value[0], value[1:]
    while (end := _closing(text, quote)) < 0:
        if not rest:
            raise ConfigError("", f"{place}: a quote is not closed", f"end the value with {quote}")
        text += "\n" + rest.pop(0)[1]
    return text[:end].replace(f"\\{quote}", quote)


def _closing(text: str, quote: str) -> int:
    found = re.search(rf"(?<!\\){quote}", text)
    return found.start() if found else -1
