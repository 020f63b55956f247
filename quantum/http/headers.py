"""Header fields: an ordered list of (lower-case name, value) pairs of bytes.

Bytes, because every codec speaks bytes and most fields only pass through; lower case, because HTTP/2
and HTTP/3 demand it and comparison then costs nothing. A message has ten fields or so, so a scan
beats a dictionary that would have to be built for each one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Field = tuple[bytes, bytes]


class Headers:
    """The fields of one message, in the order of the wire. Names MUST be lower case."""

    __slots__ = ("fields",)
    __hash__ = None  # type: ignore[assignment]  # mutable

    def __init__(self, fields: list[Field] | None = None) -> None:
        """Take over ``fields`` (not copied)."""
        self.fields: list[Field] = [] if fields is None else fields

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __contains__(self, name: bytes) -> bool:
        return any(name == field[0] for field in self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    def __repr__(self) -> str:
        return f"Headers({self.fields!r})"

    def get(self, name: bytes, default: bytes | None = None) -> bytes | None:
        """Return the first value of ``name``."""
        for key, value in self.fields:
            if key == name:
                return value
        return default

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of ``name``, in order."""
        return [value for key, value in self.fields if key == name]

    def joined(self, name: bytes) -> bytes | None:
        """Return the values of ``name`` as one list (RFC 9110 §5.3), None when there is none."""
        values = self.all(name)
        return b", ".join(values) if values else None

    def add(self, name: bytes, value: bytes) -> None:
        """Append a field, keeping those that are there."""
        self.fields.append((name, value))

    def set(self, name: bytes, value: bytes) -> None:
        """Replace every field of that name by one, in the place of the first."""
        fields = self.fields
        for index, (key, _) in enumerate(fields):
            if key == name:
                fields[index] = (name, value)
                tail = [f for f in fields[index + 1 :] if f[0] != name]
                if len(tail) != len(fields) - index - 1:
                    fields[index + 1 :] = tail
                return
        fields.append((name, value))

    def set_default(self, name: bytes, value: bytes) -> None:
        """Append the field unless one of that name is there."""
        if name not in self:
            self.fields.append((name, value))

    def remove(self, name: bytes) -> None:
        """Drop every field of that name; none is fine."""
        if name in self:
            self.fields = [field for field in self.fields if field[0] != name]

    def extend(self, fields: Iterable[Field]) -> None:
        """Append many fields."""
        self.fields.extend(fields)

    def copy(self) -> Headers:
        """Return an independent copy."""
        return Headers(self.fields.copy())
