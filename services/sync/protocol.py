"""The messages of ``/ws`` and the operations they carry: JSON text, exactly as specified.

Every message that comes in is validated; unknown fields are ignored, so that a newer client may say
more. What goes out has the specified fields and no others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

LARGEST_PATH = 4096
"""Characters of a path in a message: PATH_MAX, beyond which no file can be named."""

SERVER = "server"
"""The ``source_client`` of changes that no client announced: made on the disk, or by a plain request."""

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
    """A client registers for updates."""

    type: Literal["Subscribe"]
    client_id: ClientId


class FileOperation(Part):
    """A change, in either direction; metadata only."""

    type: Literal["FileOperation"]
    operation: SyncOperation
    source_client: ClientId


class Ping(Part):
    """A heartbeat."""

    type: Literal["Ping"]


class Pong(Part):
    """The answer to a heartbeat."""

    type: Literal["Pong"]


ClientMessage = Annotated[Subscribe | FileOperation | Ping | Pong, Field(discriminator="type")]
_CLIENT_MESSAGE: TypeAdapter[Subscribe | FileOperation | Ping | Pong] = TypeAdapter(ClientMessage)


class InvalidMessage(Exception):
    """A message that is no message of this protocol; its text may be sent to the client."""


def parse_message(data: bytes) -> Subscribe | FileOperation | Ping | Pong:
    """Return the message in ``data``; raises InvalidMessage."""
    try:
        return _CLIENT_MESSAGE.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise InvalidMessage(
            f"invalid message: {place + ': ' if place else ''}{first['msg']}"
        ) from None


def ack(operation_id: str) -> dict[str, Any]:
    """Confirm a subscription (``subscribe``) or an operation."""
    return {"type": "Ack", "operation_id": operation_id}


def file_operation(operation: dict[str, Any], source_client: str) -> dict[str, Any]:
    """Announce a change."""
    return {"type": "FileOperation", "operation": operation, "source_client": source_client}


def error(message: str) -> dict[str, Any]:
    """Tell a client what was wrong."""
    return {"type": "Error", "message": message}


PING: dict[str, Any] = {"type": "Ping"}
PONG: dict[str, Any] = {"type": "Pong"}


def rfc3339(modified_ns: int) -> str:
    """Return a time in UTC with ``Z``; fractions (microseconds) only when there are any."""
    seconds, rest = divmod(modified_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
    micros = rest // 1000
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"
