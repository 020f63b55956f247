"""``python -m bench.h3_load URL SECONDS requests|handshakes``: load over HTTP/3 by libcurl; tells JSON.

``requests``: some connections with some streams each. libcurl keeps one connection for each name, so
that every connection gets a name of its own that leads to the address of the URL. ``handshakes``: each
request on a new connection, no session resumed.
"""

import io
import json
import math
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import pycurl

from bench.load import H3_CONNECTIONS, H3_STREAMS

HTTP_3_ONLY = 31
HANDSHAKES_AT_ONCE = 16


def handle(url: str, number: int, what: str) -> pycurl.Curl:
    """Return one request that can be made again and again."""
    parts = urlsplit(url)
    name = f"c{number % H3_CONNECTIONS}.localhost"
    made = pycurl.Curl()
    made.setopt(pycurl.URL, f"https://{name}:{parts.port}{parts.path}")
    made.setopt(pycurl.RESOLVE, [f"{name}:{parts.port}:{parts.hostname}"])
    made.setopt(pycurl.HTTP_VERSION, HTTP_3_ONLY)
    made.setopt(pycurl.SSL_VERIFYPEER, 0)
    made.setopt(pycurl.SSL_VERIFYHOST, 0)
    made.setopt(pycurl.TIMEOUT, 20)
    made.setopt(pycurl.WRITEDATA, io.BytesIO())
    if what == "handshakes":
        made.setopt(pycurl.FRESH_CONNECT, 1)
        made.setopt(pycurl.FORBID_REUSE, 1)
        made.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    else:
        made.setopt(pycurl.PIPEWAIT, 1)
    return made


class Load:
    """Handles that are asked again as soon as they are answered."""

    def __init__(self, url: str, what: str) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        count = HANDSHAKES_AT_ONCE if what == "handshakes" else H3_CONNECTIONS * H3_STREAMS
        if what == "requests":
            self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        self._handles = [handle(url, number, what) for number in range(count)]
        self._open = 0
        self.taken: list[float] = []
        self.failures: Counter[str] = Counter()

    def run(self, seconds: float) -> float:
        """Ask for so long, then wait for what is under way; return the seconds it took."""
        began = time.monotonic()
        for one in self._handles:
            self._multi.add_handle(one)
        self._open = len(self._handles)
        while self._open:
            while self._multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
                pass
            if not self._collect(time.monotonic() - began < seconds):
                self._multi.select(0.01)
        return time.monotonic() - began

    def _collect(self, goes_on: bool) -> bool:
        _, good, bad = self._multi.info_read(1000)
        for one in good:
            if one.getinfo(pycurl.RESPONSE_CODE) == 200:
                self.taken.append(one.getinfo(pycurl.TOTAL_TIME))
            else:
                self.failures[str(one.getinfo(pycurl.RESPONSE_CODE))] += 1
        for _, code, text in bad:
            self.failures[f"{code} {text}"] += 1
        for one in [*good, *(b[0] for b in bad)]:
            self._multi.remove_handle(one)
            if goes_on:
                self._multi.add_handle(one)
            else:
                self._open -= 1
        return bool(good or bad)


def main() -> None:
    url, seconds, what = sys.argv[1:]
    load = Load(url, what)
    took = load.run(float(seconds))
    taken = sorted(load.taken) or [0.0]
    p50, p99 = (taken[math.ceil(len(taken) * share) - 1] for share in (0.5, 0.99))
    failed = sum(load.failures.values())
    told = {"total": len(load.taken), "seconds": took, "p50": p50, "p99": p99, "failed": failed}
    print(json.dumps({**told, "why": dict(load.failures)}))


if __name__ == "__main__":
    main()
