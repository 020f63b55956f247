"""The messages of ``/ws`` and the operations they carry: JSON text, exactly as specified.

Every message that comes in is validated; unknown fields are ignored, so that a newer client may say
more. A client that did not ask for protocol 2 gets the specified fields and no others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from quantum.bus.subjects import ShareOperation

LARGEST_PATH = 4096
"""Characters of a path in a message: PATH_MAX, beyond which no file can be named."""

SERVER = "server"
"""The ``source_client`` of changes that no client announced: made on the disk, or by a plain request."""

MOST_PATTERNS = 64
"""Patterns of one subscription: each is matched against each operation."""

LARGEST_TOKEN = 4096
"""Characters of a token: some hundred patterns."""

OpId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ClientId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class Part(BaseModel):
    """The base of messages and what is in them."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class FileMetadata(Part):
    """One file or directory; ``hash`` is SHA-256 in hex, empty for a directory."""

    path: str = Field(min_length=1, max_length=LARGEST_PATH)
    size: int = Field(ge=0)
    hash: str = Field(pattern=r"^([0-9a-f]{64})?$")
    modified: datetime
    is_directory: bool


class Described(Part):
    """The body of Create and Update."""

    metadata: FileMetadata


class Removed(Part):
    """The body of Delete."""

    path: str = Field(min_length=1, max_length=LARGEST_PATH)


class Moved(Part):
    """The body of Move."""

    source: str = Field(alias="from", min_length=1, max_length=LARGEST_PATH)
    to: str = Field(min_length=1, max_length=LARGEST_PATH)
    metadata: FileMetadata


class Create(Part):
    """A path that was free is taken."""

    model_config = ConfigDict(extra="forbid")
    Create: Described


class Update(Part):
    """A file has new content."""

    model_config = ConfigDict(extra="forbid")
    Update: Described


class Delete(Part):
    """A path is free."""

    model_config = ConfigDict(extra="forbid")
    Delete: Removed


class Move(Part):
    """A file or directory has another path."""

    model_config = ConfigDict(extra="forbid")
    Move: Moved


SyncOperation = Create | Update | Delete | Move


class Subscribe(Part):
    """A client registers for updates. All but ``client_id`` counts with ``protocol`` 2 alone."""

    type: Literal["Subscribe"]
    client_id: ClientId
    protocol: int = 1
    resume_from: int | None = Field(default=None, ge=0)
    log: str | None = Field(default=None, max_length=128)
    paths: list[Annotated[str, Field(max_length=LARGEST_PATH)]] = Field(
        default_factory=list, max_length=MOST_PATTERNS
    )
    token: str | None = Field(default=None, max_length=LARGEST_TOKEN)


class FileOperation(Part):
    """A change, in either direction; metadata only."""

    type: Literal["FileOperation"]
    operation: SyncOperation
    source_client: ClientId
    op_id: OpId | None = None
    base_version: int | None = Field(default=None, ge=0)
    confirm: str | None = Field(default=None, max_length=128)


class Applied(Part):
    """A client has applied everything up to ``seq``."""

    type: Literal["Ack"]
    operation_id: str = Field(default="", max_length=128)
    seq: int = Field(ge=0)


class Ping(Part):
    """A heartbeat."""

    type: Literal["Ping"]


class Pong(Part):
    """The answer to a heartbeat."""

    type: Literal["Pong"]


Incoming = Subscribe | FileOperation | Applied | Ping | Pong
_CLIENT_MESSAGE: TypeAdapter[Incoming] = TypeAdapter(
    Annotated[Incoming, Field(discriminator="type")]
)


class InvalidMessage(Exception):
    """A message that is no message of this protocol; its text may be sent to the client."""


def parse_message(data: bytes) -> Incoming:
    """Return the message in ``data``; raises InvalidMessage."""
    try:
        return _CLIENT_MESSAGE.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise InvalidMessage(
            f"invalid message: {place + ': ' if place else ''}{first['msg']}"
        ) from None


def ack(operation_id: str, **more: Any) -> dict[str, Any]:
    """Confirm a subscription (``subscribe``) or an operation; ``more`` is for protocol 2."""
    return {"type": "Ack", "operation_id": operation_id, **more}


def file_operation(operation: dict[str, Any], source_client: str) -> dict[str, Any]:
    """Announce a change, as specified."""
    return {"type": "FileOperation", "operation": operation, "source_client": source_client}


def logged_operation(seq: int, entry: ShareOperation) -> dict[str, Any]:
    """Return what protocol 2 says of a change, without the ``type``."""
    said: dict[str, Any] = {
        "operation": entry.operation,
        "source_client": entry.source_client,
        "seq": seq,
        "op_id": entry.op_id,
        "version": seq,
    }
    if entry.base_version is not None:
        said["base_version"] = entry.base_version
    return {**said, "ts": entry.at.isoformat().replace("+00:00", "Z")}


def error(message: str, code: str = "", **more: Any) -> dict[str, Any]:
    """Tell a client what was wrong; ``code`` and ``more`` are for protocol 2."""
    said: dict[str, Any] = {"type": "Error", "message": message}
    if code:
        said["code"] = code
    return {**said, **{name: value for name, value in more.items() if value is not None}}


PING: dict[str, Any] = {"type": "Ping"}
PONG: dict[str, Any] = {"type": "Pong"}


def rfc3339(modified_ns: int) -> str:
    """Return a time in UTC with ``Z``; fractions (microseconds) only when there are any."""
    seconds, rest = divmod(modified_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
    micros = rest // 1000
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"


@lru_cache(64)  # what comes together has one time, and each is asked for thrice
def nanoseconds(text: str) -> int:
    """Return the time that ``rfc3339`` spelled, in nanoseconds; 0 for one that is none."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError):
        return 0
