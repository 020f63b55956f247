"""What a user sees of the whole platform, in each topology."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import ClientConnection, connect

from quantum.testing.client import Answer
from tests.e2e.conftest import Platform, eventually


def test_the_site_is_served_over_tls_with_a_certificate_of_the_local_ca(platform: Platform) -> None:
    answer = platform.secure.get("/")
    assert (answer.status, answer.text) == (200, "<h1>the site</h1>")
    assert answer.headers["content-type"].startswith("text/html")


def test_plain_http_is_redirected_to_https(platform: Platform) -> None:
    answer = platform.redirect.get("/page?x=1")
    assert answer.status == 308
    assert answer.headers["location"] == f"https://localhost:{platform.secure.port}/page?x=1"


def test_a_file_is_served_in_ranges_and_only_when_it_changed(platform: Platform) -> None:
    whole = platform.plain.get("/big.bin")
    assert hashlib.sha256(whole.body).digest() == hashlib.sha256(b"0123456789" * 200_000).digest()
    part = platform.plain.get("/big.bin", Range="bytes=10-19")
    assert (part.status, part.body) == (206, b"0123456789")
    assert platform.plain.get("/big.bin", If_None_Match=whole.headers["etag"]).status == 304
    assert platform.plain.request("HEAD", "/big.bin").headers["content-length"] == "2000000"


def test_nothing_outside_the_site_can_be_read(platform: Platform) -> None:
    for target in ("/../share", "/%2e%2e/share/", "/..%2fshare", "/big.bin%00.html", "/..\\share"):
        assert platform.plain.get(target).status in (400, 404)


def test_a_single_page_app_answers_under_every_path(platform: Platform) -> None:
    for target in ("/spa/", "/spa/orders/17", "/spa/index.html"):
        answer = platform.plain.get(target)
        assert (answer.status, answer.text) == (200, "<h1>the site</h1>")
    assert len(platform.plain.get("/spa/big.bin").body) == 2_000_000


def test_only_who_is_known_reaches_a_guarded_upstream(platform: Platform) -> None:
    def ask(credentials: bytes) -> Answer:
        field = f"Basic {base64.b64encode(credentials).decode()}"
        return platform.plain.get("/private/page", Authorization=field)

    refused = platform.plain.get("/private/page")
    assert (refused.status, refused.body) == (401, b"")
    assert refused.headers["www-authenticate"] == 'Basic realm="restricted"'
    assert [ask(c).status for c in (b"ann:wrong", b"bob:secret", b"ann:")] == [401, 401, 401]
    assert ask(b"ann:secret").json()["headers"]["x-user"] == "ann"


def test_who_asks_too_often_is_refused_and_nobody_else(platform: Platform) -> None:
    def ask(who: str) -> Answer:
        return platform.plain.get("/limited/page.html", **{"X-Who": who})

    assert [ask("ann").status for _ in range(4)] == [200, 200, 200, 429]
    refused = ask("ann")
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert ask("bob").status == 200
    assert platform.plain.get("/page.html").status == 200


def test_a_folder_is_listed_for_people_and_programs(platform: Platform) -> None:
    listed = platform.plain.get("/folder/", Accept="application/json").json()
    sizes = {entry["name"]: entry["size"] for entry in listed}
    assert sizes["big.bin"] == 2_000_000
    assert "index.html" in sizes
    page = platform.plain.get("/folder/?sort=size&order=desc", Accept="text/html").text
    assert page.index("book.txt") < page.index("index.html")


def test_what_an_upstream_answers_is_intercepted(platform: Platform) -> None:
    answer = platform.plain.get("/caught")
    assert (answer.status, answer.text) == (203, "caught 200")


def test_a_file_of_another_process_is_executed_as_a_template(platform: Platform) -> None:
    answer = platform.plain.get("/pages/template.html")
    assert (answer.status, answer.text) == (200, "GET part 7 one")
    assert "etag" not in answer.headers


def test_a_trace_reaches_the_upstream_and_its_page_names_what_it_needs(platform: Platform) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = platform.plain.get("/traced", X_Trace="yes", traceparent=parent)
    told = json.loads(answer.text)["headers"]["traceparent"]
    assert told[:36] == parent[:36]
    assert told != parent
    assert answer.headers["link"] == "</a.css>; rel=preload; as=style"
    assert platform.plain.get("/traced").status == 404


def test_requests_alternate_over_the_upstreams(platform: Platform) -> None:
    names = [platform.plain.get("/app/").json()["upstream"] for _ in range(10)]
    assert names.count("one") == names.count("two") == 5


def test_an_upstream_learns_who_asked_for_what(platform: Platform) -> None:
    answer = platform.secure.get("/app/deep/page?q=1", X_Forwarded_For="6.6.6.6").json()
    assert answer["target"] == "/deep/page?q=1"
    assert answer["headers"]["x-forwarded-for"] == platform.peer(answer)
    assert answer["headers"]["x-forwarded-proto"] == "https"
    assert answer["headers"]["x-forwarded-host"] == f"localhost:{platform.secure.port}"


def test_a_request_body_streams_through_to_the_upstream(platform: Platform) -> None:
    answer = platform.plain.request("POST", "/app/upload", b"x" * 3_000_000)
    assert answer.json()["length"] == 3_000_000


def test_an_upstream_that_fails_its_check_gets_no_requests_until_it_recovers(
    platform: Platform,
) -> None:
    second = platform.upstreams[1]
    assert second.get("/control/ill").status == 200
    try:
        eventually(lambda: names(platform) == {"one"})
    finally:
        second.get("/control/well")
    eventually(lambda: names(platform) == {"one", "two"})


def names(platform: Platform) -> set[str]:
    return {platform.plain.get("/app/").json()["upstream"] for _ in range(6)}


def test_the_admin_lists_the_upstreams(platform: Platform) -> None:
    rows = platform.admin.get("/reverse_proxy/upstreams").json()
    assert {row["address"] for row in rows} == set(platform.dials)


@contextmanager
def live(platform: Platform, client: str = "a-test") -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{platform.plain.port}/ws", max_size=2**20) as socket:
        socket.send(json.dumps({"type": "Subscribe", "client_id": client}))
        assert json.loads(socket.recv(10)) == {"type": "Ack", "operation_id": "subscribe"}
        yield socket


def operation(socket: ClientConnection, path: str) -> dict:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        message = json.loads(socket.recv(deadline - time.monotonic()))
        if message["type"] == "FileOperation" and path in json.dumps(message["operation"]):
            return message["operation"]
    raise AssertionError(f"no operation for {path}")


def test_a_file_made_on_disk_reaches_a_subscriber_and_the_list(platform: Platform) -> None:
    with live(platform) as socket:
        (platform.share / "from-disk.txt").write_text("hello")
        seen = operation(socket, "from-disk.txt")
    metadata = seen["Create"]["metadata"]
    assert metadata["size"] == 5
    assert metadata["hash"] == hashlib.sha256(b"hello").hexdigest()
    assert metadata["modified"].endswith("Z")
    listed = {f["path"] for f in platform.plain.get("/api/list").json()}
    assert "from-disk.txt" in listed


def test_a_file_put_over_rest_is_announced_on_disk_and_fetched_back(platform: Platform) -> None:
    with live(platform) as socket:
        put = platform.plain.request("PUT", "/api/files/docs/note.txt", b"written once")
        assert put.status in (200, 201)
        assert operation(socket, "docs/note.txt")
    assert (platform.share / "docs" / "note.txt").read_bytes() == b"written once"
    assert platform.plain.get("/api/files/docs/note.txt").body == b"written once"
    assert platform.plain.request("DELETE", "/api/files/docs/note.txt").status in (200, 204)
    assert platform.plain.get("/api/files/docs/note.txt").status == 404


def test_a_ping_is_answered_and_nonsense_gets_an_error(platform: Platform) -> None:
    with live(platform) as socket:
        socket.send('{"type":"Ping"}')
        assert json.loads(socket.recv(5)) == {"type": "Pong"}
        socket.send('{"type":"Nonsense"}')
        assert json.loads(socket.recv(5))["type"] == "Error"


def test_a_new_configuration_takes_over_and_a_broken_one_changes_nothing(
    platform: Platform,
) -> None:
    assert platform.plain.get("/marker").text == "one"
    load(platform, "two")
    eventually(lambda: platform.plain.get("/marker").text == "two")
    broken = json.loads(json.dumps(platform.document("three")))  # no part of it shared
    broken["apps"]["http"]["servers"]["plain"]["routes"][0]["handle"][0]["boody"] = "x"
    answer = platform.admin.request(
        "POST", "/load", json.dumps(broken).encode(), Content_Type="application/json"
    )
    assert answer.status == 400
    assert "apps.http.servers.plain.routes[0].handle[0].boody" in answer.json()["error"]
    assert platform.plain.get("/marker").text == "two"
    load(platform, "one")


def load(platform: Platform, marker: str) -> None:
    document = json.dumps(platform.document(marker)).encode()
    answer = platform.admin.request("POST", "/load", document, Content_Type="application/json")
    assert answer.status == 200, answer.text


def test_the_active_configuration_can_be_read_by_path(platform: Platform) -> None:
    path = "/config/apps/http/servers/plain/routes/0/handle/0/body"
    assert platform.admin.get(path).json() == "one"
