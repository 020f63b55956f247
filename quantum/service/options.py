"""What a process is asked to run: filled by the command line, read by the runner."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `quantum ready` needs one constant of this file, and runs often
    from quantum.modules.registry import Registry
    from quantum.modules.spec import Manifest
    from quantum.service.api import Revision

DEFAULT_OPS = "127.0.0.1:2020"
DEFAULT_GRACE = 30.0
"""Seconds that requests under way get at a stop: what Kubernetes grants before it kills."""


@dataclass(frozen=True)
class RunOptions:
    """One process of a deployment.

    ``manifests`` and ``registry`` are the catalog's (all rooms, whichever run here); ``parse``
    validates a document (simple or full) and raises ConfigError. ``rooms`` are those this process
    runs. ``load`` reads the configuration file again, adapted to JSON but not validated (ConfigError
    when it cannot be read); None when the process was started without one, then it takes the
    deployment's active revision, or the last one kept in the data directory. ``config_file`` is the
    same file's path, watched when ``watch`` is set.

    ``nats`` is the URL (or several, comma separated) of a NATS server; None starts an embedded one.
    ``ops``, ``hop`` and ``hop_advertise`` are network addresses (``host:port`` or ``unix//path``);
    a None ``hop`` is a unix socket in the data directory, an empty ``ops`` none at all.
    ``on_ready`` is called once when the process serves (the CLI prints the URLs to open).

    With ``workers``, that many child processes run ``worker_rooms`` (those of ``rooms`` among them) and
    this one the rest; ``worker_command`` starts one, the number of its channel's descriptor appended.
    """

    manifests: tuple[Manifest, ...]
    registry: Registry
    parse: Callable[[Any], Revision]
    rooms: frozenset[str]
    data_dir: Path
    version: str = "0"
    load: Callable[[], Any] | None = None
    config_file: Path | None = None
    watch: bool = False
    nats: str | None = None
    nats_token: str | None = None
    ops: str = DEFAULT_OPS
    hop: str | None = None
    hop_advertise: str | None = None
    pidfile: Path | None = None
    grace: float = DEFAULT_GRACE
    log_level: str | None = None
    log_format: str | None = None
    on_ready: Callable[[Revision], None] | None = None
    workers: int = 0
    worker_rooms: frozenset[str] = frozenset()
    worker_command: tuple[str, ...] = ()
    worker: Worker | None = None
    """Set in a process that is a worker itself."""


@dataclass(frozen=True)
class Worker:
    """A worker's number, from 1 on, its end of the channel to its parent, and the parent's process id."""

    number: int
    channel: socket.socket
    parent: str
