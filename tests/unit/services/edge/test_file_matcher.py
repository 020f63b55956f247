"""``http.matchers.file``: what the cases beside Caddy do not show."""

from __future__ import annotations

import os

import pytest
from structlog.testing import capture_logs

from quantum.errors import ConfigError, HttpError
from quantum.testing.routing import compile_routes, make_compiler, make_request, parse_routes
from services.edge.matchers.file import MAX_GLOBBED
from services.edge.modules import MODULES

PATH = "{http.request.uri.path}"


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    (root / "dir").mkdir(parents=True)
    (root / "index.html").write_text("home")
    (root / "a.txt").write_text("a")
    (root / "empty").write_text("")
    (tmp_path / "secret").write_text("s")
    return root


def matcher(root, **config):
    routes = parse_routes(MODULES, [{"match": [{"file": {"root": str(root), **config}}]}])
    return make_compiler().compile_matchers(routes[0].match)


def found(root, target, **config):
    request = make_request("GET", target)
    return (
        request.vars.get("http.matchers.file.relative")
        if matcher(root, **config)(request)
        else None
    )


def test_a_link_that_leads_out_of_the_root_is_not_there(site):
    (site / "out").symlink_to(site.parent / "secret")
    (site / "in").symlink_to(site / "a.txt")
    assert found(site, "/out", try_files=[PATH, "/index.html"]) == "/index.html"
    assert found(site, "/in", try_files=[PATH, "/index.html"]) == "/in"


def test_a_folder_that_is_a_link_out_of_the_root_has_no_files(site):
    (site / "etc").symlink_to("/etc")
    assert found(site, "/etc/passwd") is None
    assert found(site, "/", try_files=["/etc/pass*"]) is None


def test_a_root_that_is_a_link_is_a_root(site, tmp_path):
    (tmp_path / "current").symlink_to(site)
    assert found(tmp_path / "current", "/a.txt") == "/a.txt"


@pytest.mark.parametrize("target", ["/?f=../secret", "/?f=%2e%2e/secret", "/?f=x/../../secret", "/?f=%00", "/?f=a.txt%00"])  # fmt: skip
def test_no_placeholder_leads_out_of_the_root(site, target):
    assert found(site, target, try_files=["{http.request.uri.query.f}"]) is None


def test_the_last_entry_of_a_fallback_need_not_be_there(site):
    tried = {"try_files": [PATH, "index.php"], "try_policy": "first_exist_fallback"}
    assert found(site, "/missing", **tried) == "/index.php"
    assert found(site.parent / "nowhere", "/a.txt", **tried) == "/index.php"


def test_an_empty_file_has_a_size(site):
    tried = {"try_files": ["/a.txt", "/empty"]}
    assert found(site, "/", **tried, try_policy="smallest_size") == "/empty"
    assert found(site, "/", try_files=["/empty"], try_policy="largest_size") == "/empty"


def test_a_pipe_is_looked_at_and_not_opened(site):
    os.mkfifo(site / "pipe")
    assert found(site, "/pipe") == "/pipe"


def test_a_glob_stands_for_a_bounded_number_of_names(site):
    for number in range(MAX_GLOBBED + 10):
        (site / "dir" / f"{number}").touch()
    request = make_request("GET", "/")
    assert matcher(site, try_files=["/dir/*"], try_policy="most_recently_modified")(request)


async def test_a_status_among_the_files_goes_to_the_error_routes(site):
    chain = compile_routes(
        MODULES,
        [{"match": [{"file": {"root": str(site), "try_files": [PATH, "=410"]}}], "handle": []}],
        [{"handle": [{"handler": "static_response", "body": "{http.error.status_code} gone"}]}],
    )
    assert (await chain(make_request("GET", "/missing"))).body == b"410 gone"


def test_a_status_fails_at_once_where_nobody_handles_errors(site):
    with pytest.raises(HttpError, match="404"):
        found(site, "/missing", try_files=[PATH, "=404"])


def test_a_root_that_edge_does_not_see_is_told_with_a_remedy(tmp_path):
    with capture_logs() as logs:
        matcher(tmp_path / "nowhere")
    assert [(log["event"], "edge" in log["remedy"]) for log in logs] == [("file_matcher_without_root", True)]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"try_policy": "best"}, "first_exist"),
        ({"split_path": [".phſ"]}, "ASCII"),
        ({"fs": "s3"}, "not built here yet"),
        ({"tries": []}, "tries"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(config, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_routes(MODULES, [{"match": [{"file": config}]}])
