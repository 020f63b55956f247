"""A Caddyfile, as it is: files, a proxy, errors, and another version of it loaded while it runs."""

from pathlib import Path

import pytest

from quantum.testing.client import Site
from quantum.testing.topology import Deployment, free_port
from tests.e2e.conftest import eventually
from tests.e2e.upstreams import Upstream

SITE = """
{{
	admin 127.0.0.1:{admin}
	auto_https off
}}

(greeting) {{
	header X-Greeting {{args[0]}}
}}

http://127.0.0.1:{port} {{
	import greeting {greeting}
	handle_path /api/* {{
		reverse_proxy {upstream}
	}}
	handle /teapot {{
		error "no coffee" 418
	}}
	handle {{
		root * {files}
		file_server
	}}
	handle_errors {{
		respond "{{err.status_code}} {{err.message}}"
	}}
}}
"""


@pytest.mark.parametrize("topology", ["all", "split"])
def test_a_caddyfile_serves_and_is_replaced_while_it_runs(topology: str, tmp_path: Path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "index.html").write_text("<h1>hello</h1>")
    (files / "Caddyfile").write_text("secret")
    upstream = Upstream("one")
    ports = {"admin": free_port(), "port": free_port()}
    text = SITE.format(
        **ports, files=files, upstream=f"127.0.0.1:{upstream.port}", greeting="first"
    )
    site = Site("127.0.0.1", ports["port"], name="127.0.0.1")
    admin = Site("127.0.0.1", ports["admin"], name="127.0.0.1")
    rooms = ("proxy", "static", "edge", "admin")
    with Deployment(topology, {}, rooms=rooms, caddyfile=text):
        eventually(lambda: site.get("/").status == 200)
        answer = site.get("/")
        assert answer.text == "<h1>hello</h1>"
        assert answer.headers["x-greeting"] == "first"
        proxied = site.get("/api/items?page=2").json()
        assert (proxied["upstream"], proxied["target"]) == ("one", "/items?page=2")
        assert site.get("/teapot").text == "418 no coffee"
        assert site.get("/nothing").text.startswith("404")

        content = {"Content_Type": "text/caddyfile"}
        refused = admin.request("POST", "/load", b":80 {\n\tnothing\n}\n", **content)
        assert refused.status == 400
        assert "Caddyfile:2: unrecognized directive: nothing" in refused.json()["error"]
        assert site.get("/").headers["x-greeting"] == "first"

        second = text.replace("greeting first", "greeting second").encode()
        loaded = admin.request("POST", "/load", second, **content)
        assert loaded.status == 200, loaded.text
        eventually(lambda: site.get("/").headers.get("x-greeting") == "second")
    upstream.close()
