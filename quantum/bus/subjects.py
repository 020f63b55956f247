"""Every subject, bucket and stream of the program, with its payload: the only place they are named.

``docs/subjects.md`` is generated from this file.
"""

from __future__ import annotations

import base64
import string
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from quantum.bus.api import Bucket, ObjectStore, Stream, Subject

_SAFE = frozenset(string.ascii_letters + string.digits + "-_")


def key_of(text: str) -> str:
    """Return a bucket key for any text: itself when it is safe, ``=`` and URL-safe base64 otherwise."""
    if text and all(char in _SAFE for char in text):
        return text
    return "=" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class Payload(BaseModel):
    """The base of payloads. Unknown fields are ignored: a newer process may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ConfigRevision(Payload):
    """The configuration that the whole deployment runs. ``revision`` is the hash of ``document``.

    ``process`` wrote it and has applied it already: it MUST NOT apply it again when the bucket's watch
    brings it back, for by then it may be about to write the next one.
    """

    revision: str
    document: dict[str, Any]
    author: str
    at: datetime
    process: str = ""


class ConfigApplied(Payload):
    """A process has taken a revision into use, or could not (then ``error`` says why, with the path)."""

    process: str
    rooms: list[str]
    revision: str
    error: str = ""


class RoomPresence(Payload):
    """A process runs a room and serves the hop at ``address`` (``unix//path`` or ``host:port``).

    ``parent`` is set for a worker: the process that answers for it in changes of the configuration.
    """

    process: str
    room: str
    address: str
    revision: str
    parent: str = ""


class ClusterSecret(Payload):
    """A secret all processes of a deployment share (the hop's token)."""

    value: str


class StandingChange(Payload):
    """One change of an upstream's standing, for its history."""

    at: datetime
    healthy: bool
    reason: str = ""


class UpstreamStanding(Payload):
    """What the health room knows of one upstream: the proxy sends no request to one that is down.

    ``valid_for`` is how many seconds a reader may believe it without hearing it again: a health room
    that died must not keep an upstream out for ever. ``history`` holds the last changes, oldest first.
    """

    upstream: str
    checker: str
    healthy: bool
    reason: str
    since: datetime
    revision: str
    valid_for: float = 60.0
    history: list[StandingChange] = []


class UpstreamChanged(Payload):
    """An upstream became healthy or unhealthy (Caddy's events of these names)."""

    event: Literal["healthy", "unhealthy"]
    upstream: str
    checker: str
    reason: str
    at: datetime
    process: str


class ProbeLease(Payload):
    """``process`` makes the active check of this key."""

    process: str


class UpstreamFigures(Payload):
    """What one process counted at one upstream since it started; ``latency`` is a digest's buckets.

    ``requests`` have ended; ``errors`` of them failed or were 5xx, ``answers`` took ``seconds`` together until
    their heads came; ``strikes`` is what passive checks held against it, ``fails`` those not yet forgotten.
    """

    upstream: str
    in_flight: int = 0
    requests: int = 0
    errors: int = 0
    answers: int = 0
    strikes: int = 0
    fails: int = 0
    seconds: float = 0.0
    latency: dict[int, int] = {}


class UpstreamsMeasured(Payload):
    """The figures of a proxy process, sent every second while they change."""

    process: str
    figures: list[UpstreamFigures]


class UpstreamSet(Payload):
    """The present upstreams of a proxy that finds them by itself; ``path`` is its place in ``revision``."""

    process: str
    revision: str
    path: str
    upstreams: list[str]


class UpstreamObserved(Payload):
    """A proxy saw an upstream fail (or work again) with its own requests."""

    process: str
    upstream: str
    outcome: Literal["ok", "failed"]
    reason: str = ""
    latency: float = 0.0


class CertificateReady(Payload):
    """A certificate for these subjects can be fetched from the certs room; the key is not in here."""

    name: str
    subjects: list[str]
    fingerprint: str
    not_after: datetime
    issuer: str


class RequestsCounted(Payload):
    """Requests that an edge let through since it last told: of a zone of ``rate_limit``, by key."""

    process: str
    zone: str
    counts: dict[str, int]


class CertificateWanted(Payload):
    """Edge needs a certificate for a name that has none."""

    name: str
    process: str


class ChallengeOpened(Payload):
    """An ACME authority will ask for ``name``: for ``token`` by HTTP (RFC 8555 §8.3), or by TLS (RFC 8737).

    ``kind``: ``http-01`` or ``tls-alpn-01``. After ``until`` it is not answered, whatever was heard.
    """

    token: str
    key_authorization: str
    name: str
    kind: str = "http-01"
    until: datetime | None = None


class FileMetadata(Payload):
    """One file or directory of a share."""

    path: str
    size: int
    hash: str
    modified: datetime
    is_directory: bool


class ShareOperation(Payload):
    """One committed operation of a share: the specification's SyncOperation and its origin.

    ``base_version`` is what its author had seen; ``rule`` names the rule of conflict that made it.
    """

    operation: dict[str, Any]
    source_client: str
    op_id: str
    at: datetime
    base_version: int | None = None
    rule: str = ""


class SweepBegun(Payload):
    """``process`` removes what nobody needs from the contents of this share."""

    process: str


CONFIG = Bucket(
    "quantum_config", ConfigRevision, "The active configuration, under the key `active`", history=64
)
ROOMS = Bucket(
    "quantum_rooms", RoomPresence, "Which process serves which room, and where", ttl=15.0
)
SECRETS = Bucket("quantum_secrets", ClusterSecret, "Secrets shared by the deployment's processes")
STANDINGS = Bucket("quantum_standings", UpstreamStanding, "The health of every upstream")
PROBERS = Bucket("quantum_probers", ProbeLease, "Which health process checks an upstream", ttl=3.0)
UPSTREAM_SETS = Bucket(
    "quantum_upstream_sets",
    UpstreamSet,
    "The upstreams that proxies found by themselves",
    ttl=120.0,
)
CERTIFICATES = Bucket("quantum_certificates", CertificateReady, "Which certificates exist")
CHALLENGES = Bucket(
    "quantum_challenges",
    ChallengeOpened,
    "Open ACME challenges that edge answers, by token",
    ttl=3600.0,
)
REVISIONS = Bucket(
    "quantum_revisions", ConfigRevision, "Configurations that were in force, by revision"
)
SHARES = Stream("quantum_share", ShareOperation, "The operations of one synced folder, in order")
SHARE_CONTENTS = ObjectStore(
    "quantum_share_contents", "Chunks of synced files, for replicas without a shared disk"
)
SHARE_SWEEPS = Bucket(
    "quantum_share_sweeps",
    SweepBegun,
    "Which replica sweeps the contents of a share: one in this time",
    ttl=1800.0,
)
SHARE_SNAPSHOTS = ObjectStore(
    "quantum_share_snapshots", "What a share was where its log begins, once the start was dropped"
)

CONFIG_APPLIED = Subject(
    "quantum.admin.config_applied", ConfigApplied, "A process took a revision, or refused it"
)
UPSTREAM_OBSERVED = Subject(
    "quantum.proxy.upstream_observed", UpstreamObserved, "What a proxy saw of an upstream"
)
UPSTREAMS_MEASURED = Subject(
    "quantum.proxy.upstreams_measured", UpstreamsMeasured, "What a proxy counted at its upstreams"
)
UPSTREAM_CHANGED = Subject(
    "quantum.health.upstream_changed", UpstreamChanged, "An upstream became healthy or unhealthy"
)
REQUESTS_COUNTED = Subject(
    "quantum.edge.requests_counted",
    RequestsCounted,
    "Requests that an edge let through a rate limit",
)
CERTIFICATE_WANTED = Subject(
    "quantum.edge.certificate_wanted", CertificateWanted, "A name without a certificate"
)
