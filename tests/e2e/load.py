"""A steady load from threads that counts every failure: the witness of reload and crash scenarios."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from quantum.testing.client import Site, exchange


class Load:
    """What happened to the requests so far."""

    def __init__(self) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self.slowest = 0.0
        self._lock = threading.Lock()

    def count(self, failure: str | None, seconds: float) -> None:
        with self._lock:
            self.answered += 1
            self.slowest = max(self.slowest, seconds)
            if failure is not None:
                self.failures.append(f"{time.monotonic():.3f} {failure}")


@contextmanager
def under_load(site: Site, target: str, rate: int = 200, threads: int = 4) -> Iterator[Load]:
    """Send ``rate`` requests a second to ``target`` on keep-alive connections while the block runs."""
    load, done = Load(), threading.Event()
    workers = [
        threading.Thread(target=_work, args=(site, target, threads / rate, load, done))
        for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        done.set()
        for worker in workers:
            worker.join()


def _work(site: Site, target: str, pause: float, load: Load, done: threading.Event) -> None:
    connection = None
    headers = {"Host": f"{site.name}:{site.port}"}
    while not done.is_set():
        started = time.monotonic()
        failure = None
        try:
            connection = connection or site.connect()
            answer = exchange(connection, "GET", target, headers=headers)
            if answer.status != 200:
                failure = f"status {answer.status}"
            if answer.headers.get("connection") == "close":
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            failure = repr(error)
            if connection is not None:
                connection.close()
            connection = None
        spent = time.monotonic() - started
        load.count(failure, spent)
        done.wait(max(0.0, pause - spent))
    if connection is not None:
        connection.close()
