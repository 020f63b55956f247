"""Models are strict, fold keys as Go does, and name the place of what is wrong."""

from typing import ClassVar

import pytest
from pydantic import Field

from quantum.config.model import Located, StrictModel, StrictRoot, locate, path_of
from quantum.errors import ConfigError


class Inner(StrictModel):
    """A nested object."""

    alt_svc: str = Field(default="", alias="alt-svc")
    count: int = 0


class Outer(StrictModel):
    """An object with a list of others."""

    nullable: ClassVar[frozenset[str]] = frozenset({"maybe"})

    items: list[Inner] = Field(default_factory=list)
    maybe: int | None = 1
    name: str


class Names(StrictRoot[list[str]]):
    """A module whose configuration is a list."""


def refusal(model, value) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        model.parse(value)
    return caught.value


def test_keys_match_without_regard_to_case():
    parsed = Outer.parse({"NAME": "x", "Items": [{"Alt-Svc": "y", "COUNT": 2}]})
    assert (parsed.name, parsed.items[0].alt_svc, parsed.items[0].count) == ("x", "y", 2)


def test_one_field_in_two_cases_is_refused():
    assert "twice" in str(refusal(Outer, {"name": "x", "Name": "y"}))


def test_null_leaves_the_default_unless_it_means_something():
    parsed = Outer.parse({"name": "x", "items": None, "maybe": None})
    assert parsed.items == []
    assert parsed.maybe is None


def test_errors_name_the_place_below_where_the_object_stands():
    document = locate({"apps": {"a": {"name": "x", "items": [{}, {"count": "many"}]}}})
    error = refusal(Outer, document["apps"]["a"])
    assert error.path == "apps.a.items[1].count"
    assert refusal(Outer, document["apps"]).path == "apps.name"


def test_an_unknown_field_names_the_nearest_known_one():
    error = refusal(Outer, {"name": "x", "items": [{"cuont": 1}]})
    assert error.path == "items[0].cuont"
    assert error.remedy == "did you mean 'count'?"
    assert "known fields: items, maybe, name" in str(refusal(Outer, {"name": "x", "zzz": 1}))


def test_a_missing_field_and_a_wrong_list_are_named():
    assert refusal(Outer, {}).path == "name"
    assert refusal(Names, Located({}, "apps.x")).path == "apps.x"
    assert Names.parse(["a"]).root == ["a"]


def test_located_objects_know_where_they_stand():
    document = locate({"a": [{"b": {}}]})
    assert path_of(document["a"][0]["b"]) == "a[0].b"
    assert path_of("text") == ""


def test_models_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Inner.parse({}).count = 3


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"name": "x", "items": "y"}, 'items: must be a list, not a string (put it in brackets: ["…"])'),
        ({"name": 7}, "name: must be a string, not a number (put it in double quotes)"),
        ({"name": "x", "items": [["y"]]}, "items[0]: must be an object, not a list (give one {…} without brackets)"),
        ({"name": {"a": 1}}, "name: must be a string, not an object"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_told_in_jsons_words_with_what_to_write(value, told):
    assert str(refusal(Outer, value)) == told
