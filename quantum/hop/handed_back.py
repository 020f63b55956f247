"""An upstream's answer on its way back to routes: ``handle_response``.

The handler's room decides which rule an answer falls under; the rule's routes run in edge. In one
process the object itself comes back, over the hop its note travels in a field of the envelope.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from quantum.http.body import AnyBody
from quantum.http.headers import Field, Headers
from quantum.http.message import Response


class Note(NamedTuple):
    """What the routes of rule number ``rule`` want to know beside the answer.

    ``fields`` are the upstream's own, before the handler's changes (None: there were none);
    ``facts`` are placeholders.
    """

    rule: int
    fields: list[Field] | None
    facts: dict[str, str]

    def encode(self) -> bytes:
        """Return it as a field's value."""
        texts = None
        if self.fields is not None:
            texts = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in self.fields]
        return json.dumps([self.rule, texts, self.facts]).encode()


def decode_note(data: bytes) -> Note:
    """Read what ``encode`` wrote; ValueError, TypeError or AttributeError for anything else."""
    rule, texts, facts = json.loads(data)
    fields = None
    if texts is not None:
        fields = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in texts]
    return Note(rule, fields, facts)


class HandedBack(Response):
    """An answer that routes shall handle; as a Response it is what ``copy_response`` sends."""

    __slots__ = ("note",)

    def __init__(self, status: int, headers: Headers, body: AnyBody, note: Note) -> None:
        super().__init__(status, headers, body)
        self.note = note

    @property
    def upstream_headers(self) -> Headers:
        """The fields as the upstream sent them."""
        return self.headers if self.note.fields is None else Headers(self.note.fields)
