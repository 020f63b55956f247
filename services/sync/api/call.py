"""One request of the interface: what it asks, who asks, and what every answer tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from quantum.errors import HttpError
from quantum.http.body import read_all
from quantum.http.headers import Field, Headers
from quantum.http.message import Request
from quantum.http.target import decode_path
from services.sync.access.limits import DeletionGuard
from services.sync.access.tokens import Principal
from services.sync.api.answers import Refused
from services.sync.config import FileSyncConfig
from services.sync.live.metrics import LiveMetrics
from services.sync.protocol import SERVER, rfc3339
from services.sync.rules.changes import Author
from services.sync.rules.conditions import Condition
from services.sync.rules.tree import Node
from services.sync.share.paths import parse_path
from services.sync.share.share import Share

LARGEST_COMMAND = 64 * 1024
"""Bytes of a JSON request: two paths with room to spare."""

_CLIENT_ID = re.compile(rb"[!-~]{1,128}")
_OP_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,18}")
"""What 64 bits hold: sequences of the log and of SQLite. Other scripts' digits are no numbers here."""
_TAG = re.compile(r'\s*(?:W/)?"([^"]*)"\s*|\s*(\*)\s*')


@dataclass(frozen=True, slots=True)
class Desk:
    """What all requests of one handler share."""

    share: Share
    config: FileSyncConfig
    guard: DeletionGuard
    metrics: LiveMetrics

    def author(self, client: str) -> Author:
        """Return who wishes something now."""
        return Author(client, self.share.now())


@dataclass(frozen=True, slots=True)
class Call:
    """One request below ``/api/``; ``rest`` is its path behind the area, still encoded."""

    request: Request
    rest: str
    principal: Principal
    query: dict[str, str]

    @classmethod
    def of(cls, request: Request, rest: str, principal: Principal) -> Call:
        """Return the call that a request is."""
        query = dict(parse_qsl(request.query or "", keep_blank_values=True))
        return cls(request, rest, principal, query)

    @property
    def path(self) -> str:
        """The path of the share in the request's own; Refused 400, or 403 where nothing may be seen."""
        try:
            path = parse_path(decode_path(self.rest))
        except HttpError as error:
            raise Refused(400, error.reason) from None
        self.require_sight(path)
        return path

    def require_sight(self, path: str) -> None:
        """Refuse what the token does not show."""
        if not self.principal.sees(path):
            raise Refused(403, f"the token does not allow {path}", code="forbidden")

    def require_change(self, path: str) -> None:
        """Refuse what the token does not let change."""
        if not self.principal.may_change(path):
            raise Refused(403, f"the token does not allow changing {path}", code="forbidden")

    @property
    def client(self) -> str:
        """The client that the request names, so that it can ignore the echo."""
        if self.principal.client is not None:
            return self.principal.client
        value = self.request.headers.get(b"x-client-id")
        return value.decode() if value is not None and _CLIENT_ID.fullmatch(value) else SERVER

    @property
    def op_id(self) -> str:
        """The id that the client gave its operation, "" for none."""
        value = self.request.headers.get(b"sync-op-id")
        if value is None:
            return ""
        if not _OP_ID.fullmatch(value):
            raise Refused(400, "Sync-Op-Id must be 1-64 of A-Z a-z 0-9 _ -")
        return value.decode()

    @property
    def condition(self) -> Condition:
        """What the request demands of what is there."""
        headers = self.request.headers
        base = headers.get(b"sync-base")
        if base is not None and not _NUMBER.fullmatch(base.decode("latin-1")):
            raise Refused(400, "Sync-Base must be a sequence")
        return Condition(
            _tags(headers, b"if-match"),
            _tags(headers, b"if-none-match") or frozenset(),
            None if base is None else int(base),
        )

    @property
    def makes_copy(self) -> bool:
        """Whether a content that loses shall be stored beside."""
        return self.query.get("on_conflict", "refuse") == "copy"

    @property
    def confirmation(self) -> str | None:
        """The token that says a large deletion is meant."""
        value = self.request.headers.get(b"sync-confirm")
        return None if value is None else value.decode("latin-1")

    def modified(self, received_ns: int) -> str:
        """Return the time of the content: the one the client gives, else when it came."""
        value = self.request.headers.get(b"sync-modified")
        return rfc3339(received_ns) if value is None else modified_of(value.decode("latin-1"))

    @property
    def wanted_version(self) -> int | None:
        """The version of the path that is asked for; None for the present one."""
        text = self.query.get("version")
        if text is not None and not _NUMBER.fullmatch(text):
            raise Refused(400, "version must be a number")
        return None if text is None else int(text)

    def number(self, name: str, default: int, most: int) -> int:
        """Return a number of the query from 1 to ``most``."""
        text = self.query.get(name, str(default))
        if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
            raise Refused(400, f"{name} must be a number from 1 to {most}")
        return int(text)

    async def json(self, model: type[BaseModel], most: int = LARGEST_COMMAND) -> BaseModel:
        """Return the body as ``model``; Refused 400 or 413."""
        try:
            return model.model_validate_json(await read_all(self.request.body, most))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise Refused(400, f"the body is not as expected: {place}: {first['msg']}") from None
        except ValueError as error:
            raise Refused(413, str(error)) from None


def modified_of(text: str) -> str:
    """Return the time that a client gives a content, in our form; Refused 400."""
    try:
        given = datetime.fromisoformat(text)
        return rfc3339(round(given.astimezone(UTC).timestamp() * 1_000_000) * 1000)
    except (ValueError, OverflowError):
        raise Refused(400, "a time must be an RFC 3339 time") from None


def version_fields(node: Node) -> list[Field]:
    """Return what tells a client the state of a file or directory."""
    fields: list[Field] = [(b"sync-version", b"%d" % node.version)]
    if node.hash:
        fields.append((b"etag", f'"{node.hash}"'.encode()))
    return fields


def _tags(headers: Headers, name: bytes) -> frozenset[str] | None:
    value = headers.joined(name)
    if value is None:
        return None
    tags = []
    for member in value.decode("latin-1").split(","):
        match = _TAG.fullmatch(member)
        if match is None:
            raise Refused(400, f"{name.decode()} is not a list of entity tags")
        tags.append(match[2] or match[1])
    return frozenset(tags)
