"""One process from its options to its exit status."""

from __future__ import annotations

from quantum.service.options import RunOptions

__all__ = ["RunOptions", "run"]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_FORCED = 2
EXIT_UNCLEAN = 3


def run(options: RunOptions) -> int:
    """Run until stopped; 0 after a clean stop, 1 failed, 2 forced by a second signal, 3 failed to quit."""
    raise NotImplementedError
