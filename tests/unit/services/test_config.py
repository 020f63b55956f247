"""A document becomes a revision, or the first wrong place is named with a remedy."""

from typing import Any

import pytest

from quantum.config.model import StrictModel
from quantum.errors import ConfigError
from quantum.modules.config import InlineModule, RouteConfig
from quantum.modules.registry import Registry
from quantum.modules.spec import Manifest, ModuleSpec
from services.config import QuantumConfig, parse, revision_id, section_owners

HERE = "tests.unit.services.test_config"


class Server(StrictModel):
    """A server of the miniature app."""

    listen: list[str]
    routes: list[RouteConfig] = []  # noqa: RUF012 - pydantic copies it


class App(StrictModel):
    """A miniature http app."""

    servers: dict[str, Server] = {}  # noqa: RUF012 - pydantic copies it


class Files(StrictModel):
    """A miniature handler."""

    root: str = ""


class Nested(StrictModel):
    """A handler around another."""

    inner: InlineModule("http.handlers")


MANIFESTS = (
    Manifest(
        "edge", "-", "", config_apps=(("apps.http", f"{HERE}:App"),),
        modules=(ModuleSpec("http.handlers.nested", "edge", f"{HERE}:Nested", "-"),),
    ),
    Manifest(
        "static", "-", "",
        modules=(ModuleSpec("http.handlers.file_server", "static", f"{HERE}:Files", "-", terminal=True),),
    ),
)  # fmt: skip
REGISTRY = Registry(spec for manifest in MANIFESTS for spec in manifest.modules)


def parsed(document: Any):
    return parse(document, REGISTRY, MANIFESTS)


def with_handler(handler: Any) -> dict[str, Any]:
    return {
        "apps": {"http": {"servers": {"s": {"listen": [":1"], "routes": [{"handle": [handler]}]}}}}
    }


def refusal(document: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parsed(document)
    return caught.value


def test_a_full_document_becomes_sections_and_modules():
    revision = parsed(with_handler({"handler": "file_server", "root": "x"}))
    assert isinstance(revision.config, QuantumConfig)
    assert revision.section("apps.http").servers["s"].listen == [":1"]
    assert revision.section("logging") is None
    (module,) = revision.handlers_of("static")
    assert module.path == "apps.http.servers.s.routes[0].handle[0]"
    assert module.config.root == "x"


def test_nested_modules_are_collected_once():
    revision = parsed(
        with_handler({"handler": "nested", "inner": {"handler": "file_server", "root": "y"}})
    )
    assert [m.spec.name for m in revision.modules].count("file_server") == 1
    (module,) = revision.handlers_of("static")
    assert module.path == "apps.http.servers.s.routes[0].handle[0].inner"


def test_the_revision_depends_on_content_and_not_on_order():
    one = parsed({"apps": {"http": {"servers": {}}}, "admin": None})
    other = parsed({"admin": None, "apps": {"http": {"servers": {}}}})
    assert one.id == other.id == revision_id(one.document)
    assert len(one.id) == 16
    assert parsed({"apps": {}}).id != one.id


def test_ids_stay_in_the_document_and_are_hidden_from_the_models():
    document = with_handler({"handler": "file_server", "@id": "site", "root": "x"})
    revision = parsed(document)
    assert revision.document == document
    assert "@id" not in revision.handlers_of("static")[0].raw


def test_a_repeated_id_is_refused():
    document = with_handler({"handler": "file_server", "@id": "a"})
    document["@id"] = "a"
    assert "unique" in str(refusal(document))


def test_a_simple_document_is_adapted_first():
    with pytest.raises(ConfigError, match="automatic_https"):  # the miniature app does not know it
        parsed({"static_files": {"./public": ":8080"}})


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        (None, "", "JSON object"),
        ([], "", "JSON object"),
        ({"ap": {}}, "ap", "did you mean 'apps'"),
        ({"apps": []}, "apps", "an object"),
        ({"apps": {"htp": {}}}, "apps.htp", "did you mean 'http'"),
        (
            {"apps": {"events": {"subscriptions": [{"handlers": [{"handler": "exec"}]}]}}},
            "apps.events.subscriptions[0].handlers[0]",
            "no module events.handlers.exec",
        ),
        (
            {
                "apps": {
                    "caddy.filesystems": {
                        "filesystems": [{"name": "x", "file_system": {"backend": "s3"}}]
                    }
                }
            },
            "apps.caddy.filesystems.filesystems[0].file_system",
            "no module caddy.fs.s3",
        ),
        ({"apps": {"layer4": {}}}, "apps.layer4", "there are: caddy.filesystems, events, http"),
        ({"apps": {"http": {"server": {}}}}, "apps.http.server", "did you mean 'servers'"),
        ({"apps": {"http": {"servers": {"s": {}}}}}, "apps.http.servers.s.listen", "missing"),
        ({"storage": {"module": "redis"}}, "storage.module", "file_system"),
        ({"storage": {"module": "file_system", "root": "/x"}}, "storage.root", "--data-dir"),
        (
            {"logging": {"logs": {"default": {"level": "LOUD"}}}},
            "logging.logs.default.level",
            "DEBUG",
        ),
        ({"logging": {"sink": {"level": "x"}}}, "logging.sink", "leave it out"),
    ],
)
def test_what_nobody_obeys_is_refused_with_its_place(document, path, says):
    error = refusal(document)
    assert error.path == path
    assert says in str(error)


@pytest.mark.parametrize(
    ("handler", "path", "says"),
    [
        ({"handler": "file_server", "rot": 1}, ".rot", "did you mean 'root'"),
        ({"handler": "fileserver"}, ".handler", "did you mean 'file_server'"),
        ({"handler": "templates"}, ".handler", "not built here yet: http.handlers.templates"),
        ({}, "", "'handler' is missing"),
        (
            {"handler": "nested", "inner": {"handler": "file_server", "root": 1}},
            ".inner.root",
            "string",
        ),
    ],
)
def test_errors_inside_modules_carry_the_whole_path(handler, path, says):
    error = refusal(with_handler(handler))
    assert error.path == "apps.http.servers.s.routes[0].handle[0]" + path
    assert says in str(error)


def test_keys_match_without_regard_to_case():
    revision = parsed({"Apps": {"http": {"Servers": {"s": {"LISTEN": [":1"]}}}}})
    assert revision.section("apps.http").servers["s"].listen == [":1"]


def test_log_levels_are_read_in_any_case():
    section = parsed({"logging": {"logs": {"default": {"level": "debug"}}}}).section("logging")
    assert section.default.level == "DEBUG"


def test_two_owners_of_a_section_are_a_defect():
    with pytest.raises(ValueError, match="two owners"):
        section_owners((*MANIFESTS, Manifest("x", "-", "", config_apps=(("apps.http", "b:B"),))))


def test_apps_that_hold_modules_of_plugins_may_be_empty():
    parsed({"apps": {"events": {"subscriptions": [{"events": ["x"]}]}, "caddy.filesystems": {}}})
