"""What the planner knows of a tree: which content is at which path. No times, no clocks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, MutableMapping
from enum import StrEnum
from typing import NamedTuple


class Node(NamedTuple):
    """A file with its content's SHA-256 and size, or a directory."""

    is_directory: bool
    hash: str = ""
    size: int = 0


DIRECTORY = Node(is_directory=True)

Tree = Mapping[str, Node]
"""Nodes by relative path, ``/`` between segments. Every directory above a node is a node too."""

MutableTree = MutableMapping[str, Node]


class Mode(StrEnum):
    """Which way changes go."""

    TWO_WAY = "two-way"
    PULL = "pull"
    """The server's changes come down; local ones stay where they are."""
    PUSH = "push"
    """Local changes go up; the server's stay where they are."""
    MIRROR = "mirror"
    """The local folder becomes a copy of the share; what differs is put into the trash first."""


def fold(path: str) -> str:
    """Return what two paths have in common that are one file on some system."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def parent_of(path: str) -> str:
    """Return the path of the directory above, "" for the root."""
    return path.rpartition("/")[0]


def ancestors(path: str) -> Iterator[str]:
    """Yield the directories above ``path``, outermost first, without the root."""
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)


def is_below(path: str, directory: str) -> bool:
    """Whether ``path`` is inside ``directory`` ("": the root), and not the directory itself."""
    return not directory or path.startswith(directory + "/")
