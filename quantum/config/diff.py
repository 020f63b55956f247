"""What differs between two documents, as JSON paths: for the log of a reload and for dry runs."""

from __future__ import annotations

from typing import Any

from quantum.config.load import Steps, json_path

_ABSENT = object()


def differing_paths(before: Any, after: Any) -> list[str]:
    """Return the outermost places whose value was added, removed or changed, in document order.

    Two arrays are compared element by element; of arrays with different lengths the array itself is
    named once the common part is equal.
    """
    found: list[Steps] = []
    _compare(before, after, (), found)
    return [json_path(steps) for steps in found]


def _compare(before: Any, after: Any, steps: Steps, found: list[Steps]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (*before, *(k for k in after if k not in before)):
            _compare(before.get(key, _ABSENT), after.get(key, _ABSENT), (*steps, key), found)
    elif isinstance(before, list) and isinstance(after, list):
        counted = len(found)
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            _compare(old, new, (*steps, index), found)
        if len(before) != len(after) and len(found) == counted:
            found.append(steps)
    elif type(before) is not type(after) or before != after:
        found.append(steps)
