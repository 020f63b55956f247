"""Fields that Caddy has and this program does not obey yet.

A setting that is silently not kept is worse than an error: such a field is part of the model, may be
present when it says nothing (false, 0, empty), and is refused by name when it does say something.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def refused(reason: str) -> BeforeValidator:
    """Return the validator of a field that is known and not obeyed; ``reason`` says why, and what to do."""

    def refuse(value: Any) -> Any:
        if value in (None, False, 0, "", [], {}):
            return None
        raise ValueError(reason)

    return BeforeValidator(refuse)


NotBuilt = Annotated[Any, refused("known to Caddy, not built here yet")]
"""The type of such a field; its default is None."""
