"""The foundation of every configuration model: strict, frozen, Go's JSON habits.

Unknown fields are refused at any level; keys match without regard to case, as Go's decoder does.
Objects that come from a file are ``Located``: they know their JSON path, so that an error deep
inside a module names the place, and a handler knows the path under which the hop finds it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError, model_validator

from quantum.errors import ConfigError


class Located(dict[str, Any]):
    """A JSON object that knows its path in the document (``apps.http.servers.srv0``)."""

    __slots__ = ("path",)

    def __init__(self, items: dict[str, Any], path: str) -> None:
        super().__init__(items)
        self.path = path


def locate(value: Any, path: str = "") -> Any:
    """Return ``value`` with every object in it made Located below ``path``."""
    if isinstance(value, dict):
        items = {k: locate(v, f"{path}.{k}" if path else str(k)) for k, v in value.items()}
        return Located(items, path)
    if isinstance(value, list):
        return [locate(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def path_of(value: Any) -> str:
    """The JSON path of a located object, "" for anything else."""
    return value.path if isinstance(value, Located) else ""


class StrictModel(BaseModel):
    """The base of all configuration models.

    A field's alias is its name in JSON where that is no Python name. Null means "not given", as in
    Go: it leaves the default, unless the model lists the field in ``nullable``.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True,
        use_enum_values=True,
    )  # fmt: skip
    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _fold_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        names: dict[str, str] = {
            str(f.alias or n).lower(): str(f.alias or n) for n, f in cls.model_fields.items()
        }
        folded: dict[str, Any] = {}
        for key, item in value.items():
            name = str(names.get(key.lower(), key))
            if item is None and name not in cls.nullable:
                continue
            if name in folded:
                raise ValueError(f"{name!r} is given twice, in different cases")
            folded[name] = item
        return Located(folded, value.path) if isinstance(value, Located) else folded

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Validate ``value`` (located or plain); ConfigError names the first wrong place."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise config_error(error, cls, path_of(value)) from None


T = TypeVar("T")


class StrictRoot(RootModel[T], Generic[T]):
    """The base of a module whose configuration is no object (a matcher's list of paths)."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Validate ``value``; ConfigError names the first wrong place."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise config_error(error, cls, path_of(value)) from None


_WANTED = {
    "list_type": "a list", "tuple_type": "a list", "set_type": "a list", "frozen_set_type": "a list",
    "dict_type": "an object", "model_type": "an object", "model_attributes_type": "an object",
    "string_type": "a string", "int_type": "a whole number", "float_type": "a number",
    "bool_type": "true or false",
}  # fmt: skip
"""What pydantic's findings about types want, in JSON's words."""
_GIVEN: tuple[tuple[type, str], ...] = (
    (bool, "true or false"), (str, "a string"), (int, "a number"), (float, "a number"),
    (Mapping, "an object"), (Sequence, "a list"), (type(None), "null"),
)  # fmt: skip
_TYPE_REMEDIES = {
    ("a list", "a string"): 'put it in brackets: ["…"]',
    ("a list", "an object"): "put it in brackets: [{…}]",
    ("a string", "a number"): "put it in double quotes",
    ("a string", "true or false"): "put it in double quotes",
    ("a whole number", "a string"): "leave the quotes out",
    ("a number", "a string"): "leave the quotes out",
    ("true or false", "a string"): "leave the quotes out",
    ("an object", "a list"): "give one {…} without brackets",
}


def config_error(error: ValidationError, model: type[BaseModel], base: str) -> ConfigError:
    """Turn pydantic's first finding into a ConfigError with path, problem and remedy."""
    detail = error.errors(include_url=False, include_context=True)[0]
    path = _join(base, detail["loc"])
    if detail["type"] == "extra_forbidden":
        name = str(detail["loc"][-1])
        known = sorted(_fields_at(model, detail["loc"][:-1]))
        near = difflib.get_close_matches(name.lower(), known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known fields: {', '.join(known)}"
        return ConfigError(path, f"unknown field {name!r}", remedy)
    if detail["type"] == "missing":
        return ConfigError(path, "required field is missing", "add it")
    wanted = _WANTED.get(detail["type"])
    if wanted is not None:
        given = next((name for kind, name in _GIVEN if isinstance(detail["input"], kind)), "that")
        remedy = _TYPE_REMEDIES.get((wanted, given), "")
        return ConfigError(path, f"must be {wanted}, not {given}", remedy)
    message = detail["msg"].removeprefix("Value error, ")
    return ConfigError(path, message[0].lower() + message[1:])


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    current: Any = model
    for step in location:
        if isinstance(step, str) and hasattr(current, "model_fields"):
            field = next((f for n, f in current.model_fields.items() if step in (n, f.alias)), None)
            if field is not None:  # else the step is a key of a map: its values have the same model
                current = _model_in(field.annotation)
    if current is None or not hasattr(current, "model_fields"):
        return set()
    return {f.alias or n for n, f in current.model_fields.items()}


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_in(argument)) is not None:
            return found
    return None


def _join(base: str, location: tuple[int | str, ...]) -> str:
    path = base
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path
