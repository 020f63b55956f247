"""Several data-plane processes as one: ports, changes, deaths, figures, the end."""

import json
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from pathlib import Path

import pycurl
import pytest

from quantum.testing.certificates import make_certificates
from quantum.testing.client import Site
from quantum.testing.topology import Deployment, descendants, free_port

EXTRA = ["--workers", "2", "--target", "edge,proxy,static,certs,admin"]


class Crew:
    """A deployment with two workers and what a test asks of it."""

    def __init__(self, folder):
        self.http, self.https, self.admin_port = free_port(), free_port(), free_port()
        self.folder = folder
        self.site = Site("127.0.0.1", self.http)
        self.admin = Site("127.0.0.1", self.admin_port)
        self.deployment = Deployment("all", self.document("one"), extra=EXTRA)

    def document(self, word, **more_servers):
        body = {"handler": "static_response", "body": word}
        slow = {"handler": "file_server", "root": str(self.folder)}
        routes = [{"match": [{"path": ["/big"]}], "handle": [slow]}, {"handle": [body]}]
        server = {"automatic_https": {"disable": True}, "routes": routes}
        return {
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "apps": {
                "http": {
                    "metrics": {},
                    "servers": {"main": {"listen": [f"127.0.0.1:{self.http}"], **server}}
                    | {name: {"listen": [at], **server} for name, at in more_servers.items()},
                }
            },
        }

    def load(self, document):
        body = json.dumps(document).encode()
        return self.admin.request("POST", "/load", body, **{"Content-Type": "application/json"})

    def workers(self):
        return self.deployment.services("quantum")["workers"]

    def metric(self, pattern):
        ops = self.deployment.member("quantum").ops
        host, _, port = ops.partition(":")
        text = Site(host, int(port)).get("/metrics").text
        return sum(float(value) for value in re.findall(rf"(?m)^{pattern} (\S+)$", text))

    def words(self, times=24):
        return Counter(self.site.get("/").text for _ in range(times))

    @property
    def process(self):
        return self.deployment.member("quantum").process


@pytest.fixture
def crew(tmp_path):
    crew = Crew(tmp_path)
    with crew.deployment:
        yield crew


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.02)


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_workers_share_the_port_and_change_together(crew):
    shown = crew.deployment.services("quantum")
    assert {w["state"] for w in shown["workers"]} == {"running"}
    assert shown["rooms"].keys() >= {"edge", "proxy", "static", "certs", "admin"}
    assert crew.words() == {"one": 24}
    requests = r'quantum_edge_requests_total\{code="200",method="GET",server="main"\}'
    assert crew.metric(requests) == 24, "what both answered, added up"
    for word in ("two", "three"):
        assert crew.load(crew.document(word)).status == 200
        assert crew.words(12) == {word: 12}, "no worker is behind once /load has answered"
    assert len({w["revision"] for w in crew.workers()}) == 1
    assert '"worker": 2' in crew.deployment.logs(100)


def test_a_configuration_that_one_worker_cannot_use_is_refused_in_all(crew):
    path = str(crew.folder / "taken.sock")
    taken = socket.socket(socket.AF_UNIX)
    with taken:
        taken.bind(path)
        taken.listen()
        answer = crew.load(crew.document("two", other=f"unix/{path}"))
    assert answer.status == 400
    assert "taken.sock" in answer.text
    assert crew.words(12) == {"one": 12}
    assert crew.load(crew.document("three")).status == 200
    assert crew.words(12) == {"three": 12}


def test_workers_that_limit_together_let_through_what_one_would(crew):
    document = crew.document("one")
    zone = {"key": "{http.request.header.X-Who}", "window": "1h", "max_events": 30}
    limit = {"handler": "rate_limit", "rate_limits": {"each": zone}, "distributed": {}}
    document["apps"]["http"]["servers"]["main"]["routes"][0:0] = [{"handle": [limit]}]
    assert crew.load(document).status == 200
    statuses = Counter(crew.site.get("/", **{"X-Who": "ann"}).status for _ in range(28))
    assert statuses == {200: 28}
    wait_for(lambda: all_refuse(crew, "bob"))


def all_refuse(crew, who):
    """Whether a dozen connections, which the kernel spreads over both workers, are all refused."""
    asked = Counter(crew.site.get("/", **{"X-Who": who}).status for _ in range(12))
    time.sleep(0.5)  # a process tells the others every second
    return asked == {429: 12}


def test_a_session_that_one_worker_began_is_resumed_by_all(crew):
    document = crew.document("one", secure=f"127.0.0.1:{crew.https}")
    document["apps"]["http"]["servers"]["secure"]["tls_connection_policies"] = [{}]
    assert crew.load(document).status == 200
    root = json.loads(crew.admin.get("/pki/ca/local").body)["root_certificate"]
    context = ssl.create_default_context(cadata=root)
    wait_for(lambda: all_resume(crew, context))


def all_resume(crew, context):
    """Whether sixteen connections, which the kernel spreads over both workers, go on with one session."""
    _, session = shake(crew, context)
    return all(shake(crew, context, session)[0] for _ in range(16))


def shake(crew, context, session=None):
    """Ask once, perhaps with a session; whether it was resumed, and the session to go on with."""
    raw = socket.create_connection(("127.0.0.1", crew.https), timeout=30)
    with context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert tls.recv(65536).startswith(b"HTTP/1.1 200")
        return tls.session_reused, tls.session


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(crew):
    crew.words(10)
    requests = r'quantum_edge_requests_total\{code="200",method="GET",server="main"\}'
    assert crew.metric(requests) == 10
    wait_for(lambda: crew.metric("quantum_process_worker_spares") == 1, 30)
    victim = crew.workers()[0]["pid"]
    failed, done = [], threading.Event()

    def ask():
        while not done.is_set():
            try:
                crew.site.get("/")
            except OSError as error:
                failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: crew.workers()[0]["pid"] != victim and crew.workers()[0]["state"] == "running")
    took = time.monotonic() - killed
    done.set()
    asking.join()
    assert len(failed) <= 1, "the one request that the dead worker had taken"
    assert took < 3, f"replaced after {took:.1f} s"  # 0.2 s when the spare is loaded
    assert crew.workers()[0]["restarts"] == 1
    assert crew.metric(requests) >= 10, "what the dead one had counted is not forgotten"
    assert crew.metric("quantum_process_worker_deaths_total") == 1
    assert crew.words(12) == {"one": 12}


def test_a_stop_lets_requests_under_way_end(crew):
    size = 32 * 1024 * 1024
    with (crew.folder / "big").open("wb") as file:
        file.truncate(size)
    client = socket.create_connection(("127.0.0.1", crew.http))
    with client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = len(client.recv(65536))
        crew.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        while data := client.recv(1 << 20):
            received += len(data)
    assert received > size
    assert crew.process.wait(10) == 0


def test_workers_end_with_their_parent_however_it_ends(crew):
    pids = [w["pid"] for w in crew.workers()]
    assert set(pids) <= set(descendants(crew.process.pid))
    crew.deployment._stopping = True  # the keeper shall not start it again
    crew.process.kill()
    wait_for(lambda: not any(alive(pid) for pid in pids), 5)


def test_a_port_that_is_taken_ends_the_start(tmp_path):
    crew = Crew(tmp_path)
    with socket.create_server(("127.0.0.1", crew.http)), pytest.raises(TimeoutError) as caught:
        crew.deployment.__enter__()
    assert "Address already in use" in str(caught.value)


def test_every_worker_names_http_3_and_one_speaks_it_also_after_a_death(crew, tmp_path):
    chain, key, _ = make_certificates(tmp_path, ["localhost"])
    document = crew.document("over TLS")
    document["apps"]["http"]["servers"]["secure"] = {
        "listen": [f"127.0.0.1:{crew.https}"],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{}],
        "routes": [{"handle": [{"handler": "static_response", "body": "over TLS"}]}],
    }
    files = [{"certificate": str(chain), "key": str(key)}]
    document["apps"]["tls"] = {"certificates": {"load_files": files}}
    assert crew.load(document).status == 200
    named = Counter(curl(crew.https, pycurl.CURL_HTTP_VERSION_1_1) for _ in range(16))
    assert named == {f'h3=":{crew.https}"; ma=2592000': 16}
    assert [curl(crew.https, HTTP_3_ONLY) for _ in range(8)] == [""] * 8
    for worker in crew.workers():
        os.kill(worker["pid"], signal.SIGKILL)
    wait_for(lambda: speaks_h3(crew.https))


HTTP_3_ONLY = 31  # CURL_HTTP_VERSION_3ONLY


def speaks_h3(port):
    try:
        return curl(port, HTTP_3_ONLY) == ""
    except pycurl.error:
        return False


def curl(port, version):
    """The Alt-Svc of an answer, "" for none."""
    fields, handle = [], pycurl.Curl()
    handle.setopt(pycurl.URL, f"https://localhost:{port}/")
    handle.setopt(pycurl.RESOLVE, [f"localhost:{port}:127.0.0.1"])
    handle.setopt(pycurl.HTTP_VERSION, version)
    handle.setopt(pycurl.SSL_VERIFYPEER, 0)
    handle.setopt(pycurl.HEADERFUNCTION, lambda line: fields.append(line.decode().strip()))
    handle.setopt(pycurl.WRITEFUNCTION, len)
    handle.setopt(pycurl.TIMEOUT, 10)
    handle.perform()
    assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
    named = [line.partition(": ")[2] for line in fields if line.lower().startswith("alt-svc:")]
    return named[0] if named else ""
