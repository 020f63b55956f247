"""Nothing outside the root, whatever the path: names are generated, the tree has traps."""

import asyncio
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantum.errors import HttpError
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.testing.context import make_context, make_module, make_revision
from services.static.manifest import MANIFEST
from services.static.service import StaticService

SECRET = b"the secret that lies outside"
PEER = ConnectionFacts(("127.0.0.1", 4000), ("127.0.0.1", 80), "http")

PIECES = st.sampled_from([
    "..", ".", "", "%2e%2e", "%2E.", "..%2f", "%2f", "%5c", "..%5c..", "\\", "%00", "%", "%zz", "%c0%ae", "%252e%252e",
    "secret.txt", "site", "up", "out.txt", "loop", "pub", "index.html", "rootlink", "etc", "passwd", "~", "a b", "%20",
    "site.bak",
])  # fmt: skip
PATHS = st.one_of(
    st.lists(PIECES, max_size=8).map(lambda parts: "/" + "/".join(parts)),
    st.lists(PIECES, max_size=8).map(lambda parts: "/" + "".join(parts)),
    st.text(alphabet=string.printable, max_size=40).map(lambda text: "/" + text),
)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    top = tmp_path_factory.mktemp("top")
    root = top / "site"
    (root / "pub").mkdir(parents=True)
    (top / "site.bak").mkdir()
    for place in (top / "secret.txt", top / "site.bak/secret.txt", top / "index.html"):
        place.write_bytes(SECRET)
    (root / "index.html").write_text("home")
    (root / "pub/a b").write_text("public")
    (root / "up").symlink_to("..")
    (root / "out.txt").symlink_to(top / "secret.txt")
    (root / "loop").symlink_to("loop")
    (root / "rootlink").symlink_to("/")
    (root / "pub/site.bak").symlink_to(top / "site.bak")
    context = make_context("static", top)
    module = make_module(MANIFEST.modules[0], {"root": str(root)})

    async def make():
        (await StaticService(context).prepare(make_revision(modules=(module,)))).commit()
        return context.hop.handler("static", "r1", module.path)

    return asyncio.run(make())


async def fetch(handler, path):
    request = Request("GET", "http", "localhost", path, None, Headers(), b"", PEER)
    try:
        response = await handler.handle(request)
    except HttpError as error:
        return b"" if error.status in {400, 404} else f"status {error.status}".encode()
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


@settings(
    max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=PATHS)
def test_no_path_gives_a_byte_from_outside_the_root(serve, path):
    body = asyncio.run(fetch(serve, path))
    assert body in {b"", b"home", b"public"}


@pytest.mark.parametrize(
    "path", ["/out.txt", "/up/secret.txt", "/rootlink/etc/passwd", "/pub/site.bak/secret.txt"]
)
def test_links_that_do_lead_out_give_nothing(serve, path):
    assert asyncio.run(fetch(serve, path)) == b""
