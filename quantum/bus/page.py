"""docs/subjects.md, made from ``quantum.bus.subjects``: ``python -m quantum.bus.page``."""

from __future__ import annotations

import sys
from typing import Any, get_args, get_origin

from quantum.bus import subjects
from quantum.bus.api import Bucket, ObjectStore, Stream, Subject

COMMAND = "python -m quantum.bus.page > docs/subjects.md"
_INTRODUCTION = f"""\
# What travels on the bus

Generated from `quantum/bus/subjects.py`; after a change run `{COMMAND}`.

Payloads are JSON. A reader ignores fields it does not know, so that processes of two versions can
share a bus. Keys that are not plain text (`quantum.bus.subjects.key_of`) are `=` and URL-safe base64.
"""


def page() -> str:
    """Return the whole page."""
    found = list(vars(subjects).values())
    parts = [_INTRODUCTION]
    parts += _section(
        "Facts",
        "Core NATS subjects: heard by who listens now, lost otherwise.",
        [_entry(item.name, item, []) for item in found if isinstance(item, Subject)],
    )
    parts += _section(
        "Buckets",
        "JetStream key-value: the last value of each key, stored on disk.",
        [_entry(item.name, item, _traits(item)) for item in found if isinstance(item, Bucket)],
    )
    parts += _section(
        "Streams",
        "JetStream streams, one per key: every entry, in one order, on disk before it is acknowledged.",
        [
            _entry(f"{item.name}_<key>", item, [f"NATS subject `{item.name}.<key>`"])
            for item in found
            if isinstance(item, Stream)
        ],
    )
    parts += _section(
        "Blobs",
        "JetStream object stores, one per key: contents by name, that never change.",
        [
            f"### `{item.name}_<key>`\n\n{item.summary}.\n"
            for item in found
            if isinstance(item, ObjectStore)
        ],
    )
    return "\n".join(parts)


def _section(title: str, about: str, entries: list[str]) -> list[str]:
    return [f"## {title}\n\n{about}\n", *entries]


def _entry(name: str, item: Any, traits: list[str]) -> str:
    payload = item.payload
    rows = [
        f"| `{field}` | `{_type(info.annotation)}` | {'' if info.is_required() else f'`{info.default!r}`'} |"
        for field, info in payload.model_fields.items()
    ]
    about = (payload.__doc__ or "").strip().splitlines()[0]
    lines = [f"### `{name}`", "", f"{item.summary}.{''.join(f' {t}.' for t in traits)}", ""]
    lines += [f"`{payload.__name__}`: {about}", "", "| field | type | default |", "|---|---|---|"]
    return "\n".join([*lines, *rows, ""])


def _traits(bucket: Bucket[Any]) -> list[str]:
    traits = [f"NATS stream `KV_{bucket.name}`"]
    if bucket.ttl:
        traits.append(f"A value lives {bucket.ttl:g} s unless it is written again")
    if bucket.history > 1:
        traits.append(f"The last {bucket.history} values of a key are kept")
    return traits


def _type(annotation: Any) -> str:
    if get_origin(annotation) is None:
        return str(getattr(annotation, "__name__", annotation))
    return (
        str(annotation).replace("typing.", "").replace("|", "\\|") if get_args(annotation) else ""
    )


if __name__ == "__main__":
    sys.stdout.write(page())
