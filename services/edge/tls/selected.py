"""Certificates for policies with a ``certificate_selection``: all that fit it, chosen from by name.

The certs room is asked for the whole list, once for all handshakes, and again now and then and on
news; the choice is made here. A copy on disk serves while certs is away.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quantum.errors import HttpError
from quantum.modules.selection import CertificateSelection
from quantum.net.tls import names_to_try
from quantum.service.api import ServiceContext
from quantum.tasks import TaskSet
from quantum.trust.certificates import SelectedPair, ask_selected

FRESH_SECONDS = 30.0
"""How old a list may be: tags of a certificate can change with no news of it."""
EMPTY_SECONDS = 5.0
"""The same for a list of nothing: the certs room may not have had the revision yet."""


@dataclass(frozen=True)
class SelectedFile:
    """One certificate with its key, in a PEM file."""

    fingerprint: str
    subjects: tuple[str, ...]
    not_after: str
    file: Path

    @property
    def name(self) -> str:
        """What it is called in logs, and its sessions bound to."""
        return self.subjects[0] if self.subjects else self.fingerprint


class SelectedCertificates:
    """The lists of this process, by selection."""

    def __init__(
        self,
        context: ServiceContext,
        tasks: TaskSet,
        folder: Path,
        gone: Callable[[set[str]], None],
    ) -> None:
        """``gone`` hears of fingerprints that are in no list any more."""
        self._context = context
        self._tasks = tasks
        self._folder = folder
        self._gone = gone
        self._lists: dict[CertificateSelection, list[SelectedFile]] = {}
        self._until: dict[CertificateSelection, float] = {}
        self._fetching: dict[CertificateSelection, asyncio.Task[None]] = {}

    def find(self, selection: CertificateSelection, name: str) -> SelectedFile | None:
        """Return the certificate for ``name``, None when no list is at hand, or an empty one.

        As in Caddy a list without a certificate for the name is chosen from all the same.
        """
        known = self._lists.get(selection)
        if not known:
            return None
        if self._context.clock.monotonic() >= self._until[selection]:
            self._start(selection)
        names = names_to_try(name)
        fitting = [one for one in known if not set(names).isdisjoint(one.subjects)] or known
        return max(fitting, key=lambda one: (name in one.subjects, one.not_after))

    async def obtain(self, selection: CertificateSelection) -> None:
        """Fetch a list again; many who ask share one question."""
        await asyncio.wait([self._start(selection)])

    def news(self) -> None:
        """Hear that some certificate is new."""
        for selection in self._lists:
            self._start(selection)

    def _start(self, selection: CertificateSelection) -> asyncio.Task[None]:
        task = self._fetching.get(selection)
        if task is None:
            task = self._fetching[selection] = self._tasks.start(self._fetch(selection), "selected")
            task.add_done_callback(lambda _: self._fetching.pop(selection, None))
        return task

    async def _fetch(self, selection: CertificateSelection) -> None:
        now = self._context.clock.monotonic()
        try:
            pairs = await ask_selected(self._context.hop, selection)
            found = await asyncio.to_thread(self._write, selection, pairs)
        except (HttpError, OSError, ValueError, KeyError) as error:
            self._context.log.warning("certificates_not_fetched", reason=str(error))
            self._until[selection] = now + EMPTY_SECONDS
            if selection not in self._lists:
                self._lists[selection] = await asyncio.to_thread(self._read, selection)
            return
        before = self._fingerprints()
        self._lists[selection] = found
        self._until[selection] = now + (FRESH_SECONDS if found else EMPTY_SECONDS)
        gone = before - self._fingerprints()
        if gone:
            self._gone(gone)
            await asyncio.to_thread(self._remove, gone)

    def _fingerprints(self) -> set[str]:
        return {one.fingerprint for known in self._lists.values() for one in known}

    # The copies on disk.

    def _write(
        self, selection: CertificateSelection, pairs: list[SelectedPair]
    ) -> list[SelectedFile]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = []
        for pair in pairs:
            file = self._folder / f"{pair.fingerprint}.pem"
            if not file.exists() or file.read_text() != pair.pem:
                _write_private(file, pair.pem)
            found.append(SelectedFile(pair.fingerprint, pair.subjects, pair.not_after, file))
        about = [[one.fingerprint, one.subjects, one.not_after] for one in found]
        _write_private(self._index(selection), json.dumps(about))
        return found

    def _read(self, selection: CertificateSelection) -> list[SelectedFile]:
        try:
            about = json.loads(self._index(selection).read_text())
        except (OSError, ValueError):
            return []
        return [
            SelectedFile(digest, tuple(subjects), end, self._folder / f"{digest}.pem")
            for digest, subjects, end in about
        ]

    def _index(self, selection: CertificateSelection) -> Path:
        digest = hashlib.sha256(selection.model_dump_json().encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    def _remove(self, fingerprints: set[str]) -> None:
        for fingerprint in fingerprints:
            (self._folder / f"{fingerprint}.pem").unlink(missing_ok=True)


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    temporary.replace(file)
