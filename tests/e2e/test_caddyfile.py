"""A Caddyfile, as it is: files, a proxy, errors, and another version of it loaded while it runs."""

import io
from pathlib import Path

import pycurl
import pytest

from quantum.testing.certificates import make_certificates
from quantum.testing.client import Site
from quantum.testing.topology import Deployment, free_port
from tests.e2e.conftest import eventually
from tests.e2e.upstreams import Upstream

HTTP3 = 31
"""CURL_HTTP_VERSION_3ONLY, which pycurl has no name for."""
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

https://localhost:{first} {{
	tls {keys}/first/leaf.crt {keys}/first/leaf.key
	respond first
}}

https://localhost:{second} {{
	tls {keys}/second/leaf.crt {keys}/second/leaf.key
	respond second
}}
"""


def page_of(port: int, version: int, root: Path) -> str:
    """Return a page of localhost from whoever ``root`` signed for; ``version`` is libcurl's number."""
    handle, page = pycurl.Curl(), io.BytesIO()
    for option, value in (
        (pycurl.URL, f"https://localhost:{port}/"), (pycurl.RESOLVE, [f"localhost:{port}:127.0.0.1"]),
        (pycurl.HTTP_VERSION, version), (pycurl.CAINFO, str(root)), (pycurl.WRITEDATA, page),
        (pycurl.TIMEOUT, 30),
    ):  # fmt: skip
        handle.setopt(option, value)
    handle.perform()
    return page.getvalue().decode()


@pytest.mark.parametrize("topology", ["all", "split"])
def test_a_caddyfile_serves_and_is_replaced_while_it_runs(topology: str, tmp_path: Path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "index.html").write_text("<h1>hello</h1>")
    (files / "Caddyfile").write_text("secret")
    upstream = Upstream("one")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        make_certificates(tmp_path / name, ["localhost"])
    ports = {name: free_port() for name in ("admin", "port", "first", "second")}
    text = SITE.format(
        **ports, keys=tmp_path, files=files, upstream=f"127.0.0.1:{upstream.port}", greeting="first"
    )
    site = Site("127.0.0.1", ports["port"], name="127.0.0.1")
    admin = Site("127.0.0.1", ports["admin"], name="127.0.0.1")
    rooms = ("proxy", "static", "certs", "edge", "admin")
    with Deployment(topology, {}, rooms=rooms, caddyfile=text):
        eventually(lambda: site.get("/").status == 200)
        answer = site.get("/")
        assert answer.text == "<h1>hello</h1>"
        assert answer.headers["x-greeting"] == "first"
        proxied = site.get("/api/items?page=2").json()
        assert (proxied["upstream"], proxied["target"]) == ("one", "/items?page=2")
        assert site.get("/teapot").text == "418 no coffee"
        assert site.get("/nothing").text.startswith("404")

        for name in ("first", "second"):  # two certificates of one name: each site has its own
            for version in (pycurl.CURL_HTTP_VERSION_1_1, HTTP3):
                assert page_of(ports[name], version, tmp_path / name / "root.crt") == name

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
