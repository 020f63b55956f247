"""Blocks of settings as tables: the word, where its value goes, how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.values import numbers

Read = Callable[[Dispenser], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """``path`` is dotted, below the object that is filled; ``add`` appends to a list there."""

    path: str
    read: Read
    add: bool = False

    def apply(self, d: Dispenser, made: dict[str, Any]) -> None:
        """Read the value and put it in its place."""
        value = self.read(d)
        *outer, name = self.path.split(".")
        for step in outer:
            made = made.setdefault(step, {})
        made[name] = [*made.get(name, []), *value] if self.add else value


Settings = Mapping[str, Setting]


def read_block(
    d: Dispenser,
    made: dict[str, Any],
    settings: Settings,
    unknown: str = "unrecognized subdirective '{}'",
) -> bool:
    """Fill ``made`` from the block that opens here; return whether there was one."""
    found = False
    for word in d.block():
        found = True
        setting = settings.get(word)
        if setting is None:
            raise d.error(unknown.format(word))
        setting.apply(d, made)
    return found


def text(d: Dispenser) -> str:
    """One argument."""
    return d.arg()


def text_only(d: Dispenser) -> str:
    """One argument and no more."""
    return d.only()


def texts(d: Dispenser) -> list[str]:
    """One argument or more."""
    return d.some()


def any_texts(d: Dispenser) -> list[str]:
    """Any number of arguments."""
    return d.rest()


def one_in_list(d: Dispenser) -> list[str]:
    """One argument, as a list."""
    return [d.arg()]


def flag(d: Dispenser) -> bool:
    """No argument: the word itself says yes."""
    d.no_more()
    return True


def loose_flag(d: Dispenser) -> bool:
    """The word says yes; what follows is the next word."""
    return True


def duration(problem: str = "{error}") -> Read:
    """One duration; ``problem`` may name {value} and {error}."""
    return checked(numbers.parse_duration, problem)


def integer(problem: str = "{error}") -> Read:
    """One integer."""
    return checked(numbers.parse_int, problem)


def size(problem: str = "{error}") -> Read:
    """One number of bytes."""
    return checked(numbers.parse_size, problem)


def number(problem: str = "{error}") -> Read:
    """One number."""
    return checked(numbers.parse_float, problem)


def checked(parse: Callable[[str], Any], problem: str) -> Read:
    """One argument that ``parse`` understands."""

    def read(d: Dispenser) -> Any:
        value = d.arg()
        try:
            return parse(value)
        except CaddyfileError as error:
            raise d.error(problem.format(value=value, error=error.problem)) from None

    return read
